package decomp_test

import (
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
)

// A kernel is factored once; the factorization then answers for every rank.
func ExampleMethod() {
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	// A matrix with the singular values 4, 2 and 1.
	kernel := decomp.Kernel{
		Shape:   decomp.Shape{Out: 3, In: 3, Groups: 1},
		Weights: []float64{0, 4, 0, 0, 0, 2, 1, 0, 0},
	}
	svd, err := compress.MethodNamed("svd")
	if err != nil {
		log.Fatal(err)
	}
	spectrum, err := svd.Factor(env.Algebra, kernel, decomp.Metric{})
	if err != nil {
		log.Fatal(err)
	}
	for rank := 1; rank < kernel.FullRank(); rank++ {
		loss, err := spectrum.Loss(decomp.Rank{rank})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("rank %d loses %.3f of %.3f\n", rank, loss, spectrum.Energy())
	}
	chain, err := spectrum.Chain(decomp.Rank{2})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range chain {
		fmt.Printf("%v\n", f.Kernel.Shape)
	}
	// Output:
	// rank 1 loses 5.000 of 21.000
	// rank 2 loses 1.000 of 21.000
	// 2×3
	// 3×2
}

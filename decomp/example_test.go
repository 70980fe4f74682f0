package decomp_test

import (
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// named returns the method of that name.
func named(name string) decomp.Method {
	for _, m := range decomp.Methods() {
		if m.Name == name {
			return m
		}
	}
	log.Fatalf("there is no method %q", name)
	return decomp.Method{}
}

// A kernel is factored once; the factorization then answers for every rank.
func ExampleMethod() {
	// A matrix with the singular values 4, 2 and 1.
	kernel := decomp.Kernel{
		Shape:   decomp.Shape{Out: 3, In: 3, Groups: 1},
		Weights: []float64{0, 4, 0, 0, 0, 2, 1, 0, 0},
	}
	spectrum, err := named("svd").Factor(linalg.Gonum(), kernel, decomp.Metric{})
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

// A metric says which errors matter: here the second input is seen a hundred times as strongly as the others, and the
// third output is felt by nothing.
func ExampleMetric() {
	kernel := decomp.Kernel{
		Shape:   decomp.Shape{Out: 3, In: 3, Groups: 1},
		Weights: []float64{0, 0.4, 0, 0, 0, 2, 1, 0, 0},
	}
	metric := decomp.Metric{
		In:  []*linalg.Matrix{{Rows: 3, Cols: 3, Data: []float64{1, 0, 0, 0, 100, 0, 0, 0, 1}}},
		Out: []*linalg.Matrix{{Rows: 3, Cols: 3, Data: []float64{1, 0, 0, 0, 1, 0, 0, 0, 0}}},
	}
	svd := named("svd")
	spectrum, err := svd.Factor(linalg.Gonum(), kernel, metric)
	if err != nil {
		log.Fatal(err)
	}
	for _, rank := range svd.Ranks(kernel.Shape, 1) {
		loss, err := spectrum.Loss(rank)
		if err != nil {
			log.Fatal(err)
		}
		chain, err := spectrum.Chain(rank)
		if err != nil {
			log.Fatal(err)
		}
		whole, err := chain.Compose(linalg.Gonum(), kernel.Shape)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("rank %d loses %.3f of %.3f: %.1f\n", rank[0], loss, spectrum.Energy(), whole.Weights)
	}
	// Output:
	// rank 1 loses 4.000 of 20.000: [0.0 0.4 0.0 0.0 0.0 0.0 0.0 0.0 0.0]
	// rank 2 loses 0.000 of 20.000: [0.0 0.4 0.0 0.0 0.0 2.0 0.0 0.0 0.0]
	// rank 3 loses 0.000 of 20.000: [0.0 0.4 0.0 0.0 0.0 2.0 1.0 0.0 0.0]
}

// Of three hidden units, the third is seen to do what the first two do together, so that any two make up for the other. The one
// that the reader weighs least leaves first, at no cost.
func ExampleEliminate() {
	kernel := decomp.Kernel{
		Shape:   decomp.Shape{Out: 2, In: 3, Groups: 1},
		Weights: []float64{1, 0.1, 2, 3, 0.2, 1},
	}
	moment := &linalg.Matrix{Rows: 3, Cols: 3, Data: []float64{
		1, 0, 1,
		0, 1, 1,
		1, 1, 2,
	}}
	units, err := decomp.Eliminate(linalg.Gonum(), 3, []decomp.Reader{{Kernel: kernel, Metric: decomp.Metric{In: []*linalg.Matrix{moment}}, Scale: 1}})
	if err != nil {
		log.Fatal(err)
	}
	for k := 2; k >= 1; k-- {
		kept, err := units.Kept(k)
		if err != nil {
			log.Fatal(err)
		}
		loss, err := units.Loss(k)
		if err != nil {
			log.Fatal(err)
		}
		fold, err := units.Fold(k, 0)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("units %v lose %.2f of %.2f: %.2f\n", kept, loss, units.Energy(), fold.Weights)
	}
	// Output:
	// units [0 2] lose 0.00 of 30.85: [0.90 2.10 2.80 1.20]
	// units [2] lose 4.33 of 30.85: [2.55 2.60]
}

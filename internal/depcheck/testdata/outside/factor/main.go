// Factors a matrix by every method that takes it, under a metric of its own.
package main

import (
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func main() {
	inputs := linalg.Identity(3)
	inputs.Data[0] = 100 // the first input is ten times as large as the others
	metric := decomp.Metric{In: []*linalg.Matrix{inputs}}
	kernel := decomp.Kernel{
		Shape:   decomp.Shape{Out: 3, In: 3, Groups: 1},
		Weights: []float64{0, 4, 0, 0, 0, 2, 1, 0, 0},
	}
	algebra := linalg.Gonum()
	for _, method := range decomp.Methods() {
		if method.Accepts(kernel.Shape) != nil {
			continue
		}
		spectrum, err := method.Factor(algebra, kernel, metric)
		if err != nil {
			log.Fatal(err)
		}
		chain, err := spectrum.Chain(decomp.Rank{2})
		if err != nil {
			log.Fatal(err)
		}
		loss, err := metric.Change(algebra, kernel.Shape, decomp.Chain{{Kernel: kernel}}, chain)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: rank 2 of %d loses %.3f\n", method.Name, kernel.FullRank(), loss)
	}
}

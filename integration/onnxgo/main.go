// Command onnxgo compresses a model in memory and runs it in onnx-go, without cgo and without any library:
//
//	go run . MODEL.onnx
//
// It is in a module of its own, so that onnx-go is no dependency of onnx-compress.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	gorgonia "gorgonia.org/tensor"

	"github.com/onnx-compress/onnx-compress/integration/onnxgo/inmemory"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . MODEL.onnx")
	}
	small, input, err := inmemory.File(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	output, err := run(small, input)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("onnx-go: %.4f\n", output)
}

// run runs a model of one input in onnx-go with its backend Gorgonia, and returns its first output. The graph is built anew for
// each sample: the shapes in it are fixed.
func run(model []byte, input tensor.Dense) ([]float32, error) {
	graph := gorgonnx.NewGraph()
	m := onnx.NewModel(graph)
	if err := m.UnmarshalBinary(model); err != nil {
		return nil, fmt.Errorf("onnx-go reads the model: %w", err)
	}
	values := gorgonia.New(gorgonia.WithShape(input.Shape...), gorgonia.WithBacking(input.Float32s()))
	if err := m.SetInput(0, values); err != nil {
		return nil, fmt.Errorf("onnx-go takes the input: %w", err)
	}
	if err := graph.Run(); err != nil {
		return nil, fmt.Errorf("onnx-go runs the model: %w", err)
	}
	outputs, err := m.GetOutputTensors()
	if err != nil {
		return nil, fmt.Errorf("onnx-go gives the output: %w", err)
	}
	return outputs[0].Data().([]float32), nil
}

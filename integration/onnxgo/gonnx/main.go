// Command gonnx compresses a model in memory and runs it in gonnx, without cgo and without any library:
//
//	go run ./gonnx MODEL.onnx
//
// gonnx and onnx-go cannot be in one program: both register the messages of ONNX under the same names.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/advancedclimatesystems/gonnx"
	gorgonia "gorgonia.org/tensor"

	"github.com/onnx-compress/onnx-compress/integration/onnxgo/inmemory"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run ./gonnx MODEL.onnx")
	}
	small, input, err := inmemory.File(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	output, err := run(small, input)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("gonnx: %.4f\n", output)
}

// run runs a model of one input and one output in gonnx.
func run(model []byte, input tensor.Dense) ([]float32, error) {
	m, err := gonnx.NewModelFromBytes(model)
	if err != nil {
		return nil, fmt.Errorf("gonnx reads the model: %w", err)
	}
	values := gorgonia.New(gorgonia.WithShape(input.Shape...), gorgonia.WithBacking(input.Float32s()))
	outputs, err := m.Run(gonnx.Tensors{m.InputNames()[0]: values})
	if err != nil {
		return nil, fmt.Errorf("gonnx runs the model: %w", err)
	}
	return outputs[m.OutputNames()[0]].Data().([]float32), nil
}

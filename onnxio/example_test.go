package onnxio_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Read a model, look into it, and write it again: nothing is lost on the way.
func Example() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	counts := map[string]int{}
	for _, n := range graph.Of(m).Nodes() {
		counts[n.Op()]++
	}
	fmt.Printf("opset %d, %d Conv, %d Gemm\n", m.Opset(""), counts["Conv"], counts["Gemm"])

	// The weight of a node is a constant; its numbers are read when they are asked for.
	weight, _ := graph.Of(m).Constant("classifier.weight")
	fmt.Println(weight.Tensor.Name(), weight.Tensor.Type(), weight.Tensor.Shape())

	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "copy.onnx")
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{}); err != nil {
		log.Fatal(err)
	}
	again, err := onnxio.Read(path)
	if err != nil {
		log.Fatal(err)
	}
	defer again.Close()
	equal, _ := onnxio.Equal(m, again)
	fmt.Println("the copy is equal:", equal)
	// Output:
	// opset 17, 15 Conv, 1 Gemm
	// classifier.weight float32 [10 64]
	// the copy is equal: true
}

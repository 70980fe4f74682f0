// Reads a model and prints its nodes, and how large its tensors are.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

func main() {
	m, err := onnxio.Read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	for _, n := range graph.Of(m).Nodes() {
		fmt.Println(n.Op(), n.Name(), n.Inputs(), n.Outputs())
	}
	for t := range graph.Tensors(m) {
		fmt.Println(t.Name(), t.Type(), t.Shape())
	}
}

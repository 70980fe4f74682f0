package graph_test

import (
	"fmt"
	"log"
	"os"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Every Relu of a model becomes a LeakyRelu; all else is shared with the model that it was.
func Example() {
	shape := []graph.Dim{{Size: -1, Name: "N"}, {Size: 4}}
	m := graph.Parts{
		IR: 8, Opsets: []graph.Opset{{Version: 17}}, Name: "small",
		Inputs:  []graph.Value{graph.NewValue("x", tensor.Float32, shape)},
		Outputs: []graph.Value{graph.NewValue("y", tensor.Float32, shape)},
		Nodes: []graph.Node{
			graph.NewNode("Neg", "first", []string{"x"}, []string{"h"}),
			graph.NewNode("Relu", "second", []string{"h"}, []string{"y"}),
		},
	}.Model()
	defer m.Close()

	parts := graph.Of(m).Parts()
	for i, n := range parts.Nodes {
		if n.Op() == "Relu" {
			spec := n.Spec()
			spec.Op, spec.Attrs = "LeakyRelu", []graph.Attr{graph.Float("alpha", 0.125)}
			parts.Nodes[i] = spec.Node()
		}
	}
	leaky := parts.Model()
	defer leaky.Close()

	fmt.Println("shared:", graph.Of(m).Nodes()[0] == graph.Of(leaky).Nodes()[0])
	if err := onnxio.Print(os.Stdout, leaky); err != nil {
		log.Fatal(err)
	}
	// Output:
	// shared: true
	// model ir_version=8
	// opset ai.onnx 17
	// graph small
	//   input x: float32[N,4]
	//   node first: h = Neg(x)
	//   node second: y = LeakyRelu(h) {alpha=0.125}
	//   output y: float32[N,4]
}

package ort

import (
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// openLibrary opens the runtime for a test and closes it at its end.
func openLibrary(t testing.TB) *Library {
	t.Helper()
	l, err := Open(provisiontest.Need(t, provision.ONNXRuntime))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// openSession makes a session of a graph for a test and closes it at its end.
func openSession(t testing.TB, l *Library, g graph.Parts, o Options) *Session {
	t.Helper()
	s, err := l.NewSession(marshal(t, g), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// marshal returns the bytes of a model.
func marshal(t testing.TB, p graph.Parts) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// made returns what a model is made of.
func made(inputs, outputs []graph.Value, initializers []onnxio.Tensor, nodes ...graph.Node) graph.Parts {
	return graph.Parts{
		IR: 10, Opsets: []graph.Opset{{Version: 21}}, Name: "g",
		Inputs: inputs, Outputs: outputs, Initializers: initializers, Nodes: nodes,
	}
}

// values is a list of inputs or outputs.
func values(v ...graph.Value) []graph.Value { return v }

// value describes an input or output tensor; a dimension is an int, or a string for a
// symbolic name ("" leaves it open).
func value(name string, t tensor.Type, dims ...any) graph.Value {
	shape := make([]graph.Dim, len(dims))
	for i, d := range dims {
		shape[i].Size = -1
		switch d := d.(type) {
		case int:
			shape[i].Size = d
		case string:
			shape[i].Name = d
		}
	}
	return graph.NewValue(name, t, shape)
}

// node returns a node without attributes.
func node(op string, inputs []string, outputs ...string) graph.Node {
	return graph.NewNode(op, op+"_"+outputs[0], inputs, outputs)
}

// constant returns an initializer.
func constant(name string, d tensor.Dense) onnxio.Tensor { return onnxio.DenseTensor(name, d) }

// random returns a float32 tensor of standard normal numbers.
func random(seed uint64, shape ...int) tensor.Dense {
	r := rand.New(rand.NewPCG(seed, 1))
	n, _ := tensor.Elements(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return tensor.FromFloat32(shape, v)
}

// identity passes one tensor through.
func identity(t tensor.Type, dims ...any) graph.Parts {
	return made(values(value("x", t, dims...)), values(value("y", t, dims...)), nil, node("Identity", []string{"x"}, "y"))
}

// mlp is a small network with two outputs: softmax(relu(x·a)·b), and the hidden
// layer.
func mlp() graph.Parts {
	return made(
		values(value("x", tensor.Float32, "batch", 64)),
		values(value("y", tensor.Float32, "batch", 10), value("hidden", tensor.Float32, "batch", 256)),
		[]onnxio.Tensor{constant("a", random(1, 64, 256)), constant("b", random(2, 256, 10))},
		node("MatMul", []string{"x", "a"}, "xa"),
		node("Relu", []string{"xa"}, "hidden"),
		node("MatMul", []string{"hidden", "b"}, "hb"),
		node("Softmax", []string{"hb"}, "y"),
	)
}

// late reads its input after most of its work is done: x·(p·q), which without
// optimisation is computed in this order. It also gives out p·q.
func late() graph.Parts {
	return made(
		values(value("x", tensor.Float32, "batch", 128)),
		values(value("y", tensor.Float32, "batch", 128), value("pq", tensor.Float32, 128, 128)),
		[]onnxio.Tensor{constant("p", random(1, 128, 256)), constant("q", random(2, 256, 128))},
		node("MatMul", []string{"p", "q"}, "pq"),
		node("MatMul", []string{"x", "pq"}, "y"),
	)
}

// failing fails when it runs with an index above 3.
func failing() graph.Parts {
	return made(
		values(value("i", tensor.Int64, 1)), values(value("y", tensor.Float32, 1)),
		[]onnxio.Tensor{constant("table", random(1, 4))}, node("Gather", []string{"table", "i"}, "y"),
	)
}

// endless counts in a loop, to a number that no machine reaches.
func endless() graph.Parts {
	scalar := func(name string, t tensor.Type) graph.Value { return value(name, t) }
	body := made(
		values(scalar("i", tensor.Int64), scalar("on", tensor.Bool), scalar("sum", tensor.Float32)),
		values(scalar("on_next", tensor.Bool), scalar("sum_next", tensor.Float32)),
		nil,
		node("Identity", []string{"on"}, "on_next"),
		node("Add", []string{"sum", "step"}, "sum_next"),
	)
	loop := graph.NewNode("Loop", "loop", []string{"trips", "", "start"}, []string{"end"}, graph.Body("body", body))
	return made(
		values(scalar("start", tensor.Float32)), values(scalar("end", tensor.Float32)),
		[]onnxio.Tensor{
			constant("trips", tensor.FromInt64(nil, []int64{1 << 60})),
			constant("step", tensor.FromFloat32(nil, []float32{1})),
		},
		loop,
	)
}

package ort

import (
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
	"google.golang.org/protobuf/proto"
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
func openSession(t testing.TB, l *Library, g *onnxpb.GraphProto, o Options) *Session {
	t.Helper()
	s, err := l.NewSession(marshal(t, g), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// marshal returns the bytes of a model with the graph.
func marshal(t testing.TB, g *onnxpb.GraphProto) []byte {
	t.Helper()
	b, err := proto.Marshal(&onnxpb.ModelProto{
		IrVersion:   new(int64(10)),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: new(""), Version: new(int64(21))}},
		Graph:       g,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// graph returns a graph called g.
func graph(inputs, outputs []*onnxpb.ValueInfoProto, initializers []*onnxpb.TensorProto, nodes ...*onnxpb.NodeProto) *onnxpb.GraphProto {
	return &onnxpb.GraphProto{Name: new("g"), Input: inputs, Output: outputs, Initializer: initializers, Node: nodes}
}

// values is a list of inputs or outputs.
func values(v ...*onnxpb.ValueInfoProto) []*onnxpb.ValueInfoProto { return v }

// tensorType returns a tensor's type; a dimension is an int, or a string for a
// symbolic name ("" leaves it open).
func tensorType(t tensor.Type, dims ...any) *onnxpb.TypeProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case int:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			if d != "" {
				dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d}
			}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: new(int32(t)), Shape: shape},
	}}
}

// value describes an input or output tensor.
func value(name string, t tensor.Type, dims ...any) *onnxpb.ValueInfoProto {
	return &onnxpb.ValueInfoProto{Name: new(name), Type: tensorType(t, dims...)}
}

// node returns a node without attributes.
func node(op string, inputs []string, outputs ...string) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{Name: new(op + "_" + outputs[0]), OpType: new(op), Input: inputs, Output: outputs}
}

// constant returns an initializer.
func constant(name string, d tensor.Dense) *onnxpb.TensorProto {
	dims := make([]int64, len(d.Shape))
	for i, n := range d.Shape {
		dims[i] = int64(n)
	}
	return &onnxpb.TensorProto{Name: new(name), DataType: new(int32(d.Type)), Dims: dims, RawData: d.Data}
}

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
func identity(t tensor.Type, dims ...any) *onnxpb.GraphProto {
	return graph(values(value("x", t, dims...)), values(value("y", t, dims...)), nil, node("Identity", []string{"x"}, "y"))
}

// mlp is a small network with two outputs: softmax(relu(x·a)·b), and the hidden
// layer.
func mlp() *onnxpb.GraphProto {
	return graph(
		values(value("x", tensor.Float32, "batch", 64)),
		values(value("y", tensor.Float32, "batch", 10), value("hidden", tensor.Float32, "batch", 256)),
		[]*onnxpb.TensorProto{constant("a", random(1, 64, 256)), constant("b", random(2, 256, 10))},
		node("MatMul", []string{"x", "a"}, "xa"),
		node("Relu", []string{"xa"}, "hidden"),
		node("MatMul", []string{"hidden", "b"}, "hb"),
		node("Softmax", []string{"hb"}, "y"),
	)
}

// late reads its input after most of its work is done: x·(p·q), which without
// optimisation is computed in this order. It also gives out p·q.
func late() *onnxpb.GraphProto {
	return graph(
		values(value("x", tensor.Float32, "batch", 128)),
		values(value("y", tensor.Float32, "batch", 128), value("pq", tensor.Float32, 128, 128)),
		[]*onnxpb.TensorProto{constant("p", random(1, 128, 256)), constant("q", random(2, 256, 128))},
		node("MatMul", []string{"p", "q"}, "pq"),
		node("MatMul", []string{"x", "pq"}, "y"),
	)
}

// failing fails when it runs with an index above 3.
func failing() *onnxpb.GraphProto {
	return graph(
		values(value("i", tensor.Int64, 1)), values(value("y", tensor.Float32, 1)),
		[]*onnxpb.TensorProto{constant("table", random(1, 4))}, node("Gather", []string{"table", "i"}, "y"),
	)
}

// endless counts in a loop, to a number that no machine reaches.
func endless() *onnxpb.GraphProto {
	scalar := func(name string, t tensor.Type) *onnxpb.ValueInfoProto { return value(name, t) }
	body := graph(
		values(scalar("i", tensor.Int64), scalar("on", tensor.Bool), scalar("sum", tensor.Float32)),
		values(scalar("on_next", tensor.Bool), scalar("sum_next", tensor.Float32)),
		nil,
		node("Identity", []string{"on"}, "on_next"),
		node("Add", []string{"sum", "step"}, "sum_next"),
	)
	loop := node("Loop", []string{"trips", "", "start"}, "end")
	loop.Attribute = []*onnxpb.AttributeProto{{
		Name: new("body"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: body,
	}}
	return graph(
		values(scalar("start", tensor.Float32)), values(scalar("end", tensor.Float32)),
		[]*onnxpb.TensorProto{
			constant("trips", tensor.FromInt64(nil, []int64{1 << 60})),
			constant("step", tensor.FromFloat32(nil, []float32{1})),
		},
		loop,
	)
}

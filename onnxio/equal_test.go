package onnxio

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

func TestEqual(t *testing.T) {
	if ok, diff := Equal(New(small()), New(small())); !ok {
		t.Error(diff)
	}
	for _, c := range []struct {
		change func(p *onnxpb.ModelProto)
		want   string
	}{
		{func(p *onnxpb.ModelProto) { p.IrVersion = proto.Int64(9) }, "model.ir_version: 8 against 9"},
		{func(p *onnxpb.ModelProto) { p.Domain = proto.String("") }, "model.domain: set in one model only"},
		{func(p *onnxpb.ModelProto) { p.Graph.Node[0].Input[0] = "z" }, `model.graph.node[0] "conv".input[0]: x against z`},
		{func(p *onnxpb.ModelProto) { p.Graph.Node = p.Graph.Node[:5] }, "model.graph.node: 6 entries against 5"},
		{func(p *onnxpb.ModelProto) { p.Graph.Node[0].Attribute[0].Ints[3] = 2 }, `model.graph.node[0] "conv".attribute[0] "pads".ints[3]: 1 against 2`},
		{func(p *onnxpb.ModelProto) { p.Graph.Node[4].Attribute[0].F = proto.Float32(2) }, `model.graph.node[4] "fc".attribute[0] "alpha".f: 0.5 against 2`},
		{func(p *onnxpb.ModelProto) { p.Graph.Node[4].Attribute[0].Type = nil }, `model.graph.node[4] "fc".attribute[0] "alpha".type: set in one model only`},
		{func(p *onnxpb.ModelProto) { p.Graph.Initializer[0].RawData[5]++ }, `model.graph.initializer[0] "conv.w".raw_data: 216 bytes against 216 other bytes`},
		{func(p *onnxpb.ModelProto) { branch(p).Node[0].OpType = proto.String("Mul") }, `model.graph.node[5] "if".attribute[0] "then_branch".g.node[0] "yes/op".op_type: Add against Mul`},
		{func(p *onnxpb.ModelProto) {
			p.Graph.Input[0].Type.GetTensorType().Shape.Dim[1].Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "C"}
		}, `model.graph.input[0] "x".type.tensor_type.shape.dim[1].dim_value: set in one model only`},
		{func(p *onnxpb.ModelProto) { p.Graph.ProtoReflect().SetUnknown([]byte("\xa2\x38\x01a")) }, "model.graph: unknown fields differ"},
	} {
		p := small()
		c.change(p)
		if ok, diff := Equal(New(small()), New(p)); ok || diff != c.want {
			t.Errorf("got %v, %q; want %q", ok, diff, c.want)
		}
	}
}

func TestEqualFloatsByBits(t *testing.T) {
	with := func(f float32) *Model {
		p := small()
		p.Graph.Node[4].Attribute[0].F = proto.Float32(f)
		return New(p)
	}
	nan := float32(math.NaN())
	if ok, diff := Equal(with(nan), with(nan)); !ok {
		t.Error(diff)
	}
	if ok, _ := Equal(with(0), with(float32(math.Copysign(0, -1)))); ok {
		t.Error("zero equals negative zero")
	}
}

func TestEqualExternal(t *testing.T) {
	a := open(t, outside(t))
	for _, c := range []struct {
		change func(p *onnxpb.ModelProto)
		want   string
	}{
		{func(p *onnxpb.ModelProto) { p.Graph.Initializer[0].RawData[0]++ }, `model.graph.initializer[0] "conv.w": the data differs`},
		{func(p *onnxpb.ModelProto) { p.Graph.Initializer[0].Dims[0], p.Graph.Initializer[0].Dims[1] = 2, 3 }, `model.graph.initializer[0] "conv.w".dims[0]: 3 against 2`},
		{func(p *onnxpb.ModelProto) { p.Graph.Initializer[0].RawData = nil }, `model.graph.initializer[0] "conv.w": tensor "conv.w": float32 tensor of shape [3 2 3 3] has no data`},
	} {
		p := small()
		c.change(p)
		if ok, diff := Equal(a, New(p)); ok || diff != c.want {
			t.Errorf("got %v, %q; want %q", ok, diff, c.want)
		}
	}
}

func TestShallow(t *testing.T) {
	p := small()
	p.ProtoReflect().SetUnknown([]byte("\xa2\x38\x05hello"))
	q := Shallow(p)
	if !proto.Equal(p, q) {
		t.Error("the copy differs")
	}
	if q.Graph != p.Graph {
		t.Error("the graph was copied")
	}
	g := Shallow(p.Graph)
	g.Node[0] = node("other", "Neg", "x", "c")
	g.Node = append(g.Node[:1], g.Node[2:]...)
	n := Shallow(p.Graph.Node[4])
	n.Input[0] = "z"
	if !proto.Equal(p.Graph, small().Graph) {
		t.Error("changing the copy's lists changed the original")
	}
	w := p.Graph.Initializer[0]
	if c := Shallow(w); &c.RawData[0] != &w.RawData[0] || &c.Dims[0] != &w.Dims[0] {
		t.Error("numbers were copied")
	}
}

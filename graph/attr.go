package graph

import (
	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Attr is an attribute of a node.
type Attr struct{ p *onnxpb.AttributeProto }

// Name returns the attribute's name.
func (a Attr) Name() string { return a.p.GetName() }

// Int returns the attribute's integer, 0 where it has none.
func (a Attr) Int() int { return int(a.p.GetI()) }

// Ints returns a copy of the attribute's integers, nil where it has none.
func (a Attr) Ints() []int {
	if len(a.p.GetInts()) == 0 {
		return nil
	}
	return toInts(a.p.GetInts())
}

// Strings returns a copy of the attribute's strings, nil where it has none.
func (a Attr) Strings() []string {
	if len(a.p.GetStrings()) == 0 {
		return nil
	}
	return wrap(a.p.GetStrings(), func(s []byte) string { return string(s) })
}

// Sparse returns the attribute's sparse tensor, an empty one where it has none.
func (a Attr) Sparse() Sparse { return Sparse{a.p.GetSparseTensor()} }

// Attrs returns the node's attributes in their order.
func (n Node) Attrs() []Attr {
	return wrap(n.p.GetAttribute(), func(a *onnxpb.AttributeProto) Attr { return Attr{a} })
}

// Attr returns the attribute of a name.
func (n Node) Attr(name string) (Attr, bool) {
	for _, a := range n.p.GetAttribute() {
		if a.GetName() == name {
			return Attr{a}, true
		}
	}
	return Attr{}, false
}

// Has reports whether the node has an attribute of a name.
func (n Node) Has(name string) bool {
	_, ok := n.Attr(name)
	return ok
}

// Int returns an integer attribute, or absent where the node has none.
func (n Node) Int(name string, absent int) int {
	if a, _ := n.Attr(name); a.p != nil && a.p.I != nil {
		return int(*a.p.I)
	}
	return absent
}

// Ints returns a copy of a list attribute of integers, nil where the node has none or it is empty.
func (n Node) Ints(name string) []int {
	a, _ := n.Attr(name)
	return a.Ints()
}

// Float returns a float attribute, or absent where the node has none.
func (n Node) Float(name string, absent float32) float32 {
	if a, _ := n.Attr(name); a.p != nil && a.p.F != nil {
		return *a.p.F
	}
	return absent
}

// Floats returns a list attribute of floats, nil where the node has none.
func (n Node) Floats(name string) []float32 {
	a, _ := n.Attr(name)
	return a.p.GetFloats()
}

// String returns a string attribute, or absent where the node has none.
func (n Node) String(name, absent string) string {
	if a, _ := n.Attr(name); a.p != nil && a.p.S != nil {
		return string(a.p.S)
	}
	return absent
}

// Tensor returns a tensor attribute of a node of m.
func (n Node) Tensor(m *onnxio.Model, name string) (onnxio.Tensor, bool) {
	a, _ := n.Attr(name)
	if t := a.p.GetT(); t != nil {
		return m.Tensor(t), true
	}
	return onnxio.Tensor{}, false
}

// Graph returns a graph attribute of a node of m.
func (n Node) Graph(m *onnxio.Model, name string) (*Graph, bool) {
	a, _ := n.Attr(name)
	if g := a.p.GetG(); g != nil {
		return newGraph(m, g), true
	}
	return nil, false
}

// Int returns an integer attribute.
func Int(name string, v int) Attr {
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(v))}}
}

// Ints returns a list attribute of integers.
func Ints(name string, v ...int) Attr {
	list := wrap(v, func(n int) int64 { return int64(n) })
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INTS.Enum(), Ints: list}}
}

// Float returns a float attribute.
func Float(name string, v float32) Attr {
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_FLOAT.Enum(), F: &v}}
}

// Floats returns a list attribute of floats.
func Floats(name string, v ...float32) Attr {
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_FLOATS.Enum(), Floats: v}}
}

// String returns a string attribute.
func String(name, v string) Attr {
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_STRING.Enum(), S: []byte(v)}}
}

// Tensor returns a tensor attribute.
func Tensor(name string, t onnxio.Tensor) Attr {
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_TENSOR.Enum(), T: t.Proto()}}
}

// Reference returns an attribute of a local function's node that takes its value from what a call gives as another.
func Reference(name, given string) Attr {
	return Attr{&onnxpb.AttributeProto{Name: proto.String(name), RefAttrName: proto.String(given)}}
}

// Body returns an attribute that holds a graph.
func Body(name string, body Parts) Attr {
	return Attr{&onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_GRAPH.Enum(), G: body.body()}}
}

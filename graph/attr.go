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

func attr(name string, kind onnxpb.AttributeProto_AttributeType) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: kind.Enum()}
}

// Int returns an integer attribute.
func Int(name string, v int) Attr {
	a := attr(name, onnxpb.AttributeProto_INT)
	a.I = proto.Int64(int64(v))
	return Attr{a}
}

// Ints returns a list attribute of integers.
func Ints(name string, v ...int) Attr {
	a := attr(name, onnxpb.AttributeProto_INTS)
	a.Ints = wrap(v, func(n int) int64 { return int64(n) })
	return Attr{a}
}

// Float returns a float attribute.
func Float(name string, v float32) Attr {
	a := attr(name, onnxpb.AttributeProto_FLOAT)
	a.F = proto.Float32(v)
	return Attr{a}
}

// Floats returns a list attribute of floats.
func Floats(name string, v ...float32) Attr {
	a := attr(name, onnxpb.AttributeProto_FLOATS)
	a.Floats = v
	return Attr{a}
}

// String returns a string attribute.
func String(name, v string) Attr {
	a := attr(name, onnxpb.AttributeProto_STRING)
	a.S = []byte(v)
	return Attr{a}
}

// Tensor returns a tensor attribute.
func Tensor(name string, t onnxio.Tensor) Attr {
	a := attr(name, onnxpb.AttributeProto_TENSOR)
	a.T = t.Proto()
	return Attr{a}
}

// Reference returns an attribute of a local function's node that takes its value from what a call gives as another.
func Reference(name, given string) Attr {
	return Attr{&onnxpb.AttributeProto{Name: proto.String(name), RefAttrName: proto.String(given)}}
}

// Body returns an attribute that holds a graph.
func Body(name string, body Parts) Attr {
	a := attr(name, onnxpb.AttributeProto_GRAPH)
	a.G = body.body()
	return Attr{a}
}

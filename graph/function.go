package graph

import (
	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Function is a local function of a model: an operator made of others.
type Function struct{ p *onnxpb.FunctionProto }

// Functions returns the local functions of a model.
func Functions(m *onnxio.Model) []Function {
	return wrap(m.Proto.GetFunctions(), func(p *onnxpb.FunctionProto) Function { return Function{p} })
}

// Called returns the local function that a node calls.
func (g *Graph) Called(n Node) (Function, bool) {
	f, ok := g.index().functions[[3]string{n.Domain(), n.Type(), n.p.GetOverload()}]
	return f, ok
}

// NewFunction returns a local function; op is its name as Node.Op has it. Calls may give the attributes that nodes refer
// to, and take the defaults where they do not.
func NewFunction(op string, inputs, outputs []string, opsets []Opset, nodes []Node, defaults ...Attr) Function {
	n := NewNode(op, "", nil, nil)
	return Function{&onnxpb.FunctionProto{
		Name: proto.String(n.Type()), Domain: proto.String(n.Domain()), Input: inputs, Output: outputs,
		OpsetImport: imports(nil, opsets), Node: wrap(nodes, func(n Node) *onnxpb.NodeProto { return n.p }),
		AttributeProto: wrap(defaults, func(a Attr) *onnxpb.AttributeProto { return a.p }),
	}}
}

// Op returns the operator that the function is, as Node.Op has it.
func (f Function) Op() string { return operator(f.p.GetDomain(), f.p.GetName()) }

// Inputs names the values that a call gives.
func (f Function) Inputs() []string { return f.p.GetInput() }

// Outputs names the values that a call gets.
func (f Function) Outputs() []string { return f.p.GetOutput() }

// Nodes returns the function's nodes.
func (f Function) Nodes() []Node { return nodesOf(f.p.GetNode()) }

// Opsets returns the operator sets that the function imports.
func (f Function) Opsets() []Opset { return opsets(f.p.GetOpsetImport()) }

// Expand returns the function's nodes with the attributes that they take from the call in place, or from the function's
// defaults.
func (f Function) Expand(call Node) []Node {
	return wrap(f.p.GetNode(), func(n *onnxpb.NodeProto) Node { return f.bind(n, call) })
}

func (f Function) bind(n *onnxpb.NodeProto, call Node) Node {
	var list []*onnxpb.AttributeProto
	changed := false
	for _, a := range n.GetAttribute() {
		own := f.bound(a, call)
		changed = changed || own != a
		if own != nil {
			list = append(list, own)
		}
	}
	if !changed {
		return Node{n}
	}
	own := onnxio.Shallow(n)
	own.Attribute = list
	return Node{own}
}

// bound returns an attribute with what it takes from the call in place, nil where neither that nor the function has it. In a body all nodes
// are bound.
func (f Function) bound(a *onnxpb.AttributeProto, call Node) *onnxpb.AttributeProto {
	if ref := a.GetRefAttrName(); ref != "" {
		given := f.given(ref, call)
		if given.p == nil {
			return nil
		}
		own := onnxio.Shallow(given.p)
		own.Name = a.Name
		return own
	}
	if a.GetG() == nil {
		return a
	}
	changed := false
	nodes := wrap(a.G.GetNode(), func(n *onnxpb.NodeProto) *onnxpb.NodeProto {
		own := f.bind(n, call).p
		changed = changed || own != n
		return own
	})
	if !changed {
		return a
	}
	own := onnxio.Shallow(a)
	own.G = onnxio.Shallow(a.G)
	own.G.Node = nodes
	return own
}

// given returns the attribute that a call gives, or the function's default.
func (f Function) given(name string, call Node) Attr {
	if a, ok := call.Attr(name); ok {
		return a
	}
	for _, d := range f.p.GetAttributeProto() {
		if d.GetName() == name {
			return Attr{d}
		}
	}
	return Attr{}
}

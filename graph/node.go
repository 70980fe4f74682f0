package graph

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Node is a node of a graph. Two are equal when they are the same node, also in models that share it; the zero Node is
// none.
type Node struct{ p *onnxpb.NodeProto }

// IsZero reports whether n is no node.
func (n Node) IsZero() bool { return n.p == nil }

// Op returns the operator: its type alone in ONNX's own domain, which "" and "ai.onnx" name, and domain::type in others.
// So comparing it with "Conv" is comparing both.
func (n Node) Op() string { return operator(n.p.GetDomain(), n.p.GetOpType()) }

// Type returns the operator's type without its domain.
func (n Node) Type() string { return n.p.GetOpType() }

// Domain returns the operator's domain, "" for ONNX's own.
func (n Node) Domain() string { return onnxio.PlainDomain(n.p.GetDomain()) }

// Name returns the node's name, "" where it has none.
func (n Node) Name() string { return n.p.GetName() }

// Label names the node for people: by its name, else by its first named output, else by its operator's type.
func (n Node) Label() string {
	if n.Name() != "" {
		return n.Name()
	}
	for _, o := range n.Outputs() {
		if o != "" {
			return o
		}
	}
	return n.Type()
}

// Inputs returns the values that the node reads; one that is left out is "".
func (n Node) Inputs() []string { return n.p.GetInput() }

// Outputs returns the values that the node makes; one that is left out is "".
func (n Node) Outputs() []string { return n.p.GetOutput() }

// Input returns the value in a slot, "" where it is left out.
func (n Node) Input(i int) string { return at(n.p.GetInput(), i) }

// Output returns the value in a slot, "" where it is left out.
func (n Node) Output(i int) string { return at(n.p.GetOutput(), i) }

func at(list []string, i int) string {
	if i < 0 || i >= len(list) {
		return ""
	}
	return list[i]
}

// Sharded returns the device configuration that cuts tensors of the node in pieces.
func (n Node) Sharded() (configuration string, ok bool) {
	for _, d := range n.p.GetDeviceConfigurations() {
		if len(d.GetShardingSpec()) > 0 {
			return d.GetConfigurationId(), true
		}
	}
	return "", false
}

// Equal reports whether two nodes say the same, attribute by attribute, in whatever order these stand.
func (n Node) Equal(other Node) bool {
	sorted := func(n Node) *onnxpb.NodeProto {
		p := onnxio.Shallow(n.p)
		slices.SortFunc(p.Attribute, func(a, b *onnxpb.AttributeProto) int { return strings.Compare(a.GetName(), b.GetName()) })
		return p
	}
	return proto.Equal(sorted(n), sorted(other))
}

// Inside returns the node with other nodes in its subgraphs: each that is replaced by those in its place, the node itself where none is.
func (n Node) Inside(replaced map[Node][]Node) Node {
	attrs := slices.Clone(n.p.GetAttribute())
	changed := false
	for i, a := range attrs {
		g := a.GetG()
		if g == nil {
			continue
		}
		var nodes []*onnxpb.NodeProto
		within := false
		for _, p := range g.GetNode() {
			if list, ok := replaced[Node{p}]; ok {
				within = true
				for _, r := range list {
					nodes = append(nodes, r.p)
				}
				continue
			}
			inner := Node{p}.Inside(replaced)
			within = within || inner.p != p
			nodes = append(nodes, inner.p)
		}
		if !within {
			continue
		}
		changed = true
		own := onnxio.Shallow(a)
		own.G = onnxio.Shallow(g)
		own.G.Node = nodes
		attrs[i] = own
	}
	if !changed {
		return n
	}
	p := onnxio.Shallow(n.p)
	p.Attribute = attrs
	return Node{p}
}

// Size returns the bytes that the node takes in a model's file, but for its tag and length there.
func (n Node) Size() int { return n.p.SizeVT() }

func operator(domain, op string) string {
	if onnxio.PlainDomain(domain) == "" {
		return op
	}
	return domain + "::" + op
}

// Pair is an entry of metadata.
type Pair struct{ Key, Value string }

// Spec is what a node is made of.
type Spec struct {
	Op              string // as Node.Op has it
	Name            string
	Inputs, Outputs []string
	Attrs           []Attr
	Doc             string
	Metadata        []Pair

	base *onnxpb.NodeProto // whose other fields the node has
}

// NewNode returns a node without documentation.
func NewNode(op, name string, inputs, outputs []string, attrs ...Attr) Node {
	return Spec{Op: op, Name: name, Inputs: inputs, Outputs: outputs, Attrs: attrs}.Node()
}

// Spec returns what the node is made of, to make another of it. What Spec does not list, such as device configurations,
// goes along.
func (n Node) Spec() Spec {
	return Spec{
		Op: n.Op(), Name: n.Name(), Inputs: slices.Clone(n.Inputs()), Outputs: slices.Clone(n.Outputs()), Attrs: n.Attrs(),
		Doc: n.p.GetDocString(), Metadata: pairs(n.p.GetMetadataProps()), base: n.p,
	}
}

// Node returns a new node.
func (s Spec) Node() Node {
	p := &onnxpb.NodeProto{}
	if s.base != nil {
		p = onnxio.Shallow(s.base)
	}
	domain, op, ok := strings.Cut(s.Op, "::")
	if !ok {
		domain, op = "", s.Op
	}
	if onnxio.PlainDomain(p.GetDomain()) != domain {
		p.Domain = text(p.Domain, domain)
	}
	p.OpType = text(p.OpType, op)
	p.Name = text(p.Name, s.Name)
	p.DocString = text(p.DocString, s.Doc)
	p.Input, p.Output = slices.Clone(s.Inputs), slices.Clone(s.Outputs)
	p.Attribute = wrap(s.Attrs, func(a Attr) *onnxpb.AttributeProto { return a.p })
	p.MetadataProps = entries(p.MetadataProps, s.Metadata)
	return Node{p}
}

// text returns s as an optional field, old itself where it says the same.
func text(old *string, s string) *string {
	switch {
	case old != nil && *old == s:
		return old
	case s == "":
		return nil
	}
	return proto.String(s)
}

func pairs(list []*onnxpb.StringStringEntryProto) []Pair {
	return wrap(list, func(e *onnxpb.StringStringEntryProto) Pair { return Pair{e.GetKey(), e.GetValue()} })
}

// entries returns metadata as messages, old itself where it says the same.
func entries(old []*onnxpb.StringStringEntryProto, list []Pair) []*onnxpb.StringStringEntryProto {
	if slices.Equal(pairs(old), list) {
		return old
	}
	return wrap(list, func(e Pair) *onnxpb.StringStringEntryProto {
		return &onnxpb.StringStringEntryProto{Key: proto.String(e.Key), Value: proto.String(e.Value)}
	})
}

// Random tells whether the node's operator is one that gives something else at every run.
func (n Node) Random() bool {
	switch n.Op() {
	case "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli":
		return true
	}
	return false
}

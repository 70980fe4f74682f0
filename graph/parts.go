package graph

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Opset is an operator set that a model imports.
type Opset struct {
	Domain  string // "" is ONNX's own
	Version int
}

// About is what a model says of itself.
type About struct {
	Producer, Domain string
	Version          int
	Doc              string
	Metadata         []Pair
}

// Parts are what a model is made of. The lists are the caller's, the things in them are shared: change a list, and Model
// returns a model that has all else from the one that the parts were taken from, fields unknown here included. From a
// literal, Model makes one from scratch.
type Parts struct {
	IR        int // version of the format
	Opsets    []Opset
	Functions []Function
	About     About

	Name            string // of the graph
	Doc             string // likewise
	Metadata        []Pair // likewise
	Inputs, Outputs []Value
	Values          []Value // what is declared of values inside
	Initializers    []onnxio.Tensor
	Sparse          []Sparse
	Annotations     []Annotation
	Nodes           []Node

	base  *onnxio.Model
	graph *onnxpb.GraphProto
	plain bool
}

// Parts returns what a model with this main graph is made of.
func (g *Graph) Parts() Parts {
	m := g.m.Proto
	return Parts{
		IR: int(m.GetIrVersion()), Opsets: opsets(m.GetOpsetImport()), Functions: Functions(g.m),
		About: About{m.GetProducerName(), m.GetDomain(), int(m.GetModelVersion()), m.GetDocString(), pairs(m.GetMetadataProps())},
		Name:  g.Name(), Doc: g.p.GetDocString(), Metadata: pairs(g.p.GetMetadataProps()),
		Inputs: g.Inputs(), Outputs: g.Outputs(), Values: g.Values(), Initializers: g.Initializers(),
		Sparse: g.Sparse(), Annotations: g.Annotations(), Nodes: slices.Clone(g.Nodes()), base: g.m, graph: g.p,
	}
}

// Plain leaves out what running a model does not need: documentation, metadata and training information.
func (p Parts) Plain() Parts {
	p.plain, p.graph, p.About, p.Doc, p.Metadata = true, nil, About{}, "", nil
	return p
}

// Model returns the model of these parts, unchecked. Where they were taken from a model it is derived from that: both
// must be closed.
func (p Parts) Model() *onnxio.Model {
	if p.base == nil {
		return onnxio.New(p.message(&onnxpb.ModelProto{}))
	}
	return p.base.Derive(p.message(p.base.Proto))
}

// Marshal returns the bytes of a file of the model of these parts, for runtimes.
func (p Parts) Marshal() ([]byte, error) {
	m := p.Model()
	defer m.Close() // it shares the files of the model that it is derived from, which stays open
	return m.Marshal()
}

// message returns the model's message, which has what parts do not say from old.
func (p Parts) message(old *onnxpb.ModelProto) *onnxpb.ModelProto {
	if p.plain {
		old = &onnxpb.ModelProto{OpsetImport: old.GetOpsetImport()}
	}
	out := onnxio.Shallow(old)
	out.IrVersion = number(out.IrVersion, p.IR)
	out.ProducerName, out.Domain = text(out.ProducerName, p.About.Producer), text(out.Domain, p.About.Domain)
	out.ModelVersion, out.DocString = number(out.ModelVersion, p.About.Version), text(out.DocString, p.About.Doc)
	out.MetadataProps = entries(out.MetadataProps, p.About.Metadata)
	out.OpsetImport = imports(old.GetOpsetImport(), p.Opsets)
	out.Functions = wrap(p.Functions, func(f Function) *onnxpb.FunctionProto { return f.p })
	out.Graph = p.body()
	return out
}

// body returns the graph's message, which has what parts do not say from the one that they were taken from.
func (p Parts) body() *onnxpb.GraphProto {
	g := &onnxpb.GraphProto{}
	if p.graph != nil {
		g = onnxio.Shallow(p.graph)
	}
	info := func(v Value) *onnxpb.ValueInfoProto { return v.p }
	g.Name, g.DocString = text(g.Name, p.Name), text(g.DocString, p.Doc)
	g.MetadataProps = entries(g.MetadataProps, p.Metadata)
	g.Input, g.Output, g.ValueInfo = wrap(p.Inputs, info), wrap(p.Outputs, info), wrap(p.Values, info)
	g.Initializer = wrap(p.Initializers, onnxio.Tensor.Proto)
	g.SparseInitializer = wrap(p.Sparse, func(s Sparse) *onnxpb.SparseTensorProto { return s.p })
	g.QuantizationAnnotation = wrap(p.Annotations, func(a Annotation) *onnxpb.TensorAnnotation { return a.p })
	g.Node = wrap(p.Nodes, func(n Node) *onnxpb.NodeProto { return n.p })
	return g
}

// number returns n as an optional field, old itself where it says the same.
func number(old *int64, n int) *int64 {
	switch {
	case old != nil && *old == int64(n):
		return old
	case n == 0:
		return nil
	}
	return proto.Int64(int64(n))
}

func opsets(list []*onnxpb.OperatorSetIdProto) []Opset {
	return wrap(list, func(o *onnxpb.OperatorSetIdProto) Opset {
		return Opset{onnxio.PlainDomain(o.GetDomain()), int(o.GetVersion())}
	})
}

// imports returns operator sets as messages, those of old where they say the same.
func imports(old []*onnxpb.OperatorSetIdProto, list []Opset) []*onnxpb.OperatorSetIdProto {
	known := opsets(old)
	out := make([]*onnxpb.OperatorSetIdProto, len(list))
	for i, o := range list {
		if i < len(known) && known[i] == o {
			out[i] = old[i]
			continue
		}
		out[i] = &onnxpb.OperatorSetIdProto{Domain: proto.String(o.Domain), Version: proto.Int64(int64(o.Version))}
	}
	return out
}

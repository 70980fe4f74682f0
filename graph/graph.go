// Package graph is the view of a model's graphs that everything but package onnxio works with: nodes with their operator
// and domain resolved, typed attributes, producers and uses of every value, one walk through subgraphs and local
// functions, and one way to make nodes, constants, value infos and whole models.
//
// Of is the view of a model's main graph. Nodes, values and tensors are small handles on parts of the model's message:
// they can be compared and be keys of maps, and a model derived from another shares those that did not change. What they
// return is read-only. A change is a new model: Graph.Parts lists what a graph is made of, Parts.Model puts it together
// again.
package graph

import (
	"sync"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Graph is a model's main graph, or one in an attribute of a node. It does not change, and its methods may be called from
// several goroutines.
type Graph struct {
	m     *onnxio.Model
	p     *onnxpb.GraphProto
	nodes func() []Node
	index func() *index
}

// Of returns the view of a model's main graph, the same at each call.
func Of(m *onnxio.Model) *Graph {
	return m.Memo(func() any { return newGraph(m, m.Proto.GetGraph()) }).(*Graph)
}

func newGraph(m *onnxio.Model, p *onnxpb.GraphProto) *Graph {
	g := &Graph{m: m, p: p, nodes: sync.OnceValue(func() []Node { return nodesOf(p.GetNode()) })}
	g.index = sync.OnceValue(func() *index { return newIndex(g) })
	return g
}

// Model returns the model that the graph is part of.
func (g *Graph) Model() *onnxio.Model { return g.m }

// Stated is what the model's metadata have under a key, empty without it.
func (g *Graph) Stated(key string) string {
	for _, e := range g.m.Proto.GetMetadataProps() {
		if e.GetKey() == key {
			return e.GetValue()
		}
	}
	return ""
}

// Name returns the graph's name.
func (g *Graph) Name() string { return g.p.GetName() }

// Nodes returns the nodes in their order, which is a topological one.
func (g *Graph) Nodes() []Node { return g.nodes() }

// Inputs returns the inputs, among them initializers that callers may replace.
func (g *Graph) Inputs() []Value { return valuesOf(g.p.GetInput()) }

// Outputs returns the outputs.
func (g *Graph) Outputs() []Value { return valuesOf(g.p.GetOutput()) }

// Values returns what the graph declares of values inside.
func (g *Graph) Values() []Value { return valuesOf(g.p.GetValueInfo()) }

// Initializers returns the dense initializers.
func (g *Graph) Initializers() []onnxio.Tensor {
	return wrap(g.p.GetInitializer(), g.m.Tensor)
}

// Sparse returns the sparse initializers.
func (g *Graph) Sparse() []Sparse {
	return wrap(g.p.GetSparseInitializer(), func(t *onnxpb.SparseTensorProto) Sparse { return Sparse{t} })
}

// Annotations returns what the graph says of the quantization of its tensors.
func (g *Graph) Annotations() []Annotation {
	return wrap(g.p.GetQuantizationAnnotation(), func(a *onnxpb.TensorAnnotation) Annotation { return Annotation{a} })
}

// Feeds returns the inputs that a caller has to feed: those that are no initializers.
func (g *Graph) Feeds() []Value {
	var out []Value
	for _, v := range g.Inputs() {
		if x := g.index(); !x.sparse[v.Name()] && x.initializers[v.Name()] == nil {
			out = append(out, v)
		}
	}
	return out
}

// Sparse is a sparse initializer.
type Sparse struct{ p *onnxpb.SparseTensorProto }

// Name returns the name of the tensor.
func (s Sparse) Name() string { return s.p.GetValues().GetName() }

// Shape returns the dimensions of the tensor that it stands for.
func (s Sparse) Shape() []int { return toInts(s.p.GetDims()) }

// Annotation is what a graph says of the quantization of one tensor.
type Annotation struct{ p *onnxpb.TensorAnnotation }

// NewAnnotation says of a tensor which others hold the parameters of its quantization, such as SCALE_TENSOR.
func NewAnnotation(tensor string, parameters ...Pair) Annotation {
	return Annotation{&onnxpb.TensorAnnotation{TensorName: text(nil, tensor), QuantParameterTensorNames: entries(nil, parameters)}}
}

// Tensor names the tensor.
func (a Annotation) Tensor() string { return a.p.GetTensorName() }

// Parameters names the tensors of its quantization: scales and zero points.
func (a Annotation) Parameters() []string {
	return wrap(a.p.GetQuantParameterTensorNames(), func(e *onnxpb.StringStringEntryProto) string { return e.GetValue() })
}

func wrap[P, T any](list []P, f func(P) T) []T {
	out := make([]T, len(list))
	for i, p := range list {
		out[i] = f(p)
	}
	return out
}

func nodesOf(list []*onnxpb.NodeProto) []Node {
	return wrap(list, func(p *onnxpb.NodeProto) Node { return Node{p} })
}

func valuesOf(list []*onnxpb.ValueInfoProto) []Value {
	return wrap(list, func(p *onnxpb.ValueInfoProto) Value { return Value{p} })
}

func toInts(list []int64) []int {
	return wrap(list, func(v int64) int { return int(v) })
}

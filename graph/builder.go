package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Builder makes nodes one after another. Its methods take and return names of values, all of them fresh. The first error
// is kept in Err, and what follows it is void.
type Builder struct {
	Opset  int    // of ONNX's own operators
	Prefix string // of the names that follow
	Names  *NameSet
	Nodes  []Node // those made so far
	Err    error

	root      string
	constants map[string]string // by content
}

// NewBuilder returns a builder for an operator set that draws its names from a set. They begin with root, a slash and, but
// for constants, which are shared, the Prefix that is set later.
func NewBuilder(names *NameSet, opset int, root string) *Builder {
	return &Builder{Opset: opset, Prefix: root, Names: names, root: root, constants: map[string]string{}}
}

// Fail keeps an error, the first one.
func (b *Builder) Fail(err error) {
	if b.Err == nil {
		b.Err = err
	}
}

// Op makes a node with one output and no attributes.
func (b *Builder) Op(op string, inputs ...string) string { return b.Node(op, inputs) }

// Node makes a node with one output, which has its name.
func (b *Builder) Node(op string, inputs []string, attrs ...Attr) string {
	return b.Several(op, inputs, 1, attrs...)[0]
}

// Several makes a node with several outputs. The operator's domain is no part of their names.
func (b *Builder) Several(op string, inputs []string, outputs int, attrs ...Attr) []string {
	name := b.Names.Fresh(b.Prefix + "/" + strings.ToLower(op[strings.LastIndexByte(op, ':')+1:]))
	out := []string{name}
	for i := range outputs - 1 {
		out = append(out, b.Names.Fresh(fmt.Sprintf("%s.%d", name, i+1)))
	}
	b.Nodes = append(b.Nodes, NewNode(op, name, inputs, out, attrs...))
	return out
}

// Constant returns a constant, made once for each content. It is a Constant node, which every operator set and IR version
// has.
func (b *Builder) Constant(t tensor.Type, shape []int, v []float64) string {
	value, err := onnxio.NewTensor("", t, shape, v)
	if err != nil {
		b.Fail(fmt.Errorf("a constant of %s: %w", b.Prefix, err))
		return ""
	}
	key := fmt.Sprint(t, shape, ":", string(value.Proto().GetRawData()))
	if name, ok := b.constants[key]; ok {
		return name
	}
	name := b.Names.Fresh(b.root + "/constant")
	b.Nodes = append(b.Nodes, NewNode("Constant", name, nil, []string{name}, Tensor("value", value)))
	b.constants[key] = name
	return name
}

// Ints returns a 1-D constant of int64.
func (b *Builder) Ints(v ...int) string {
	return b.Constant(tensor.Int64, []int{len(v)}, wrap(v, func(n int) float64 { return float64(n) }))
}

// Reduce applies ReduceSum, ReduceMean, ReduceMax or another of their kind along axes, which stay with size 1 if keep is
// set. Nil axes stand for all. Axes became an input with operator set 13 (ReduceSum) and 18 (the others).
func (b *Builder) Reduce(op, x string, axes []int, keep bool) string {
	kept := Int("keepdims", 0)
	if keep {
		kept = Int("keepdims", 1)
	}
	switch {
	case axes == nil:
		return b.Node(op, []string{x}, kept)
	case b.Opset >= 18 || op == "ReduceSum" && b.Opset >= 13:
		return b.Node(op, []string{x, b.Ints(axes...)}, kept)
	}
	return b.Node(op, []string{x}, Ints("axes", axes...), kept)
}

// Needed returns those of the nodes, which are in order, that the values depend on, also through subgraphs.
func Needed(nodes []Node, values []string) []Node {
	want := map[string]bool{}
	for _, v := range values {
		want[v] = true
	}
	var out []Node
	for _, n := range slices.Backward(nodes) {
		if !slices.ContainsFunc(n.Outputs(), func(v string) bool { return v != "" && want[v] }) {
			continue
		}
		out = append(out, n)
		for _, v := range n.Reads() {
			want[v] = true
		}
	}
	slices.Reverse(out)
	return out
}

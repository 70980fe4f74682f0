// Package compound writes operators that are several others in one node as these others: the fused operators of ONNX Runtime's
// domain com.microsoft, and those of ONNX's own, such as Attention, that have a body of simpler ones. What is known of the simpler
// ones (shapes, gradients, weights that can be factored, multiply-adds) so holds for the compound ones too.
package compound

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Known says what a body may depend on beside the node. A function that is nil knows nothing.
type Known struct {
	// Opset is the version of ONNX's own operators that the body is made of.
	Opset int
	// Shape returns the shape of a value that the node reads. Bodies hold for other sizes too where the number of axes and of
	// channels is the same.
	Shape func(value string) ([]int, bool)
	// Type returns the type of a value's elements, Undefined where it is not known: constants of the body have it.
	Type func(value string) tensor.Type
	// Constant tells whether a value is the same in every run.
	Constant func(value string) bool
	// Maker returns the operator that makes a value, "" where none does.
	Maker func(value string) string
}

// bodies are the operators, as graph.Node.Op names them, with what writes their body.
func bodies() map[string]func(*body) error {
	const ms = "com.microsoft::"
	return map[string]func(*body) error{
		"Attention":                             attention,
		"Einsum":                                einsum,
		"GRU":                                   recurrent,
		"LSTM":                                  recurrent,
		"RNN":                                   recurrent,
		"RotaryEmbedding":                       rotary,
		"SimplifiedLayerNormalization":          simplified,
		ms + "Attention":                        packedAttention,
		ms + "BiasGelu":                         biasGelu,
		ms + "BiasSplitGelu":                    biasSplitGelu,
		ms + "EmbedLayerNormalization":          embedding,
		ms + "FastGelu":                         fastGelu,
		ms + "FusedConv":                        fusedConv,
		ms + "FusedGemm":                        fusedGemm,
		ms + "FusedMatMul":                      fusedMatMul,
		ms + "Gelu":                             plainGelu,
		ms + "GroupQueryAttention":              groupQuery,
		ms + "LayerNormalization":               layerNormalization,
		ms + "MultiHeadAttention":               multiHead,
		ms + "QuickGelu":                        quickGelu,
		ms + "RotaryEmbedding":                  rotaryAt,
		ms + "SimplifiedLayerNormalization":     simplified,
		ms + "SkipLayerNormalization":           skipNorm,
		ms + "SkipSimplifiedLayerNormalization": skipSimplified,
		ms + "TransposeMatMul":                  fusedMatMul,
	}
}

// Table has what writes the body of each compound operator.
type Table map[string]func(*body) error

// NewTable returns the table of compound operators.
func NewTable() Table { return bodies() }

// Has tells whether an operator, as graph.Node.Op names it, is compound.
func (t Table) Has(op string) bool { return t[op] != nil }

// Operators lists the compound operators in order.
func (t Table) Operators() []string {
	var list []string
	for op := range t {
		list = append(list, op)
	}
	slices.Sort(list)
	return list
}

// Body returns the nodes that compute what a compound node does, in order, of simpler operators, some of which may be compound
// too. They read what the node reads and make what it makes; all other names are drawn from names. The error says what about
// the node has no body.
func (t Table) Body(n graph.Node, k Known, names *graph.NameSet) ([]graph.Node, error) {
	write := t[n.Op()]
	if write == nil {
		return nil, errors.New("it is no compound operator")
	}
	label := n.Label()
	b := &body{Builder: graph.NewBuilder(names, k.Opset, label), node: n, known: k, out: map[string]string{}}
	b.typ = b.typeOf(n.Input(0))
	if !b.typ.IsFloat() {
		b.typ = tensor.Float32
	}
	if err := write(b); err != nil {
		return nil, err
	}
	if b.Err != nil {
		return nil, b.Err
	}
	return b.named()
}

// body is the body of a node under way.
type body struct {
	*graph.Builder
	node  graph.Node
	known Known
	typ   tensor.Type       // of the constants
	out   map[string]string // what makes the node's outputs
	main  string            // what the node of the body makes that has the name of the whole
}

// x is an input, "" where it is left out.
func (b *body) x(i int) string { return b.node.Input(i) }

// give says which value is an output of the node.
func (b *body) give(i int, value string) {
	if name := b.node.Output(i); name != "" {
		b.out[name] = value
	}
}

// no refuses outputs that a body does not make.
func (b *body) no(outputs ...int) error {
	for _, i := range outputs {
		if b.node.Output(i) != "" {
			return fmt.Errorf("its output %d has no body", i)
		}
	}
	return nil
}

// without refuses inputs that a body does not read.
func (b *body) without(inputs ...int) error {
	for _, i := range inputs {
		if b.x(i) != "" {
			return fmt.Errorf("with input %d it has no body", i)
		}
	}
	return nil
}

// plain refuses attributes that a body does not know, where they say something else than absent.
func (b *body) plain(absent int, attributes ...string) error {
	for _, name := range attributes {
		if v := b.node.Int(name, absent); v != absent {
			return fmt.Errorf("with %s=%d it has no body", name, v)
		}
	}
	return nil
}

// shape is the shape of a value that the node reads.
func (b *body) shape(value string) ([]int, error) {
	if b.known.Shape != nil {
		if s, ok := b.known.Shape(value); ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("the shape of %q is not known", value)
}

// rank is the number of axes of a value that the node reads.
func (b *body) rank(value string) (int, error) {
	s, err := b.shape(value)
	return len(s), err
}

// last is the size of a value's last axis.
func (b *body) last(value string) (int, error) {
	s, err := b.shape(value)
	if err == nil && len(s) == 0 {
		err = fmt.Errorf("%q is a scalar", value)
	}
	if err != nil {
		return 0, err
	}
	return s[len(s)-1], nil
}

func (b *body) typeOf(value string) tensor.Type {
	if b.known.Type == nil {
		return tensor.Undefined
	}
	return b.known.Type(value)
}

func (b *body) constant(value string) bool {
	return b.known.Constant != nil && b.known.Constant(value)
}

// multiplied tells whether a value comes out of a product.
func (b *body) multiplied(value string) bool {
	if b.known.Maker == nil {
		return false
	}
	switch b.known.Maker(value) {
	case "MatMul", "Gemm", "com.microsoft::FusedMatMul":
		return true
	}
	return false
}

// named returns the nodes with the outputs of the node itself.
func (b *body) named() ([]graph.Node, error) {
	rename, made := map[string]string{}, map[string]bool{}
	for _, n := range b.Nodes {
		for _, o := range n.Outputs() {
			made[o] = true
		}
	}
	var copies []graph.Node
	for _, name := range b.node.Outputs() {
		value := b.out[name]
		switch {
		case name == "":
		case value == "":
			return nil, fmt.Errorf("its output %q has no body", name)
		case made[value] && rename[value] == "":
			rename[value] = name
		default: // an input, or what another output is already
			if to := rename[value]; to != "" {
				value = to
			}
			copies = append(copies, graph.NewNode("Identity", b.Names.Fresh(b.Prefix+"/identity"), []string{value}, []string{name}))
		}
	}
	nodes := make([]graph.Node, len(b.Nodes))
	for i, n := range b.Nodes {
		s := n.Spec()
		if b.main != "" && n.Output(0) == b.main && b.node.Name() != "" {
			s.Name = b.node.Name()
		}
		for _, list := range [][]string{s.Inputs, s.Outputs} {
			for k, v := range list {
				if to := rename[v]; to != "" {
					list[k] = to
				}
			}
		}
		nodes[i] = s.Node()
	}
	return append(nodes, copies...), nil
}

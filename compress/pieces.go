package compress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/probe"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// undivided is a site's kernel as a chain of one factor.
func undivided(s decomp.Shape) decomp.Chain {
	axes := make([]bool, len(s.Window))
	for i := range axes {
		axes[i] = true
	}
	return decomp.Chain{{Part: Dense, Kernel: decomp.Kernel{Shape: s}, Axes: axes}}
}

// probes are the nodes that would stand in the place of a site for a chain, whose numbers do not matter. The site's kernel may be
// narrower than in the model.
func (a *Analysis) probes(s *rewrite.Site, chain decomp.Chain) ([]probe.Probe, error) {
	for i := range chain {
		k := &chain[i].Kernel
		k.Weights = make([]float64, k.Params())
		probe.Fill(k.Weights)
	}
	s = s.Uncast()
	patch, err := rewrite.Replace(a.model, s, chain, graph.NewNameSet(a.model))
	if err != nil {
		return nil, err
	}
	in, known := a.Shapes.Of(s.Input)
	if !known {
		return nil, fmt.Errorf("node %q: the shape of %q, which it reads, is unknown: %s", s.Name, s.Input, a.Shapes.Why(s.Input))
	}
	in = narrowedInput(s, in)
	g := graph.Of(a.model)
	parts := g.Parts()
	parts.Inputs, parts.Outputs = []graph.Value{graph.NewValue(s.Input, s.Dtype, graph.Sizes(in))}, nil
	parts.Values, parts.Sparse, parts.Annotations = nil, nil, nil
	parts.Nodes = patch.New
	if parts.Initializers, err = patched(g, s, patch); err != nil {
		return nil, fmt.Errorf("node %q: %w", s.Name, err)
	}
	m := parts.Plain().Model()
	defer m.Close()
	sizes := shapes.Infer(m, map[string][]int{s.Input: in})
	var out []probe.Probe
	reads := s.Input
	for i, n := range patch.New {
		p := probe.Probe{Node: n, Reads: reads, IR: parts.IR, Opsets: parts.Opsets, Eight: a.eight}
		for _, t := range parts.Initializers {
			if slices.Contains(n.Inputs(), t.Name()) {
				p.Constants = append(p.Constants, t)
			}
		}
		if p.Piece, err = pieceOf(n, chain[i].Kernel.Shape, a.eight.Type(n.Op(), s.Dtype), reads, sizes); err != nil {
			return nil, err
		}
		p.Piece.Raw = i == 0 && g.IsInput(s.Input)
		if i == len(patch.New)-1 {
			follow(&p, g, s)
		}
		reads = n.Output(0)
		out = append(out, p)
	}
	return out, nil
}

// narrowedInput is the shape of what a site reads, with as many channels as its kernel has.
func narrowedInput(s *rewrite.Site, in []int) []int {
	axis := -1
	switch kind := s.View.Kind; {
	case kind == rewrite.ConvPatches:
		axis = 1
	case s.Kernel.Groups > 1:
	case kind == rewrite.LastAxis:
		axis = len(in) - 1
	case kind == rewrite.SecondLastAxis:
		axis = max(len(in)-2, 0)
	case kind == rewrite.FirstAxis:
		axis = 0
	}
	if axis < 0 || axis >= len(in) || in[axis] == s.Kernel.In {
		return in
	}
	in = slices.Clone(in)
	in[axis] = s.Kernel.In
	return in
}

// patched are the constants that a patch's nodes read: its own, and those of the model.
func patched(g *graph.Graph, s *rewrite.Site, patch rewrite.Patch) ([]onnxio.Tensor, error) {
	out := slices.Clone(patch.Weights)
	known := map[string]bool{"": true, s.Input: true}
	for _, n := range patch.New {
		for _, name := range n.Outputs() {
			known[name] = true
		}
	}
	for _, t := range out {
		known[t.Name()] = true
	}
	for _, n := range patch.New {
		for _, name := range n.Inputs() {
			if known[name] {
				continue
			}
			t, err := constantNamed(g, name)
			if err == nil {
				t, err = narrowedBias(t, s)
			}
			if err != nil {
				return nil, err
			}
			known[name], out = true, append(out, t)
		}
	}
	return out, nil
}

// narrowedBias is a bias of a site with as many channels as its kernel has; of another shape it is the same.
func narrowedBias(t onnxio.Tensor, s *rewrite.Site) (onnxio.Tensor, error) {
	shape := t.Shape()
	n, err := tensor.Elements(shape)
	if err != nil || len(shape) == 0 || shape[len(shape)-1] != n || n <= s.Kernel.Out {
		return t, err
	}
	d, err := t.Dense()
	if err != nil {
		return t, err
	}
	d.Shape = slices.Clone(shape)
	d.Shape[len(shape)-1] = s.Kernel.Out
	d.Data = d.Data[:d.Type.Bytes(s.Kernel.Out)]
	return onnxio.DenseTensor(t.Name(), d), nil
}

// constantNamed is a constant of a graph as an initializer of the name that it has where it is read.
func constantNamed(g *graph.Graph, name string) (onnxio.Tensor, error) {
	c, ok := g.Constant(name)
	if !ok {
		return onnxio.Tensor{}, fmt.Errorf("it reads %q, which is no constant", name)
	}
	d, err := c.Tensor.Dense()
	return onnxio.DenseTensor(name, d), err
}

// pieceOf is a node of a site as a table of costs has it.
func pieceOf(n graph.Node, k decomp.Shape, typ, reads string, sizes *shapes.Shapes) (costs.Piece, error) {
	p := costs.Piece{Op: n.Op(), Type: typ, Out: k.Out, In: k.In, Window: k.Window, Groups: max(k.Groups, 1), Attributes: attributes(n, reads)}
	var in, out bool
	p.Reads, in = sizes.Of(reads)
	p.Writes, out = sizes.Of(n.Output(0))
	if !in || !out || len(p.Reads) == 0 || len(p.Writes) == 0 {
		return p, fmt.Errorf("node %q: the sizes of what stands in its place are unknown", n.Name())
	}
	if len(p.Window) == 0 {
		p.Window = nil
	}
	return p, nil
}

// attributes are those of a node that decide on how it computes, beside its kernel.
func attributes(n graph.Node, reads string) string {
	var words []string
	for _, name := range []string{"dilations", "pads", "strides", "output_padding", "output_shape"} {
		if n.Has(name) {
			words = append(words, name+"="+joined(n.Ints(name)))
		}
	}
	for _, name := range []string{"transA", "transB", "axis"} {
		if v := n.Int(name, 0); v != 0 {
			words = append(words, fmt.Sprintf("%s=%d", name, v))
		}
	}
	if pad := n.String("auto_pad", "NOTSET"); pad != "NOTSET" {
		words = append(words, "auto_pad="+pad)
	}
	if n.Op() == "MatMul" && n.Input(1) == reads {
		words = append(words, "weight=left")
	}
	if len(n.Inputs()) > 2 && n.Input(2) != "" {
		words = append(words, "bias")
	}
	return strings.Join(words, " ")
}

// fusible are the operators that runtimes compute in the kernel before them.
func fusible() []string {
	return []string{"Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Tanh"}
}

// follow notes the activation behind a site, behind a BatchNormalization where there is one, which becomes part of the kernel.
func follow(p *probe.Probe, g *graph.Graph, s *rewrite.Site) {
	u, ok := g.Reader(s.Output)
	if ok && u.Node.Op() == "BatchNormalization" {
		u, ok = g.Reader(u.Node.Output(0))
	}
	if !ok || u.Nested || u.Slot != 0 || !slices.Contains(fusible(), u.Node.Op()) {
		return
	}
	var more []onnxio.Tensor
	for _, name := range u.Node.Inputs()[1:] {
		if name == "" {
			continue
		}
		t, err := constantNamed(g, name)
		if err != nil {
			return
		}
		more = append(more, t)
	}
	p.Behind, p.Piece.Behind, p.Constants = u.Node, u.Node.Op(), append(p.Constants, more...)
}

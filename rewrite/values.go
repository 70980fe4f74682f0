package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// values describes the outputs between the factors in the way in which the model
// describes the values around the site: not at all where it has no entry for them.
func (b *builder) values() []graph.Value {
	s := b.site
	before, in := b.declared(s.Input)
	after, out := b.declared(s.Output)
	if !in && !out || after == nil {
		return nil
	}
	var list []graph.Value
	carried := make([]bool, len(s.Kernel.Window))
	for i, f := range b.chain[:len(b.chain)-1] {
		for a, c := range f.Axes {
			carried[a] = carried[a] || c
		}
		channels := f.Kernel.Out
		if s.View.Stack > 0 {
			channels = f.Kernel.Rows() // of each matrix
		}
		dims, ok := s.between(before, after, carried, channels)
		if !ok {
			return list
		}
		list = append(list, graph.NewValue(b.patch.New[i].Output(0), s.Computes(), dims))
	}
	return list
}

// between returns the dimensions of a value with the given channels between two
// factors: along spatial axes that were carried already those of the site's
// output, along others those of its input.
func (s *Site) between(before, after []graph.Dim, carried []bool, channels int) ([]graph.Dim, bool) {
	dims := slices.Clone(after)
	if s.View.Kind == ConvPatches && len(dims) != len(carried)+2 {
		return nil, false
	}
	for a, done := range carried {
		if done {
			continue
		}
		if len(before) != len(dims) {
			return nil, false
		}
		dims[a+2] = before[a+2]
	}
	at := s.ChannelAxis(len(dims))
	if at < 0 || at >= len(dims) {
		return nil, false
	}
	dims[at] = graph.Dim{Size: channels}
	return dims, true
}

// ChannelAxis returns the axis of the site's output, of the given rank, along which its channels lie.
func (s *Site) ChannelAxis(rank int) int {
	switch {
	case s.View.Kind == ConvPatches:
		return 1
	case s.weight.slot == 1 || rank == 1 || s.View.Kind == TableRows:
		return rank - 1
	}
	return rank - 2
}

// declared returns the dimensions that the graph declares for a value, and whether
// it does so among the entries for inner values.
func (b *builder) declared(name string) (dims []graph.Dim, inner bool) {
	g := graph.Of(b.site.model)
	for i, list := range [][]graph.Value{g.Values(), g.Inputs(), g.Outputs()} {
		for _, v := range list {
			if v.Name() == name && v.Dims() != nil {
				return v.Dims(), i == 0
			}
		}
	}
	return nil, false
}

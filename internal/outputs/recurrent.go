package outputs

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// handsOn are the outputs of operators that the next run begins with, each with the input in which the operator takes it then.
func handsOn(op string) map[int]int {
	switch op {
	case "LSTM":
		return map[int]int{1: 5, 2: 6}
	case "GRU", "RNN":
		return map[int]int{1: 5}
	case "Attention":
		return map[int]int{1: 4, 2: 5}
	case "com.microsoft::Attention":
		return map[int]int{1: 4}
	case "com.microsoft::GroupQueryAttention":
		return map[int]int{1: 3, 2: 4}
	case "com.microsoft::MultiHeadAttention":
		return map[int]int{1: 6, 2: 7}
	}
	return nil
}

// recurs tells by the nodes whether an output becomes an input in the next run, whatever they are called: it is what an operator with a state ends
// with, of which the input was the beginning; or as much as an input had, cut out of this input with more joined to it, as streams keep the end of
// what they saw.
func (w *walk) recurs(v graph.Value) bool {
	return slices.ContainsFunc(w.g.Feeds(), func(in graph.Value) bool { return w.succeeds(v, in) })
}

// succeeds tells whether an output is what an input is given in the next run.
func (w *walk) succeeds(v, in graph.Value) bool {
	return v.Dims() != nil && in.Dims() != nil && becomes(v.Dims(), in.Dims()) && (w.follows(v.Name(), in.Name(), deepest) || w.window(v, in))
}

// follows tells whether all of a value is what operators with a state end with that began with a part of the input.
func (w *walk) follows(value, input string, deep int) bool {
	n, ok := w.g.Producer(value)
	if !ok || deep == 0 {
		return false
	}
	switch n.Op() {
	case "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose":
		return w.follows(n.Input(0), input, deep-1)
	case "Concat":
		parts := w.operands(n)
		return len(parts) > 0 && !slices.ContainsFunc(parts, func(part string) bool { return !w.follows(part, input, deep-1) })
	}
	began, ok := handsOn(n.Op())[slices.Index(n.Outputs(), value)]
	return ok && w.part(n.Input(began), input)
}

// window tells whether an output is cut out of an input with more joined to it, as long as this input is.
func (w *walk) window(v, in graph.Value) bool {
	if !slices.EqualFunc(v.Dims(), in.Dims(), func(d, e graph.Dim) bool { return d.Size == e.Size && d.Name == e.Name }) {
		return false
	}
	n, ok := w.g.Producer(v.Name())
	for range deepest {
		if !ok || n.Op() != "Identity" && n.Op() != "Cast" {
			break
		}
		n, ok = w.g.Producer(n.Input(0))
	}
	if !ok || n.Op() != "Slice" && n.Op() != "Gather" && n.Op() != "Split" {
		return false
	}
	joined, ok := w.g.Producer(n.Input(0))
	if !ok || joined.Op() != "Concat" {
		return false
	}
	parts := w.operands(joined)
	return len(parts) > 1 && slices.Contains(parts, in.Name())
}

// part tells whether a value is an input or a part of it, arranged or converted at most.
func (w *walk) part(value, input string) bool {
	for range deepest {
		if value == input {
			return true
		}
		n, ok := w.g.Producer(value)
		if !ok || !slices.Contains([]string{"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Split"}, n.Op()) {
			return false
		}
		value = n.Input(0)
	}
	return false
}

// Began are the inputs of a model's graph that its outputs show to be what the run before handed on, whatever they are called: the states of recurrent
// operators and the windows of streams.
func Began(g *graph.Graph) map[string]bool {
	w, out := newWalk(lying(g)), map[string]bool{}
	for _, v := range w.g.Outputs() {
		for _, in := range w.g.Feeds() {
			out[in.Name()] = out[in.Name()] || w.succeeds(v, in)
		}
	}
	return out
}

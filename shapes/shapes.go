// Package shapes finds the concrete shapes of a model's values.
//
// From concrete input shapes it walks the main graph once, in order, and applies
// one rule per operator. Small integer values (shapes, indices, axes) are folded
// on the way, so that chains such as Shape → Gather → Concat → Reshape come out
// concrete. Inference never fails as a whole: where a rule cannot go on, the
// values behind it stay unknown and Why names the node that stopped it.
package shapes

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Shapes holds what inference found out about the values of a model's main graph.
type Shapes struct {
	known map[string]*value
	why   map[string]string // what stopped inference, by value
	// inside are bodies of Loops and Scans, outer the graph around a body.
	inside map[graph.Node]Inside
	outer  *Shapes
}

// Of returns the concrete shape of a value of the main graph. A scalar has an
// empty, non-nil shape. The slice must not be changed.
func (s *Shapes) Of(name string) ([]int, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.known[name]; ok {
			return v.shape, true
		}
	}
	return nil, false
}

// Ints returns the folded numbers of a small integer value in row-major order.
func (s *Shapes) Ints(name string) ([]int64, bool) {
	v, ok := s.known[name]
	if !ok || v.data == nil {
		return nil, false
	}
	return v.data.ints()
}

// Why says which node and operator kept the shape of a value from being found;
// it is empty when the shape is known.
func (s *Shapes) Why(name string) string {
	if _, ok := s.Of(name); ok || name == "" {
		return ""
	}
	for at := s; at != nil; at = at.outer {
		if w, ok := at.why[name]; ok {
			return w
		}
	}
	return fmt.Sprintf("value %q is not in the main graph", name)
}

// Unknown is a dimension of a graph input that the model leaves open and nobody gave.
type Unknown struct {
	Input string // name of the graph input
	Axis  int    // axis whose size is open; -1 when not even the rank is declared
	Dim   string // symbolic name of the dimension, "" when it has none
	Given string // what was given and why it does not fit, "" when nothing was given
}

// String says what is missing in words for people.
func (u Unknown) String() string {
	switch {
	case u.Given != "":
		return fmt.Sprintf("input %q: %s", u.Input, u.Given)
	case u.Axis < 0:
		return fmt.Sprintf("input %q has no declared shape", u.Input)
	case u.Dim != "":
		return fmt.Sprintf("input %q: size of axis %d (%q) is not fixed", u.Input, u.Axis, u.Dim)
	}
	return fmt.Sprintf("input %q: size of axis %d is not fixed", u.Input, u.Axis)
}

// InputShapes completes the shapes of the graph inputs. What the model declares
// and what is given must agree; a given size also fills every other dimension of
// the same symbolic name; an open axis 0 becomes 1 (one sample). Inputs with
// other open dimensions are left out of the map and reported.
func InputShapes(m *onnxio.Model, given map[string][]int) (map[string][]int, []Unknown) {
	shapes := map[string][]int{}
	var unknown []Unknown
	symbols := map[string]int{}
	inputs := graph.Of(m).Feeds()
	for _, in := range inputs {
		g, ok := given[in.Name()]
		if !ok || len(g) != len(in.Dims()) {
			continue
		}
		for i, d := range in.Dims() {
			s := d.Name
			if _, named := symbols[s]; !named && s != "" && g[i] >= 0 {
				symbols[s] = g[i]
			}
		}
	}
	for _, in := range inputs {
		shape, open := complete(in, given[in.Name()], symbols)
		if len(open) > 0 {
			unknown = append(unknown, open...)
			continue
		}
		shapes[in.Name()] = shape
	}
	return shapes, unknown
}

// complete finds the shape of one input, or what is missing.
func complete(in graph.Value, given []int, symbols map[string]int) ([]int, []Unknown) {
	name := in.Name()
	if !in.Dense() {
		return nil, []Unknown{{Input: name, Axis: -1, Given: "not a dense tensor"}}
	}
	dims := in.Dims()
	if dims == nil {
		if given == nil {
			return nil, []Unknown{{Input: name, Axis: -1}}
		}
		return slices.Clone(given), nil
	}
	if given != nil && len(given) != len(dims) {
		return nil, []Unknown{{Input: name, Axis: -1, Given: fmt.Sprintf("given shape %v has %d axes, the model declares %d", given, len(given), len(dims))}}
	}
	shape := make([]int, len(dims))
	var open []Unknown
	for i, d := range dims {
		size, fixed := symbols[d.Name]
		if d.Name == "" {
			size, fixed = d.Size, d.Size > 0
		}
		switch {
		case given != nil && given[i] < 0:
			open = append(open, Unknown{Input: name, Axis: i, Dim: d.Name, Given: fmt.Sprintf("given size %d of axis %d is negative", given[i], i)})
		case given != nil && fixed && size != given[i]:
			open = append(open, Unknown{Input: name, Axis: i, Dim: d.Name, Given: fmt.Sprintf("given size %d of axis %d contradicts %d", given[i], i, size)})
		case given != nil:
			shape[i] = given[i]
		case fixed:
			shape[i] = size
		case i == 0:
			shape[i] = 1
		default:
			open = append(open, Unknown{Input: name, Axis: i, Dim: d.Name})
		}
	}
	return shape, open
}

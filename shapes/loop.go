package shapes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Inside is what is known of the body of a Loop or Scan: the shapes of its values, which are the same in every iteration, and how often it
// runs, 0 where that is not known.
type Inside struct {
	Shapes *Shapes
	Trips  int
}

// Inside returns what is known of the body of a Loop or Scan of the graph that s is of, false where nothing is.
func (s *Shapes) Inside(n graph.Node) (Inside, bool) {
	in, ok := s.inside[n]
	return in, ok
}

// loop follows Loop: what its body carries on keeps its shape, and what it gives in every iteration is stacked. It runs as often as its first
// input says, unless its condition may end it.
func loop(c *call) error {
	g, ok := c.node.Graph(c.model, "body")
	if !ok {
		return errors.New("it has no body")
	}
	const before = 2 // the number of trips and the condition, as of a body's inputs the iteration and the condition
	carried := max(len(c.node.Inputs())-before, 0)
	if len(g.Inputs()) != before+carried || len(g.Outputs()) < 1+carried || len(g.Outputs())-1 != len(c.out) {
		return errors.New("its body has another number of inputs or outputs")
	}
	always := !c.given(1) || holding(c.data(1))
	start := []*value{{shape: []int{}}, {shape: []int{}}}
	if always {
		start[1].data = fromInts(tensor.Bool, 1)
	}
	inner, err := c.body(g, append(start, c.in[len(c.node.Inputs())-carried:]...), before)
	if err != nil {
		return err
	}
	trips := 0
	if last := inner.value(g.Outputs()[0].Name()); always && last != nil && holding(last.data) {
		if v, ok := c.data(0).ints(); ok && len(v) == 1 {
			trips = int(max(v[0], 0))
		}
	}
	return c.iterated(inner, g.Outputs()[1:], carried, func(int) int { return 0 }, trips)
}

// holding tells whether numbers are one truth.
func holding(d *numbers) bool {
	v, ok := d.ints()
	return ok && len(v) == 1 && v[0] != 0
}

// scan follows Scan from operator set 9 on: its body sees the elements of its last inputs along an axis, one in each iteration.
func scan(c *call) error {
	g, ok := c.node.Graph(c.model, "body")
	elements := c.attr("num_scan_inputs", 0)
	carried := len(c.node.Inputs()) - elements
	if !ok || c.opset < 9 || elements < 1 || carried < 0 || len(g.Inputs()) != len(c.node.Inputs()) || len(g.Outputs()) < carried || len(g.Outputs()) != len(c.out) {
		return errors.New("it has no body of as many inputs and outputs, or is one of an operator set before 9")
	}
	start, axes, trips := slices.Clone(c.in), c.node.Ints("scan_input_axes"), 0
	for i := range elements {
		v := c.in[carried+i]
		if v == nil {
			return blocked{c.node.Input(carried + i)}
		}
		axis := 0
		if i < len(axes) {
			axis = axes[i]
		}
		k, err := graph.Axis(axis, len(v.shape))
		if err != nil {
			return err
		}
		trips = v.shape[k]
		start[carried+i] = &value{shape: slices.Delete(slices.Clone(v.shape), k, k+1)}
	}
	inner, err := c.body(g, start, 0)
	if err != nil {
		return err
	}
	out := c.node.Ints("scan_output_axes")
	return c.iterated(inner, g.Outputs(), carried, func(i int) int {
		if i < len(out) {
			return out[i]
		}
		return 0
	}, trips)
}

// body follows a body whose inputs have these values at first. The numbers of what is carried on are others in each iteration; those of the
// first few inputs stay.
func (c *call) body(g *graph.Graph, start []*value, fixed int) (*walker, error) {
	inner := c.inner(c.walker)
	for i, in := range g.Inputs() {
		switch v := start[i]; {
		case v == nil:
			return nil, blocked{c.node.Input(i)}
		case i < fixed:
			inner.values[in.Name()] = v
		default:
			inner.values[in.Name()] = &value{shape: v.shape}
		}
	}
	inner.graph(g)
	return inner, nil
}

// iterated gives the node's outputs the shapes of what its body carries on, and of what is stacked along an axis each, and keeps what is known
// of the body.
func (c *call) iterated(inner *walker, outputs []graph.Value, carried int, axis func(int) int, trips int) error {
	first := len(c.node.Inputs()) - carried
	if c.node.Op() == "Scan" {
		first = 0
	}
	for i, o := range outputs {
		v := inner.value(o.Name())
		switch {
		case v == nil && i < carried:
			return fmt.Errorf("what it carries on, %q: %s", o.Name(), inner.reasonFor(o.Name()))
		case v == nil:
		case i < carried && !slices.Equal(v.shape, c.in[first+i].shape):
			return fmt.Errorf("what it carries on, %q, has the shape %v at first and %v then", o.Name(), c.in[first+i].shape, v.shape)
		case i < carried:
			c.set(i, v.shape)
		case trips > 0:
			k, err := graph.Axis(axis(i-carried), len(v.shape)+1)
			if err != nil {
				return err
			}
			c.set(i, slices.Insert(slices.Clone(v.shape), k, trips))
		}
	}
	if c.inside == nil {
		c.inside = map[graph.Node]Inside{}
	}
	c.inside[c.node] = Inside{inner.found(), trips}
	return nil
}

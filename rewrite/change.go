package rewrite

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// changes collects what becomes of a model's nodes and constants when axes are narrowed.
type changes struct {
	*finder
	kept   *kept
	specs  map[graph.Node]*graph.Spec // of nodes that change in more than the content of a constant
	inputs map[input]tensor.Dense     // new content of constant inputs, as their nodes see it
	freed  []string                   // values that fewer nodes read
	added  []onnxio.Tensor            // new initializers
	placed map[string]onnxio.Tensor   // new content of initializers and Constant nodes, in their place
	passed map[string]bool            // values that lead from these to their readers
	names  *graph.NameSet
}

// input is one input of a node.
type input struct {
	node graph.Node
	slot int
}

// narrowed returns the model, in which some nodes may stand in the place of those that the axes were found at, with only
// what is kept.
func narrowed(m *onnxio.Model, k *kept, now map[graph.Node]graph.Node) (*onnxio.Model, error) {
	c := &changes{
		finder: newFinder(m, k.shapes), kept: k, specs: map[graph.Node]*graph.Spec{}, inputs: map[input]tensor.Dense{},
		placed: map[string]onnxio.Tensor{}, passed: map[string]bool{}, names: graph.NewNameSet(m),
	}
	at := func(n graph.Node) graph.Node {
		if new, ok := now[n]; ok {
			return new
		}
		return n
	}
	if err := c.recount(at); err != nil {
		return nil, err
	}
	for o, mask := range k.constants {
		o.node = at(o.node)
		if err := c.cut(o, mask); err != nil {
			return nil, fmt.Errorf("node %q: input %d: %w", o.node.Label(), o.slot, err)
		}
	}
	if err := c.place(); err != nil {
		return nil, err
	}
	return c.assembled(), nil
}

// size returns how many entries of a span stay, and whether any along its axis goes.
func (k *kept) size(s span) (n int, changed bool) {
	mask, ok := k.values[s.position]
	if !ok {
		return 0, false
	}
	for _, stays := range mask[s.from:s.to] {
		if stays {
			n++
		}
	}
	return n / s.per, slices.Contains(mask, false)
}

// recount rewrites the integers that count what is cut.
func (c *changes) recount(at func(graph.Node) graph.Node) error {
	lists := map[number]map[int]int{} // new numbers by their place, of each list
	for n, s := range c.kept.numbers {
		if size, changed := c.kept.size(s); changed {
			key := number{node: at(n.node), slot: n.slot, attr: n.attr}
			if lists[key] == nil {
				lists[key] = map[int]int{}
			}
			lists[key][n.at] = size
		}
	}
	for key, list := range lists {
		var err error
		if key.attr != "" {
			err = c.attribute(key, list)
		} else {
			err = c.integerInput(key, list)
		}
		if err != nil {
			return fmt.Errorf("node %q: %w", key.node.Label(), err)
		}
	}
	return nil
}

// spec returns what a node is to be made of.
func (c *changes) spec(n graph.Node) *graph.Spec {
	if c.specs[n] == nil {
		s := n.Spec()
		c.specs[n] = &s
	}
	return c.specs[n]
}

// attribute rewrites a number, or numbers of a list.
func (c *changes) attribute(key number, list map[int]int) error {
	s := c.spec(key.node)
	i := slices.IndexFunc(s.Attrs, func(a graph.Attr) bool { return a.Name() == key.attr })
	if i < 0 {
		return c.wholeSplit(key.node)
	}
	if key.attr == "group" {
		s.Attrs[i] = graph.Int(key.attr, list[0])
		return nil
	}
	numbers, err := replaced(s.Attrs[i].Ints(), list)
	s.Attrs[i] = graph.Ints(key.attr, numbers...)
	return err
}

func replaced(numbers []int, list map[int]int) ([]int, error) {
	for at, n := range list {
		if at >= len(numbers) {
			return nil, fmt.Errorf("%d numbers, one at %d is wanted", len(numbers), at)
		}
		numbers[at] = n
	}
	return numbers, nil
}

// integerInput rewrites numbers of a constant input.
func (c *changes) integerInput(key number, list map[int]int) error {
	value := key.node.Input(key.slot)
	if value == "" {
		return c.wholeSplit(key.node)
	}
	numbers, ok := c.integers(value)
	if !ok {
		return fmt.Errorf("input %q is not known", value)
	}
	old := slices.Clone(numbers)
	numbers, err := replaced(numbers, list)
	if err != nil {
		return fmt.Errorf("input %q: %w", value, err)
	}
	if slices.Equal(old, numbers) {
		return nil
	}
	t, shape := tensor.Int64, []int{len(numbers)}
	if h, ok := c.hold(value); ok {
		t, shape = h.dtype(), h.shape()
	}
	return c.integer(input{key.node, key.slot}, t, shape, numbers)
}

func (c *changes) integer(at input, t tensor.Type, shape, numbers []int) error {
	v := make([]int64, len(numbers))
	for i, n := range numbers {
		v[i] = int64(n)
	}
	var err error
	d := tensor.FromInt64(shape, v)
	if t != tensor.Int64 {
		d, err = d.Convert(t)
	}
	c.inputs[at] = d
	return err
}

// wholeSplit gives a Split that cuts into equal parts their sizes, where these are no longer equal.
func (c *changes) wholeSplit(n graph.Node) error {
	var sizes []int
	for i := range n.Outputs() {
		for _, key := range []number{{node: n, slot: 1, at: i}, {node: n, attr: "split", at: i}} {
			s, ok := c.kept.numbers[key]
			if !ok {
				continue
			}
			size, changed := c.kept.size(s)
			if !changed {
				size = s.to - s.from
			}
			sizes = append(sizes, size)
		}
	}
	if len(sizes) != len(n.Outputs()) {
		return fmt.Errorf("it has %d outputs, of %d the sizes are known", len(n.Outputs()), len(sizes))
	}
	if len(slices.Compact(slices.Clone(sizes))) == 1 {
		return nil
	}
	s := c.spec(n)
	s.Attrs = slices.DeleteFunc(s.Attrs, func(a graph.Attr) bool { return a.Name() == "num_outputs" })
	if c.opset < 13 {
		s.Attrs = append(s.Attrs, graph.Ints("split", sizes...))
		return nil
	}
	return c.integer(input{n, 1}, tensor.Int64, []int{len(sizes)}, sizes)
}

// cut leaves those entries of a constant input away that are not kept.
func (c *changes) cut(o operand, mask []bool) error {
	value := o.node.Input(o.slot)
	if value == "" || !slices.Contains(mask, false) {
		return nil
	}
	at := input{o.node, o.slot}
	d, ok := c.inputs[at]
	if !ok {
		h, ok := c.hold(value)
		if !ok {
			return fmt.Errorf("%q is not constant", value)
		}
		stored, err := h.tensor.Dense()
		if err != nil {
			return err
		}
		d = rearranged(stored, h.perm, nil)
	}
	axis := len(d.Shape) - 1 - o.right
	if axis < 0 || d.Shape[axis] == 1 && len(mask) > 1 {
		return nil // the same for all channels
	}
	if d.Shape[axis] != len(mask) {
		return fmt.Errorf("constant %q of shape %v has not %d entries along axis %d", value, d.Shape, len(mask), axis)
	}
	keep := make([][]bool, len(d.Shape))
	keep[axis] = mask
	c.inputs[at] = rearranged(d, axes(len(d.Shape)), keep)
	return nil
}

// rearranged returns a tensor whose axis i is axis order[i] of d, with those of its entries that keep[i] has set, all where
// that is nil. It is d where nothing changes.
func rearranged(d tensor.Dense, order []int, keep [][]bool) tensor.Dense {
	width := d.Type.Size()
	rank := len(order)
	steps := make([]int, rank) // bytes from one entry to the next, along the axes of d
	step := width
	for i := rank - 1; i >= 0; i-- {
		steps[i] = step
		step *= d.Shape[i]
	}
	out := tensor.Dense{Type: d.Type, Shape: make([]int, rank)}
	entries := make([][]int, rank) // where the entries of each axis of the result begin
	whole := rank                  // from this axis on everything stays, in order
	for i, from := range order {
		for k := range d.Shape[from] {
			if keep == nil || keep[i] == nil || keep[i][k] {
				entries[i] = append(entries[i], k*steps[from])
			}
		}
		out.Shape[i] = len(entries[i])
	}
	for whole > 0 && order[whole-1] == whole-1 && len(entries[whole-1]) == d.Shape[whole-1] {
		whole--
	}
	if whole == 0 {
		return d
	}
	run := width * tensor.Product(d.Shape[whole:])
	out.Data = make([]byte, 0, width*tensor.Product(out.Shape))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == whole {
			out.Data = append(out.Data, d.Data[at:at+run]...)
			return
		}
		for _, offset := range entries[axis] {
			walk(axis+1, at+offset)
		}
	}
	walk(0, 0)
	return out
}

// sorted returns the inputs that change in the order of their nodes.
func (c *changes) sorted() []input {
	return slices.SortedFunc(maps.Keys(c.inputs), func(a, b input) int {
		return cmp.Or(c.graph.Position(a.node)-c.graph.Position(b.node), a.slot-b.slot)
	})
}

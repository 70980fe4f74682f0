package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// indexRules are the rules of operators that pick entries.
func indexRules() []Rule {
	return []Rule{
		{
			Op: "Gather", Formula: "ddata = Σ of the cotangents of every entry's copies (ScatterND that adds; before operator set 16 a product with the indices' one-hot matrix)",
			inputs: first, need: 2, vjp: gatherRule,
		},
		{
			Op: "GatherElements", Formula: "ddata = Σ of the cotangents of every entry's copies (ScatterElements that adds; before operator set 16 products with the indices' one-hot matrices)",
			inputs: first, need: 2, vjp: gatherElementsRule,
		},
		{Op: "Where", Formula: "da = g·[c], db = g·[not c]", inputs: second | third, need: 3, vjp: whereRule},
	}
}

func whereRule(c *call) error {
	mask := c.mask(c.x(0))
	c.wantFrom(1, func() string { return c.mul(c.g(), mask) })
	c.wantFrom(2, func() string { return c.mul(c.g(), c.sub(c.scalar(1), mask)) })
	return nil
}

// gatherRule is Gather. Indices that are the same in every run and name no entry twice
// need no addition.
func gatherRule(c *call) error {
	data, indices := c.shape(0), c.shape(1)
	axis, err := c.axis("axis", 0, len(data))
	if err != nil {
		return err
	}
	if indices == nil || len(c.shapeOut(0)) != len(data)+len(indices)-1 {
		return errShape
	}
	picked := slices.Clone(data)
	picked[axis] = tensor.Product(indices)
	if picked[axis] == 0 || tensor.Product(picked) != tensor.Product(c.shapeOut(0)) {
		return errShape
	}
	if places, ok := c.places(data[axis]); ok {
		c.give(0, c.scatterOnce(c.reshape(c.g(), c.shapeOut(0), picked), picked, axis, places, data[axis]))
		return nil
	}
	// The axis of the indices goes first, and the rest becomes one axis.
	front := slices.Insert(slices.Delete(upTo(len(data)), axis, axis+1), 0, axis)
	moved := slices.Insert(slices.Delete(slices.Clone(picked), axis, axis+1), 0, picked[axis])
	rest := tensor.Product(moved[1:])
	g := c.transpose(c.reshape(c.g(), c.shapeOut(0), picked), front)
	g = c.reshape(g, moved, []int{moved[0], rest})
	list := c.reshape(c.cast(c.x(1), tensor.Int64), nil, []int{-1, 1})
	var dx string
	if c.Opset >= 16 {
		dx = c.Node("ScatterND", []string{c.zeros([]int{data[axis], rest}), list, g}, graph.String("reduction", "add"))
	} else {
		dx = c.gemm(c.oneHot(list, data[axis]), g, true, false, 1)
	}
	moved[0] = data[axis]
	back := filled(len(front), 0)
	for i, a := range front {
		back[a] = i
	}
	c.give(0, c.transpose(c.reshape(dx, []int{data[axis], rest}, moved), back))
	return nil
}

// gatherElementsRule is GatherElements.
func gatherElementsRule(c *call) error {
	data, indices := c.shape(0), c.shape(1)
	axis, err := c.axis("axis", 0, len(data))
	if err != nil {
		return err
	}
	if len(indices) != len(data) || !slices.Equal(indices, c.shapeOut(0)) {
		return errShape
	}
	if c.Opset >= 16 {
		c.give(0, c.Node("ScatterElements", []string{c.zeros(data), c.x(1), c.g()}, graph.Int("axis", axis), graph.String("reduction", "add")))
		return nil
	}
	// The axis goes last, and each row of entries is a product.
	last := append(slices.Delete(upTo(len(data)), axis, axis+1), axis)
	moved, rows := make([]int, len(data)), 1
	back := make([]int, len(data))
	for i, a := range last {
		moved[i], back[a] = data[a], i
		if a != axis && data[a] != indices[a] {
			return errShape
		}
		if a != axis {
			rows *= data[a]
		}
	}
	list := c.cast(c.transpose(c.x(1), last), tensor.Int64)
	places := c.reshape(c.oneHot(c.reshape(list, nil, []int{-1, 1}), data[axis]), nil, []int{rows, indices[axis], data[axis]})
	dx := c.Op("MatMul", c.reshape(c.transpose(c.g(), last), nil, []int{rows, 1, indices[axis]}), places)
	c.give(0, c.transpose(c.reshape(dx, nil, moved), back))
	return nil
}

// places returns the indices where they are constant and name no entry twice. Numbers that
// were only seen in a run do not count: they may be data.
func (c *call) places(n int) ([]int, bool) {
	if _, ok := c.facts.constant(c.x(1)); !ok {
		return nil, false
	}
	v, ok := c.facts.numbers(c.x(1))
	if !ok {
		return nil, false
	}
	seen := map[int]bool{}
	var out []int
	for _, x := range v {
		i := int(x)
		if i < 0 {
			i += n
		}
		if i < 0 || i >= n || seen[i] {
			return nil, false
		}
		seen[i] = true
		out = append(out, i)
	}
	return out, len(out) > 0
}

// scatterOnce puts entries at their places along an axis of size n: with zeros around
// those that follow each other, else by gathering from the entries and a zero.
func (c *call) scatterOnce(g string, shape []int, axis int, places []int, n int) string {
	count := len(places)
	if slices.Equal(places, span(places[0], places[0]+count)) {
		begin, end := filled(len(shape), 0), filled(len(shape), 0)
		begin[axis], end[axis] = places[0], n-places[0]-count
		return c.pad(g, begin, end)
	}
	from := filled(n, count)
	for i, p := range places {
		from[p] = i
	}
	begin, end := filled(len(shape), 0), filled(len(shape), 0)
	end[axis] = 1
	return c.gather(c.pad(g, begin, end), axis, from)
}

// oneHot returns the matrix [indices, n] with a 1 in each row where the index, given as
// [indices, 1], points. Comparisons of integers came late to ONNX, so it compares float32.
func (c *call) oneHot(list string, n int) string {
	typ := c.typ
	c.typ = tensor.Float32
	index := c.cast(list, tensor.Float32)
	index = c.add(index, c.scale(c.mask(c.Op("Less", index, c.scalar(0))), float64(n)))
	all := make([]float64, n)
	for i := range all {
		all[i] = float64(i)
	}
	hit := c.equal(index, c.floats([]int{n}, all))
	c.typ = typ
	return c.mask(hit)
}

package grad

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// moveRules are the rules of operators that join, cut and pad.
func moveRules() []Rule {
	return []Rule{
		{Op: "Concat", Formula: "dxᵢ = the part of g that xᵢ became", inputs: every, need: 1, vjp: concatRule},
		{Op: "Split", Formula: "dx = the cotangents of the parts, joined", inputs: first, need: 1, outputs: true, vjp: splitRule},
		{Op: "Slice", Formula: "dx = g where the entries came from, 0 elsewhere", inputs: first, need: 1, vjp: sliceRule},
		{
			Op: "Pad", Formula: "constant: dx = the inner part of g; reflect, edge, wrap: with what was copied outwards added where it came from",
			inputs: first, need: 1, vjp: padRule,
		},
	}
}

func concatRule(c *call) error {
	y := c.shapeOut(0)
	axis, err := c.axis("axis", 1, len(y))
	if err != nil {
		return err
	}
	at := 0
	for i := range c.node.Inputs() {
		shape := c.shape(i)
		if len(shape) != len(y) {
			return errShape
		}
		end := at + shape[axis]
		switch {
		case at == 0 && end == y[axis]:
			c.give(i, c.g())
		default:
			c.want(i, func() string { return c.slice(c.g(), []int{axis}, []int{at}, []int{end}) })
		}
		at = end
	}
	return nil
}

func splitRule(c *call) error {
	x := c.shape(0)
	axis, err := c.axis("axis", 0, len(x))
	if err != nil {
		return err
	}
	var parts []string
	at, used, start, only := 0, 0, 0, ""
	for i, g := range c.grads {
		shape := c.shapeOut(i)
		if len(shape) != len(x) {
			return errShape
		}
		if g != "" {
			used, start, only = used+1, at, g
		} else {
			g = c.zeros(shape)
		}
		parts = append(parts, g)
		at += shape[axis]
	}
	if at != x[axis] {
		return errShape
	}
	if used == 1 {
		begin, end := filled(len(x), 0), filled(len(x), 0)
		begin[axis] = start
		end[axis] = x[axis] - start - c.shapeOut(slices.Index(c.grads, only))[axis]
		c.give(0, c.pad(only, begin, end))
		return nil
	}
	c.give(0, c.concat(axis, parts...))
	return nil
}

// cut is what a Slice does to one axis: entries begin, begin+step, …; count of them.
type cut struct{ begin, step, count int }

// cuts reads the bounds of a Slice: attributes before operator set 10, inputs since.
func (c *call) cuts() ([]cut, error) {
	x, y := c.shape(0), c.shapeOut(0)
	var lists [4][]int
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		if c.Opset >= 10 {
			name = ""
		}
		var err error
		if lists[i], err = c.numbers(i+1, name); err != nil {
			return nil, err
		}
	}
	starts, axes, steps := lists[0], lists[2], lists[3]
	if axes == nil {
		axes = upTo(len(starts))
	}
	if steps == nil {
		steps = filled(len(starts), 1)
	}
	if len(x) != len(y) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, errShape
	}
	out := make([]cut, len(x))
	for i := range x {
		out[i] = cut{step: 1, count: y[i]}
	}
	axes, err := graph.Axes(axes, len(x))
	if err != nil {
		return nil, err
	}
	for i, k := range axes {
		begin, last := starts[i], x[k]
		if begin < 0 {
			begin += x[k]
		}
		if steps[i] < 0 {
			last--
		}
		out[k] = cut{begin: min(max(begin, 0), last), step: steps[i], count: y[k]}
	}
	for i, k := range out {
		if end := k.begin + (k.count-1)*k.step; k.step == 0 || end < 0 || end >= x[i] || k.begin >= x[i] {
			return nil, errShape
		}
	}
	return out, nil
}

// sliceRule puts zeros between the entries where steps are longer than one, and around them.
func sliceRule(c *call) error {
	cuts, err := c.cuts()
	if err != nil {
		return err
	}
	x, shape := c.shape(0), slices.Clone(c.shapeOut(0))
	dx := c.g()
	for i, k := range cuts {
		if k.step < 0 {
			dx = c.gather(dx, i, downFrom(k.count))
			cuts[i] = cut{begin: k.begin + (k.count-1)*k.step, step: -k.step, count: k.count}
		}
	}
	dx = c.scatter(dx, shape, cuts)
	begin, end := filled(len(x), 0), filled(len(x), 0)
	var axes, from, to []int
	for i, k := range cuts {
		begin[i] = k.begin
		end[i] = x[i] - k.begin - shape[i]
		if end[i] < 0 {
			axes, from, to = append(axes, i), append(from, 0), append(to, x[i]-k.begin)
			end[i] = 0
		}
	}
	c.give(0, c.pad(c.slice(dx, axes, from, to), begin, end))
	return nil
}

// steps is how many entries lie from one that is cut to the next.
func steps(k cut) int {
	if k.count == 1 {
		return 1
	}
	return k.step
}

// comb returns a constant of the given two sizes with a 1 where both indices are multiples
// of their steps and 0 elsewhere.
func (c *call) comb(size []int, cuts []cut) string {
	v := make([]float64, size[0]*size[1])
	for i := 0; i < size[0]; i += steps(cuts[0]) {
		for j := 0; j < size[1]; j += steps(cuts[1]) {
			v[i*size[1]+j] = 1
		}
	}
	return c.floats(size, v)
}

// scatter puts step-1 zeros behind every entry, and changes shape accordingly. In images
// it repeats the entries and masks the copies, which the runtime does much faster than
// padding axes of one entry.
func (c *call) scatter(g string, shape []int, cuts []cut) string {
	var apart, before, after []int
	wide, image := false, true
	for i, k := range cuts {
		apart, before, after = append(apart, shape[i]), append(before, 0), append(after, 0)
		if steps(k) == 1 {
			continue
		}
		wide, image = true, image && i >= 2
		apart, before, after = append(apart, 1), append(before, 0), append(after, k.step-1)
		shape[i] *= k.step
	}
	if !wide {
		return g
	}
	if image && len(cuts) == 4 && c.Opset >= 13 && c.typ == tensor.Float32 {
		return c.mul(c.repeat(g, []int{steps(cuts[2]), steps(cuts[3])}), c.comb(shape[2:], cuts[2:]))
	}
	return c.reshape(c.pad(c.reshape(g, nil, apart), before, after), nil, shape)
}

func padRule(c *call) error {
	x, y := c.shape(0), c.shapeOut(0)
	begin, end, err := c.padding(len(x))
	if err != nil {
		return err
	}
	if len(y) != len(x) {
		return errShape
	}
	for i := range x {
		if y[i] != x[i]+begin[i]+end[i] {
			return errShape
		}
	}
	switch mode := c.node.String("mode", "constant"); mode {
	case "constant":
		c.give(0, c.unpad(begin, end))
		return nil
	case "reflect", "edge", "wrap":
		dx, shape := c.g(), slices.Clone(y)
		for i := range x {
			if begin[i] == 0 && end[i] == 0 {
				continue
			}
			matrix, err := copies(mode, x[i], begin[i], y[i])
			if err != nil {
				return err
			}
			dx = c.along(dx, shape, i, matrix, x[i])
			shape[i] = x[i]
		}
		c.give(0, dx)
		return nil
	default:
		return fmt.Errorf("mode %q has no rule", mode)
	}
}

// padding reads the pads of every axis: an attribute before operator set 11, then input 1,
// from operator set 18 on of the axes that input 3 names.
func (c *call) padding(rank int) (begin, end []int, err error) {
	name := ""
	if c.Opset < 11 {
		name = "pads"
	}
	pads, err := c.numbers(1, name)
	if err != nil {
		return nil, nil, err
	}
	axes, err := c.numbers(3, "")
	if err != nil {
		return nil, nil, err
	}
	if axes == nil {
		axes = upTo(rank)
	}
	if len(pads) != 2*len(axes) {
		return nil, nil, errShape
	}
	begin, end = filled(rank, 0), filled(rank, 0)
	if axes, err = graph.Axes(axes, rank); err != nil {
		return nil, nil, err
	}
	for i, k := range axes {
		begin[k], end[k] = pads[i], pads[len(axes)+i]
	}
	return begin, end, nil
}

// unpad cuts what was padded, and puts zeros where a negative pad had cut.
func (c *call) unpad(begin, end []int) string {
	var axes, from, to []int
	before, after := filled(len(begin), 0), filled(len(begin), 0)
	for i, d := range c.shapeOut(0) {
		b, e := max(begin[i], 0), max(end[i], 0)
		if b > 0 || e > 0 {
			axes, from, to = append(axes, i), append(from, b), append(to, d-e)
		}
		before[i], after[i] = max(-begin[i], 0), max(-end[i], 0)
	}
	return c.pad(c.slice(c.g(), axes, from, to), before, after)
}

// copies returns the matrix [out, in] of which entry every padded one copies.
func copies(mode string, in, begin, out int) ([]float64, error) {
	if in > 1<<16 || out > 1<<16 || in*out > 1<<26 || begin < 0 || out < in+begin {
		return nil, fmt.Errorf("padding %d entries to %d in mode %s has no rule", in, out, mode)
	}
	m := make([]float64, out*in)
	for o := range out {
		i := o - begin
		switch mode {
		case "edge":
			i = min(max(i, 0), in-1)
		case "wrap":
			i = ((i % in) + in) % in
		case "reflect":
			if i < 0 {
				i = -i
			}
			if i >= in {
				i = 2*(in-1) - i
			}
			if i < 0 || i >= in {
				return nil, errShape
			}
		}
		m[o*in+i] = 1
	}
	return m, nil
}

package shapes

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// moved sets output 0 to a shape whose elements are elements of input 0, taken
// from the flat index that source gives for each coordinate.
func (c *call) moved(shape []int, source func(at []int) int) {
	v := &value{shape: shape}
	if d := c.data(0); d != nil && valid(shape) && small(shape) {
		v.data = d.pick(indices(shape, source))
	}
	c.put(0, v)
}

// relabelled sets output 0 to a shape with the elements of input 0 in the same order.
func (c *call) relabelled(shape []int) { c.put(0, &value{shape: shape, data: c.data(0)}) }

// shapeOf follows Shape, with start and end since opset 15.
func shapeOf(c *call) error {
	in := c.shape(0)
	clampTo := func(v int) int {
		if v < 0 {
			v += len(in)
		}
		return min(max(v, 0), len(in))
	}
	from, to := clampTo(c.attr("start", 0)), clampTo(c.attr("end", len(in)))
	part := in[from:max(from, to)]
	d := fromInts(tensor.Int64)
	for _, n := range part {
		d.i = append(d.i, int64(n))
	}
	c.put(0, &value{shape: []int{len(part)}, data: d})
	return nil
}

func sizeOf(c *call) error {
	n, err := tensor.Elements(c.shape(0))
	if err != nil {
		return err
	}
	c.put(0, &value{shape: []int{}, data: fromInts(tensor.Int64, int64(n))})
	return nil
}

// reshape follows Reshape: the target is attribute shape before opset 5, 0 copies
// a size unless allowzero is set, one -1 is inferred. A target of positive sizes
// holds even where the input's shape is not known.
func reshape(c *call) error {
	target, err := c.list("shape", 1)
	if err != nil {
		return err
	}
	out := slices.Clone(target)
	open := -1
	for i, d := range out {
		if d > 0 || d == 0 && c.attr("allowzero", 0) != 0 {
			continue
		}
		if !c.has(0) {
			return blocked{c.node.Input(0)}
		}
		switch {
		case d == 0 && i < len(c.shape(0)):
			out[i] = c.shape(0)[i]
		case d == -1 && open < 0:
			open = i
			out[i] = 1
		default:
			return fmt.Errorf("target %v does not fit input shape %v", target, c.shape(0))
		}
	}
	if !c.has(0) {
		c.set(0, out)
		return nil
	}
	have, err := tensor.Elements(c.shape(0))
	if err != nil {
		return err
	}
	want, err := tensor.Elements(out)
	if err != nil {
		return err
	}
	if open >= 0 && want > 0 && have%want == 0 {
		out[open] = have / want
		want = have
	}
	if want != have {
		return fmt.Errorf("target %v does not fit input shape %v", target, c.shape(0))
	}
	c.relabelled(out)
	return nil
}

func flatten(c *call) error {
	in := c.shape(0)
	k := c.attr("axis", 1)
	if k < 0 {
		k += len(in)
	}
	if k < 0 || k > len(in) {
		return fmt.Errorf("axis %d is out of range for rank %d", k, len(in))
	}
	before, err := tensor.Elements(in[:k])
	if err != nil {
		return err
	}
	after, err := tensor.Elements(in[k:])
	if err != nil {
		return err
	}
	c.relabelled([]int{before, after})
	return nil
}

func transpose(c *call) error {
	in := c.shape(0)
	perm := c.node.Ints("perm")
	if perm == nil {
		perm = upTo(len(in))
		slices.Reverse(perm)
	}
	if len(perm) != len(in) {
		return fmt.Errorf("perm %v for rank %d", perm, len(in))
	}
	perm, err := graph.Axes(perm, len(in))
	if err != nil {
		return err
	}
	out, st, from := make([]int, len(in)), strides(in), make([]int, len(in))
	for i, k := range perm {
		out[i], from[i] = in[k], st[k]
	}
	c.moved(out, func(at []int) int { return dot(at, from) })
	return nil
}

func dot(a, b []int) int {
	n := 0
	for i := range a {
		n += a[i] * b[i]
	}
	return n
}

// squeeze follows Squeeze: axes are input 1 since opset 13; none means every axis of size 1.
func squeeze(c *call) error {
	list, err := c.list("axes", 1)
	if err != nil {
		return err
	}
	in := c.shape(0)
	gone, err := graph.Axes(list, len(in))
	if err != nil {
		return err
	}
	for i, d := range in {
		if list == nil && d == 1 {
			gone = append(gone, i)
		}
		if d != 1 && slices.Contains(gone, i) {
			return fmt.Errorf("axis %d has size %d, not 1", i, d)
		}
	}
	c.relabelled(drop(in, gone, false))
	return nil
}

// unsqueeze follows Unsqueeze: axes count in the output; they are input 1 since opset 13.
func unsqueeze(c *call) error {
	list, err := c.list("axes", 1)
	if err != nil {
		return err
	}
	in := c.shape(0)
	added, err := graph.Axes(list, len(in)+len(list))
	if err != nil {
		return err
	}
	slices.Sort(added)
	out := slices.Clone(in)
	for _, k := range added {
		out = slices.Insert(out, k, 1)
	}
	c.relabelled(out)
	return nil
}

// slice follows Slice: starts, ends, axes, steps are inputs since opset 10, attributes before.
func slice(c *call) error {
	in := c.shape(0)
	var arg [4][]int
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if arg[i], err = c.list(name, i+1); err != nil {
			return err
		}
	}
	starts, ends, list, steps := arg[0], arg[1], arg[2], arg[3]
	if list == nil {
		list = upTo(len(starts))
	}
	if len(starts) != len(ends) || len(starts) != len(list) || steps != nil && len(steps) != len(starts) {
		return fmt.Errorf("starts %v, ends %v, axes %v, steps %v", starts, ends, list, steps)
	}
	list, err := graph.Axes(list, len(in))
	if err != nil {
		return err
	}
	out, st := slices.Clone(in), strides(in)
	move, base := slices.Clone(st), 0
	for i, k := range list {
		step := 1
		if steps != nil {
			step = steps[i]
		}
		if step == 0 || step == math.MinInt {
			return fmt.Errorf("step %d", step)
		}
		from, n := span(starts[i], ends[i], step, in[k])
		out[k] = n
		base += from * st[k]
		move[k] = step * st[k]
	}
	c.moved(out, func(at []int) int { return base + dot(at, move) })
	return nil
}

// span clamps one slice to an axis of size n: the first index and how many follow.
func span(start, end, step, n int) (from, length int) {
	fix := func(v, low, high int) int {
		if v < 0 {
			v += n // cannot overflow: v is negative, n is not
		}
		return min(max(v, low), high)
	}
	if step > 0 {
		from, end = fix(start, 0, n), fix(end, 0, n)
		if end <= from {
			return 0, 0
		}
		return from, (end-from-1)/step + 1
	}
	from, end = fix(start, 0, n-1), fix(end, -1, n-1)
	if end >= from {
		return 0, 0
	}
	return from, (from-end-1)/(-step) + 1
}

func expand(c *call) error {
	target, err := c.ints(1)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(target, func(d int) bool { return d < 0 }) {
		return fmt.Errorf("target %v", target)
	}
	out, err := Broadcast(c.shape(0), target)
	if err != nil {
		return err
	}
	v := &value{shape: out}
	if d := c.data(0); d != nil && valid(out) && small(out) {
		v.data = d.pick(spread(c.shape(0), out))
	}
	c.put(0, v)
	return nil
}

// tile follows Tile; opset 1 had one count and an axis.
func tile(c *call) error {
	reps, err := c.ints(1)
	if err != nil {
		return err
	}
	in := c.shape(0)
	out := slices.Clone(in)
	if c.opset < 6 {
		axisValue, err := c.scalar(2, 0)
		if err != nil {
			return err
		}
		k, err := graph.Axis(axisValue, len(in))
		if err != nil || len(reps) != 1 {
			return fmt.Errorf("repeats %v along axis %d of %v", reps, axisValue, in)
		}
		out[k], err = times(out[k], reps[0])
		c.set(0, out)
		return err
	}
	if len(reps) != len(in) {
		return fmt.Errorf("repeats %v for rank %d", reps, len(in))
	}
	for i, r := range reps {
		if out[i], err = times(out[i], r); err != nil {
			return err
		}
	}
	st := strides(in)
	c.moved(out, func(at []int) int {
		k := 0
		for i, a := range at {
			k += a % in[i] * st[i]
		}
		return k
	})
	return nil
}

// times multiplies sizes and refuses what no tensor can have.
func times(a, b int) (int, error) {
	if b < 0 || a > 0 && b > maxSize/a {
		return 0, fmt.Errorf("size %d times %d", a, b)
	}
	return a * b, nil
}

// pad follows Pad: attribute paddings (opset 1) or pads, input 1 since opset 11, axes input 3 since 18.
func pad(c *call) error {
	name := "pads"
	if c.opset < 2 {
		name = "paddings"
	}
	pads, err := c.list(name, 1)
	if err != nil {
		return err
	}
	out := slices.Clone(c.shape(0))
	list := upTo(len(out))
	if c.given(3) {
		if list, err = c.ints(3); err != nil {
			return err
		}
	}
	if len(pads) != 2*len(list) {
		return fmt.Errorf("pads %v for %d axes", pads, len(list))
	}
	if list, err = graph.Axes(list, len(out)); err != nil {
		return err
	}
	for i, k := range list {
		begin, end := pads[i], pads[i+len(list)]
		if max(begin, end) > maxSize || min(begin, end) < -maxSize {
			return fmt.Errorf("pads %v", pads)
		}
		out[k] += begin + end
	}
	c.set(0, out)
	return nil
}

func depthToSpace(c *call) error {
	in, b := c.shape(0), c.attr("blocksize", 0)
	if len(in) != 4 || b <= 0 || b > 1<<20 || in[1]%(b*b) != 0 {
		return fmt.Errorf("blocks of %d in shape %v", b, in)
	}
	c.set(0, []int{in[0], in[1] / (b * b), in[2] * b, in[3] * b})
	return nil
}

func spaceToDepth(c *call) error {
	in, b := c.shape(0), c.attr("blocksize", 0)
	if len(in) != 4 || b <= 0 || b > 1<<20 || in[2]%b != 0 || in[3]%b != 0 {
		return fmt.Errorf("blocks of %d in shape %v", b, in)
	}
	c.set(0, []int{in[0], in[1] * b * b, in[2] / b, in[3] / b})
	return nil
}

func centerCropPad(c *call) error {
	target, err := c.ints(1)
	if err != nil {
		return err
	}
	out := slices.Clone(c.shape(0))
	list := c.node.Ints("axes")
	if list == nil {
		list = upTo(len(out))
	}
	if len(list) != len(target) {
		return fmt.Errorf("target %v for axes %v", target, list)
	}
	if list, err = graph.Axes(list, len(out)); err != nil {
		return err
	}
	for i, k := range list {
		out[k] = target[i]
	}
	c.set(0, out)
	return nil
}

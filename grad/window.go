package grad

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// window is how a sliding window meets the spatial axes of an input, with the padding
// resolved to numbers.
type window struct {
	size, stride, dilation []int
	begin, end             []int // padding; in ceil mode the last window may reach beyond end
	in, out                []int // spatial sizes before and after
}

// reach is the extent of the window along an axis.
func (w window) reach(axis int) int { return (w.size[axis]-1)*w.dilation[axis] + 1 }

// places is the number of places in the window.
func (w window) places() int { return tensor.Product(w.size) }

// window reads the attributes that convolutions and pools share. The size of the window
// and the spatial sizes are given.
func (c *call) window(size, in, out []int) (window, error) {
	n := len(size)
	w := window{size: size, in: in, out: out}
	read, err := c.node.Window(n)
	if err != nil {
		return w, err
	}
	w.stride, w.dilation = read.Strides, read.Dilations
	far := func(v int) bool { return v > 1<<20 }
	if slices.ContainsFunc(slices.Concat(size, w.stride, w.dilation), far) || slices.ContainsFunc(size, func(k int) bool { return k < 1 }) {
		return w, fmt.Errorf("a window of %v with strides %v and dilations %v", size, w.stride, w.dilation)
	}
	if len(in) != n || len(out) != n {
		return w, errShape
	}
	pads := slices.Concat(read.Begin, read.End)
	if slices.ContainsFunc(pads, far) || slices.ContainsFunc(pads, func(p int) bool { return p < 0 }) {
		return w, fmt.Errorf("pads %v", pads)
	}
	w.begin, w.end = read.Begin, read.End
	if read.Auto != "" {
		for i := range size {
			total := max((out[i]-1)*w.stride[i]+w.reach(i)-in[i], 0)
			w.split(i, total, read.Auto == "SAME_LOWER")
		}
	}
	return w, nil
}

// split puts half of the padding of an axis on each side; lower puts an odd one first.
func (w window) split(axis, total int, lower bool) {
	w.begin[axis] = total / 2
	if lower {
		w.begin[axis] = total - total/2
	}
	w.end[axis] = total - w.begin[axis]
}

// each calls visit with the index of every tap, in row-major order.
func (w window) each(visit func(tap []int)) {
	for i := range w.places() {
		visit(tensor.Coordinates(i, w.size))
	}
}

// taps cuts from an input, padded so that every window lies inside, the entries that one
// tap of the window meets, one for each output position.
type taps struct {
	c       *call
	w       window
	covered string
	shape   []int
	first   int // the first spatial axis
	// columns holds what is cut out of the last axis. Entries a stride apart are slow to
	// take there, entry by entry, and a column of taps shares them.
	columns map[int]string
}

// taps prepares for an input of shape [N, C, in...]; v is the number to pad with.
func (c *call) taps(x string, shape []int, w window, v float64) *taps {
	return c.tapsFrom(2, x, shape, w, v)
}

// tapsFrom is taps for an input whose spatial axes begin at the axis first.
func (c *call) tapsFrom(first int, x string, shape []int, w window, v float64) *taps {
	before, after, padded := filled(len(shape), 0), filled(len(shape), 0), slices.Clone(shape)
	for i := range w.size {
		k := first + i
		before[k], after[k] = w.begin[i], w.overhang(i)
		padded[k] += before[k] + after[k]
	}
	if slices.ContainsFunc(before, nonzero) || slices.ContainsFunc(after, nonzero) {
		x = c.padWith(x, before, after, v)
	}
	return &taps{c: c, w: w, covered: x, shape: padded, first: first, columns: map[int]string{}}
}

// spare is the padding at the end of an axis up to the last entry that a window reaches; below 0, that many entries of
// the input are left over.
func (w window) spare(axis int) int {
	return (w.out[axis]-1)*w.stride[axis] + w.reach(axis) - w.in[axis] - w.begin[axis]
}

// overhang is how far the last window reaches beyond the end of the input.
func (w window) overhang(axis int) int { return max(w.spare(axis), 0) }

// at returns the entries that a tap meets.
func (t *taps) at(tap []int) string {
	begin := filled(len(tap), 0)
	for i, k := range tap {
		begin[i] = k * t.w.dilation[i]
	}
	last := len(tap) - 1
	if t.w.stride[last] == 1 || last == 0 {
		return t.c.take(t.first, t.covered, t.shape, begin, t.w.out, t.w.stride)
	}
	count, step, shape := slices.Clone(t.shape[t.first:t.first+len(tap)]), filled(len(tap), 1), slices.Clone(t.shape)
	count[last], step[last], shape[t.first+last] = t.w.out[last], t.w.stride[last], t.w.out[last]
	column, ok := t.columns[tap[last]]
	if !ok {
		from := filled(len(tap), 0)
		from[last] = begin[last]
		column = t.c.take(t.first, t.covered, t.shape, from, count, step)
		t.columns[tap[last]] = column
	}
	count, step = slices.Clone(t.w.out), slices.Clone(t.w.stride)
	begin[last], step[last] = 0, 1
	return t.c.take(t.first, column, shape, begin, count, step)
}

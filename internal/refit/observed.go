package refit

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// observed is what one run shows at a site; its layout is nil where the run has to be left out.
type observed struct {
	layout *layout
	x      []float32
	own    []float32 // z − (W x̂ + b); nil where that is zero
	roots  []float32 // of the positions' weights, by which all was multiplied; nil where they weigh the same
	both   []float32 // the same, with what the other operand of the addition is short of; nil where there is none
}

// see takes the input and the errors of a run.
func (st *stop) see(worker *worker, ownValue, otherValue func(string) (tensor.Dense, error), other map[string]tensor.Dense, r int) (observed, error) {
	b := st.w.runs[r]
	x, err := otherValue(st.site.Input)
	if err != nil {
		return observed{}, err
	}
	z, err := ownValue(st.site.Output)
	if err != nil {
		return observed{}, err
	}
	shape := z.Shape
	x, okX := unfilled(st.site, x, false, b.size, b.count)
	z, okZ := unfilled(st.site, z, true, b.size, b.count)
	if !okX || !okZ || z.Len() == 0 {
		return observed{}, nil
	}
	var seen observed
	if seen.layout, err = st.layouts.of(x.Shape, z.Shape, r); err != nil {
		return observed{}, err
	}
	if seen.x = x.Float32s(); seen.x == nil {
		return observed{}, fmt.Errorf("the input is of type %v", x.Type)
	}
	if st.differs {
		y := other[st.site.Output]
		y, _ = unfilled(st.site, y, true, b.size, b.count)
		if seen.own, err = st.difference(worker, z, y, r, &worker.ownErrors); err != nil {
			return observed{}, err
		}
	}
	if st.shortcut != nil {
		if seen.both, err = st.short(worker, ownValue, otherValue, seen.own, shape, z, r); err != nil {
			return observed{}, err
		}
	}
	return st.weighed(seen, z, b)
}

// weighed multiplies all by the roots of the positions' weights.
func (st *stop) weighed(seen observed, z tensor.Dense, b batch) (observed, error) {
	k := st.site.Kernel
	if seen.roots = st.choice.Felt.Roots(b.indices, z.Len()/k.Out); seen.roots == nil {
		return seen, nil
	}
	for _, rows := range []*[]float32{&seen.x, &seen.own, &seen.both} {
		if *rows != nil {
			*rows = moments.Weigh(*rows, seen.roots)
		}
	}
	n := len(seen.x) / k.In
	var err error
	seen.layout, err = st.layouts.of([]int{n, k.In}, []int{n, k.Out}, 0)
	return seen, err
}

// short adds to the error own what the other operand of the addition is short of, where that has the shape of the
// site's output; filler is off z, but not off shape.
func (st *stop) short(worker *worker, ownValue, otherValue func(string) (tensor.Dense, error), own []float32, shape []int, z tensor.Dense, r int) ([]float32, error) {
	b := st.w.runs[r]
	s, err := ownValue(st.shortcut.operand)
	if err != nil {
		return nil, err
	}
	now, err := otherValue(st.shortcut.operand)
	if err != nil {
		return nil, err
	}
	left := st.layouts.thin.Left(z.Shape, r)
	out := room(&worker.bothErrors, tensor.Product(left))
	clear(out[copy(out, own):])
	if !slices.Equal(s.Shape, shape) || !slices.Equal(now.Shape, shape) {
		return out, nil // it is broadcast: what one position lacks, another would have to give
	}
	s, _ = unfilled(st.site, s, true, b.size, b.count)
	now, _ = unfilled(st.site, now, true, b.size, b.count)
	d, err := st.difference(worker, s, now, r, &worker.lack)
	if err != nil {
		return nil, err
	}
	axis := st.site.ChannelAxis(len(left))
	channels, inner := left[axis], tensor.Product(left[axis+1:])
	for i, v := range d {
		if st.shortcut.scale != nil {
			scale := float32(st.shortcut.scale[i/inner%channels])
			if scale == 0 {
				continue
			}
			v /= scale
		}
		out[i] += v
	}
	return out, nil
}

// room returns n numbers of unspecified content over *buf.
func room(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return (*buf)[:n]
}

// difference is a − b of a run, where the site's output is summed, in buf.
func (st *stop) difference(worker *worker, a, b tensor.Dense, r int, buf *[]float32) ([]float32, error) {
	if !slices.Equal(a.Shape, b.Shape) {
		return nil, fmt.Errorf("a value has the shape %v in the original and %v in the compressed model", a.Shape, b.Shape)
	}
	x, y := a.Float32s(), b.Float32s()
	if len(x) != a.Len() || len(y) != b.Len() {
		return nil, fmt.Errorf("values of type %v cannot be compared", a.Type)
	}
	x = st.layouts.thin.Outputs(x, a.Shape, r, &worker.left)
	y = st.layouts.thin.Outputs(y, b.Shape, r, &worker.right)
	out := room(buf, len(x))
	for i, v := range x {
		out[i] = v - y[i]
	}
	return out, nil
}

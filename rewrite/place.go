package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
)

// place returns the chain with the stride and padding of every axis along which the kernel has one tap on the
// factor where they are cheapest. Along such an axis any factor may carry them with the same result: nothing but
// linear maps of single pixels stands between, which map zeros to zeros. Along an axis with several taps only the
// factor that has them may: striding after it would compute positions that are thrown away, and before it would
// lose some that it needs. A transposed convolution's stride is best at the end, since it makes the extent grow.
func (s *Site) place(c decomp.Chain) decomp.Chain {
	if slices.ContainsFunc(c, func(f decomp.Factor) bool { return len(f.Axes) != len(s.Kernel.Window) }) {
		return c // of another kind of kernel
	}
	var placed decomp.Chain
	for axis, taps := range s.Kernel.Window {
		if taps != 1 {
			continue
		}
		at := 0
		switch s.growth(axis) {
		case stays:
			continue
		case grows:
			at = len(c) - 1
		}
		if placed == nil {
			placed = slices.Clone(c)
			for i := range placed {
				placed[i].Axes = slices.Clone(placed[i].Axes)
			}
		}
		for i := range placed {
			placed[i].Axes[axis] = i == at
		}
	}
	if placed == nil {
		return c
	}
	return placed
}

// growth is how the extent of an axis changes from a site's input to its output.
type growth int

const (
	stays growth = iota
	shrinks
	grows
)

// growth tells how a site changes the extent of a spatial axis: from its geometry, or, where that is not known, from
// the stride or else the padding.
func (s *Site) growth(axis int) growth {
	v := s.View
	if s.Located {
		switch in, out := s.Geometry.In[axis], s.Geometry.Out[axis]; {
		case out < in:
			return shrinks
		case out > in:
			return grows
		}
		return stays
	}
	pads := v.PadBegin[axis] + v.PadEnd[axis]
	switch {
	case v.Transposed && v.Strides[axis] > 1, !v.Transposed && v.Strides[axis] == 1 && pads > 0:
		return grows
	case v.Strides[axis] > 1, pads > 0:
		return shrinks
	}
	return stays
}

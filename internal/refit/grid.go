package refit

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// grid is every so-many-th output position of a convolution along each axis, from an offset on: what neighbouring positions
// say is nearly the same, and where there are many more columns than unknowns the sums over all are most of a refit's work. The
// zero grid is all positions.
type grid struct{ step, offset int }

// columnsEach is how many columns for each of a site's inputs are enough, and columnsLeast how many are summed at once anyway.
const (
	columnsEach  = 128
	columnsLeast = 1 << 14
)

// stepOf is the step of the grid that leaves a site enough columns of so many samples: 1, or 2.
func stepOf(s *rewrite.Site, samples int) int {
	if s.View.Kind != rewrite.ConvPatches || s.View.Transposed || !s.Located {
		return 1
	}
	columns := samples
	for _, n := range s.Geometry.Out {
		columns *= (n + 1) / 2
	}
	if columns < max(columnsEach*s.Kernel.Cols(), columnsLeast) {
		return 1
	}
	return 2
}

// gridOf is the grid of a run: the offsets take turns, so that every position is seen.
func gridOf(step, axes, run int) grid {
	if step < 2 {
		return grid{}
	}
	return grid{step, run % (1 << axes)}
}

// first is the offset along an axis.
func (g grid) first(axis int) int { return g.offset >> axis & 1 }

// sizes are those of an output of the given ones; at least one position is left of each axis.
func (g grid) sizes(out []int) []int {
	sizes := slices.Clone(out)
	for i, n := range sizes {
		sizes[i] = (n - min(g.first(i), n-1) + g.step - 1) / g.step
	}
	return sizes
}

// patches are those at the grid's positions.
func (g grid) patches(p moments.Patches) moments.Patches {
	if g.step < 2 {
		return p
	}
	p.Strides, p.PadBegin = slices.Clone(p.Strides), slices.Clone(p.PadBegin)
	for i, n := range p.Out {
		p.PadBegin[i] -= min(g.first(i), n-1) * p.Strides[i]
		p.Strides[i] *= g.step
	}
	p.Out = g.sizes(p.Out)
	return p
}

// thin returns the values, [n, channels, sizes...], at the grid's positions.
func (g grid) thin(values []float32, shape []int) []float32 {
	if g.step < 2 || values == nil {
		return values
	}
	sizes := g.sizes(shape[2:])
	rows := []int{0} // of the last axis, by their number in a channel
	last := len(sizes) - 1
	for axis, n := range sizes[:last] {
		next := make([]int, 0, len(rows)*n)
		for _, r := range rows {
			for k := range n {
				next = append(next, r*shape[2+axis]+min(g.first(axis), shape[2+axis]-1)+k*g.step)
			}
		}
		rows = next
	}
	length, area := shape[len(shape)-1], tensor.Product(shape[2:])
	out := make([]float32, 0, shape[0]*shape[1]*tensor.Product(sizes))
	for at := 0; at < len(values); at += area {
		for _, r := range rows {
			row := values[at+r*length:][:length]
			for i := min(g.first(last), length-1); i < length; i += g.step {
				out = append(out, row[i])
			}
		}
	}
	return out
}

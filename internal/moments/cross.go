package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Cross is a way to sum z xᵀ over all positions, where x is the column that a linear node
// multiplies at a position and z a vector that belongs to its output there: what it
// computes, or should. It is immutable.
type Cross interface {
	// Size is the length of a partial result: for each group its output channels times K, row-major.
	Size() int
	// Run adds the products of the samples in each z with those in x to its partial result.
	Run(b linalg.Backend, z [][]float32, x []float32, samples int, partial [][]float32, s *Scratch)
	// Inside adds to sums, [out, taps], the sums of z over the positions at which each tap lies inside the input.
	Inside(z []float32, samples int, sums []float64)
}

// ConvCross is the summation for a convolution with out output channels over all groups: z is
// [samples, out, Out...].
func ConvCross(p Patches, out int) Cross {
	return &convCross{direct: Direct(p).(*direct), out: out, rows: out / p.Groups, area: tensor.Product(p.Out)}
}

type convCross struct {
	*direct
	out, rows int // output channels, over all groups and of one
	area      int // elements of one output channel
}

func (c *convCross) Size() int { return c.out * c.k }

func (c *convCross) Run(b linalg.Backend, z [][]float32, x []float32, samples int, partial [][]float32, s *Scratch) {
	c.blocks(x, samples, s, func(g, n int, patches linalg.Block32, segments []segment) {
		for i, z := range z {
			outputs := side(z[(n*c.out+g*c.rows)*c.area:], c.rows, c.area, false)
			if segments != nil {
				outputs = c.gather(z[g*c.rows*c.area:], segments, patches.Cols, s)
			}
			if c.rows*c.k*patches.Cols <= fewProducts {
				addProducts(outputs, patches, false, partial[i][g*c.rows*c.k:])
				continue
			}
			b.GemmAdd32(false, true, outputs, patches, side(partial[i][g*c.rows*c.k:], c.k, c.rows, true))
		}
	})
}

// Inside is fold, with outputs in place of inputs.
func (c *convCross) Inside(z []float32, samples int, sums []float64) {
	outputs := c.Patches
	outputs.Channels, outputs.In, outputs.Strides = c.out, c.Out, slices.Repeat([]int{1}, len(c.Out))
	visits := func(axis int) []visit {
		all := c.visits(axis)
		for i := range all {
			all[i].first = 0
		}
		return all
	}
	outputs.fold(z, samples, visits, func(channel int, folded []float64) { addTo(sums[channel*len(folded):], folded) })
}

// gather copies the outputs at the segments' positions, one position a column. z begins
// at the first channel of the group.
func (c *convCross) gather(z []float32, segments []segment, used int, s *Scratch) linalg.Block32 {
	buf := grow(&s.b, c.rows*used)
	length := c.Patches.Out[len(c.Patches.Out)-1]
	for o := range c.rows {
		row := buf[o*used:][:used]
		for _, g := range segments {
			at := (g.number*c.out+o)*c.area + g.row*length
			copy(row[g.column:], z[at+g.from:at+g.to])
		}
	}
	return linalg.Block32{Rows: c.rows, Cols: used, Stride: used, Data: buf}
}

// MatrixCross is the summation for plain matrices of n positions, each one sample: z is [n, out], or
// [out, n] unless zRows is set, and x is [n, k], or [k, n] unless xRows is set.
func MatrixCross(out, k, n int, zRows, xRows bool) Cross {
	return StackedCross(1, out, k, n, zRows, xRows)
}

// StackedCross is the summation for samples of one pair of such matrices for each group, one behind the
// other.
func StackedCross(groups, out, k, n int, zRows, xRows bool) Cross {
	return matrixCross{groups, out, k, n, zRows, xRows}
}

type matrixCross struct {
	groups, out, k, n int
	zRows, xRows      bool
}

func (c matrixCross) Size() int { return c.groups * c.out * c.k }

func (c matrixCross) Run(b linalg.Backend, z [][]float32, x []float32, samples int, partial [][]float32, _ *Scratch) {
	for i := range samples * c.groups {
		for j, z := range z {
			dst := linalg.Block32{Rows: c.out, Cols: c.k, Stride: c.k, Data: partial[j][i%c.groups*c.out*c.k:][:c.out*c.k]}
			b.GemmAdd32(c.zRows, !c.xRows, side(z[i*c.out*c.n:], c.out, c.n, c.zRows), side(x[i*c.k*c.n:], c.k, c.n, c.xRows), dst)
		}
	}
}

// Inside adds all: a matrix has one tap, and no padding.
func (c matrixCross) Inside(z []float32, samples int, sums []float64) {
	for i, v := range z[:samples*c.groups*c.out*c.n] {
		o := i / c.n % c.out
		if c.zRows {
			o = i % c.out
		}
		sums[i/(c.out*c.n)%c.groups*c.out+o] += float64(v)
	}
}

// side is n vectors of length k, in rows or in columns.
func side(v []float32, k, n int, inRows bool) linalg.Block32 {
	if inRows {
		return linalg.Block32{Rows: n, Cols: k, Stride: k, Data: v[:n*k]}
	}
	return linalg.Block32{Rows: k, Cols: n, Stride: n, Data: v[:n*k]}
}

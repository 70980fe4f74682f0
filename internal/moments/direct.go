package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// direct writes out the patches (im2col) and takes their symmetric product.
type direct struct {
	Patches
	densely
	k, channels int // columns and input channels of a group
	plane       int // elements of one input channel
	taps        [][]int
	inPlace     bool // every patch is one pixel: the input is its own im2col matrix
}

// Direct is the summation for windows of any kind.
func Direct(p Patches) Summation {
	d := &direct{Patches: p, k: p.Length(), channels: p.Channels / p.Groups, plane: tensor.Product(p.In), taps: coordinates(p.Window)}
	// A product over few positions moves more memory than it computes; then it is
	// better to gather the positions of several samples first.
	const fewPositions = 32
	d.inPlace = tensor.Product(p.Window) == 1 && p.unitStride() && slices.Equal(p.Out, p.In) && all(p.PadBegin, 0) && d.plane >= fewPositions
	return d
}

// chunkFloats is about the size of the im2col matrix that is built at a time: it
// should stay in a core's second-level cache.
const chunkFloats = 1 << 18

func (d *direct) Size() int { return d.Groups * d.k * d.k }

func (d *direct) Scratch(int) int {
	if d.inPlace {
		return 0
	}
	return d.k * d.chunk()
}

// chunk is the number of positions that are written out at a time.
func (d *direct) chunk() int { return max(256, chunkFloats/d.k) }

func (d *direct) Run(b linalg.Backend, x []float32, samples int, partial []float32, s *Scratch) {
	d.blocks(x, samples, s, func(g, _ int, patches linalg.Block32, _ []segment) {
		if d.k == 1 {
			row := patches.Data[:patches.Cols]
			partial[g] += float32(shiftedDots(row, row, []int{0}, &s.dots)[0])
			return
		}
		b.SyrkAdd32(false, patches, square(partial[g*d.k*d.k:], d.k))
	})
}

// blocks visits matrices of patches, one a column, group by group: in place those of one sample number each, without
// segments; else as many as chunks writes out.
func (d *direct) blocks(x []float32, samples int, s *Scratch, visit func(group, number int, patches linalg.Block32, segments []segment)) {
	for g := range d.Groups {
		first := g * d.channels * d.plane
		if !d.inPlace {
			d.chunks(x[first:], samples, s, func(buf linalg.Block32, segments []segment) { visit(g, 0, buf, segments) })
			continue
		}
		for n := range samples {
			visit(g, n, linalg.Block32{Rows: d.k, Cols: d.plane, Stride: d.plane, Data: x[n*d.Channels*d.plane+first:][:d.k*d.plane]}, nil)
		}
	}
}

// chunks writes the patches of one group out, as many at a time as chunk says, and shows
// each such matrix, one patch a column, with the segments that its columns come from. x
// begins at the first channel of the group.
func (d *direct) chunks(x []float32, samples int, s *Scratch, visit func(buf linalg.Block32, segments []segment)) {
	width := d.chunk()
	buf := grow(&s.a, d.k*width)
	var segments []segment
	used := 0
	flush := func() {
		d.unfold(x, segments, buf, width, s)
		visit(linalg.Block32{Rows: d.k, Cols: used, Stride: width, Data: buf}, segments)
		segments, used = segments[:0], 0
	}
	last := len(d.Out) - 1
	outer := coordinates(d.Out[:last])
	for n := range samples {
		for i, at := range outer {
			for from := 0; from < d.Out[last]; {
				to := min(d.Out[last], from+width-used)
				segments = append(segments, segment{n * d.Channels * d.plane, at, from, to, used, n, i})
				used += to - from
				if from = to; used == width {
					flush()
				}
			}
		}
	}
	if used > 0 {
		flush()
	}
}

// segment is a stretch of output positions along the last axis.
type segment struct {
	sample   int   // where the sample starts in the input
	outer    []int // output coordinates of the other axes
	from, to int   // positions along the last axis
	column   int   // where it goes
	number   int   // of the sample
	row      int   // the output coordinates outer as one index
}

// unfold writes the patches at the segments' positions, one a column, into buf,
// [K, width] row-major.
func (d *direct) unfold(x []float32, segments []segment, buf []float32, width int, s *Scratch) {
	last := len(d.Out) - 1
	kernel := d.Window[last]
	outerTaps := len(d.taps) / kernel
	s.rows = s.rows[:0]
	for t := range outerTaps {
		for _, g := range segments {
			s.rows = append(s.rows, d.inputRow(d.taps[t*kernel], g))
		}
	}
	for c := range d.channels {
		for t := range d.taps {
			row := buf[(c*len(d.taps)+t)*width:][:width]
			starts := s.rows[t/kernel*len(segments):]
			shift := t%kernel*d.Dilations[last] - d.PadBegin[last]
			for i, g := range segments {
				dst := row[g.column : g.column+g.to-g.from]
				if starts[i] < 0 {
					clear(dst)
					continue
				}
				at := c*d.plane + starts[i]
				copyStrided(dst, x[at:at+d.In[last]], g.from*d.Strides[last]+shift, d.Strides[last])
			}
		}
	}
}

// inputRow is where the row of the last axis that a tap reads begins, for channel 0,
// or -1 where the tap lies in the padding of another axis.
func (d *direct) inputRow(tap []int, g segment) int {
	at := 0
	for i, o := range g.outer {
		u := o*d.Strides[i] + tap[i]*d.Dilations[i] - d.PadBegin[i]
		if u < 0 || u >= d.In[i] {
			return -1
		}
		at = at*d.In[i] + u
	}
	return g.sample + at*d.In[len(d.In)-1]
}

// copyStrided fills dst with src[first], src[first+stride], …, reading zeros outside src.
func copyStrided(dst, src []float32, first, stride int) {
	lo := min(max(0, (stride-1-first)/stride), len(dst))
	hi := max(lo, min(len(dst), (len(src)-first+stride-1)/stride))
	clear(dst[:lo])
	clear(dst[hi:])
	if lo == hi {
		return
	}
	if stride == 1 {
		copy(dst[lo:hi], src[first+lo:])
		return
	}
	for i := lo; i < hi; i++ {
		dst[i] = src[first+i*stride]
	}
}

// coordinates lists all coordinates of a shape in row-major order; the empty shape
// has one, the empty coordinate.
func coordinates(shape []int) [][]int {
	out := make([][]int, tensor.Product(shape))
	for i := range out {
		out[i] = tensor.Coordinates(i, shape)
	}
	return out
}

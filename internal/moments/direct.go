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
	outer       [][]int // output positions along all axes but the last
	last        []visit // of each tap along the last axis
	inPlace     bool    // every patch is one pixel: the input is its own im2col matrix
}

// Direct is the summation for windows of any kind.
func Direct(p Patches) Summation {
	last := len(p.Out) - 1
	d := &direct{
		Patches: p, k: p.Length(), channels: p.Channels / p.Groups, plane: tensor.Product(p.In),
		taps: coordinates(p.Window), outer: coordinates(p.Out[:last]), last: p.visits(last),
	}
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
		if d.k*d.k*patches.Cols <= fewProducts {
			addProducts(patches, patches, true, partial[g*d.k*d.k:])
			return
		}
		b.SyrkAdd32(false, patches, square(partial[g*d.k*d.k:], d.k))
	})
}

// fewProducts are not worth the call of a library.
const fewProducts = 1 << 12

// addProducts adds a·bᵀ or, where both are the same, its upper triangle.
func addProducts(a, b linalg.Block32, same bool, to []float32) {
	for i := range a.Rows {
		left, first := a.Data[i*a.Stride:][:a.Cols], 0
		if same {
			first = i
		}
		for j := first; j < b.Rows; j++ {
			right, sum := b.Data[j*b.Stride:][:len(left)], float32(0)
			for t, v := range left {
				sum += v * right[t]
			}
			to[i*b.Rows+j] += sum
		}
	}
}

// blocks visits matrices of patches, one a column: in place those of one sample number each, group by group, without segments; else
// as many as chunk says, written out group by group, with the segments that their columns come from.
func (d *direct) blocks(x []float32, samples int, s *Scratch, visit func(group, number int, patches linalg.Block32, segments []segment)) {
	if !d.inPlace {
		d.chunks(x, samples, s, visit)
		return
	}
	for g := range d.Groups {
		first := g * d.channels * d.plane
		for n := range samples {
			visit(g, n, linalg.Block32{Rows: d.k, Cols: d.plane, Stride: d.plane, Data: x[n*d.Channels*d.plane+first:][:d.k*d.plane]}, nil)
		}
	}
}

// chunks writes the patches out, as many at a time as chunk says, and shows each such matrix of each group.
func (d *direct) chunks(x []float32, samples int, s *Scratch, visit func(group, number int, patches linalg.Block32, segments []segment)) {
	last := len(d.Out) - 1
	width := min(d.chunk(), max(1, samples*tensor.Product(d.Out)))
	buf := grow(&s.a, d.k*width)
	segments, used := s.segments[:0], 0
	flush := func() {
		d.starts(segments, s)
		for g := range d.Groups {
			d.unfold(x[g*d.channels*d.plane:], segments, buf, width, s.rows)
			visit(g, 0, linalg.Block32{Rows: d.k, Cols: used, Stride: width, Data: buf}, segments)
		}
		s.segments, segments, used = segments, segments[:0], 0
	}
	for n := range samples {
		for i, at := range d.outer {
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

// starts leaves in s.rows where the row of the last axis begins that each tap along the others reads, for each segment and channel 0.
func (d *direct) starts(segments []segment, s *Scratch) {
	s.rows = s.rows[:0]
	for t := 0; t < len(d.taps); t += len(d.last) {
		for _, g := range segments {
			s.rows = append(s.rows, d.inputRow(d.taps[t], g))
		}
	}
}

// unfold writes the patches at the segments' positions, one a column, into buf,
// [K, width] row-major. x begins at the first channel of a group.
func (d *direct) unfold(x []float32, segments []segment, buf []float32, width int, starts []int) {
	kernel, stride := len(d.last), d.Strides[len(d.Strides)-1]
	for c := range d.channels {
		for t := range d.taps {
			row, v := buf[(c*len(d.taps)+t)*width:][:width], d.last[t%kernel]
			rows := starts[t/kernel*len(segments):][:len(segments)]
			for i, g := range segments {
				dst := row[g.column:][:g.to-g.from]
				if rows[i] < 0 {
					clear(dst)
					continue
				}
				lo := min(max(v.from, g.from), g.to)
				hi := max(lo, min(v.to, g.to))
				clear(dst[:lo-g.from])
				clear(dst[hi-g.from:])
				if lo == hi {
					continue
				}
				from := x[c*d.plane+rows[i]+v.first+lo*stride:]
				if dst = dst[lo-g.from : hi-g.from]; stride == 1 {
					copy(dst, from)
					continue
				}
				for o := range dst {
					dst[o] = from[o*stride]
				}
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

// coordinates lists all coordinates of a shape in row-major order; the empty shape
// has one, the empty coordinate.
func coordinates(shape []int) [][]int {
	out := make([][]int, tensor.Product(shape))
	for i := range out {
		out[i] = tensor.Coordinates(i, shape)
	}
	return out
}

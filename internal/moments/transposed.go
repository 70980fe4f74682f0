package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Transposed is the summation for a transposed convolution, seen as a convolution with stride 1 over its input with zeros
// inserted: In is the extent of the input itself, Strides the distance at which its entries lie in the one with zeros,
// and PadBegin, which may be negative, counts entries of that. Out are the output sizes.
//
// Nothing is written out with zeros. An output position o along an axis meets an entry of the input at the taps t with
// o + t·dilation − pad a multiple of the stride. Which these are depends on o modulo the stride alone, and they are
// equally spaced. So each of these remainders, over all axes, is a convolution with stride 1 and fewer taps over the
// input as it is, and the moments are those of all of them, tap by tap. Entries for taps that never meet are zero.
func Transposed(p Patches) Summation {
	t := &transposed{Patches: p, taps: tensor.Product(p.Window)}
	for _, ph := range p.phases() {
		part := transposedPart{phase: ph, summation: Conv(ph.Patches), at: t.size}
		t.parts = append(t.parts, part)
		t.size += part.summation.Size()
	}
	return t
}

// phase is the output positions that have the same remainders modulo the strides, as a convolution of its own.
type phase struct {
	Patches
	from []int // first output position
	tap  []int // for each tap, in order, which of the whole window's it is; they ascend
}

// phases lists the phases in which any tap meets the input's entries.
func (p Patches) phases() []phase {
	list := []phase{{Patches: Patches{Channels: p.Channels, Groups: p.Groups, In: p.In}, tap: []int{0}}}
	for axis := range p.In {
		var next []phase
		for from := range min(p.Strides[axis], p.Out[axis]) {
			taps := p.meeting(axis, from)
			if len(taps) == 0 {
				continue
			}
			for _, ph := range list {
				next = append(next, ph.along(p, axis, from, taps))
			}
		}
		list = next
	}
	return list
}

// meeting lists the taps along an axis that meet an entry of the input at output position from.
func (p Patches) meeting(axis, from int) []int {
	var taps []int
	for t := range p.Window[axis] {
		if (from+t*p.Dilations[axis]-p.PadBegin[axis])%p.Strides[axis] == 0 {
			taps = append(taps, t)
		}
	}
	return taps
}

// along adds an axis to a phase, whose positions on it begin at from and meet the given taps.
func (ph phase) along(p Patches, axis, from int, taps []int) phase {
	stride, dilation := p.Strides[axis], 1
	if len(taps) > 1 {
		dilation = (taps[1] - taps[0]) * p.Dilations[axis] / stride
	}
	out := phase{Patches: Patches{
		Channels: ph.Channels, Groups: ph.Groups, In: ph.In,
		Window: append(slices.Clone(ph.Window), len(taps)), Strides: append(slices.Clone(ph.Strides), 1),
		Dilations: append(slices.Clone(ph.Dilations), dilation),
		PadBegin:  append(slices.Clone(ph.PadBegin), (p.PadBegin[axis]-from-taps[0]*p.Dilations[axis])/stride),
		Out:       append(slices.Clone(ph.Out), (p.Out[axis]-from+stride-1)/stride),
	}, from: append(slices.Clone(ph.from), from)}
	for _, t := range ph.tap {
		for _, u := range taps {
			out.tap = append(out.tap, t*p.Window[axis]+u)
		}
	}
	return out
}

// column is where the phase's column i stands among those of the whole window, within a group.
func (ph phase) column(i, taps int) int { return i/len(ph.tap)*taps + ph.tap[i%len(ph.tap)] }

type transposed struct {
	Patches
	taps  int
	parts []transposedPart
	size  int
}

type transposedPart struct {
	phase
	summation Summation
	at        int // where its partial result begins
}

func (t *transposed) Size() int   { return t.size }
func (t *transposed) dense() bool { return false }

func (t *transposed) Scratch(samples int) int {
	most := 0
	for _, p := range t.parts {
		most = max(most, p.summation.Scratch(samples))
	}
	return most
}

func (t *transposed) same(q Summation) bool {
	o, ok := q.(*transposed)
	return ok && (o == t || o.alike(t.Patches))
}

func (t *transposed) Run(b linalg.Backend, x []float32, samples int, partial []float32, s *Scratch) {
	for _, p := range t.parts {
		p.summation.Run(b, x, samples, partial[p.at:p.at+p.summation.Size()], s)
	}
}

func (t *transposed) Columns(x []float32, samples int, sums []float64) {
	whole := t.Length()
	for _, p := range t.parts {
		k := p.Length()
		part := make([]float64, t.Groups*k)
		p.summation.Columns(x, samples, part)
		for i, v := range part {
			sums[i/k*whole+p.column(i%k, t.taps)] += v
		}
	}
}

func (t *transposed) pairs(x []float32, samples int, sums []float64) {
	for _, p := range t.parts {
		taps := len(p.tap)
		part := make([]float64, t.Channels*taps*taps)
		p.summation.pairs(x, samples, part)
		p.scatter(part, t.taps, sums)
	}
}

func (t *transposed) together() []float64 {
	out := make([]float64, t.taps*t.taps)
	for _, p := range t.parts {
		p.scatter(p.summation.together(), t.taps, out)
	}
	return out
}

// scatter adds numbers for each two taps of the phase, [.., taps, taps], to those for the taps of the whole window.
func (ph phase) scatter(part []float64, taps int, sums []float64) {
	own := len(ph.tap)
	for i, v := range part {
		sums[(i/(own*own)*taps+ph.tap[i/own%own])*taps+ph.tap[i%own]] += v
	}
}

func (t *transposed) expand(total []float64, a []*linalg.Matrix) {
	for _, p := range t.parts {
		k := p.Length()
		part := make([]*linalg.Matrix, len(a))
		for g := range part {
			part[g] = linalg.New(k, k)
		}
		own := total[p.at:][:p.summation.Size()]
		if p.summation.dense() {
			addDense(own, part)
		} else {
			p.summation.expand(own, part)
		}
		for g, m := range part {
			for i := range k {
				to := a[g].Row(p.column(i, t.taps))
				for j := i; j < k; j++ {
					to[p.column(j, t.taps)] += m.At(i, j)
				}
			}
		}
	}
}

// addDense adds values that are laid out as the moments are.
func addDense[F float32 | float64](values []F, moments []*linalg.Matrix) {
	for g, m := range moments {
		k := m.Rows
		for i := range k {
			addTo(m.Row(i)[i:], values[(g*k+i)*k+i:][:k-i])
		}
	}
}

// TransposedCross is the summation for a transposed convolution as Transposed does, with out output channels over all groups: z is
// [samples, out, Out...].
func TransposedCross(p Patches, out int) Cross {
	c := &transposedCross{Patches: p, out: out, taps: tensor.Product(p.Window), phases: p.phases()}
	for _, ph := range c.phases {
		c.parts = append(c.parts, ConvCross(ph.Patches, out))
	}
	return c
}

type transposedCross struct {
	Patches
	out, taps int
	phases    []phase
	parts     []Cross
}

func (c *transposedCross) Size() int { return c.out * c.Length() }

func (c *transposedCross) Run(b linalg.Backend, z [][]float32, x []float32, samples int, partial [][]float32, s *Scratch) {
	whole := c.Length()
	for i, ph := range c.phases {
		k := ph.Length()
		for j, z := range z {
			part := grow(&s.part, c.parts[i].Size())
			clear(part)
			c.parts[i].Run(b, [][]float32{c.gather(ph, z, samples, s)}, x, samples, [][]float32{part}, s)
			for at, v := range part {
				partial[j][at/k*whole+ph.column(at%k, c.taps)] += v
			}
		}
	}
}

func (c *transposedCross) Inside(z []float32, samples int, sums []float64) {
	var s Scratch
	for i, ph := range c.phases {
		part := make([]float64, c.out*len(ph.tap))
		c.parts[i].Inside(c.gather(ph, z, samples, &s), samples, part)
		for at, v := range part {
			sums[at/len(ph.tap)*c.taps+ph.tap[at%len(ph.tap)]] += v
		}
	}
}

// gather copies the outputs at a phase's positions.
func (c *transposedCross) gather(ph phase, z []float32, samples int, s *Scratch) []float32 {
	area, own, last := tensor.Product(c.Out), tensor.Product(ph.Out), len(c.Out)-1
	buf := grow(&s.phase, samples*c.out*own)
	rows := coordinates(ph.Out[:last])
	to := buf
	for n := range samples * c.out {
		for _, at := range rows {
			from := 0
			for i, o := range at {
				from = from*c.Out[i] + ph.from[i] + o*c.Strides[i]
			}
			row := z[n*area+from*c.Out[last]:][:c.Out[last]]
			copyStrided(to[:ph.Out[last]], row, ph.from[last], c.Strides[last])
			to = to[ph.Out[last]:]
		}
	}
	return buf
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

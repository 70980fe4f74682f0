package moments

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// lag sums the moments of a convolution with stride 1 without writing its patches out.
//
// Tap p of a window at output position o reads the input at u = o + p·d − pad. The
// entry of the moments for channels c, c' and taps p, p' is therefore
//
//	Σ_u x[c, u] · x[c', u + Δ],  Δ = (p' − p)·d,
//
// over the positions u that tap p visits. Were that every position of the input, the
// sum would depend on the lag Δ alone: a C×C correlation, of which a 3×3 window has 13
// where the patches have 45 blocks. What a tap does not visit, the set E_i(p) along
// axis i, lies at the borders and is thin, so it is computed too and taken off, by
// inclusion and exclusion over the axes:
//
//	Σ_{T ⊆ axes} (−1)^|T| · Σ_{u: u_i ∈ E_i(p) for i ∈ T} x[c, u] · x[c', u + Δ].
//
// Each inner sum is one matrix product: samples and positions are laid out behind one
// another, with gaps of zeros as wide as the window's reach along every axis not in T,
// so that a lag is a constant offset and what wraps around meets zeros.
type lag struct {
	Patches
	channels int // of a group
	plane    int // elements of one input channel
	taps     [][]int
	strips   []strip  // the first has T empty: the whole input
	terms    [][]term // per pair of taps p ≤ p', row by row of the upper triangle
	keys     int      // number of different products
}

// strip is the set of products that share T, the sets E_i(p) and the lag along T.
type strip struct {
	a, b     layout // the input at u and at u + Δ along T; b is used only where they differ
	distinct bool
	offsets  []int // lag along the other axes, as an offset in the layout
	keys     []int // the product's number, for each offset
}

// layout says how a part of one sample's channel is copied into a row of a strip.
type layout struct {
	size   int // elements of the row that one sample takes
	copies []span
}

type span struct{ src, dst, n int }

// term is one of the products that a pair of taps adds up.
type term struct {
	key  int
	sign float64
}

// newLag is the summation for windows of stride 1, or returns nil where more than limit products
// would be needed.
func newLag(p Patches, limit int) *lag {
	l := &lag{Patches: p, channels: p.Channels / p.Groups, plane: tensor.Product(p.In), taps: coordinates(p.Window)}
	stripOf, keyOf := map[string]int{}, map[string]int{}
	for i, a := range l.taps {
		for _, b := range l.taps[i:] {
			var terms []term
			for subset := range 1 << len(p.In) {
				t, ok := l.term(subset, a, b, stripOf, keyOf)
				if ok {
					terms = append(terms, t)
				}
			}
			if l.terms = append(l.terms, terms); l.keys > limit {
				return nil
			}
		}
	}
	return l
}

// term returns the product of the taps a and b over the positions that a does not
// visit along the axes in subset; false where there are none. The strip and the
// product are added to the summation when they are new.
func (l *lag) term(subset int, a, b []int, stripOf, keyOf map[string]int) (term, bool) {
	at, shifted := make([][]int, len(l.In)), make([][]int, len(l.In))
	sign, offset := 1., 0
	id := ""
	for i, n := range l.In {
		delta := (b[i] - a[i]) * l.Dilations[i]
		if delta >= n || -delta >= n {
			return term{}, false
		}
		if subset>>i&1 == 0 {
			offset = offset*(n+l.reach(i)) + delta
			continue
		}
		sign = -sign
		first := a[i]*l.Dilations[i] - l.PadBegin[i]
		for u := range n {
			if (u < first || u >= first+l.Out[i]) && u+delta >= 0 && u+delta < n {
				at[i], shifted[i] = append(at[i], u), append(shifted[i], u+delta)
			}
		}
		if at[i] == nil {
			return term{}, false
		}
		offset *= len(at[i])
		id += fmt.Sprint(i, at[i], delta, ";")
	}
	s, ok := stripOf[id]
	if !ok {
		s = len(l.strips)
		stripOf[id] = s
		l.strips = append(l.strips, l.strip(at, shifted))
	}
	id += fmt.Sprint(offset)
	key, ok := keyOf[id]
	if !ok {
		key = l.keys
		l.keys++
		keyOf[id] = key
		l.strips[s].offsets = append(l.strips[s].offsets, offset)
		l.strips[s].keys = append(l.strips[s].keys, key)
	}
	return term{key, sign}, true
}

// strip builds the layouts for the given positions along the axes of T; nil stands
// for an axis that is not in T.
func (l *lag) strip(at, shifted [][]int) strip {
	s := strip{a: l.layout(at)}
	for i := range at {
		if at[i] != nil && at[i][0] != shifted[i][0] {
			s.distinct = true
		}
	}
	if s.distinct {
		s.b = l.layout(shifted)
	}
	return s
}

// layout lists the copies that bring the positions at, all where nil, into a row with
// gaps of zeros along the axes where it is nil.
func (l *lag) layout(at [][]int) layout {
	rows := []span{{}}
	size := 1
	for i, n := range l.In {
		wide, step := n+l.reach(i), 1
		positions := at[i]
		if positions != nil {
			wide = len(positions)
		} else if i == len(l.In)-1 {
			positions, step = []int{0}, n
		} else {
			positions = coordinate(n)
		}
		next := make([]span, 0, len(rows)*len(positions))
		for _, r := range rows {
			for k, u := range positions {
				next = append(next, span{r.src*n + u, r.dst*wide + k, step})
			}
		}
		rows = next
		size *= wide
	}
	return layout{size, rows}
}

// coordinate is the list 0, 1, …, n-1.
func coordinate(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func (l *lag) Size() int { return l.Groups * l.keys * l.channels * l.channels }

func (l *lag) dense() bool { return false }

func (l *lag) same(q Summation) bool {
	o, ok := q.(*lag)
	return ok && (o == l || o.alike(l.Patches))
}

func (l *lag) Scratch(samples int) int {
	largest := 0
	for _, s := range l.strips {
		n := l.atOnce(s, samples) * s.a.size * l.channels
		if s.distinct {
			n *= 2
		}
		largest = max(largest, n)
	}
	return largest
}

// atOnce is the number of samples of a strip that are laid out behind one another:
// enough that a product is worth its call, few enough that it stays in cache.
func (l *lag) atOnce(s strip, samples int) int {
	const products = 1 << 20
	return min(samples, max(1, products/(l.channels*l.channels*s.a.size)), max(1, chunkFloats/(l.channels*s.a.size)))
}

func (l *lag) Run(b linalg.Backend, x []float32, samples int, partial []float32, scratch *Scratch) {
	cc := l.channels * l.channels
	for g := range l.Groups {
		part := partial[g*l.keys*cc : (g+1)*l.keys*cc]
		for _, s := range l.strips {
			l.runStrip(b, s, x[g*l.channels*l.plane:], samples, part, scratch)
		}
	}
}

// runStrip adds the products of one strip; x starts at the group's first channel.
func (l *lag) runStrip(backend linalg.Backend, s strip, x []float32, samples int, part []float32, scratch *Scratch) {
	most, cc := l.atOnce(s, samples), l.channels*l.channels
	stride := most * s.a.size
	a := grow(&scratch.a, l.channels*stride)
	clear(a)
	b := a
	if s.distinct {
		b = grow(&scratch.b, l.channels*stride)
		clear(b)
	}
	for from := 0; from < samples; from += most {
		n := min(most, samples-from)
		l.fill(a, s.a, x, from, n, stride)
		if s.distinct {
			l.fill(b, s.b, x, from, n, stride)
		}
		if l.channels == 1 {
			for i, sum := range shiftedDots(a[:n*s.a.size], b[:n*s.a.size], s.offsets, &scratch.dots) {
				part[s.keys[i]] += float32(sum)
			}
			continue
		}
		left := linalg.Block32{Rows: l.channels, Cols: n * s.a.size, Stride: stride, Data: a}
		right := linalg.Block32{Rows: l.channels, Cols: n * s.a.size, Stride: stride, Data: b}
		for i, offset := range s.offsets {
			dst := square(part[s.keys[i]*cc:], l.channels)
			behind, ahead := max(offset, 0), max(-offset, 0)
			backend.GemmAdd32(false, true, left.Columns(ahead, left.Cols-behind), right.Columns(behind, right.Cols-ahead), dst)
		}
	}
}

// fill copies n samples into the rows of dst, one row a channel. The gaps are zero
// already and stay so.
func (l *lag) fill(dst []float32, lay layout, x []float32, from, n, stride int) {
	for c := range l.channels {
		for k := range n {
			src := x[(from+k)*l.Channels*l.plane+c*l.plane:][:l.plane]
			row := dst[c*stride+k*lay.size:][:lay.size]
			for _, s := range lay.copies {
				if s.n == 1 {
					row[s.dst] = src[s.src]
				} else {
					copy(row[s.dst:s.dst+s.n], src[s.src:])
				}
			}
		}
	}
}

// expand adds up the products that make each pair of taps.
func (l *lag) expand(total []float64, a []*linalg.Matrix) {
	cc, taps := l.channels*l.channels, len(l.taps)
	for g, m := range a {
		part := total[g*l.keys*cc : (g+1)*l.keys*cc]
		pair := 0
		for p := range taps {
			for q := p; q < taps; q++ {
				for _, t := range l.terms[pair] {
					addBlock(m, p, q, taps, t.sign, part[t.key*cc:(t.key+1)*cc])
				}
				pair++
			}
		}
	}
}

// addBlock adds a C×C product to the entries of the taps p ≤ q, in the upper triangle.
func addBlock(m *linalg.Matrix, p, q, taps int, sign float64, block []float64) {
	channels := m.Rows / taps
	for c := range channels {
		first := 0
		if p == q {
			first = c
		}
		for d := first; d < channels; d++ {
			i, j := c*taps+p, d*taps+q
			m.Data[min(i, j)*m.Cols+max(i, j)] += sign * block[c*channels+d]
		}
	}
}

// Package moments sums the first and second moments E[x] and E[x xᵀ] of the columns x
// that a linear node multiplies: the patches of a convolution, or the rows or columns of a matrix.
//
// A [Summation] says how one input size is summed. Its Run adds a batch's products, in
// float32, to a partial result; a [Sum] adds partial results in float64. [Inputs] and
// [Errors] do both about a [Pilot], so that moments about the mean keep their digits
// where means are large. Whoever calls them decides the order of the additions, and with
// it every bit of the outcome.
package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Patches is the geometry of a convolution's windows at one input size. All slices
// have one entry per spatial axis, of which there is at least one.
type Patches struct {
	Channels  int // of the input, over all groups
	Groups    int // divides Channels
	In        []int
	Window    []int
	Strides   []int
	Dilations []int
	PadBegin  []int
	Out       []int // output sizes; they imply the pads at the end
}

// Length is K, the length of a patch: channels of a group times window, channels outermost.
func (p Patches) Length() int { return p.Channels / p.Groups * tensor.Product(p.Window) }

// reach is the distance between the first and the last tap of an axis.
func (p Patches) reach(axis int) int { return (p.Window[axis] - 1) * p.Dilations[axis] }

// unitStride tells whether windows start at every position.
func (p Patches) unitStride() bool { return all(p.Strides, 1) }

func all(numbers []int, n int) bool {
	return !slices.ContainsFunc(numbers, func(v int) bool { return v != n })
}

// Positions is the number of windows in that many samples.
func (p Patches) Positions(samples int) int64 {
	return int64(samples) * int64(tensor.Product(p.Out))
}

// alike tells whether a summation for q, of the same site, is that for p.
func (p Patches) alike(q Patches) bool {
	return slices.Equal(p.In, q.In) && slices.Equal(p.Out, q.Out) && slices.Equal(p.PadBegin, q.PadBegin)
}

// Pixels are windows of one tap over the given sizes: a matrix [k, n] is n of them over k channels.
func Pixels(channels, groups int, size ...int) Patches {
	one := slices.Repeat([]int{1}, len(size))
	return Patches{Channels: channels, Groups: groups, In: size, Window: one, Strides: one, Dilations: one, PadBegin: make([]int, len(size)), Out: size}
}

// Summation is a way to sum the second moments of inputs of one geometry. It is immutable.
type Summation interface {
	// Size is the length of a partial result.
	Size() int
	// Scratch is about the number of floats of working memory that Run takes.
	Scratch(samples int) int
	// Run adds the products of the samples in x to the partial result.
	Run(b linalg.Backend, x []float32, samples int, partial []float32, s *Scratch)
	// Columns adds to sums, [groups·K], the sums of the columns, group by group.
	Columns(x []float32, samples int, sums []float64)
	// Positions is the number of columns that each group meets in that many samples.
	Positions(samples int) int64
	// pairs adds to sums, [channels, taps, taps] with the channels of all groups, the sums over the positions at which
	// the second of two taps lies inside the input of what the first meets.
	pairs(x []float32, samples int, sums []float64)
	// together returns, [taps, taps], at how many positions of a sample two taps both lie inside the input.
	together() []float64
	// grid is how the numbers of so many samples lie in memory.
	grid(samples int) grid
	// expand adds a total of partial results to the upper triangles of the groups' moments, [K, K] each.
	expand(total []float64, a []*linalg.Matrix)
	// same tells whether q, of the same site, sums the same products in the same layout.
	same(q Summation) bool
	// dense tells whether a partial result is laid out as the moments are, so that
	// it can be added to them as it is.
	dense() bool
}

// densely is embedded in summations whose partial results are laid out as the moments are.
type densely struct{}

func (densely) dense() bool                        { return true }
func (densely) same(Summation) bool                { return true }
func (densely) expand([]float64, []*linalg.Matrix) {}

// Scratch is working memory that a goroutine keeps from one Run to the next.
type Scratch struct {
	a, b        []float32
	phase, part []float32
	rows        []int
	segments    []segment
	dots        []float64
}

// grow returns n floats of unspecified content over *buf.
func grow(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return (*buf)[:n]
}

// Sum is a float64 total of partial results, possibly of several is the summation for the same
// site: its inputs may come in several sizes.
type Sum struct {
	groups, columns int
	moments         []*linalg.Matrix
	// While all partial results are of one summation whose layout is more compact than
	// the moments, they are totalled in that layout. It is given up when another
	// summation turns up: then every partial result goes into the moments at once.
	summation Summation
	totals    []float64
	apart     *second // what half of the runs showed, nil where all goes into one sum
	memory    Memory
	away      *away // where the numbers are that are not in memory, nil where they are
}

// NewSum returns an empty sum for moments of the given size.
func NewSum(groups, columns int) *Sum {
	return &Sum{groups: groups, columns: columns, memory: heap{}}
}

// Memory makes room for moments.
type Memory interface {
	// Zeros returns so many zeros, and Room so many numbers of whatever value.
	Zeros(n int) []float64
	Room(n int) []float64
}

type heap struct{}

func (heap) Zeros(n int) []float64 { return make([]float64, n) }
func (heap) Room(n int) []float64  { return make([]float64, n) }

// In has room for moments made by a memory; without it they are in the heap.
func (s *Sum) In(m Memory) *Sum {
	s.memory = m
	return s
}

// Add adds a partial result of summation p.
func (s *Sum) Add(p Summation, partial []float32) { s.add(p, partial, false) }

// add is Add to one of two halves.
func (s *Sum) add(p Summation, partial []float32, second bool) {
	partial = partial[:p.Size()]
	switch {
	case p.dense():
		s.flush()
		s.need()
		if second {
			s.apart.addDense(partial, s.moments)
		} else {
			addDense(partial, s.moments)
		}
	case s.moments == nil && (s.summation == nil || s.summation.same(p)):
		s.summation = p
		if second {
			s.apart.totals = plus(s.apart.totals, partial)
		} else {
			s.totals = plus(s.totals, partial)
		}
	default:
		s.flush()
		s.need()
		if second {
			s.apart.expand(p, plus(nil, partial), s.moments)
		} else {
			p.expand(plus(nil, partial), s.moments)
		}
	}
}

func addTo[F float32 | float64](sums []float64, more []F) {
	sums = sums[:len(more)]
	for i, v := range more {
		sums[i] += float64(v)
	}
}

// need makes the moments where there are none yet.
func (s *Sum) need() { s.have(s.memory.Zeros) }

// have makes the moments of room, where there are none yet.
func (s *Sum) have(room func(int) []float64) {
	for len(s.moments) < s.groups {
		s.moments = append(s.moments, &linalg.Matrix{Rows: s.columns, Cols: s.columns, Data: room(s.columns * s.columns)})
	}
}

// flush brings the pending totals into the moments.
func (s *Sum) flush() {
	if s.summation == nil {
		return
	}
	s.need()
	if s.totals != nil {
		s.summation.expand(s.totals, s.moments)
		s.totals = nil
	}
	if s.apart != nil && s.apart.totals != nil {
		s.apart.expand(s.summation, s.apart.totals, s.moments)
		s.apart.totals = nil
	}
	s.summation = nil
}

// Settle puts what was added into the moments; nothing more can be added then, but what was added to others.
func (s *Sum) Settle() {
	s.flush()
	s.need()
}

// Join adds to a settled sum the Numbers of another.
func (s *Sum) Join(numbers [][]float64) {
	for i, to := range s.Numbers() {
		addTo(to, numbers[i])
	}
}

// Numbers are where a settled sum lies: the rows of the upper triangle of each group.
func (s *Sum) Numbers() [][]float64 {
	if s.away != nil {
		return s.away.moments
	}
	return s.rows()
}

// Mean returns the moments divided by the number of positions, as full symmetric
// matrices, one per group. The sum is used up.
func (s *Sum) Mean(positions int64) []*linalg.Matrix {
	s.flush()
	s.need()
	for _, m := range s.moments {
		k := m.Rows
		for i := range k {
			for j := i; j < k; j++ {
				v := m.Data[i*k+j] / float64(positions)
				m.Data[i*k+j], m.Data[j*k+i] = v, v
			}
		}
	}
	return s.moments
}

package decomp

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// pair is a scheme of two convolutions that share the taps of the window between them: the head takes some of the
// spatial axes, the tail the others.
type pair struct {
	name string
	// head says for each axis whether the head carries its taps; nil where the scheme cannot take the window.
	head func(window []int) []bool
}

// pairLayout is how a pair cuts one group's kernel of a shape.
type pairLayout struct {
	axes             []bool // those of the head
	head, tail       []int  // the window of each
	rows, width      int    // O, and X = channels times taps of the head
	headTaps, taps   int
	channels, groups int
	// order[t·taps + u] is the place in the kernel's window of tap t of the head with tap u of the tail; nil where
	// that is t·taps + u itself.
	order []int
}

func (p pair) layout(s Shape) (pairLayout, error) {
	if err := s.Check(); err != nil {
		return pairLayout{}, err
	}
	carried := p.head(s.Window)
	if carried == nil {
		return pairLayout{}, fmt.Errorf("decomp: %s cannot split the window of a %v kernel", p.name, s)
	}
	l := pairLayout{axes: carried, rows: s.Rows(), channels: s.In / s.Groups, groups: s.Groups}
	for i, w := range s.Window {
		h, t := w, 1
		if !carried[i] {
			h, t = 1, w
		}
		l.head, l.tail = append(l.head, h), append(l.tail, t)
	}
	l.headTaps, l.taps = Shape{Window: l.head}.taps(), Shape{Window: l.tail}.taps()
	l.width = l.channels * l.headTaps
	order := tapTable(l.head, l.tail, s.Window)
	if !slices.IsSorted(order) {
		l.order = order
	}
	return l, nil
}

// full is the rank at which every kernel is rebuilt.
func (l *pairLayout) full() int { return min(l.width, l.rows*l.taps) }

// breakEven is the largest rank with fewer weights than the dense kernel.
func (l *pairLayout) breakEven() int {
	return (l.rows*l.width*l.taps - 1) / (l.width + l.rows*l.taps)
}

// column returns where column i of the split lies among the columns of the kernel.
func (l *pairLayout) column(i int) int {
	if l.order == nil {
		return i
	}
	taps := len(l.order)
	return i/taps*taps + l.order[i%taps]
}

// columns returns m with its columns in the order of the split.
func (l *pairLayout) columns(m *linalg.Matrix) *linalg.Matrix {
	if l.order == nil || m == nil {
		return m
	}
	out := linalg.New(m.Rows, m.Cols)
	for i := range m.Rows {
		from, to := m.Row(i), out.Row(i)
		for j := range to {
			to[j] = from[l.column(j)]
		}
	}
	return out
}

// moment returns A with both sides in the order of the split.
func (l *pairLayout) moment(a *linalg.Matrix) *linalg.Matrix {
	if l.order == nil || a == nil {
		return a
	}
	sorted := l.columns(a)
	out := linalg.New(a.Rows, a.Cols)
	for i := range a.Rows {
		copy(out.Row(i), sorted.Row(l.column(i)))
	}
	return out
}

// The coarse ladder of a pair has about this many ranks.
const pairRungs = 16

func (p pair) ranks(s Shape, multiple int) []Rank {
	l, err := p.layout(s)
	if err != nil {
		return nil
	}
	return single(coarse(pairRungs, l.breakEven(), l.full(), max(multiple, 1)))
}

func (p pair) near(s Shape, r Rank, stage, multiple int) []Rank {
	l, err := p.layout(s)
	if err != nil || len(r) != 1 || stage < 1 {
		return nil
	}
	multiple = max(multiple, 1)
	return single(nearby(coarse(pairRungs, l.breakEven(), l.full(), multiple), r[0], stage, l.breakEven(), multiple))
}

func single(numbers []int) []Rank {
	var out []Rank
	for _, n := range numbers {
		out = append(out, Rank{n})
	}
	return out
}

// rank returns the one number of a rank of the layout, or an error.
func (p pair) rank(l *pairLayout, s Shape, r Rank) (int, error) {
	if len(r) != 1 || r[0] < 1 || r[0] > l.full() {
		return 0, fmt.Errorf("decomp: %s rank %v of a %v kernel: wanted one number from 1 to %d", p.name, []int(r), s, l.full())
	}
	return r[0], nil
}

func (p pair) factors(s Shape, r Rank) Chain {
	l, err := p.layout(s)
	if err != nil {
		return nil
	}
	n, err := p.rank(&l, s, r)
	if err != nil {
		return nil
	}
	others := make([]bool, len(l.axes))
	for i, on := range l.axes {
		others[i] = !on
	}
	return Chain{
		{Part: p.name + ".first", Axes: l.axes, Kernel: Kernel{Shape: Shape{Out: n * s.Groups, In: s.In, Window: l.head, Groups: s.Groups}}},
		{Part: p.name + ".last", Axes: others, Kernel: Kernel{Shape: Shape{Out: s.Out, In: n * s.Groups, Window: l.tail, Groups: s.Groups}}},
	}
}

// pairSpectrum answers for each rank by alternating minimisation from nested starts, when it is first asked.
type pairSpectrum struct {
	pair
	shape  Shape
	layout pairLayout
	groups []*pairGroup
}

func (p pair) factor(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) {
	return p.spectrum(b, k, m)
}

func (p pair) spectrum(b linalg.Backend, k Kernel, m Metric) (*pairSpectrum, error) {
	l, err := p.layout(k.Shape)
	if err != nil {
		return nil, err
	}
	rungs := coarse(pairRungs, l.breakEven(), l.full(), 1)
	groups, err := groupsOf(p.name, k, m, func(g int, w *linalg.Matrix) (*pairGroup, error) {
		return newPairGroup(newSplit(b, l.columns(w), l.moment(of(m.In, g)), of(m.Out, g), l.taps), rungs)
	})
	if err != nil {
		return nil, err
	}
	return &pairSpectrum{pair: p, shape: k.Shape, layout: l, groups: groups}, nil
}

func (s *pairSpectrum) Energy() float64 { return energyOf(s.groups) }

func (s *pairSpectrum) Loss(r Rank) (float64, error) {
	n, err := s.rank(&s.layout, s.shape, r)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for i, g := range s.groups {
		f, err := g.solve(n)
		if err != nil {
			return 0, refused(s.name, r, i, s.shape, err)
		}
		sum += g.unit(f.loss)
	}
	return sum, nil
}

func (s *pairSpectrum) Chain(r Rank) (Chain, error) {
	if _, err := s.Loss(r); err != nil {
		return nil, err
	}
	chain := s.factors(s.shape, r)
	for i, g := range s.groups {
		f, err := g.solve(r[0])
		if err == nil {
			err = g.appendTo(chain, f)
		}
		if err != nil {
			return nil, refused(s.name, r, i, s.shape, err)
		}
	}
	return chain, nil
}

// refit starts from the head of a chain, or from that of a new factorization where it lies closer to the target.
func (p pair) refit(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := p.spectrum(b, target, m)
	if err != nil {
		return nil, err
	}
	if len(start) != 2 || start[0].Kernel.Groups != target.Groups {
		return nil, fmt.Errorf("decomp: %s refit of a chain with %d factors for a %v kernel: wanted 2", p.name, len(start), target.Shape)
	}
	r := Rank{start[0].Kernel.Out / target.Groups}
	n, err := p.rank(&s.layout, target.Shape, r)
	if err != nil {
		return nil, err
	}
	chain := s.factors(target.Shape, r)
	first := start[0].Kernel
	if first.Shape.String() != chain[0].Kernel.Shape.String() || int64(len(first.Weights)) != first.Params() {
		return nil, fmt.Errorf("decomp: %s refit of a chain that begins with a %v kernel: wanted %v", p.name, first.Shape, chain[0].Kernel.Shape)
	}
	size := n * s.layout.width
	for i, g := range s.groups {
		head, _ := normalized(&linalg.Matrix{Rows: n, Cols: s.layout.width, Data: first.Weights[i*size : (i+1)*size]})
		f, err := g.resolve(head)
		if err == nil {
			err = g.appendTo(chain, f)
		}
		if err != nil {
			return nil, refused(p.name, r, i, target.Shape, err)
		}
	}
	return chain, nil
}

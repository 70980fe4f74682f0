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
	head   func(window []int) []bool
	effort Effort
}

// pairLayout is how a pair cuts one group's kernel of a shape.
type pairLayout struct {
	head, tail     []int // the window of each
	rows, width    int   // O, and X = channels times taps of the head
	headTaps, taps int
	channels       int
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
	l := pairLayout{rows: s.Rows(), channels: s.In / s.Groups}
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

// check reports a rank that the shape does not have.
func (p pair) check(s Shape, r Rank) error {
	l, err := p.layout(s)
	if err != nil {
		return err
	}
	return oneNumber(p.name, s, r, l.full())
}

// oneNumber reports a rank that is not one number within a limit.
func oneNumber(method string, s Shape, r Rank, limit int) error {
	if len(r) != 1 || r[0] < 1 || r[0] > limit {
		return fmt.Errorf("decomp: %s rank %v of a %v kernel: wanted one number from 1 to %d", method, []int(r), s, limit)
	}
	return nil
}

func (p pair) factors(s Shape, r Rank) Chain {
	if p.check(s, r) != nil {
		return nil
	}
	head, n := p.head(s.Window), r[0]*s.Groups
	return Chain{
		s.factor(p.name+".first", n, s.In, s.Groups, func(i int) bool { return head[i] }),
		s.factor(p.name+".last", s.Out, n, s.Groups, func(i int) bool { return !head[i] }),
	}
}

func (p pair) spectrum(b linalg.Backend, k Kernel, m Metric) (*spectrum[*pairGroup], error) {
	l, err := p.layout(k.Shape)
	if err != nil {
		return nil, err
	}
	rungs := coarse(pairRungs, l.breakEven(), l.full(), 1)
	groups, err := groupsOf(p.name, k, m, func(g int, w *linalg.Matrix) (*pairGroup, error) {
		group := &pairGroup{split: newSplit(b, l.columns(w), l.moment(of(m.In, g)), of(m.Out, g), l.taps), rungs: rungs}
		group.work = p.effort.scale()
		if l.headTaps == 1 {
			group.kept = map[int]fitted{}
		}
		return group, nil
	})
	if err != nil {
		return nil, err
	}
	return &spectrum[*pairGroup]{method: p.name, check: p.check, factors: p.factors, shape: k.Shape, groups: groups}, nil
}

// refit starts from the head of a chain, or from that of a new factorization where it lies closer to the target.
func (p pair) refit(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := p.spectrum(b, target, m)
	if err != nil {
		return nil, err
	}
	return s.refit(start, start.ranks(target.Groups), func(g *pairGroup, i int, chain Chain) error {
		head, _ := normalized(start[0].Kernel.group(i))
		f, err := g.resolve(head)
		if err != nil {
			return err
		}
		return g.appendTo(chain, f)
	})
}

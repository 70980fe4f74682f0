package decomp

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// ttGroup is one group's kernel, from which a train of any ranks can be made.
//
// Given the factors before a bond, what comes behind it is a kernel of its own, the best tail of the head that they make,
// under a metric of its own. So the factors are found one after the other, each as the head of a pair that loses
// least where what is behind it is free; and behind the last but two, the truncated singular value decomposition is
// known for every last rank at once.
type ttGroup struct {
	*split
	window []int // taps of each axis
	limits Rank
	output whitening        // of G, lifted
	plain  *orthogonal      // where A is the identity, else nil
	first  *pairGroup       // where it is not
	behind map[string]begun // what is known behind all bonds but the last
	last   *reduced         // behind the first bond of the rank asked for last
	found  answers[string, trainFit]
}

// trainFit is a train with what it loses, in the units of the split.
type trainFit struct {
	train
	loss float64
	// Where the train is still to be made, its factors but the last two, and what they leave to those.
	heads []*linalg.Matrix
	tail  func() opened
}

func (f trainFit) lost() float64 { return f.loss }

// begun is a train up to its last two factors.
type begun struct {
	heads []*linalg.Matrix // [r', r·k]: each factor takes r channels by k taps to r'
	worth []float64        // of opened
}

// reduced is the kernel behind the first factor of a train.
type reduced struct {
	head *linalg.Matrix
	*pairGroup
}

func newTTGroup(s *split, window []int, limits Rank) (*ttGroup, error) {
	t := &ttGroup{split: s, window: window, limits: limits, behind: map[string]begun{}}
	var err error
	if t.output, err = whiten(s.b, s.out, liftOut); err != nil {
		return nil, err
	}
	if s.in == nil {
		t.plain, err = newOrthogonal(s.b, times(s.b, t.output.root, s.w), s.taps)
	} else {
		t.first, err = newPairGroup(s, nil)
	}
	return t, err
}

// Limits of the descent of one factor.
const (
	ttRounds = 4
	ttBudget = 2e9
	ttGain   = 2e-3
)

// lossAt returns what the train of a rank loses.
func (t *ttGroup) lossAt(r Rank) (float64, error) {
	if slices.Equal(r, t.limits) {
		return 0, nil
	}
	if t.plain != nil {
		return t.found.loss(fmt.Sprint(r), func(string) (trainFit, error) { return t.successive(r) })
	}
	f, err := t.before(r[:len(r)-1])
	if err != nil {
		return 0, err
	}
	if loss := t.energy - (opened{worth: f.worth}).kept(r[len(r)-1]); loss > cancels*t.energy {
		return loss, nil
	}
	whole, err := t.at(r)
	return whole.loss, err
}

// at returns the train of a rank.
func (t *ttGroup) at(r Rank) (trainFit, error) {
	if slices.Equal(r, t.limits) {
		return trainFit{train: t.exact().even()}, nil
	}
	if t.plain != nil {
		f, err := t.found.factors(fmt.Sprint(r), func(string) (trainFit, error) { return t.successive(r) })
		if err == nil && f.tail != nil {
			f = t.closed(f.heads, f.tail(), r[len(r)-1])
		}
		return f, err
	}
	return t.found.factors(fmt.Sprint(r), func(string) (trainFit, error) {
		f, err := t.before(r[:len(r)-1])
		if err != nil {
			return trainFit{}, err
		}
		o, err := t.opened(f.heads)
		if err != nil {
			return trainFit{}, err
		}
		return t.closed(f.heads, o, r[len(r)-1]), nil
	})
}

// before returns the train of all ranks but the last.
func (t *ttGroup) before(r Rank) (begun, error) {
	return known(t.behind, fmt.Sprint(r), func() (begun, error) {
		var heads []*linalg.Matrix
		limit := t.effort(r[0], ttRounds, ttBudget, ttGain)
		if f, ok := t.behind[fmt.Sprint(r[:1])]; ok {
			heads = append(heads, f.heads[0])
		} else {
			head, err := t.first.descended(r[0], limit)
			if err != nil {
				return begun{}, err
			}
			heads = append(heads, head)
			t.behind[fmt.Sprint(r[:1])] = begun{heads: heads}
		}
		for i := range r[1:] {
			g, err := t.reduce(heads)
			if err != nil {
				return begun{}, err
			}
			head, err := g.descended(r[i+1], g.effort(r[i+1], ttRounds, ttBudget, ttGain))
			if err != nil {
				return begun{}, err
			}
			heads = append(slices.Clone(heads), head)
		}
		o, err := t.opened(heads)
		return begun{heads: heads, worth: o.worth}, err
	})
}

// reduce returns the kernel behind some factors, cut behind the next axis. The losses of it are those of the whole.
func (t *ttGroup) reduce(heads []*linalg.Matrix) (*pairGroup, error) {
	var g *pairGroup
	for i, head := range heads {
		if i == 0 && t.last != nil && t.last.head == head {
			g = t.last.pairGroup
			continue
		}
		s := t.split
		if g != nil {
			s = g.split
		}
		f, err := s.solved(s.through(head))
		if err != nil {
			return nil, err
		}
		next := *s
		next.width, next.taps = head.Rows*t.window[i], s.taps/t.window[i]
		next.w, next.wa, next.in = f.tail, f.wam, f.mam
		next.waByTap = byTap(next.wa, next.taps)
		if g, err = newPairGroup(&next, nil); err != nil {
			return nil, err
		}
		if i == 0 {
			t.last = &reduced{head: head, pairGroup: g}
		}
	}
	return g, nil
}

// opened is what all factors but two leave to those.
func (t *ttGroup) opened(heads []*linalg.Matrix) (opened, error) {
	n := len(heads) - 1
	if n == 0 {
		return t.open(t.output, heads[0])
	}
	g, err := t.reduce(heads[:n])
	if err != nil {
		return opened{}, err
	}
	return g.open(t.output, heads[n])
}

// closed returns the train whose last two factors are the best of rank r for the others.
func (t *ttGroup) closed(heads []*linalg.Matrix, o opened, r int) trainFit {
	core, out := o.tail(t.b, t.output, r)
	x := t.trainOf(append(slices.Clone(heads), core), out)
	loss := t.energy - o.kept(r)
	if loss <= cancels*t.energy {
		loss = t.lossOfTrain(x)
	}
	return trainFit{train: x.even(), loss: loss}
}

// trainOf makes a train of factors [r', r·k] and the last one [O, r].
func (t *ttGroup) trainOf(factors []*linalg.Matrix, out *linalg.Matrix) train {
	x := train{first: factors[0], taps: t.window, last: out.T()}
	for i, m := range factors[1:] {
		k := t.window[i]
		core := swapped(m, m.Rows, m.Cols/k, k)
		x.window = append(x.window, &linalg.Matrix{Rows: m.Rows * k, Cols: m.Cols / k, Data: core.Data})
	}
	return x
}

// lossOfTrain returns the loss of a train from its error, zero where that is rounding.
func (t *ttGroup) lossOfTrain(x train) float64 {
	left := t.w.Clone()
	subtract(left, t.b.Mul(true, false, 1, x.last, x.columns(t.b)))
	if loss := dot(t.weighted(left).Data, rotated(t.b, left, t.in).Data); loss > t.rounding {
		return loss
	}
	return 0
}

// successive returns the train of successive singular value decompositions where A is the identity. The channels
// begin with their subspaces of orthogonal iteration; what lies between is decomposed as the outputs' show it.
func (t *ttGroup) successive(r Rank) (trainFit, error) {
	f, err := t.plain.iterate(r[0], r[len(r)-1])
	if err != nil {
		return trainFit{}, err
	}
	heads := []*linalg.Matrix{t.plain.headOf(f, r[0])}
	outputs := leadingRows(f.out.vectors, r[len(r)-1])
	y := t.plain.seenThrough(f.head, r[0])
	rest, shown := byInput(y, t.taps, r[0]), byInput(t.b.Mul(false, false, 1, outputs, y), t.taps, r[0])
	for i, k := range t.window[:len(t.window)-1] {
		n := r[i] * k
		basis, err := leadingBasis(t.b, &linalg.Matrix{Rows: n, Cols: len(shown.Data) / n, Data: shown.Data})
		if err != nil {
			return trainFit{}, err
		}
		basis = filled(basis, r[i+1])
		heads = append(heads, basis)
		rest = t.b.Mul(false, false, 1, basis, &linalg.Matrix{Rows: n, Cols: len(rest.Data) / n, Data: rest.Data})
		shown = t.b.Mul(false, false, 1, basis, &linalg.Matrix{Rows: n, Cols: len(shown.Data) / n, Data: shown.Data})
	}
	rest = &linalg.Matrix{Rows: len(rest.Data) / t.rows, Cols: t.rows, Data: rest.Data}
	e, err := t.plain.inputsOf(rest)
	if err != nil {
		return trainFit{}, err
	}
	found := trainFit{heads: heads, tail: func() opened { // from the coordinates of the iteration
		o := opened{left: t.b.Mul(true, true, 1, t.plain.outputs, rest), vectors: t.b.Mul(true, false, 1, t.plain.outputs, e.vectors)}
		o.weigh(t.b, t.output, e.values)
		return o
	}}
	if t.output.seen == nil {
		found.loss = t.energy - e.above(r[len(r)-1])
	} else {
		found.loss = t.energy - found.tail().kept(r[len(r)-1])
	}
	if found.loss > cancels*t.energy {
		return found, nil
	}
	return t.closed(heads, found.tail(), r[len(r)-1]), nil
}

// byInput turns y [O, a·r] into [r, a·O].
func byInput(y *linalg.Matrix, taps, r int) *linalg.Matrix {
	out := linalg.New(r, taps*y.Rows)
	for o := range y.Rows {
		row := y.Row(o)
		for t := range taps {
			for i := range r {
				out.Data[i*out.Cols+t*y.Rows+o] = row[t*r+i]
			}
		}
	}
	return out
}

// given returns the better of two trains that begin as another does: with all of its factors but the last, and with all
// but the last two.
func (t *ttGroup) given(factors []*linalg.Matrix) (trainFit, error) {
	n := len(factors) - 1
	whole := factors[n] // grown to a core behind the first factor [r, r1·a], one axis after the other
	for i := n - 1; i > 0; i-- {
		inside := 1
		for _, k := range t.window[i:] {
			inside *= k
		}
		whole = fromTaps(t.b.Mul(false, false, 1, byTap(whole, inside), factors[i]), inside)
	}
	d, loss, err := t.split.last(t.through(factors[0]), whole)
	if err != nil {
		return trainFit{}, err
	}
	best := trainFit{train: t.trainOf(factors, d).even(), loss: loss}
	if t.in == nil {
		return best, nil
	}
	o, err := t.opened(factors[:n])
	if err != nil {
		return best, err
	}
	if f := t.closed(factors[:n], o, factors[n].Rows); f.loss < best.loss {
		best = f
	}
	return best, nil
}

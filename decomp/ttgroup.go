package decomp

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// ttGroup is one group's kernel, from which a train of any ranks can be made.
//
// Given the factors before a bond, what lies behind it is a kernel of its own: the best tail for the head that they make,
// under a metric of its own. So the factors are found one after the other, each as the head of a pair that loses
// least where what is behind it is free; and behind all but the last two, the truncated singular value decomposition is
// known for every last rank at once.
type ttGroup struct {
	*split
	window []int // taps of each axis
	limits Rank
	basis  *pairGroup       // of svd-in, whose heads are the first factors
	output whitening        // of G, lifted
	plain  *orthogonal      // where A is the identity, else nil
	behind map[string]begun // what is known behind all bonds but the last
	recent []reduced        // behind the first bonds of the ranks asked for last, latest last
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

func newTTGroup(basis *pairGroup, window []int, limits Rank) (*ttGroup, error) {
	t := &ttGroup{split: basis.split, basis: basis, window: window, limits: limits, behind: map[string]begun{}}
	var err error
	if t.output, err = basis.output(); err == nil && t.in == nil {
		t.plain, err = basis.turned()
	}
	return t, err
}

// Limits of the descent of one factor behind the first.
const (
	ttRounds = 4
	ttBudget = 2e9
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
		first, err := t.behindFirst(r[0])
		if err != nil {
			return begun{}, err
		}
		heads, g := []*linalg.Matrix{first.head}, first.pairGroup
		for i := 1; ; i++ {
			v, err := g.descended(r[i], g.effort(r[i], ttRounds, ttBudget, ladderGain))
			if err != nil {
				return begun{}, err
			}
			heads = append(heads, v.head)
			if i == len(r)-1 {
				o, err := g.leaves(t.output, v)
				return begun{heads: heads, worth: o.worth}, err
			}
			if g, err = g.behind(v, t.window[i]); err != nil {
				return begun{}, err
			}
		}
	})
}

func (t *ttGroup) held() []*linalg.Matrix {
	t.recent = nil
	t.found.forget()
	return t.basis.held()
}

// behindFirst returns the kernel behind the first factor of r1 rows. Those of the last few are kept, as many as take no
// more than half the room of A, since a ladder comes back to them.
func (t *ttGroup) behindFirst(r1 int) (reduced, error) {
	for _, r := range t.recent {
		if r.head.Rows == r1 {
			return r, nil
		}
	}
	v, err := t.basis.behindHead(r1)
	if err != nil {
		return reduced{}, err
	}
	made := reduced{head: v.head}
	if made.pairGroup, err = t.split.behind(v, t.window[0]); err != nil {
		return reduced{}, err
	}
	t.recent = append(t.recent, made)
	room := 0
	for i, r := range slices.Backward(t.recent) {
		if room += len(r.in.Data); i < len(t.recent)-1 && room > len(t.in.Data)/2 {
			t.recent = slices.Clone(t.recent[i+1:])
			break
		}
	}
	return made, nil
}

// behind returns the kernel behind a head, the best tail under M A Mᵀ, cut behind the next axis, of so many taps. Its
// losses, but for exactLoss, are those of the whole.
func (s *split) behind(v *seen, taps int) (*pairGroup, error) {
	tail, err := s.bestTail(v)
	if err != nil {
		return nil, err
	}
	next := *s
	next.width, next.taps = v.head.Rows*taps, s.taps/taps
	next.w, next.wa, next.in = tail, v.wam, v.mam
	next.turned = byTap(next.wa, next.taps)
	return &pairGroup{split: &next}, nil
}

// opened is what all factors but two leave to those.
func (t *ttGroup) opened(heads []*linalg.Matrix) (opened, error) {
	s := t.split
	for i, head := range heads[:len(heads)-1] {
		g, err := s.behind(s.through(head), t.window[i])
		if err != nil {
			return opened{}, err
		}
		s = g.split
	}
	return s.leaves(t.output, s.through(heads[len(heads)-1]))
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

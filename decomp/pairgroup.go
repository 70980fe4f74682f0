package decomp

import (
	"github.com/onnx-compress/onnx-compress/internal/linalg"
)

// pairGroup is one group's kernel, from which a pair of any rank can be made.
type pairGroup struct {
	*split
	coords coordinates
	start  *linalg.Matrix // [full rank, X]: the first r rows are the head that rank r starts from
	rungs  []int          // the ranks of the coarse ladder
	solved map[int]fitted
}

// fitted is a head with its best tail.
type fitted struct {
	head, tail *linalg.Matrix // [r, X] and [O, r·a]
	loss       float64        // in the units of the split
}

func newPairGroup(s *split, rungs []int) (*pairGroup, error) {
	c, err := s.coordinates()
	if err != nil {
		return nil, err
	}
	start, err := c.leading(s)
	if err != nil {
		return nil, err
	}
	return &pairGroup{split: s, coords: c, start: start, rungs: rungs, solved: map[int]fitted{}}, nil
}

// solve returns the pair of rank r. It is no worse than that of the coarse rank below, whatever came of its own start.
func (g *pairGroup) solve(r int) (fitted, error) {
	if f, ok := g.solved[r]; ok {
		return f, nil
	}
	f, err := g.own(r)
	if err != nil {
		return fitted{}, err
	}
	below := 0
	for _, rung := range g.rungs {
		if rung < r {
			below = rung
		}
	}
	if below > 0 {
		smaller, err := g.solve(below)
		if err != nil {
			return fitted{}, err
		}
		if f.loss > smaller.loss {
			if f, err = g.grown(smaller, r); err != nil {
				return fitted{}, err
			}
		}
	}
	g.solved[r] = f
	return f, nil
}

// own returns the pair of rank r from its own start.
func (g *pairGroup) own(r int) (fitted, error) {
	if r == g.start.Rows {
		return g.exact(), nil
	}
	return g.improve(g.start.RowRange(0, r))
}

// grown returns a pair of rank r from one of a smaller rank and what the start has beyond it. Rounding aside it
// cannot be worse than the smaller one.
func (g *pairGroup) grown(smaller fitted, r int) (fitted, error) {
	head := linalg.New(r, g.width)
	n := copy(head.Data, smaller.head.Data)
	copy(head.Data[n:], g.start.RowRange(smaller.head.Rows, r).Data)
	f, err := g.improve(head)
	if err != nil {
		return fitted{}, err
	}
	f.loss = min(f.loss, smaller.loss)
	return f, nil
}

// exact returns the pair that is the kernel itself: with the identity as its head where that is small enough, else
// with a tail that only sorts.
func (g *pairGroup) exact() fitted {
	if g.width <= g.rows*g.taps {
		return fitted{head: linalg.Identity(g.width), tail: g.w}
	}
	return fitted{head: byTap(g.w, g.taps), tail: fromTaps(linalg.Identity(g.rows*g.taps), g.taps)}
}

// resolve returns the better of the pairs from a given head and from the group's own start.
func (g *pairGroup) resolve(head *linalg.Matrix) (fitted, error) {
	if head.Rows == g.start.Rows {
		return g.exact(), nil
	}
	given, err := g.try(head)
	if err != nil {
		return fitted{}, err
	}
	own, err := g.try(g.start.RowRange(0, head.Rows))
	if err != nil {
		return fitted{}, err
	}
	if own.loss < given.loss {
		given = own
	}
	return g.lower(given)
}

// try returns a head with its best tail.
func (g *pairGroup) try(head *linalg.Matrix) (*trial, error) {
	f := &trial{seen: g.through(head)}
	var err error
	if f.tail, err = g.bestTail(f.seen); err != nil {
		return nil, err
	}
	f.loss = g.lossBy(f.seen, f.tail)
	return f, nil
}

// Limits of lower.
const (
	negligible    = 1e-10 // a loss below this share of the energy is left alone
	mostRounds    = 16
	leastRounds   = 3
	roundBudget   = 8e9 // multiply-accumulates for which a descent may ask at one rank
	worthwhile    = 2e-3
	curvatureLift = 1e-4
)

// improve lowers the loss from a head and returns the pair.
func (g *pairGroup) improve(head *linalg.Matrix) (fitted, error) {
	f, err := g.try(head)
	if err != nil {
		return fitted{}, err
	}
	return g.lower(f)
}

// lower lowers the loss from a trial and returns the pair. Where A is the identity, the group's start is the best there is.
func (g *pairGroup) lower(f *trial) (fitted, error) {
	if g.in != nil && f.loss > negligible*g.energy {
		cost := 2 * float64(f.head.Rows) * float64(g.in.Rows) * float64(g.in.Rows)
		limit := effort{evaluations: min(max(int(roundBudget/cost), leastRounds), mostRounds), gain: worthwhile}
		var err error
		if f, err = g.coords.descend(g.split, f, limit, g.try); err != nil {
			return fitted{}, err
		}
	}
	tail, err := g.refined(f.seen, f.tail)
	if err != nil {
		return fitted{}, err
	}
	return fitted{head: f.head, tail: tail, loss: g.lossOf(f.seen, tail)}, nil
}

// appendTo writes a group's pair to the end of the chain's weights, each component with the same norm in both.
func (f fitted) appendTo(c Chain, s *split) {
	right := f.head.Clone()
	left := byTap(f.tail, s.taps).T()
	balance(left, right, s.scale)
	c[0].Kernel.Weights = append(c[0].Kernel.Weights, right.Data...)
	c[1].Kernel.Weights = append(c[1].Kernel.Weights, fromTaps(left.T(), s.taps).Data...)
}

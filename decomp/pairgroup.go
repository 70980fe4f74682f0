package decomp

import (
	"github.com/onnx-compress/onnx-compress/linalg"
)

// pairGroup is one group's kernel, from which a pair of any rank can be made.
type pairGroup struct {
	*split
	coords  coordinates
	start   *linalg.Matrix // [full rank, X]: the first r rows are the head that rank r starts from
	squares []float64      // what each row of start is worth where A is the identity
	rungs   []int          // the ranks of the coarse ladder
	// unclamped has what came of the ranks' own starts, solved what is promised for them.
	unclamped, solved map[int]fitted
	nested            *seen // through the longest start that is short of the full one, without ma
}

// fitted is a head with its best tail.
type fitted struct {
	head *linalg.Matrix // [r, X]
	tail *linalg.Matrix // [O, r·a]; nil to be solved for when it is asked for
	loss float64        // in the units of the split
}

func newPairGroup(s *split, rungs []int) (*pairGroup, error) {
	c, err := s.coordinates()
	if err != nil {
		return nil, err
	}
	start, squares, err := c.leading(s)
	if err != nil {
		return nil, err
	}
	return &pairGroup{split: s, coords: c, start: start, squares: squares, rungs: rungs, unclamped: map[int]fitted{}, solved: map[int]fitted{}}, nil
}

// solve returns the pair of rank r. It is no worse than what the coarse rank below finds from its own start, whatever
// came of that of r: no loss rises with the rank, unless two descents in a row end badly. To look further down would
// make every rank cost as much as the whole ladder where a kernel is factored anew for it.
func (g *pairGroup) solve(r int) (fitted, error) {
	return known(g.solved, r, func() (fitted, error) {
		f, err := g.own(r)
		n := below(g.rungs, r)
		if err != nil || n == 0 || r == g.start.Rows || g.in == nil {
			return f, err
		}
		smaller, err := g.own(n)
		if err != nil || !(f.loss > smaller.loss) {
			return f, err
		}
		return g.grown(smaller, r)
	})
}

// own returns the pair of rank r from its own start.
func (g *pairGroup) own(r int) (fitted, error) {
	return known(g.unclamped, r, func() (fitted, error) { return g.fit(r) })
}

// fit finds the pair of rank r from its own start.
func (g *pairGroup) fit(r int) (fitted, error) {
	head := g.start.RowRange(0, min(r, g.start.Rows))
	switch {
	case r == g.start.Rows:
		return g.exact(), nil
	case g.in == nil:
		loss := 0.0
		for i := len(g.squares) - 1; i >= r; i-- { // smallest first loses the least to rounding
			loss += g.squares[i]
		}
		return fitted{head: head, loss: loss}, nil
	case g.ladderEffort(r).evaluations < fewest:
		return g.unmoved(r)
	}
	return g.improve(head, g.ladderEffort(r))
}

// unmoved returns the pair of rank r with the head that it starts from. Ranks up to the last that the ladder has short of
// the full one share the product with A.
func (g *pairGroup) unmoved(r int) (fitted, error) {
	longest := below(g.rungs, g.start.Rows)
	if r > longest {
		return g.improve(g.start.RowRange(0, r), effort{})
	}
	if g.nested == nil {
		g.nested = g.through(g.start.RowRange(0, longest))
		g.nested.ma = nil
	}
	f, err := g.solveTail(g.nested.first(r, g.taps))
	if err != nil {
		return fitted{}, err
	}
	return fitted{head: f.head, loss: g.lossFor(f)}, nil
}

// grown returns a pair of rank r from one of a smaller rank and what the start has beyond it. Rounding aside it
// cannot be worse than the smaller one.
func (g *pairGroup) grown(smaller fitted, r int) (fitted, error) {
	head := linalg.New(r, g.width)
	n := copy(head.Data, smaller.head.Data)
	copy(head.Data[n:], g.start.RowRange(smaller.head.Rows, r).Data)
	f, err := g.improve(head, g.ladderEffort(r))
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

// resolve returns the better of the pairs from a given head and from the group's own start, lowered.
func (g *pairGroup) resolve(head *linalg.Matrix) (fitted, error) {
	r := head.Rows
	if r == g.start.Rows || g.in == nil {
		return g.own(r)
	}
	given, err := g.try(head)
	if err != nil {
		return fitted{}, err
	}
	own, err := g.try(g.start.RowRange(0, r))
	if err != nil {
		return fitted{}, err
	}
	if own.loss < given.loss {
		given = own
	}
	return g.lower(given, g.refitEffort(r))
}

func (g *pairGroup) loss(r Rank) (float64, error) {
	f, err := g.solve(r[0])
	return g.unit(f.loss), err
}

func (g *pairGroup) add(chain Chain, r Rank) error {
	f, err := g.solve(r[0])
	if err != nil {
		return err
	}
	return g.appendTo(chain, f)
}

// try returns a head with its best tail.
func (g *pairGroup) try(head *linalg.Matrix) (*trial, error) {
	return g.solveTail(g.through(head))
}

// Limits of the descent of one rank of a ladder.
const (
	ladderRounds = 16
	ladderBudget = 8e9
	ladderGain   = 2e-3
)

func (g *pairGroup) ladderEffort(r int) effort {
	return g.effort(r, ladderRounds, ladderBudget, ladderGain)
}

// improve lowers the loss from a head and returns the pair.
func (g *pairGroup) improve(head *linalg.Matrix, limit effort) (fitted, error) {
	f, err := g.try(head)
	if err != nil {
		return fitted{}, err
	}
	return g.lower(f, limit)
}

// lower lowers the loss from a trial and returns the pair.
func (g *pairGroup) lower(f *trial, limit effort) (fitted, error) {
	if f.loss > negligible*g.energy && limit.evaluations > 1 {
		var err error
		if f, err = g.coords.descend(g.split, f, limit, g.try); err != nil {
			return fitted{}, err
		}
	}
	return g.settled(f)
}

// settled returns a trial as a pair.
func (g *pairGroup) settled(f *trial) (fitted, error) {
	var err error
	if f.tail, err = g.refined(f.seen, f.tail); err != nil {
		return fitted{}, err
	}
	return fitted{head: f.head, loss: g.lossFor(f)}, nil
}

// appendTo writes a pair to the end of the chain's weights, each component with the same norm in both.
func (g *pairGroup) appendTo(c Chain, f fitted) error {
	if f.tail == nil {
		solved, err := g.try(f.head)
		if err != nil {
			return err
		}
		if f.tail, err = g.refined(solved.seen, solved.tail); err != nil {
			return err
		}
	}
	right := f.head.Clone()
	left := byTap(f.tail, g.taps).T()
	balance(left, right, g.scale)
	c[0].Kernel.Weights = append(c[0].Kernel.Weights, right.Data...)
	c[1].Kernel.Weights = append(c[1].Kernel.Weights, fromTaps(left.T(), g.taps).Data...)
	return nil
}

package decomp

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// pairGroup is one group's kernel, from which a pair of any rank can be made. What its heads leave is what the methods begin
// with that have more factors (behindHead).
type pairGroup struct {
	*split
	coords  coordinates
	start   *linalg.Matrix // [full rank, X]: the first r rows are the head that rank r starts from; made by prepare
	squares []float64      // what each row of start is worth where A is the identity
	rungs   []int          // the ranks of the coarse ladder
	// alone has what came of the ranks' own starts, found what is promised for them.
	alone, found answers[int, fitted]
	nested       *seen // through the longest start that is short of the full one, without ma
	// kept are the heads that descents ended at, by rank, and nil where no other method begins with them.
	kept map[int]fitted

	lifted  *whitening  // of G, so that it has an inverse; made by output
	turning *orthogonal // made by turned
}

// fitted is a head with its best tail.
type fitted struct {
	head *linalg.Matrix // [r, X]
	tail *linalg.Matrix // [O, r·a]; nil to be solved for when it is asked for
	loss float64        // in the units of the split
}

func (f fitted) lost() float64 { return f.loss }

// full is the rank at which every kernel is rebuilt.
func (s *split) full() int { return min(s.width, s.rows*s.taps) }

// prepare finds the heads that descents start from.
func (g *pairGroup) prepare() error {
	if g.start != nil {
		return nil
	}
	var err error
	if g.coords, err = g.coordinates(); err == nil {
		g.start, g.squares, err = g.coords.leading(g.split)
	}
	return err
}

// output takes G apart.
func (g *pairGroup) output() (whitening, error) {
	if g.lifted == nil {
		w, err := whiten(g.b, g.out, liftOut)
		if err != nil {
			return w, err
		}
		g.lifted = &w
	}
	return *g.lifted, nil
}

// turned is the kernel in the principal directions of its channels, for where A is the identity.
func (g *pairGroup) turned() (*orthogonal, error) {
	if g.turning == nil {
		q, err := g.output()
		if err == nil {
			g.turning, err = newOrthogonal(g.b, times(g.b, q.root, g.w), g.taps)
		}
		if err != nil {
			return nil, err
		}
	}
	return g.turning, nil
}

// behindHead returns what the kernel is seen as through the head of the pair of rank r.
func (g *pairGroup) behindHead(r int) (*seen, error) {
	if err := g.prepare(); err != nil {
		return nil, err
	}
	switch {
	case r == g.full():
		return g.through(g.exact().head), nil
	case g.still(r):
		return g.throughStart(r), nil
	}
	f, err := g.found.factors(r, g.solve)
	if err != nil {
		return nil, err
	}
	return g.through(f.head), nil
}

// still tells that the head of rank r is what it starts from, since a descent would take too much.
func (g *pairGroup) still(r int) bool {
	return g.in == nil || g.ladderEffort(r).evaluations < fewest
}

// solve returns the pair of rank r. It is no worse than what the coarse rank below finds from its own start, whatever
// came of that of r: no loss rises with the rank, unless two descents in a row end badly. To look further down would
// make every rank cost as much as the whole ladder where a kernel is factored anew for it.
func (g *pairGroup) solve(r int) (fitted, error) {
	if err := g.prepare(); err != nil {
		return fitted{}, err
	}
	if r == g.full() || g.still(r) || g.kept == nil {
		return g.search(r)
	}
	return known(g.kept, r, func() (fitted, error) { return g.search(r) })
}

// search does the work of solve.
func (g *pairGroup) search(r int) (fitted, error) {
	f, err := g.alone.factors(r, g.fit)
	n := below(g.rungs, r)
	if err != nil || n == 0 || r == g.full() || g.still(r) {
		return f, err
	}
	if loss, err := g.alone.loss(n, g.fit); err != nil || !(f.loss > loss) {
		return f, err
	}
	smaller, err := g.alone.factors(n, g.fit)
	if err != nil {
		return f, err
	}
	return g.grown(smaller, r)
}

func (g *pairGroup) held() []*linalg.Matrix {
	g.alone.forget()
	g.found.forget()
	out := append(slices.Concat(g.split.held(), g.coords.held()), g.start)
	if g.nested != nil {
		out = append(out, g.nested.head, g.nested.mam, g.nested.wam)
	}
	if g.lifted != nil {
		out = append(out, g.lifted.held()...)
	}
	if g.turning != nil {
		out = append(out, g.turning.held()...)
	}
	return out
}

// fit finds the pair of rank r from its own start.
func (g *pairGroup) fit(r int) (fitted, error) {
	head := g.start.RowRange(0, min(r, g.start.Rows))
	switch {
	case r == g.full():
		return g.exact(), nil
	case g.in == nil:
		loss := 0.0
		for i := len(g.squares) - 1; i >= r; i-- { // smallest first loses the least to rounding
			loss += g.squares[i]
		}
		return fitted{head: head, loss: loss}, nil
	case g.still(r):
		return g.settled(g.throughStart(r))
	}
	return g.lower(head, g.ladderEffort(r))
}

// throughStart returns what is seen through the head that rank r starts from. Ranks up to the last that the ladder has short of the
// full one share the product with A.
func (g *pairGroup) throughStart(r int) *seen {
	longest := below(g.rungs, g.full())
	if r > longest {
		return g.through(g.start.RowRange(0, r))
	}
	if g.nested == nil {
		g.nested = g.through(g.start.RowRange(0, longest))
		g.nested.ma = nil
	}
	return g.nested.first(r, g.taps)
}

// descended returns the head that a descent from the start of rank r ends at, seen through.
func (g *pairGroup) descended(r int, limit effort) (*seen, error) {
	if err := g.prepare(); err != nil {
		return nil, err
	}
	if r == g.full() {
		return g.through(g.exact().head), nil
	}
	return g.moved(g.start.RowRange(0, r), limit)
}

// grown returns a pair of rank r from one of a smaller rank and what the start has beyond it. Rounding aside it
// cannot be worse than the smaller one.
func (g *pairGroup) grown(smaller fitted, r int) (fitted, error) {
	head := linalg.New(r, g.width)
	n := copy(head.Data, smaller.head.Data)
	copy(head.Data[n:], g.start.RowRange(smaller.head.Rows, r).Data)
	f, err := g.lower(head, g.ladderEffort(r))
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
	if err := g.prepare(); err != nil {
		return fitted{}, err
	}
	r := head.Rows
	if r == g.full() || g.in == nil {
		return g.fit(r)
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
		head = own.head
	}
	return g.lower(head, g.refitEffort(r))
}

func (g *pairGroup) loss(r Rank) (float64, error) {
	loss, err := g.found.loss(r[0], g.solve)
	return g.unit(loss), err
}

func (g *pairGroup) add(chain Chain, r Rank) error {
	f, err := g.found.factors(r[0], g.solve)
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
	ladderBudget = 2e9
	ladderGain   = 2e-3
)

func (g *pairGroup) ladderEffort(r int) effort {
	return g.effort(r, ladderRounds, ladderBudget, ladderGain)
}

// moved lowers the loss from a head.
func (g *pairGroup) moved(head *linalg.Matrix, limit effort) (*seen, error) {
	v := g.through(head)
	if limit.evaluations < 2 {
		return v, nil
	}
	f, err := g.solveTail(v)
	if err == nil && f.loss > negligible*g.energy {
		f, err = g.coords.descend(g.split, f, limit, g.try)
	}
	if err != nil {
		return nil, err
	}
	return f.seen, nil
}

// lower lowers the loss from a head and returns the pair.
func (g *pairGroup) lower(head *linalg.Matrix, limit effort) (fitted, error) {
	v, err := g.moved(head, limit)
	if err != nil {
		return fitted{}, err
	}
	return g.settled(v)
}

// settled returns a head and its best tail, which is left to be solved for again, as a pair.
func (g *pairGroup) settled(v *seen) (fitted, error) {
	f, err := g.solved(v)
	if err != nil {
		return fitted{}, err
	}
	return fitted{head: v.head, loss: f.loss}, nil
}

// appendTo writes a pair to the end of the chain's weights, each component with the same norm in both.
func (g *pairGroup) appendTo(c Chain, f fitted) error {
	if f.tail == nil {
		solved, err := g.solved(g.through(f.head))
		if err != nil {
			return err
		}
		f.tail = solved.tail
	}
	right := f.head.Clone()
	left := byTap(f.tail, g.taps).T()
	balance(left, right, g.scale)
	c[0].Kernel.Weights = append(c[0].Kernel.Weights, right.Data...)
	c[1].Kernel.Weights = append(c[1].Kernel.Weights, fromTaps(left.T(), g.taps).Data...)
	return nil
}

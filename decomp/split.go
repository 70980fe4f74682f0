package decomp

import (
	"errors"
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// split is one group's kernel W [O, K] under its metric, cut between the head of a chain and its tail. The columns
// are K = X·a: X = channels times the taps that the head carries, a the taps that the tail carries, column (x, t) at
// x·a + t. The head is a matrix P [r, X], however many factors it is made of, the tail a matrix L [O, r·a]:
//
//	W'[o, (x, t)] = Σ_i L[o, (i, t)] · P[i, x],  or  W' = L · M  with  M = P ⊗ I_a
//
// Given a head, the best tail is known in closed form (bestTail), and with it the loss is a function of the head alone,
// with a gradient that costs little more (slope): variable projection (Golub and Pereyra, SIAM J. Numer. Anal. 10,
// 1973). A method writes its head as a product of factors, carries the gradient over to them, and calls descend.
//
// The matrices are scaled by powers of two where that keeps products from overflowing or vanishing; losses in here are
// in units of 2^exponent (unit gives them back).
type split struct {
	b                 linalg.Backend
	rows, width, taps int
	w, wa             *linalg.Matrix // W and W·A [O, K]; the same matrix where A is the identity
	turned            *linalg.Matrix // W·A as [O·a, X]; nil, to be made each time, where A is the identity
	in, out           *linalg.Matrix // A and G, nil for the identity
	energy            float64        // tr(G W A Wᵀ)
	rounding          float64        // losses up to here are rounding
	scale, exponent   int            // of W by itself, and of losses
	blind             bool           // the metric is zero: no error counts
	work              float64        // by what limits of work are multiplied
}

// newSplit takes W [O, X·taps], A and G, nil for the identity.
func newSplit(b linalg.Backend, w, a, g *linalg.Matrix, taps int) *split {
	w, scaleW := tame(w)
	a, scaleA := tame(a)
	g, scaleG := normalized(g)
	s := &split{b: b, rows: w.Rows, width: w.Cols / taps, taps: taps, w: w, wa: w, scale: scaleW, exponent: 2*scaleW + scaleA + scaleG, work: 1}
	for _, m := range []*linalg.Matrix{a, g} {
		s.blind = s.blind || m != nil && m.MaxAbs() == 0
	}
	if s.blind { // then the kernel itself is all there is to go by
		a, g = nil, nil
	}
	s.in, s.out = a, g
	if a != nil {
		s.wa = b.Mul(false, false, 1, w, a)
		s.turned = byTap(s.wa, taps)
	}
	s.energy = max(inner(s.weighted(s.wa), w), 0)
	s.rounding = 5e-15 * squaredNorm(w.Data)
	for _, m := range []*linalg.Matrix{a, g} {
		if m != nil {
			s.rounding *= math.Sqrt(squaredNorm(m.Data))
		}
	}
	return s
}

// tame is normalized for a matrix that is far from one, and leaves others alone: a kernel and its input moment are shared
// by all methods that factor it, not copied for each.
func tame(m *linalg.Matrix) (*linalg.Matrix, int) {
	if m == nil {
		return nil, 0
	}
	const near = 40 // products of a few such numbers are far from overflow
	if _, e := math.Frexp(m.MaxAbs()); e >= -near && e <= near {
		return m, 0
	}
	return normalized(m)
}

func (s *split) held() []*linalg.Matrix { return []*linalg.Matrix{s.w, s.wa, s.turned, s.in, s.out} }

// unit gives a loss of the scaled matrices in the units of those that newSplit was given.
func (s *split) unit(loss float64) float64 {
	if s.blind {
		return 0
	}
	return math.Ldexp(loss, s.exponent)
}

// total is the energy in those units.
func (s *split) total() float64 { return s.unit(s.energy) }

// waByTap is W·A as [O·a, X].
func (s *split) waByTap() *linalg.Matrix {
	if s.turned != nil {
		return s.turned
	}
	return byTap(s.wa, s.taps)
}

// weighted returns G·m.
func (s *split) weighted(m *linalg.Matrix) *linalg.Matrix { return times(s.b, s.out, m) }

// seen is what a split sees through a head.
type seen struct {
	head *linalg.Matrix // P [r, X]
	ma   *linalg.Matrix // M·A [r·a, K]; nil where A is the identity
	mam  *linalg.Matrix // M·A·Mᵀ [r·a, r·a]; P·Pᵀ [r, r] where A is the identity
	wam  *linalg.Matrix // W·A·Mᵀ [O, r·a]
}

// through returns what the split sees through a head.
func (s *split) through(head *linalg.Matrix) *seen {
	v := &seen{head: head, wam: fromTaps(s.b.Mul(false, true, 1, s.waByTap(), head), s.taps)}
	if s.in == nil {
		v.mam = s.b.Mul(false, true, 1, head, head)
		return v
	}
	// A row by row is [X, a·K]: one product contracts x for every tap and column.
	wide := &linalg.Matrix{Rows: s.width, Cols: s.taps * s.in.Cols, Data: s.in.Data}
	ma := s.b.Mul(false, false, 1, head, wide)
	v.ma = &linalg.Matrix{Rows: head.Rows * s.taps, Cols: s.in.Cols, Data: ma.Data}
	v.mam = fromTaps(s.b.Mul(false, true, 1, byTap(v.ma, s.taps), head), s.taps)
	return v
}

// first returns what the split sees through the first r rows of the head, of which it lacks ma.
func (v *seen) first(r, taps int) *seen {
	out := &seen{head: v.head.RowRange(0, r), mam: linalg.New(r*taps, r*taps), wam: linalg.New(v.wam.Rows, r*taps)}
	for i := range out.mam.Rows {
		copy(out.mam.Row(i), v.mam.Row(i))
	}
	for i := range out.wam.Rows {
		copy(out.wam.Row(i), v.wam.Row(i))
	}
	return out
}

// Ridges of solveRidged, as a share of each diagonal element: the least at which the factorization succeeds.
const (
	leastRidge = 1e-10
	mostRidge  = 1e-2
	// ridgeFloor is the part of the ridge that counts from the largest diagonal element instead.
	ridgeFloor = 1e-3
)

// bestTail returns argmin_L of the loss, L = W A Mᵀ (M A Mᵀ)⁻¹ [O, r·a], whatever G is. Directions that the Gram
// matrix does not hold stay zero.
func (s *split) bestTail(v *seen) (*linalg.Matrix, error) {
	tail, _, err := s.ridgedTail(v.mam, v.wam)
	return tail, err
}

// ridgedTail returns right·(M A Mᵀ + D)⁻¹ for right [O, r·a], and D for each column.
func (s *split) ridgedTail(mam, right *linalg.Matrix) (tail *linalg.Matrix, ridge []float64, err error) {
	if s.in != nil {
		x, ridge, err := solveRidged(s.b, mam, right.T())
		if err != nil {
			return nil, nil, err
		}
		return x.T(), ridge, nil
	}
	x, each, err := solveRidged(s.b, mam, byTap(right, s.taps).T())
	if err != nil {
		return nil, nil, err
	}
	for _, d := range each {
		for range s.taps {
			ridge = append(ridge, d)
		}
	}
	return fromTaps(x.T(), s.taps), ridge, nil
}

// solveRidged returns (m + D)⁻¹·right for a symmetric positive semidefinite m, and D, diagonal and as small as it may
// be: a share of the diagonal of m, so that the scale of single rows does not matter. Where m has eigenvalues below zero,
// as the rounding of float32 leaves them of few samples, D is a step larger than what lifts them over it: right above
// zero, the solution would be all but infinite along their vectors.
func solveRidged(b linalg.Backend, m, right *linalg.Matrix) (*linalg.Matrix, []float64, error) {
	largest, lift := largestDiagonal(m), make([]float64, m.Rows)
	if largest == 0 {
		return linalg.New(m.Rows, right.Cols), lift, nil
	}
	var x *linalg.Matrix
	err := ridged(leastRidge, mostRidge, func(ridge float64) (err error) {
		lifted := m.Clone()
		for i := range lift {
			lift[i] = ridge * (max(m.At(i, i), 0) + ridgeFloor*largest)
			lifted.Data[i*m.Cols+i] += lift[i]
		}
		x, err = b.SolveSPD(lifted, right)
		return err
	})
	return x, lift, err
}

// ridged tries larger and larger ridges until there is an answer: the one of the least ridge, or where a matrix turned out to
// be indefinite, of one step more than that.
func ridged(least, most float64, try func(ridge float64) error) error {
	indefinite := false
	for ridge := least; ; ridge *= 100 {
		err := try(ridge)
		again := indefinite
		if indefinite = errors.Is(err, linalg.ErrNotPositiveDefinite); ridge > most || !indefinite && !(again && err == nil) {
			return err
		}
	}
}

// solved returns the best tail with what the ridge and the rounding of its solution left out, which bestTail does
// without, and its loss.
func (s *split) solved(v *seen) (*trial, error) {
	f := &trial{seen: v}
	var err error
	if f.tail, err = s.bestTail(v); err != nil {
		return nil, err
	}
	rest := v.wam.Clone()
	subtract(rest, s.timesGram(f.tail, v))
	more, ridge, err := s.ridgedTail(v.mam, rest)
	if err != nil {
		return nil, err
	}
	add(f.tail, more)
	for i := range more.Data {
		more.Data[i] *= ridge[i%more.Cols]
	}
	f.rest = more // rest − more·(B + D) = 0
	if f.loss = s.lossBy(v, f.tail) - inner(s.weighted(f.tail), f.rest); f.loss <= cancels*s.energy {
		f.loss = s.exactLoss(v, f.tail)
	}
	return f, nil
}

// lossBy returns the loss of a best tail as energy − tr(G L (W A Mᵀ)ᵀ): cheap, and good to the rounding of the energy.
func (s *split) lossBy(v *seen, tail *linalg.Matrix) float64 {
	return s.energy - inner(s.weighted(tail), v.wam)
}

// timesGram returns m·B for m [n, r·taps].
func (s *split) timesGram(m *linalg.Matrix, v *seen) *linalg.Matrix {
	if s.in == nil {
		return fromTaps(s.b.Mul(false, false, 1, byTap(m, s.taps), v.mam), s.taps)
	}
	return s.b.Mul(false, false, 1, m, v.mam)
}

// cancels is the share of the energy below which a loss that is taken from the energy is not exact enough to promise.
const cancels = 1e-5

// exactLoss returns the loss of any tail from the error itself, zero where that is rounding.
func (s *split) exactLoss(v *seen, tail *linalg.Matrix) float64 {
	if v.ma == nil && s.in != nil {
		v = s.through(v.head)
	}
	if loss := s.lossOf(v, tail); loss > s.rounding {
		return loss
	}
	return 0
}

// lossOf returns the loss of any tail from the error itself, which is good to its own rounding.
func (s *split) lossOf(v *seen, tail *linalg.Matrix) float64 {
	left, leftA := s.w.Clone(), s.wa.Clone()
	subtract(left, fromTaps(s.b.Mul(false, false, 1, byTap(tail, s.taps), v.head), s.taps))
	if s.in == nil {
		leftA = left
	} else {
		subtract(leftA, s.b.Mul(false, false, 1, tail, v.ma))
	}
	return max(inner(s.weighted(leftA), left), 0)
}

// trial is a head with a tail for it.
type trial struct {
	*seen
	tail *linalg.Matrix // L [O, r·a]
	rest *linalg.Matrix // W A Mᵀ − L M A Mᵀ [O, r·a], where solved has found the tail
	loss float64        // good to the rounding of the energy
}

// solveTail returns a head with its best tail.
func (s *split) solveTail(v *seen) (*trial, error) {
	f := &trial{seen: v}
	var err error
	if f.tail, err = s.bestTail(v); err != nil {
		return nil, err
	}
	f.loss = s.lossBy(v, f.tail)
	return f, nil
}

// Limits of descents.
const (
	negligible  = 1e-10  // a loss below this share of the energy is left alone
	refitBudget = 1.6e10 // multiply-accumulates with A for which one descent may ask
	refitRounds = 30
	refitGain   = 3e-4
	fewest      = 3 // rounds of a refit, whatever they cost
)

// effort returns the limits of a descent with a head of r rows: at most a number of rounds, and as many as there may be
// within a number of multiply-accumulates with A.
func (s *split) effort(r, rounds int, budget, gain float64) effort {
	cost := 2 * float64(r) * float64(s.in.Rows) * float64(s.in.Rows)
	return effort{evaluations: int(s.work * min(budget/cost, float64(rounds))), gain: gain / s.work}
}

// refitEffort returns the limits of the descent of a refit, which is one rank's and not a ladder's.
func (s *split) refitEffort(r int) effort {
	e := s.effort(r, refitRounds, refitBudget, refitGain)
	e.evaluations = max(e.evaluations, fewest)
	return e
}

// slope returns half the gradient of the loss with respect to the head, [r, X], for a tail that is the best there is,
// so that its own change does not count:
//
//	−½ ∂loss/∂P[i, x] = Σ_{o,t} (G L)[o, (i, t)] · ((W − L M) A)[o, (x, t)]
func (s *split) slope(f *trial) *linalg.Matrix {
	weighted := s.weighted(f.tail)
	grad := s.b.Mul(true, false, -1, byTap(weighted, s.taps), s.waByTap())
	if s.in == nil {
		tailByTap := byTap(f.tail, s.taps)
		add(grad, s.b.Mul(false, false, 1, s.b.Mul(true, false, 1, byTap(weighted, s.taps), tailByTap), f.head))
		return grad
	}
	gram := s.b.Mul(true, false, 1, weighted, f.tail)
	// Σ_t Σ_(j,u) Γ[(i,t), (j,u)] · (M A)[(j,u), (x,t)], as one product over (t, j, u).
	flat := &linalg.Matrix{Rows: f.head.Rows, Cols: s.taps * gram.Cols, Data: gram.Data}
	add(grad, s.b.Mul(false, false, 1, flat, tapsFirst(f.ma, s.taps)))
	return grad
}

// byTap turns [n, c·taps] into [n·taps, c].
func byTap(m *linalg.Matrix, taps int) *linalg.Matrix {
	out := &linalg.Matrix{Rows: m.Rows * taps, Cols: m.Cols / taps, Data: m.Data}
	if taps > 1 {
		out.Data = swapped(m, m.Rows, out.Cols, taps).Data
	}
	return out
}

// fromTaps is the reverse of byTap.
func fromTaps(m *linalg.Matrix, taps int) *linalg.Matrix {
	if taps == 1 {
		return m
	}
	return swapped(m, m.Rows/taps, taps, m.Cols)
}

// tapsFirst turns [n, c·taps] into [taps·n, c].
func tapsFirst(m *linalg.Matrix, taps int) *linalg.Matrix {
	out := linalg.New(taps*m.Rows, m.Cols/taps)
	for i := range m.Rows {
		row := m.Row(i)
		for t := range taps {
			to := out.Row(t*m.Rows + i)
			for c := range to {
				to[c] = row[c*taps+t]
			}
		}
	}
	return out
}

package decomp

import (
	"errors"
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpBound bounds Σ_s ‖term s‖² as a multiple of the energy of the tensor. A tensor need not have a best approximation
// of rank r: terms may grow without limit while they cancel each other. Within the bound there always is one, and
// every step below is the best within it, so that the error never rises on account of it. The bound is as low as it is for what
// comes after: of terms that cancel, numbers of eight bits leave little but their rounding.
//
// The sweeps keep within the first, so that they do not end in a corner of it; what follows may use the second. Kernels on which
// the work is light are too small for any rounding of theirs to matter, and lose more by the bounds: for them these are only what keeps
// terms from growing without limit.
const (
	cpBound     = 3
	cpLastBound = 6

	cpLightBound     = 30
	cpLightLastBound = 100
)

// light tells that a sweep over r terms is so little work that it is done in double precision, that all starts are worth a
// trial, and that the rungs below may be asked for theirs.
func (s *modeSpace) light(r int) bool { return r*len(s.target.Data) <= lightWork }

// bound is that of sweeps over r terms.
func (s *modeSpace) bound(r int) float64 {
	if s.light(r) {
		return cpLightBound * s.energy
	}
	return cpBound * s.energy
}

// lastBound is that of what follows.
func (s *modeSpace) lastBound(r int) float64 {
	if s.light(r) {
		return cpLightLastBound * s.energy
	}
	return cpLastBound * s.energy
}

// cpEffort bounds alternating least squares.
type cpEffort struct {
	sweeps int
	gain   float64 // stop when a sweep lowers the squared error by less than this share of it
}

// Steps beyond a sweep: how far at first, how much further each success makes the next, and how far at most. Further than
// the last, steps end in sweeps that are lost.
const (
	aheadFirst = 0.3
	aheadBy    = 0.1
	aheadMost  = 0.9
)

func further(ahead float64) float64 {
	return min(max(ahead*(1+aheadBy)+aheadBy, aheadFirst), aheadMost)
}

// alternate sweeps from x and returns the best terms with their squared error ‖target − W'‖². Between two sweeps it
// goes on along their difference, further each time that this served and not at all after it did not (Ang, Cohen,
// Hien and Gillis, Extrapolated alternating algorithms for approximate canonical polyadic decomposition, ICASSP 2020).
func (s *modeSpace) alternate(x cpTerms, limit cpEffort) (cpTerms, float64, error) {
	x = x.clone()
	missed, err := s.sweep(x)
	if err != nil {
		return x, math.Inf(1), err
	}
	before, ahead := x, 0.0
	for range limit.sweeps - 1 {
		next := x.beyond(before, ahead)
		now, err := s.sweep(next)
		if err != nil {
			return x, missed, err
		}
		if !(now < missed) {
			if ahead == 0 {
				break
			}
			before, ahead = x, 0
			continue
		}
		small := missed-now <= limit.gain*missed
		before, x, missed = x, next, now
		if small {
			break
		}
		ahead = further(ahead)
	}
	return x, missed, nil
}

// beyond returns x + ahead·(x − before), both with the norm of a term spread evenly over its vectors.
func (x cpTerms) beyond(before cpTerms, ahead float64) cpTerms {
	out, from := x.clone(), before.clone()
	out.even()
	from.even()
	all, old := out.all(), from.all()
	for i, m := range all {
		for j, v := range m.Data {
			m.Data[j] = v + ahead*(v-old[i].Data[j])
		}
	}
	return out
}

// sweep solves for each factor in turn by least squares on the tensor, all others held, and returns the squared
// error. Two products with the tensor serve all modes: right = columns·Tᵀ gives D, and n = D·T gives P and, seen
// through P, every window mode.
func (s *modeSpace) sweep(x cpTerms) (float64, error) {
	limit := s.bound(x.out.Rows)
	for _, m := range x.inner() {
		unitRows(m, x.out)
	}
	right := s.b.Mul(false, true, 1, x.columns(), s.target)
	if err := s.replace(x.out, s.grams(x.inner()...), right, limit); err != nil {
		return 0, err
	}
	unitRows(x.out, x.in)
	n := s.b.Mul(false, false, 1, x.out, s.target)
	gram := s.grams(append([]*linalg.Matrix{x.out}, x.window...)...)
	if err := s.replace(x.in, gram, overLast(n, x.taps()), limit); err != nil {
		return 0, err
	}
	unitRows(x.in, x.window[0])
	n = overFirst(n, x.in)
	missed := 0.0
	for i, m := range x.window {
		right := x.overOthers(n, i)
		others := append([]*linalg.Matrix{x.out, x.in}, x.window[:i]...)
		gram := s.grams(append(others, x.window[i+1:]...)...)
		if err := s.replace(m, gram, right, limit); err != nil {
			return 0, err
		}
		missed = s.energy - 2*dot(m.Data, right.Data) + dot(s.b.Mul(false, false, 1, gram, m).Data, m.Data)
		if i+1 < len(x.window) {
			unitRows(m, x.window[i+1])
		}
	}
	return max(missed, 0), nil
}

// grams returns the elementwise product of the Gram matrices of some factors [r, r]: the inner products of the outer
// products of their rows.
func (s *modeSpace) grams(factors ...*linalg.Matrix) *linalg.Matrix {
	out := s.b.Mul(false, true, 1, factors[0], factors[0])
	for _, m := range factors[1:] {
		for i, v := range s.b.Mul(false, true, 1, m, m).Data {
			out.Data[i] *= v
		}
	}
	return out
}

// replace sets x to the bounded solution of gram·x = right.
func (s *modeSpace) replace(x, gram, right *linalg.Matrix, limit float64) error {
	solved, err := boundedSolve(s.b, gram, right, limit)
	if err == nil {
		copy(x.Data, solved.Data)
	}
	return err
}

// cpRidge keeps the Gram matrix of terms that are nearly parallel from being singular, as a share of its largest
// diagonal element.
const cpRidge = 1e-12

// cpSlack is how far beyond a bound, as a share of it, a solution may lie. Where it were larger, the error of one sweep
// could rise above that of the last with the norms.
const cpSlack = 1e-3

// boundedSolve returns the X of least tr(Xᵀ·m·X) − 2·tr(Xᵀ·right) with ‖X‖² ≤ limit, to within cpSlack, for m symmetric positive
// semidefinite: X = (m + λI)⁻¹·right, with λ as small as the bound and the rounding let it be. With the other factors'
// rows of norm 1, ‖X‖² is Σ_s ‖term s‖². λ is found by Newton steps on 1/‖X‖, which is nearly linear in λ and
// concave, so that they climb to it from below (Moré and Sorensen, SIAM J. Sci. Stat. Comput. 4, 1983).
func boundedSolve(b linalg.Backend, m, right *linalg.Matrix, limit float64) (*linalg.Matrix, error) {
	x, _, err := boundedRidge(b, m, right, limit)
	return x, err
}

// boundedRidge is boundedSolve with the λ that it found.
func boundedRidge(b linalg.Backend, m, right *linalg.Matrix, limit float64) (x *linalg.Matrix, lambda float64, err error) {
	largest := largestDiagonal(m)
	if largest == 0 {
		return linalg.New(m.Rows, right.Cols), 0, nil
	}
	lambda, lifted, indefinite := cpRidge*largest, m.Clone(), false
	for range 40 {
		for i := range m.Rows {
			lifted.Data[i*m.Cols+i] = m.At(i, i) + lambda
		}
		x, err := b.SolveSPD(lifted, right)
		more := indefinite && math.IsInf(limit, 1) // as in solveRidged, where no bound keeps the solution small
		if indefinite = errors.Is(err, linalg.ErrNotPositiveDefinite); indefinite || more && err == nil {
			lambda *= 100
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		size := squaredNorm(x.Data)
		if size <= limit*(1+cpSlack) {
			return x, lambda, nil
		}
		again, err := b.SolveSPD(lifted, x)
		if err != nil {
			return nil, 0, err
		}
		norm, bound := math.Sqrt(size), math.Sqrt(limit)
		lambda += size / dot(x.Data, again.Data) * (norm - bound) / bound
	}
	return nil, 0, &boundError{}
}

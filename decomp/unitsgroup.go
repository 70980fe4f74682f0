package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

const (
	// asleep is the share of the largest diagonal element of a moment below which a column counts as dead: it costs nothing to
	// take out, and nothing is estimated from it, which would take weights without bound.
	asleep = 1e-20
	// liftUnits is what is added to a moment of diagonal one where units are chosen, so that no entry of its inverse grows so
	// large that the others drown in its rounding.
	liftUnits = 1e-9
	// liftFold is what is added where the choice is made, which least squares hardly feel.
	liftFold = 1e-12
)

// seenUnits is one group of a reader as the units see it: F [m, K] and the second moments A and G, each divided by a power of
// two. The columns of F are scaled by the roots of A's diagonal, so that A has the diagonal one. F is W, or the identity
// where G is seen through the kernel: losses are the same (see factorizeThrough).
type seenUnits struct {
	units   [][]int        // the columns of every unit
	unbound []int          // those of none
	moment  *linalg.Matrix // A [K, K] before its columns are scaled; nil for the identity
	root    []float64      // √A_ii [K], 0 of columns that are asleep
	kernel  *linalg.Matrix // F
	felt    *linalg.Matrix // G [m, m], nil for the identity
	// What one counts of a loss under these: weight·2^exponent.
	mantissa float64
	exponent int
}

// seeUnits looks at one group of a reader under a metric, with nothing scaled yet.
func seeUnits(b linalg.Backend, group int, k Kernel, m Metric, scale float64) *seenUnits {
	w, scaleW := normalized(k.group(group))
	in, scaleIn := m.input(group).normalized()
	s := &seenUnits{moment: in.matrix(b)}
	s.mantissa, s.exponent = math.Frexp(scale)
	s.exponent += scaleIn
	out, scaleOut := normalized(of(m.Out, group))
	switch through := of(m.Pullback, group); {
	case through != nil:
		s.felt, scaleOut = normalized(through)
		s.kernel, s.exponent = linalg.Identity(w.Cols), s.exponent+scaleOut
	case w.Rows > w.Cols:
		felt, scale := normalized(b.Mul(true, false, 1, w, times(b, out, w)))
		s.kernel, s.felt, s.exponent = linalg.Identity(w.Cols), felt, s.exponent+2*scaleW+scaleOut+scale
	default:
		s.kernel, s.felt, s.exponent = w, out, s.exponent+2*scaleW+scaleOut
	}
	return s
}

// roots returns the roots of the diagonal of A, 0 of columns that are asleep.
func (s *seenUnits) roots() []float64 {
	out := make([]float64, s.kernel.Cols)
	for i := range out {
		out[i] = 1
	}
	if s.moment == nil {
		return out
	}
	least := asleep * largestDiagonal(s.moment)
	for i := range out {
		if out[i] = 0; s.moment.At(i, i) > least {
			out[i] = math.Sqrt(s.moment.At(i, i))
		}
	}
	return out
}

// columnsTimes returns m with column i multiplied by by[i].
func columnsTimes(m *linalg.Matrix, by []float64) *linalg.Matrix {
	out := m.Clone()
	for o := range out.Rows {
		for i, v := range by {
			out.Row(o)[i] *= v
		}
	}
	return out
}

// topExponent is the largest exponent of what a loss counts.
func topExponent(all []*seenUnits) int {
	top := math.MinInt
	for _, s := range all {
		top = max(top, s.exponent)
	}
	return top
}

// weight is what a loss counts, divided by 2^top.
func (s *seenUnits) weight(top int) float64 { return math.Ldexp(s.mantissa, s.exponent-top) }

// correlations returns the rows and columns of the scaled moment.
func (s *seenUnits) correlations(rows, cols []int) *linalg.Matrix {
	out := linalg.New(len(rows), len(cols))
	for i, r := range rows {
		row := out.Row(i)
		for j, c := range cols {
			switch {
			case r == c: // of those asleep too, so that the inverse exists
				row[j] = 1
			case s.moment != nil && s.root[r] > 0 && s.root[c] > 0:
				row[j] = min(max(s.moment.At(r, c)/(s.root[r]*s.root[c]), -1), 1)
			}
		}
	}
	return out
}

// lifted tries what is to be done with the scaled moment of some columns, lifted by as little as is needed, and returns that.
// In the worst case, which no second moment is, the diagonal outweighs all that stands beside it.
func (s *seenUnits) lifted(columns []int, least float64, try func(lifted *linalg.Matrix) error) (lift float64, err error) {
	c := s.correlations(columns, columns)
	err = ridged(least, float64(len(columns)), func(ridge float64) error {
		for i := range columns {
			c.Set(i, i, 1+ridge)
		}
		lift = ridge
		return try(c)
	})
	return lift, err
}

// columnsOf returns the columns of units, in their order.
func (s *seenUnits) columnsOf(units []int) []int {
	var out []int
	for _, u := range units {
		out = append(out, s.units[u]...)
	}
	return out
}

// pick returns columns of m.
func pick(m *linalg.Matrix, columns []int) *linalg.Matrix {
	out := linalg.New(m.Rows, len(columns))
	for o := range out.Rows {
		from, to := m.Row(o), out.Row(o)
		for i, c := range columns {
			to[i] = from[c]
		}
	}
	return out
}

// rest returns the columns of a matrix of so many that are not among these.
func rest(columns []int, of int) []int {
	there, out := make([]bool, of), []int{}
	for _, c := range columns {
		there[c] = true
	}
	for c, kept := range there {
		if !kept {
			out = append(out, c)
		}
	}
	return out
}

// Steps of iterative refinement: the first solves, and each of the others takes a factor of the lift off what is left.
const refinements = 3

// fold returns w [O, K] folded into some columns, [O, S]: those of w and the estimates of all others,
// W_S + W_D A_DS (A_SS)⁻¹. Columns that are asleep stay as they are.
func (s *seenUnits) fold(b linalg.Backend, w *linalg.Matrix, columns []int) (*linalg.Matrix, error) {
	out, dropped := pick(w, columns), rest(columns, w.Cols)
	if len(dropped) == 0 || len(columns) == 0 {
		return out, nil
	}
	estimated := pick(columnsTimes(w, s.root), dropped)
	var inverse *linalg.Matrix
	if _, err := s.lifted(columns, liftFold, func(c *linalg.Matrix) (err error) {
		inverse, err = b.InverseSPD(c)
		return err
	}); err != nil {
		return nil, err
	}
	left := b.Mul(false, false, 1, estimated, s.correlations(dropped, columns))
	moment, more := s.correlations(columns, columns), linalg.New(out.Rows, out.Cols)
	for range refinements {
		step := b.Mul(false, false, 1, left, inverse)
		add(more, step)
		subtract(left, b.Mul(false, false, 1, step, moment))
	}
	for o := range out.Rows {
		for i, c := range columns {
			if s.root[c] > 0 {
				out.Row(o)[i] += more.Row(o)[i] / s.root[c]
			}
		}
	}
	return out, nil
}

package decomp

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// ordered is one group of a reader with its columns in the order in which they stay, those of no unit before all. With
// A = RᵀR, R upper triangular, the inputs are x = Rᵀe with white e, and the outputs F x = Z e, Z = F Rᵀ. The first columns of x
// span what the first of e do: what estimates from these leave of the outputs is the rest of Z, for every number of them.
type ordered struct {
	columns []int
	sizes   []int          // the numbers of columns of no unit, and of each unit of the order
	factor  *linalg.Matrix // R [K, K]
}

func (s *seenUnits) ordered(b linalg.Backend, order []int) (*ordered, error) {
	o := &ordered{columns: slices.Concat(s.unbound, s.columnsOf(order)), sizes: []int{len(s.unbound)}}
	for _, u := range order {
		o.sizes = append(o.sizes, len(s.units[u]))
	}
	_, err := s.lifted(o.columns, liftFold, func(c *linalg.Matrix) (err error) {
		o.factor, err = b.Cholesky(c)
		return err
	})
	return o, err
}

// sums returns the sums of numbers of columns over those of no unit, and of each unit of the order.
func (o *ordered) sums(each []float64) []float64 {
	out, at := make([]float64, len(o.sizes)), 0
	for i, n := range o.sizes {
		for _, v := range each[at : at+n] {
			out[i] += v
		}
		at += n
	}
	return out
}

// terms returns what the columns of no unit keep of the energy, and what each unit of an order keeps beside those before it.
func (s *seenUnits) terms(b linalg.Backend, order []int) ([]float64, error) {
	o, err := s.ordered(b, order)
	if err != nil {
		return nil, err
	}
	z := b.Mul(false, true, 1, pick(s.kernel, o.columns), o.factor)
	felt, each := times(b, s.felt, z), make([]float64, z.Cols)
	for row := range z.Rows {
		for i, v := range z.Row(row) {
			each[i] += v * felt.Row(row)[i]
		}
	}
	for i, v := range each {
		each[i] = max(v, 0)
	}
	return o.sums(each), nil
}

// termsUnder is terms for the same order and the same folds, but losses under another moment H of the inputs and another G, as
// seen has them with nothing scaled. What a fold leaves of the kernel is E = Σ z_i r_iᵀ over the columns that left, R⁻¹ having
// the columns r_i, so that
//
//	tr(G E H Eᵀ) = Σ_ij (R⁻ᵀ H R⁻¹)_ij · (Zᵀ G Z)_ij   over i and j that left:
//
// the term of a column is what it and those that left before it add to that. Terms may be negative.
func (s *seenUnits) termsUnder(b linalg.Backend, order []int, seen *seenUnits) ([]float64, error) {
	o, err := s.ordered(b, order)
	if err != nil {
		return nil, err
	}
	root := slices.Clone(s.root)
	for i, v := range root {
		if v == 0 { // nothing was estimated from these, nor they from others; here they may be awake
			root[i] = 1
		}
	}
	inputs := linalg.New(len(root), len(root))
	for i, r := range o.columns {
		for j, c := range o.columns {
			switch {
			case seen.moment != nil:
				inputs.Set(i, j, seen.moment.At(r, c)/root[r]/root[c])
			case r == c:
				inputs.Set(i, j, 1/root[r]/root[r])
			}
		}
	}
	white := invertUpper(b, o.factor)
	inputs = b.Mul(true, false, 1, white, b.Mul(false, false, 1, inputs, white))
	z := b.Mul(false, true, 1, pick(columnsTimes(seen.kernel, root), o.columns), o.factor)
	outputs := b.Mul(true, false, 1, z, times(b, seen.felt, z))
	each := make([]float64, len(root))
	for i := range each {
		in, out := inputs.Row(i), outputs.Row(i)
		each[i] = in[i]*out[i] + 2*dot(in[i+1:], out[i+1:])
	}
	return o.sums(each), nil
}

// invertUpper returns the inverse of an upper triangular matrix, whose two halves' give it with two products.
func invertUpper(b linalg.Backend, r *linalg.Matrix) *linalg.Matrix {
	const few = 32
	n := r.Rows
	out := linalg.New(n, n)
	if n <= few {
		for j := range n {
			out.Set(j, j, 1/r.At(j, j))
			for i := j - 1; i >= 0; i-- {
				sum := 0.0
				for k := i + 1; k <= j; k++ {
					sum += r.At(i, k) * out.At(k, j)
				}
				out.Set(i, j, -sum/r.At(i, i))
			}
		}
		return out
	}
	half := n / 2
	first := invertUpper(b, columnRange(r.RowRange(0, half), 0, half))
	last := invertUpper(b, columnRange(r.RowRange(half, n), half, n))
	beside := b.Mul(false, false, -1, first, b.Mul(false, false, 1, columnRange(r.RowRange(0, half), half, n), last))
	for i := range half {
		copy(out.Row(i), first.Row(i))
		copy(out.Row(i)[half:], beside.Row(i))
	}
	for i := range n - half {
		copy(out.Row(half + i)[half:], last.Row(i))
	}
	return out
}

// lossesOf returns the losses by the number of units that stay, from 0 on, and the energy, both of all groups.
func lossesOf(all []*seenUnits, terms [][]float64) (losses []float64, energy float64) {
	top, sums := topExponent(all), make([]float64, len(terms[0]))
	for i, s := range all {
		axpy(sums, s.weight(top), terms[i])
	}
	losses = tails(sums)
	for i, v := range losses {
		losses[i] = math.Ldexp(max(v, 0), top)
	}
	return losses[1:], losses[0]
}

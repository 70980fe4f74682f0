package decomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// moment is a second moment M in one of its forms: a matrix, or SᵀS and a diagonal matrix, of which one may be missing. The
// zero moment is the identity.
type moment struct {
	full     *linalg.Matrix // M
	sample   *linalg.Matrix // S
	diagonal []float64      // what is added to the diagonal of SᵀS
	roots    *roots         // where what is found of M is kept; nil for nowhere
}

// input returns the second moment of one group's inputs.
func (m Metric) input(group int) moment {
	out := moment{full: of(m.In, group), sample: of(m.Sample, group)}
	if m.Diagonal != nil {
		out.diagonal = m.Diagonal[group]
	}
	return out
}

// InputGram returns X A Xᵀ for X [n, K] and a kernel of one group: the second moments of what X computes of the inputs.
func (m Metric) InputGram(b linalg.Backend, x *linalg.Matrix) *linalg.Matrix {
	return m.input(0).gram(b, x)
}

// output returns the second moment of the sensitivity to one group's outputs.
func (m Metric) output(group int) moment {
	out := moment{full: of(m.Out, group)}
	if m.roots != nil {
		out.roots = m.roots[group]
	}
	return out
}

// of returns the matrix of one group, nil for the identity.
func of(matrices []*linalg.Matrix, group int) *linalg.Matrix {
	if matrices == nil {
		return nil
	}
	return matrices[group]
}

func (m moment) identity() bool { return m.full == nil && m.sample == nil && m.diagonal == nil }

// normalized returns M·2^-e, of about the size of one, and e.
func (m moment) normalized() (moment, int) {
	if m.sample == nil && m.diagonal == nil {
		full, e := normalized(m.full)
		return moment{full: full}, e
	}
	half := 0 // of the exponent, so that the sample's is whole
	most := 0.0
	if m.sample != nil {
		most = m.sample.MaxAbs()
	}
	for _, v := range m.diagonal {
		most = max(most, math.Sqrt(v))
	}
	_, half = math.Frexp(most)
	out := moment{diagonal: slices.Clone(m.diagonal)}
	for i, v := range out.diagonal {
		out.diagonal[i] = math.Ldexp(v, -2*half)
	}
	if m.sample != nil {
		out.sample = m.sample.Clone()
		for i, v := range out.sample.Data {
			out.sample.Data[i] = math.Ldexp(v, -half)
		}
	}
	return out, 2 * half
}

// Exponents between which numbers neither overflow nor vanish in a product of a few.
const mostExponent = 64

// ranged is normalized, but that a matrix whose numbers are far from the limits of float64 stays as it is.
func (m moment) ranged() (moment, int) {
	if m.full != nil {
		if _, e := math.Frexp(m.full.MaxAbs()); -mostExponent <= e && e <= mostExponent {
			return m, 0
		}
	}
	return m.normalized()
}

// matrix returns M, nil for the identity.
func (m moment) matrix(b linalg.Backend) *linalg.Matrix {
	if m.sample == nil && m.diagonal == nil {
		return m.full
	}
	out := linalg.New(len(m.diagonal), len(m.diagonal))
	if m.sample != nil {
		out = b.Mul(true, false, 1, m.sample, m.sample)
	}
	for i, v := range m.diagonal {
		out.Data[i*out.Cols+i] += v
	}
	return out
}

// gram returns X M Xᵀ without forming M from another form.
func (m moment) gram(b linalg.Backend, x *linalg.Matrix) *linalg.Matrix {
	switch {
	case m.full != nil:
		return b.Mul(false, true, 1, b.Mul(false, false, 1, x, m.full), x)
	case m.identity():
		return b.Mul(false, true, 1, x, x)
	}
	var out *linalg.Matrix
	if m.sample != nil {
		seen := b.Mul(false, true, 1, x, m.sample)
		out = b.Mul(false, true, 1, seen, seen)
	}
	if m.diagonal == nil {
		return out
	}
	scaled := x.Clone()
	for i := range scaled.Rows {
		row := scaled.Row(i)
		for j, v := range m.diagonal {
			row[j] *= v
		}
	}
	weighted := b.Mul(false, true, 1, scaled, x)
	if out != nil {
		axpy(weighted.Data, 1, out.Data)
	}
	return weighted
}

// inner returns tr(M N) for a symmetric N, without forming M from another form.
func (m moment) inner(b linalg.Backend, n *linalg.Matrix) float64 {
	sum := 0.0
	if m.full != nil {
		for i, v := range m.full.Data {
			sum += v * n.Data[i]
		}
	}
	if m.sample != nil {
		for i, v := range b.Mul(false, false, 1, m.sample, n).Data {
			sum += v * m.sample.Data[i]
		}
	}
	for i := range n.Rows {
		switch {
		case m.diagonal != nil:
			sum += m.diagonal[i] * n.At(i, i)
		case m.identity():
			sum += n.At(i, i)
		}
	}
	return sum
}

// check reports a metric that does not fit the shape or cannot be a second moment.
func (m Metric) check(s Shape) error {
	if len(m.In) > 0 && len(m.Sample)+len(m.Diagonal) > 0 {
		return fmt.Errorf("decomp: the input second moment of a %v kernel is given as a matrix and by a sample or a diagonal, wanted one of the two", s)
	}
	if len(s.Window) > 0 && (m.Sample != nil || m.Diagonal != nil) {
		return fmt.Errorf("decomp: the input second moment of a %v kernel is given by a sample or a diagonal, which only plain matrices can have; give a matrix", s)
	}
	if err := checkMoments("input", m.In, s, s.Cols()); err != nil {
		return err
	}
	if err := checkMoments("output", m.Out, s, s.Rows()); err != nil {
		return err
	}
	if m.Pullback != nil && (m.Out != nil || len(s.Window) > 0) {
		return fmt.Errorf("decomp: the output second moment of a %v kernel is given pulled back to its inputs, which goes for plain matrices without one of the outputs", s)
	}
	if err := checkMoments("pulled back output", m.Pullback, s, s.Cols()); err != nil {
		return err
	}
	return m.checkForms(s)
}

// checkMoments checks the second moments of one side, which are matrices of that order.
func checkMoments(side string, matrices []*linalg.Matrix, s Shape, order int) error {
	if matrices != nil && len(matrices) != s.Groups {
		return fmt.Errorf("decomp: %d %s second moments for the %d groups of a %v kernel", len(matrices), side, s.Groups, s)
	}
	for g, a := range matrices {
		if a == nil {
			continue
		}
		if a.Rows != order || a.Cols != order {
			return fmt.Errorf("decomp: the %s second moment of group %d is %d×%d, wanted %d×%d for a %v kernel", side, g, a.Rows, a.Cols, order, order, s)
		}
		if err := a.Check(); err != nil {
			return fmt.Errorf("decomp: the %s second moment of group %d: %w", side, g, err)
		}
		for i := range a.Rows {
			if a.At(i, i) < 0 {
				return fmt.Errorf("decomp: the %s second moment of group %d is %g at (%d, %d): a second moment has no negative diagonal", side, g, a.At(i, i), i, i)
			}
		}
	}
	return nil
}

// checkForms checks samples and diagonals.
func (m Metric) checkForms(s Shape) error {
	if m.Sample != nil && len(m.Sample) != s.Groups || m.Diagonal != nil && len(m.Diagonal) != s.Groups {
		return fmt.Errorf("decomp: %d input second moments for the %d groups of a %v kernel", max(len(m.Sample), len(m.Diagonal)), s.Groups, s)
	}
	for g, x := range m.Sample {
		if x == nil {
			continue
		}
		if x.Rows < 1 || x.Cols != s.Cols() {
			return fmt.Errorf("decomp: the input sample of group %d is %d×%d, wanted rows of %d numbers for a %v kernel", g, x.Rows, x.Cols, s.Cols(), s)
		}
		if err := x.Check(); err != nil {
			return fmt.Errorf("decomp: the input sample of group %d: %w", g, err)
		}
	}
	for g, d := range m.Diagonal {
		if d != nil && len(d) != s.Cols() {
			return fmt.Errorf("decomp: the diagonal of the input second moment of group %d has %d numbers, wanted %d for a %v kernel", g, len(d), s.Cols(), s)
		}
		if i := slices.IndexFunc(d, func(v float64) bool { return !(v >= 0) || math.IsInf(v, 1) }); i >= 0 {
			return fmt.Errorf("decomp: the diagonal of the input second moment of group %d is %g at %d, wanted a finite number of at least 0", g, d[i], i)
		}
	}
	return nil
}

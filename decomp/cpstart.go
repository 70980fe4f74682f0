package decomp

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// term is one rank-one term of a tensor whose modes are in the order of cpTerms.all.
type term struct {
	vectors [][]float64
	size    float64 // squared norm
}

// lengths returns those of all modes, in the order of cpTerms.all.
func (s *modeSpace) lengths() []int { return append([]int{s.target.Rows, s.in}, s.window...) }

// zeros returns n terms of zeros.
func (s *modeSpace) zeros(n int) cpTerms {
	var all []*linalg.Matrix
	for _, length := range s.lengths() {
		all = append(all, linalg.New(n, length))
	}
	return cpOf(all)
}

// leadingTerms returns the n largest rank-one terms of nested singular value decompositions of m [O, K]: of the tensor
// by its longer side, of each right singular vector by its first mode, and so on. They are orthogonal, and all
// together they are the tensor.
func (s *modeSpace) leadingTerms(m *linalg.Matrix, n int) (cpTerms, error) {
	terms, err := s.nested(m)
	if err != nil {
		return cpTerms{}, err
	}
	slices.SortStableFunc(terms, func(a, b term) int { return cmp.Compare(b.size, a.size) })
	terms = terms[:min(n, len(terms))]
	x := s.zeros(len(terms))
	for i, m := range x.all() {
		for row, t := range terms {
			copy(m.Row(row), t.vectors[i])
		}
	}
	return x, nil
}

// nested returns all terms, cutting the shorter of the modes of outputs and inputs off first.
func (s *modeSpace) nested(m *linalg.Matrix) ([]term, error) {
	lengths := s.lengths()
	if m.Rows <= s.in {
		return s.cutFirst(m.Data, lengths)
	}
	taps := m.Cols / s.in
	swapped := make([]float64, len(m.Data))
	for o := range m.Rows {
		for c := range s.in {
			copy(swapped[(c*m.Rows+o)*taps:][:taps], m.Data[(o*s.in+c)*taps:])
		}
	}
	lengths[0], lengths[1] = lengths[1], lengths[0]
	terms, err := s.cutFirst(swapped, lengths)
	for _, t := range terms {
		t.vectors[0], t.vectors[1] = t.vectors[1], t.vectors[0]
	}
	return terms, err
}

// cutFirst splits a tensor by the singular value decomposition between its first mode and the rest, and the right
// vectors in turn.
func (s *modeSpace) cutFirst(data []float64, lengths []int) ([]term, error) {
	if len(lengths) == 1 {
		return []term{{vectors: [][]float64{data}, size: squaredNorm(data)}}, nil
	}
	m := &linalg.Matrix{Rows: lengths[0], Cols: len(data) / lengths[0], Data: data}
	wide := m.Rows <= m.Cols
	_, v, err := s.b.SymEig(s.b.Mul(!wide, wide, 1, m, m))
	if err != nil {
		return nil, err
	}
	var left, right *linalg.Matrix
	if wide {
		left, right = v.T(), s.b.Mul(true, false, 1, v, m)
	} else {
		left, right = s.b.Mul(true, true, 1, v, m), v.T()
	}
	var out []term
	for i := range left.Rows {
		rest, err := s.cutFirst(right.Row(i), lengths[1:])
		if err != nil {
			return nil, err
		}
		scale := 1.0
		if !wide {
			scale = squaredNorm(left.Row(i))
		}
		for _, t := range rest {
			if size := t.size * scale; size > 0 {
				out = append(out, term{vectors: append([][]float64{left.Row(i)}, t.vectors...), size: size})
			}
		}
	}
	return out, nil
}

// randomTerms returns n terms of random directions, the same for the same sizes.
func (s *modeSpace) randomTerms(n int) cpTerms {
	r := rand.New(rand.NewPCG(uint64(s.target.Rows)<<32|uint64(s.target.Cols), uint64(n)))
	x := s.zeros(n)
	for _, m := range x.all() {
		for j := range m.Data {
			m.Data[j] = r.NormFloat64()
		}
	}
	for _, m := range x.inner() {
		unitRows(m, x.out)
	}
	scaleBy(x.out.Data, math.Sqrt(s.energy)*1e-3)
	return x
}

// residual returns target − W', W' = Dᵀ·columns [O, K].
func (s *modeSpace) residual(x cpTerms) *linalg.Matrix {
	out := s.target.Clone()
	subtract(out, s.b.Mul(true, false, 1, x.out, x.columns()))
	return out
}

package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// opened is what a head leaves to the factors behind it: with Q = G^½ and the best tail L of any rank, the eigenvectors U
// of Q L B Lᵀ Q, B = M A Mᵀ. The best tail of rank r2 is Q⁻¹U · UᵀQ L, with the leading r2 of them.
type opened struct {
	head    *linalg.Matrix
	seen    *seen
	left    *linalg.Matrix // Q·L
	vectors *linalg.Matrix // U, leading last
	worth   []float64      // what each adds to what is kept of the energy, leading first
}

// kept is what the leading r2 vectors keep of the energy.
func (o opened) kept(r2 int) float64 {
	sum := 0.0
	for _, v := range o.worth[:r2] {
		sum += v
	}
	return sum
}

// open finds what a head leaves to the factors behind it, q being G taken apart.
func (s *split) open(q whitening, head *linalg.Matrix) (opened, error) {
	o := opened{head: head, seen: s.through(head)}
	f, err := s.solved(o.seen)
	if err != nil {
		return o, err
	}
	o.left = times(s.b, q.root, f.tail)
	add(f.rest, o.seen.wam)
	values, vectors, err := symmetricEig(s.b, s.b.Mul(false, true, 1, o.left, times(s.b, q.root, f.rest)))
	if err != nil {
		return o, err
	}
	o.vectors = vectors
	o.weigh(s.b, q, values)
	return o, nil
}

// weigh finds what each vector is worth, whose values are those under the lifted G.
func (o *opened) weigh(b linalg.Backend, q whitening, values []float64) {
	o.worth = make([]float64, len(values))
	var lifted *linalg.Matrix
	if q.seen != nil {
		lifted = b.Mul(true, false, 1, o.vectors, q.seen)
	}
	for i := range o.worth {
		from := len(values) - 1 - i
		o.worth[i] = values[from]
		if lifted != nil {
			o.worth[i] *= squaredNorm(lifted.Row(from))
		}
	}
}

// tail returns the core tensor [r2, r·a] and the last factor [O, r2] of the best tail of rank r2.
func (o opened) tail(b linalg.Backend, q whitening, r2 int) (core, out *linalg.Matrix) {
	u := leadingRows(o.vectors, r2)
	return b.Mul(false, false, 1, u, o.left), times(b, q.inverse, u.T())
}

// leadingRows returns the last n columns of m as rows, the last first.
func leadingRows(m *linalg.Matrix, n int) *linalg.Matrix {
	out := linalg.New(n, m.Rows)
	for i := range n {
		row := out.Row(i)
		for j := range row {
			row[j] = m.At(j, m.Cols-1-i)
		}
	}
	return out
}

// last returns the best last factor [O, r2] for a head and a core, and what is lost with it.
func (s *split) last(v *seen, core *linalg.Matrix) (*linalg.Matrix, float64, error) {
	gram, right := s.b.Mul(false, true, 1, s.timesGram(core, v), core), s.b.Mul(false, true, 1, core, v.wam)
	out, rest := linalg.New(core.Rows, s.rows), right.Clone()
	for range 2 { // the second time for what the ridge left out
		more, _, err := solveRidged(s.b, gram, rest)
		if err != nil {
			return nil, 0, err
		}
		add(out, more)
		rest = right.Clone()
		subtract(rest, s.b.Mul(false, false, 1, gram, out))
	}
	d := out.T()
	return d, s.exactLoss(v, s.b.Mul(false, false, 1, d, core)), nil
}

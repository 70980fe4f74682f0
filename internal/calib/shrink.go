package calib

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// variance measures how far the second moments of single samples lie apart, which tells how
// much of the entries off the diagonal of their mean is noise.
//
// A random direction in the outputs mixes the rows of the Jacobian, so that G of n samples has
// noise of the order of its diagonal over √n in every entry. Off the diagonal that is all there
// is where channels do not work together: with O of the order of n or above it, as for the
// scores of a thousand classes, the estimate is close to singular, and a factorization puts its
// errors where it sees none.
//
// The remedy is the shrinkage of Ledoit and Wolf, here towards the diagonal (target D in Schäfer
// and Strimmer, A shrinkage approach to large-scale covariance matrix estimation, Statistical
// Applications in Genetics and Molecular Biology 4, 2005). Entries off the diagonal are
// multiplied by 1 − α, where
//
//	α = Σ_{i≠j} Var(G_ij) / Σ_{i≠j} G_ij²
//
// has the least expected squared error. With S_b the sum over the n_b positions of sample b,
// n = Σ n_b and q = Σ n_b², the numerator is estimated without bias, whatever the n_b, by
//
//	(Σ_b S_b,ij² − q·G_ij²) / (n² − q),  summed over i ≠ j.
type variance struct {
	squares []float64 // Σ_b Σ_{i≠j} S_b,ij², of each group
	q       float64
}

// block is where the sensitivities of one sample lie: for each group, a matrix whose rows, or
// columns if turned is not set, are its positions.
type block struct {
	groups []linalg.Block32
	turned bool
}

// positions is n_b.
func (b block) positions() int {
	if b.turned {
		return b.groups[0].Rows
	}
	return b.groups[0].Cols
}

// offDiagonal returns Σ_{i≠j} S_ij² of each group, S the second moments of the block. With X
// the k×n matrix of the sensitivities, ‖X Xᵀ‖ = ‖Xᵀ X‖, so that the smaller of the two will do.
func (b block) offDiagonal(w *worker) []float64 {
	out := make([]float64, len(b.groups))
	for g, x := range b.groups {
		order := min(x.Rows, x.Cols)
		w.gram = slices.Grow(w.gram[:0], order*order)[:order*order]
		clear(w.gram)
		w.backend.SyrkAdd32(x.Rows > x.Cols, x, linalg.Block32{Rows: order, Cols: order, Stride: order, Data: w.gram})
		for i := range order {
			out[g] += 2 * squares(w.gram[i*order+i+1:(i+1)*order])
		}
		if b.turned == (x.Rows > x.Cols) {
			continue // S itself
		}
		for i := range order {
			out[g] += float64(w.gram[i*order+i]) * float64(w.gram[i*order+i])
		}
		for _, v := range b.diagonal(x) {
			out[g] -= v * v
		}
		out[g] = max(out[g], 0)
	}
	return out
}

// squares is the sum of them, four at a time, since each addition waits for the one before.
func squares(x []float32) float64 {
	var a, b, c, d float64
	for len(x) >= 4 {
		p, q, r, s := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		a, b, c, d = a+p*p, b+q*q, c+r*r, d+s*s
		x = x[4:]
	}
	for _, v := range x {
		a += float64(v) * float64(v)
	}
	return a + b + (c + d)
}

// diagonal returns S_ii: the squared norms of the channels.
func (b block) diagonal(x linalg.Block32) []float64 {
	channels := x.Rows
	if b.turned {
		channels = x.Cols
	}
	out := make([]float64, channels)
	for i := range x.Rows {
		row := x.Data[i*x.Stride : i*x.Stride+x.Cols]
		if !b.turned {
			out[i] = squares(row)
			continue
		}
		for j, v := range row {
			out[j] += float64(v) * float64(v)
		}
	}
	return out
}

// add takes what offDiagonal found in a sample of n positions.
func (s *variance) add(squares []float64, n int) {
	s.merge(&variance{squares, float64(n) * float64(n)})
}

// merge adds what another has.
func (s *variance) merge(t *variance) {
	if s.squares == nil {
		s.squares = make([]float64, len(t.squares))
	}
	for g, v := range t.squares {
		s.squares[g] += v
	}
	s.q += t.q
}

// noise is α of a group with the mean m over n positions; 1 where one sample is all there is.
func (s *variance) noise(group int, m *linalg.Matrix, n int64) float64 {
	norm := 0.
	for i := range m.Rows {
		for _, v := range m.Row(i)[i+1:] {
			norm += 2 * v * v
		}
	}
	all := float64(n) * float64(n)
	switch {
	case norm == 0:
		return 0
	case all <= s.q:
		return 1
	}
	return min(max((s.squares[group]-s.q*norm)/((all-s.q)*norm), 0), 1)
}

// shrink multiplies what is off the diagonal by 1 − α.
func shrink(m *linalg.Matrix, alpha float64) {
	for i := range m.Rows {
		for j := range m.Cols {
			if i != j {
				m.Data[i*m.Cols+j] *= 1 - alpha
			}
		}
	}
}

package tune

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Factors of a chain see each other's ill conditioning, so what is steep and what is flat for them lies across their
// entries. SOAP (Vyas and others, arXiv 2409.11321, algorithm 3) is Adam in the coordinates that Shampoo's
// preconditioner (Gupta and others, arXiv 1802.09568) makes diagonal: for the gradient G of a matrix, the eigenvectors
// U of E[G Gᵀ] and V of E[Gᵀ G]. Adam's moments are those of Uᵀ G V, and its step turned back is U N Vᵀ.

const (
	// widest is the largest number of rows or columns that get a basis of their own; beyond, they stay as they are.
	widest = 512
	// refresh is after how many steps the eigenvectors are computed anew.
	refresh = 20
	// betaBasis is the decay of the moments E[G Gᵀ], E[Gᵀ G] and of the squares in their coordinates. It is shorter than
	// Adam's, since what a coordinate means changes with the basis.
	betaBasis = 0.99
	// faint is the size of a coordinate's gradient, as a share of the largest one's, below which its steps get shorter:
	// along directions that no gradient ever has there is nothing but rounding, which is not to be scaled up.
	faint = 1e-5
)

// eigenbasis is the second moment of a gradient along one side of its matrix, and the eigenvectors of that, columns in
// the ascending order of their eigenvalues.
type eigenbasis struct {
	moment, vectors linalg.Block32
}

// rotated is a weight that is a matrix, [first axis, all others], with the bases of its rows and columns; nil for a side
// that stays as it is.
type rotated struct {
	parameter
	height, width int
	rows, columns *eigenbasis
}

// rotations are the weights that SOAP takes for matrices.
type rotations struct {
	backend linalg.Backend
	list    []rotated
	// numbers holds all moments and bases.
	numbers []float32
}

// newRotations finds the matrices among parameters.
func newRotations(backend linalg.Backend, list []parameter) *rotations {
	r := &rotations{backend: backend, list: matrices(list), numbers: make([]float32, basisNumbers(list))}
	rest := r.numbers
	square := func(n int) linalg.Block32 {
		b := linalg.Block32{Rows: n, Cols: n, Stride: n, Data: rest[: n*n : n*n]}
		rest = rest[n*n:]
		return b
	}
	for i := range r.list {
		for _, side := range r.list[i].sides() {
			*side.basis = newEigenbasis(square(side.n), square(side.n))
		}
	}
	return r
}

// matrices are the parameters of which a side gets a basis of its own.
func matrices(list []parameter) []rotated {
	var out []rotated
	for _, p := range list {
		if len(p.shape) < 2 {
			continue
		}
		m := rotated{parameter: p, height: p.shape[0], width: tensor.Product(p.shape[1:])}
		if len(m.sides()) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// basisNumbers counts the numbers of the moments and bases of parameters.
func basisNumbers(list []parameter) int {
	total := 0
	for _, m := range matrices(list) {
		for _, side := range m.sides() {
			total += 2 * side.n * side.n
		}
	}
	return total
}

// side is one that gets a basis of its own, and its length.
type side struct {
	n     int
	basis **eigenbasis
}

func (m *rotated) sides() []side {
	return slices.DeleteFunc([]side{{m.height, &m.rows}, {m.width, &m.columns}}, func(s side) bool { return s.n < 2 || s.n > widest })
}

// newEigenbasis starts with the usual coordinates.
func newEigenbasis(moment, vectors linalg.Block32) *eigenbasis {
	for i := range vectors.Rows {
		vectors.Data[i*vectors.Stride+i] = 1
	}
	return &eigenbasis{moment, vectors}
}

// times is op(a)·op(b).
func (r *rotations) times(transA, transB bool, a, b linalg.Block32) linalg.Block32 {
	rows, cols := a.Rows, b.Cols
	if transA {
		rows = a.Cols
	}
	if transB {
		cols = b.Rows
	}
	out := linalg.NewBlock32(rows, cols)
	r.backend.GemmAdd32(transA, transB, a, b, out)
	return out
}

// turned expresses a matrix in the bases, Uᵀ X V, or leads it back, U X Vᵀ.
func (r *rotations) turned(m *rotated, x linalg.Block32, back bool) linalg.Block32 {
	if m.rows != nil {
		x = r.times(!back, false, m.rows.vectors, x)
	}
	if m.columns != nil {
		x = r.times(false, back, x, m.columns.vectors)
	}
	return x
}

// step moves a matrix in w against its gradient in g. first and second are Adam's moments, in the coordinates of the
// bases.
func (r *rotations) step(m *rotated, w, g, first, second []float32, s stride) {
	x := m.block(g)
	for i := range x.Data {
		x.Data[i] *= float32(s.scale)
	}
	if m.rows != nil {
		m.rows.add(r.times(false, true, x, x), s.number)
	}
	if m.columns != nil {
		m.columns.add(r.times(true, false, x, x), s.number)
	}
	if (s.number-1)%refresh == 0 {
		r.refresh(m, first)
	}
	x = r.turned(m, x, false)
	first, second, w = first[m.from:m.to], second[m.from:m.to], w[m.from:m.to]
	correct1, correct2 := float32(1-math.Pow(beta1, float64(s.number))), 1-math.Pow(betaBasis, float64(s.number))
	largest := float32(0)
	for i, v := range x.Data {
		first[i] = beta1*first[i] + (1-beta1)*v
		second[i] = betaBasis*second[i] + (1-betaBasis)*v*v
		x.Data[i] = float32(math.Sqrt(float64(second[i]) / correct2))
		largest = max(largest, x.Data[i])
	}
	for i, root := range x.Data {
		x.Data[i] = first[i] / correct1 / (root + faint*largest + epsilon)
	}
	shrink := float32(0)
	if m.decays {
		shrink = float32(s.rate * s.decay)
	}
	for i, v := range r.turned(m, x, true).Data {
		w[i] -= shrink*w[i] + float32(s.rate)*v
	}
}

// block copies the numbers of a matrix out of a vector.
func (m *rotated) block(vector []float32) linalg.Block32 {
	b := linalg.NewBlock32(m.height, m.width)
	copy(b.Data, vector[m.from:m.to])
	return b
}

// refresh computes both bases anew, and takes the first moments over into them. The second moments keep their places, for
// these go by the size of the eigenvalues. A basis that cannot be computed stays as it is, for any basis will do, and the
// work so far is not to be lost.
func (r *rotations) refresh(m *rotated, first []float32) {
	mean := r.turned(m, m.block(first), true)
	for _, b := range []*eigenbasis{m.rows, m.columns} {
		if b == nil {
			continue
		}
		moment := linalg.New(b.moment.Rows, b.moment.Cols)
		for i, v := range b.moment.Data {
			moment.Data[i] = float64(v)
		}
		_, vectors, err := r.backend.SymEig(moment)
		if err != nil {
			continue
		}
		for i, v := range vectors.Data {
			b.vectors.Data[i] = float32(v)
		}
	}
	copy(first[m.from:m.to], r.turned(m, mean, false).Data)
}

// add takes the moment of one step in. The first one stands for all that came before.
func (b *eigenbasis) add(moment linalg.Block32, number int) {
	share := float32(1 - betaBasis)
	if number == 1 {
		share = 1
	}
	for i, v := range moment.Data {
		b.moment.Data[i] += share * (v - b.moment.Data[i])
	}
}

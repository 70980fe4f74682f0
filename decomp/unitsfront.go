package decomp

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// front is one group of a reader while units leave. With S what stays, B = (A_SS)⁻¹ and M = FᵀGF for the fold F, both [n, n].
// What units that leave change in these is first put by, as B − LᵀL and M − LᵀQ − QᵀL, and brought in by one product for many.
type front struct {
	b             linalg.Backend
	seen          *seenUnits
	weight        float64        // of a loss
	starts        []int          // the first column of each unit that was there when the last products were made, and of no unit
	inverse, gram *linalg.Matrix // B and M of then
	left, bent    *linalg.Matrix // L and Q, rows of n
	own, felt     []float64      // blocks of B and M on the diagonal, of every unit, as of now
	least         float64        // what the pivots of B have at least, as A is one on the diagonal
}

// newFront returns a group of a reader with all units there.
func newFront(b linalg.Backend, s *seenUnits, weight float64, alive []int) (*front, error) {
	f, columns := &front{b: b, seen: s, weight: weight}, slices.Concat(s.columnsOf(alive), s.unbound)
	lift, err := s.lifted(columns, liftUnits, func(c *linalg.Matrix) (err error) {
		f.inverse, err = b.InverseSPD(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	fold := pick(s.kernel, columns)
	f.gram = b.Mul(true, false, 1, fold, times(b, s.felt, fold))
	f.begin(alive)
	f.least = 1 / (2 * float64(f.widest()) * (1 + lift))
	return f, nil
}

// begin lays out the units that stay, with B and M known.
func (f *front) begin(alive []int) {
	f.starts = make([]int, 0, len(alive)+1)
	at := 0
	for _, u := range alive {
		f.starts = append(f.starts, at)
		at += len(f.seen.units[u])
	}
	f.starts = append(f.starts, at)
	f.left, f.bent = linalg.New(0, f.inverse.Cols), linalg.New(0, f.inverse.Cols)
	f.own, f.felt = f.own[:0], f.felt[:0]
	for u := range alive {
		for i := f.starts[u]; i < f.starts[u+1]; i++ {
			f.own = append(f.own, f.inverse.Row(i)[f.starts[u]:f.starts[u+1]]...)
			f.felt = append(f.felt, f.gram.Row(i)[f.starts[u]:f.starts[u+1]]...)
		}
	}
}

// widest is the largest number of columns of a unit.
func (f *front) widest() int {
	widest := 1
	for u := range len(f.starts) - 1 {
		widest = max(widest, f.starts[u+1]-f.starts[u])
	}
	return widest
}

// price adds to every unit's cost tr(M_uu (B_uu)⁻¹), what the loss rises by if it leaves.
func (f *front) price(costs []float64) {
	n := f.widest()
	pivots, solved := make([]float64, n*n), make([]float64, n*n)
	at := 0
	for u := range costs {
		n := f.starts[u+1] - f.starts[u]
		own, felt := f.own[at:at+n*n], f.felt[at:at+n*n]
		at += n * n
		if n == 1 {
			costs[u] += f.weight * max(felt[0], 0) / max(own[0], f.least)
			continue
		}
		copy(pivots, own)
		copy(solved, felt)
		f.factor(pivots[:n*n], n)
		solveBlock(pivots, n, solved[:n*n], n)
		transposeBlock(solved, n)
		solveBlock(pivots, n, solved[:n*n], n)
		trace := 0.0
		for i := range n {
			trace += solved[i*n+i]
		}
		costs[u] += f.weight * max(trace, 0)
	}
}

// factor replaces a block of B by its Cholesky factor R, upper triangular; below it the block stays.
func (f *front) factor(block []float64, n int) {
	for i := range n {
		for j := i; j < n; j++ {
			sum := block[i*n+j]
			for k := range i {
				sum -= block[k*n+i] * block[k*n+j]
			}
			if j == i {
				block[i*n+i] = math.Sqrt(max(sum, f.least))
				continue
			}
			block[i*n+j] = sum / block[i*n+i]
		}
	}
}

// solveBlock replaces x [n, cols] by R⁻ᵀx.
func solveBlock(r []float64, n int, x []float64, cols int) {
	for i := range n {
		row := x[i*cols : (i+1)*cols]
		for k := range i {
			axpy(row, -r[k*n+i], x[k*cols:(k+1)*cols])
		}
		scaleBy(row, 1/r[i*n+i])
	}
}

func transposeBlock(m []float64, n int) {
	for i := range n {
		for j := range i {
			m[i*n+j], m[j*n+i] = m[j*n+i], m[i*n+j]
		}
	}
}

// leave takes a unit out.
//
// With B_cc = RᵀR, L = R⁻ᵀB_c: takes LᵀL off B, and off the fold P·L with P = F_c R⁻¹. With N = R⁻ᵀM_c: and PᵀGP = R⁻ᵀM_cc R⁻¹
// that takes LᵀN + NᵀL − LᵀPᵀGPL off M, which is LᵀQ + QᵀL for Q = N − ½PᵀGPL.
func (f *front) leave(u int) {
	from, to := f.starts[u], f.starts[u+1]
	n := to - from
	if n == 0 {
		return
	}
	left, bent := f.now(from, to)
	pivots, felt := block(left, from, to), block(bent, from, to)
	f.factor(pivots, n)
	solveBlock(pivots, n, left.Data, left.Cols)
	solveBlock(pivots, n, bent.Data, bent.Cols)
	solveBlock(pivots, n, felt, n)
	transposeBlock(felt, n)
	solveBlock(pivots, n, felt, n)
	for i := range n {
		for j := range n {
			axpy(bent.Row(i), -felt[i*n+j]/2, left.Row(j))
		}
	}
	f.left = &linalg.Matrix{Rows: f.left.Rows + n, Cols: f.left.Cols, Data: append(f.left.Data, left.Data...)}
	f.bent = &linalg.Matrix{Rows: f.bent.Rows + n, Cols: f.bent.Cols, Data: append(f.bent.Data, bent.Data...)}
	f.downdate(left, bent)
}

// now returns some rows of B and of M as they are now.
func (f *front) now(from, to int) (inverse, gram *linalg.Matrix) {
	inverse, gram = f.inverse.RowRange(from, to).Clone(), f.gram.RowRange(from, to).Clone()
	if f.left.Rows > 0 {
		left, bent := columnRange(f.left, from, to), columnRange(f.bent, from, to)
		subtract(inverse, f.b.Mul(true, false, 1, left, f.left))
		subtract(gram, f.b.Mul(true, false, 1, left, f.bent))
		subtract(gram, f.b.Mul(true, false, 1, bent, f.left))
	}
	return inverse, gram
}

func columnRange(m *linalg.Matrix, from, to int) *linalg.Matrix {
	out := linalg.New(m.Rows, to-from)
	for i := range m.Rows {
		copy(out.Row(i), m.Row(i)[from:to])
	}
	return out
}

// block returns the square block of some columns of as many rows.
func block(rows *linalg.Matrix, from, to int) []float64 { return columnRange(rows, from, to).Data }

// downdate takes rows of L and Q off the blocks on the diagonal.
func (f *front) downdate(left, bent *linalg.Matrix) {
	for r := range left.Rows {
		l, q := left.Row(r), bent.Row(r)
		at := 0
		for u := range len(f.starts) - 1 {
			from, to := f.starts[u], f.starts[u+1]
			for i := from; i < to; i++ {
				for j := from; j < to; j++ {
					f.own[at] -= l[i] * l[j]
					f.felt[at] -= l[i]*q[j] + q[i]*l[j]
					at++
				}
			}
		}
	}
}

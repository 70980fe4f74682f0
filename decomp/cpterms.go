package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpTerms are r rank-one terms of a tensor [O, C, window modes...]: term s is the outer product of row s of all of them.
type cpTerms struct {
	out    *linalg.Matrix   // D [r, O]
	in     *linalg.Matrix   // P [r, C]
	window []*linalg.Matrix // [r, length] for each window mode
}

// all returns the factors as one list.
func (x cpTerms) all() []*linalg.Matrix { return append([]*linalg.Matrix{x.out, x.in}, x.window...) }

// inner returns the factors of the columns: all but the outputs.
func (x cpTerms) inner() []*linalg.Matrix { return append([]*linalg.Matrix{x.in}, x.window...) }

// cpOf is the reverse of all.
func cpOf(all []*linalg.Matrix) cpTerms { return cpTerms{out: all[0], in: all[1], window: all[2:]} }

func (x cpTerms) clone() cpTerms {
	all := x.all()
	for i, m := range all {
		all[i] = m.Clone()
	}
	return cpOf(all)
}

// with appends the terms of y, and terms of zeros up to n.
func (x cpTerms) with(y cpTerms, n int) cpTerms {
	all, more := x.all(), y.all()
	for i, m := range all {
		grown := linalg.New(n, m.Cols)
		copy(grown.Data, m.Data)
		if y.out != nil {
			copy(grown.Data[len(m.Data):], more[i].Data)
		}
		all[i] = grown
	}
	return cpOf(all)
}

// first returns the first n terms, or as many as there are. They share memory with x.
func (x cpTerms) first(n int) cpTerms {
	all := x.all()
	for i, m := range all {
		all[i] = m.RowRange(0, min(n, m.Rows))
	}
	return cpOf(all)
}

// taps returns the products of the window vectors of each term [r, ∏window].
func (x cpTerms) taps() *linalg.Matrix {
	out := x.window[0]
	for _, m := range x.window[1:] {
		out = rowProducts(out, m)
	}
	return out
}

// columns returns the products of all vectors but those of the outputs [r, K], so that W' = Dᵀ·columns.
func (x cpTerms) columns() *linalg.Matrix { return rowProducts(x.in, x.taps()) }

// rowProducts returns the Kronecker product of each row of a with the same row of b.
func rowProducts(a, b *linalg.Matrix) *linalg.Matrix {
	out := linalg.New(a.Rows, a.Cols*b.Cols)
	for s := range a.Rows {
		to, right := out.Row(s), b.Row(s)
		for i, v := range a.Row(s) {
			block := to[i*len(right):][:len(right)]
			for j, w := range right {
				block[j] = v * w
			}
		}
	}
	return out
}

// overLast returns Σ_j m[s, (i, j)]·right[s, j]: the rows of m contracted with those of right over their last index.
func overLast(m, right *linalg.Matrix) *linalg.Matrix {
	n := right.Cols
	out := linalg.New(m.Rows, m.Cols/n)
	for s := range m.Rows {
		row, by := m.Row(s), right.Row(s)
		for i := range out.Cols {
			sum := 0.0
			for j, v := range row[i*n : (i+1)*n] {
				sum += v * by[j]
			}
			out.Data[s*out.Cols+i] = sum
		}
	}
	return out
}

// overFirst returns Σ_i m[s, (i, j)]·left[s, i].
func overFirst(m, left *linalg.Matrix) *linalg.Matrix {
	n := m.Cols / left.Cols
	out := linalg.New(m.Rows, n)
	for s := range m.Rows {
		row, to := m.Row(s), out.Row(s)
		for i, v := range left.Row(s) {
			for j, w := range row[i*n : (i+1)*n] {
				to[j] += v * w
			}
		}
	}
	return out
}

// overOthers contracts the rows of m [r, ∏window] with all window vectors but those of one mode: [r, its length].
func (x cpTerms) overOthers(m *linalg.Matrix, mode int) *linalg.Matrix {
	for i := len(x.window) - 1; i > mode; i-- {
		m = overLast(m, x.window[i])
	}
	for _, w := range x.window[:mode] {
		m = overFirst(m, w)
	}
	return m
}

// unitRows scales every row of m to norm 1 and multiplies the row of to by what it had. Rows of zeros stay.
func unitRows(m, to *linalg.Matrix) {
	for s := range m.Rows {
		if n := unitRow(m.Row(s)); n > 0 {
			scaleBy(to.Row(s), n)
		}
	}
}

// even gives all vectors of a term the same norm, a term with a vector of zeros none.
func (x cpTerms) even() {
	all := x.all()
	for s := range x.out.Rows {
		logs, norms := 0.0, make([]float64, len(all))
		for i, m := range all {
			norms[i] = math.Sqrt(squaredNorm(m.Row(s)))
			logs += math.Log(norms[i])
		}
		mean := math.Exp(logs / float64(len(all)))
		for i, m := range all {
			row := m.Row(s)
			for j := range row {
				if mean == 0 {
					row[j] = 0
				} else {
					row[j] *= mean / norms[i]
				}
			}
		}
	}
}

// size returns Σ_s ‖term s‖².
func (x cpTerms) size() float64 {
	sum := 0.0
	for s := range x.out.Rows {
		product := 1.0
		for _, m := range x.all() {
			product *= squaredNorm(m.Row(s))
		}
		sum += product
	}
	return sum
}

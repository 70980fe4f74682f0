package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// train is a tensor train of a kernel: W' = lastᵀ · columns, the columns being grown from the first factor, one window
// mode after the other.
type train struct {
	first  *linalg.Matrix   // P [r1, C]
	window []*linalg.Matrix // for each window mode of length k [r'·k, r], r the rank before it and r' that behind it
	last   *linalg.Matrix   // D [r, O]
	taps   []int            // the lengths of the window modes
}

// columns returns what the train has given before its last factor, [r, C·taps].
func (t train) columns(b linalg.Backend) *linalg.Matrix {
	out := t.first
	for i, m := range t.window {
		wide := b.Mul(false, false, 1, m, out) // [(r', k), X]
		out = swapped(wide, m.Rows/t.taps[i], t.taps[i], out.Cols)
	}
	return out
}

// swapped takes numbers [n, rows, cols] to [n, cols, rows], as a matrix of n rows.
func swapped(m *linalg.Matrix, n, rows, cols int) *linalg.Matrix {
	out := linalg.New(n, rows*cols)
	for i := range n {
		transpose(out.Row(i), m.Data[i*rows*cols:], rows, cols)
	}
	return out
}

// even scales the channels between two factors so that what makes a channel and what takes it have the same norm, and
// then all factors to the same norm.
func (t train) even() train {
	all := append(append([]*linalg.Matrix{t.first}, t.window...), t.last)
	for i, m := range all {
		all[i] = m.Clone()
	}
	const rounds = 4 // one pass disturbs what the one before it set
	for range rounds {
		for i := range all[:len(all)-1] {
			t.evenBond(all, i)
		}
	}
	logs, norms := 0.0, make([]float64, len(all))
	for i, m := range all {
		norms[i] = math.Sqrt(squaredNorm(m.Data))
		logs += math.Log(norms[i])
	}
	mean := math.Exp(logs / float64(len(all)))
	for i, m := range all {
		by := 0.0
		if mean > 0 {
			by = mean / norms[i]
		}
		scaleBy(m.Data, by)
	}
	return train{first: all[0], window: all[1 : len(all)-1], last: all[len(all)-1], taps: t.taps}
}

// evenBond does the work of even for the channels behind factor i. A channel that nothing makes or nothing takes
// becomes zero on both sides.
func (t train) evenBond(all []*linalg.Matrix, i int) {
	k := 1
	if i > 0 {
		k = t.taps[i-1]
	}
	from, to := all[i], all[i+1]
	for s := range from.Rows / k {
		made := from.Data[s*k*from.Cols : (s+1)*k*from.Cols]
		size, taken := math.Sqrt(squaredNorm(made)), 0.0
		column, stride := to.Data[s:], to.Cols
		if i+1 == len(all)-1 { // the last factor has channels in rows
			column, stride = to.Row(s), 1
		}
		for j := 0; j < len(column); j += stride {
			taken += column[j] * column[j]
		}
		taken = math.Sqrt(taken)
		up, down := 0.0, 0.0
		if size > 0 && taken > 0 {
			up = math.Sqrt(taken / size)
			down = math.Sqrt(size / taken)
		}
		scaleBy(made, up)
		for j := 0; j < len(column); j += stride {
			column[j] *= down
		}
	}
}

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

// grown returns what the train has given after the first factor and after every window mode: [r, C·taps so far].
func (t train) grown(b linalg.Backend) []*linalg.Matrix {
	out := []*linalg.Matrix{t.first}
	for i, m := range t.window {
		before := out[i]
		wide := b.Mul(false, false, 1, m, before) // [(r', k), X]
		out = append(out, swapped(wide, m.Rows/t.taps[i], t.taps[i], before.Cols))
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

// columns returns the last of grown.
func (t train) columns(b linalg.Backend) *linalg.Matrix {
	all := t.grown(b)
	return all[len(all)-1]
}

// ontoFactors carries the derivative by the columns over to the first factor and the window factors, grown being the
// train's own.
func (t train) ontoFactors(b linalg.Backend, grown []*linalg.Matrix, slope *linalg.Matrix) train {
	out := train{window: make([]*linalg.Matrix, len(t.window)), last: t.last, taps: t.taps}
	for i := len(t.window) - 1; i >= 0; i-- {
		before, k := grown[i], t.taps[i]
		n := t.window[i].Rows / k
		wide := swapped(slope, n, before.Cols, k)
		wide = &linalg.Matrix{Rows: n * k, Cols: before.Cols, Data: wide.Data}
		out.window[i] = b.Mul(false, true, 1, wide, before)
		slope = b.Mul(true, false, 1, t.window[i], wide)
	}
	out.first = slope
	return out
}

// head returns the factors but the last.
func (t train) head() []*linalg.Matrix { return append([]*linalg.Matrix{t.first}, t.window...) }

// withHead returns the train of a list of numbers that flat gave for a head of the same sizes, without a last factor.
func (t train) withHead(numbers []float64) train {
	head := unflat(t.head(), numbers)
	return train{first: head[0], window: head[1:], taps: t.taps}
}

// even scales the channels between two factors so that what makes a channel and what takes it have the same norm, and
// then all factors to the same norm.
func (t train) even() train {
	all := append(t.head(), t.last)
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

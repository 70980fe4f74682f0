package decomp

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Turn is a map of channels, of some groups of them each by itself: with Q = By[i], of the channels x in the order of Channels[i] it
// makes Qx, in their places. Other channels stay as they are.
type Turn struct {
	Channels [][]int
	By       []*linalg.Matrix // [n, n] for n channels
	// Dual holds Q⁻ᵀ for every group, what gradients are turned by; nil where all of By are orthogonal, and so are their own.
	Dual []*linalg.Matrix
}

// dual is the map of gradients, with which what reads the channels is turned.
func (t Turn) dual() Turn {
	if t.Dual == nil {
		return t
	}
	return Turn{Channels: t.Channels, By: t.Dual, Dual: t.By}
}

// Outputs returns the kernel whose outputs are turned.
func (t Turn) Outputs(b linalg.Backend, k Kernel) Kernel {
	out := Kernel{Shape: k.Shape, Weights: slices.Clone(k.Weights)}
	width := len(k.Weights) / k.Out
	t.rows(b, &linalg.Matrix{Rows: k.Out, Cols: width, Data: out.Weights})
	return out
}

// Inputs returns the kernel, of one group and without a window, that gives for turned inputs what k gives for inputs as they were.
func (t Turn) Inputs(b linalg.Backend, k Kernel) Kernel {
	turned := (&linalg.Matrix{Rows: k.Out, Cols: k.In, Data: k.Weights}).T()
	t.dual().rows(b, turned)
	return Kernel{Shape: k.Shape, Weights: turned.T().Data}
}

// Vector returns one number for each channel, turned.
func (t Turn) Vector(b linalg.Backend, v []float64) []float64 {
	out := slices.Clone(v)
	t.rows(b, &linalg.Matrix{Rows: len(v), Cols: 1, Data: out})
	return out
}

// InputMetric returns the metric of a kernel, of one group and without a window, whose inputs are turned, and OutputMetric that of
// one whose outputs are.
func (t Turn) InputMetric(b linalg.Backend, m Metric) Metric {
	out := Metric{Out: m.Out}
	if in := m.input(0); !in.identity() {
		out.In = []*linalg.Matrix{t.moment(b, in.matrix(b))}
	}
	if m.Pullback != nil {
		out.Pullback = []*linalg.Matrix{t.dual().moment(b, m.Pullback[0])}
	}
	return out
}

// OutputMetric is described at InputMetric.
func (t Turn) OutputMetric(b linalg.Backend, m Metric) Metric {
	out := m
	if m.Out != nil {
		out.Out = []*linalg.Matrix{t.dual().moment(b, m.Out[0])}
	}
	return out
}

// moment returns R M Rᵀ, R being the map of all channels.
func (t Turn) moment(b linalg.Backend, m *linalg.Matrix) *linalg.Matrix {
	out := m.Clone()
	t.rows(b, out)
	out = out.T()
	t.rows(b, out)
	for i := range out.Rows {
		for j := range i { // which rounding has made differ
			mean := (out.At(i, j) + out.At(j, i)) / 2
			out.Set(i, j, mean)
			out.Set(j, i, mean)
		}
	}
	return out
}

// rows turns the rows of m in place.
func (t Turn) rows(b linalg.Backend, m *linalg.Matrix) {
	for i, channels := range t.Channels {
		part := linalg.New(len(channels), m.Cols)
		for r, c := range channels {
			copy(part.Row(r), m.Row(c))
		}
		turned := b.Mul(false, false, 1, t.By[i], part)
		for r, c := range channels {
			copy(m.Row(c), turned.Row(r))
		}
	}
}

// HeadReader is a Reader of an axis whose units have a channel in each of several heads, between which and their readers any map of a
// head's channels passes.
type HeadReader struct {
	Reader
	Heads [][]int // its input channels for each head, in the order of units
	Of    []int   // which of the axis' heads each is
}

// TurnHeads returns for each of n heads the orthogonal map of its channels whose first k rows span what to keep of it, for every k. With
// A_h = E[x xᵀ] of a head's channels where they are read, M_h = Σ W_hᵀ G W_h of the readers' columns and
//
//	A_h^½ M_h A_h^½ = Σ λ_i q_i q_iᵀ, λ falling,
//
// the best map to k numbers and back has the rows A_h^-½ q_i = M_h A_h^½ q_i / λ_i for i ≤ k. They are made orthogonal one after the
// other, which leaves what the first k of them span. Readers have a single group and no window.
func TurnHeads(b linalg.Backend, n int, readers []HeadReader) ([]*linalg.Matrix, error) {
	moments, felt := make([]*linalg.Matrix, n), make([]*linalg.Matrix, n)
	for _, r := range readers {
		if err := r.Kernel.Check(); err != nil {
			return nil, fmt.Errorf("decomp: heads: %w", err)
		}
		if err := r.Metric.check(r.Kernel.Shape); err != nil {
			return nil, fmt.Errorf("decomp: heads: %w", err)
		}
		in := r.Metric.input(0).matrix(b)
		if in == nil {
			in = linalg.Identity(r.Kernel.In)
		}
		w := &linalg.Matrix{Rows: r.Kernel.Out, Cols: r.Kernel.In, Data: r.Kernel.Weights}
		for i, channels := range r.Heads {
			head := r.Of[i]
			moments[head] = added(moments[head], in.Some(channels, channels), 1)
			felt[head] = added(felt[head], feltAt(b, r.Metric, w, channels), r.Scale)
		}
	}
	out := make([]*linalg.Matrix, n)
	for head := range out {
		if moments[head] == nil {
			return nil, fmt.Errorf("decomp: head %d of %d is read by nothing", head, n)
		}
		var err error
		if out[head], err = turnOf(b, moments[head], felt[head]); err != nil {
			return nil, fmt.Errorf("decomp: head %d of %d: %w", head, n, err)
		}
	}
	return out, nil
}

// feltAt returns W_hᵀ G W_h of some input channels.
func feltAt(b linalg.Backend, m Metric, w *linalg.Matrix, channels []int) *linalg.Matrix {
	if through := of(m.Pullback, 0); through != nil {
		return through.Some(channels, channels)
	}
	part := w.Some(nil, channels)
	return b.Mul(true, false, 1, part, times(b, of(m.Out, 0), part))
}

// added returns sum + by·m, with nil for zero.
func added(sum, m *linalg.Matrix, by float64) *linalg.Matrix {
	if sum == nil {
		sum = linalg.New(m.Rows, m.Cols)
	}
	axpy(sum.Data, by, m.Data)
	return sum
}

// turnOf returns the map of one head.
func turnOf(b linalg.Backend, a, m *linalg.Matrix) (*linalg.Matrix, error) {
	a, _ = normalized(a)
	m, _ = normalized(m)
	values, vectors, err := b.SymEig(a)
	if err != nil {
		return nil, err
	}
	for i := range vectors.Rows {
		for j, v := range values {
			vectors.Row(i)[j] *= math.Sqrt(math.Sqrt(max(v, 0)))
		}
	}
	root := b.Mul(false, true, 1, vectors, vectors)
	seen := b.Mul(false, false, 1, m, root)
	_, vectors, err = b.SymEig(b.Mul(false, false, 1, root, seen))
	if err != nil {
		return nil, err
	}
	return inTurn(b.Mul(false, true, 1, leadingRows(vectors, a.Rows), seen)), nil
}

// inTurn makes rows orthonormal one after the other; one that those before it span gives way to a unit vector that they do not.
func inTurn(m *linalg.Matrix) *linalg.Matrix {
	const spanned = 1e-9
	out, next := linalg.New(m.Rows, m.Cols), 0
	for i := range m.Rows {
		row := slices.Clone(m.Row(i))
		for before := math.Sqrt(dot(row, row)); !leftOf(out, i, row, spanned*before); next++ {
			clear(row)
			row[next], before = 1, 1
		}
		copy(out.Row(i), row)
	}
	return out
}

// leftOf takes off a row what the first n of m span of it and makes it as long as one, false where no more than so much is left.
func leftOf(m *linalg.Matrix, n int, row []float64, least float64) bool {
	for range 2 { // once more for what rounding leaves
		for i := range n {
			axpy(row, -dot(m.Row(i), row), m.Row(i))
		}
	}
	size := math.Sqrt(dot(row, row))
	if !(size > least) {
		return false
	}
	most := slices.MaxFunc(row, func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	scaleBy(row, math.Copysign(1/size, most))
	return true
}

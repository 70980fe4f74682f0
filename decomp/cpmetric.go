package decomp

import (
	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpDescent lowers the loss of terms under the metric: with D always the best for the others (variable projection, Golub and
// Pereyra, SIAM J. Numer. Anal. 10, 1973), it descends in all others together. The ridge that keeps D within its bound at first is
// part of what is lowered,
//
//	tr((T − Dᵀ·columns) A (T − Dᵀ·columns)ᵀ) + ridge · Σ_s ‖term s‖²,
//
// so that no step has to be taken back for leaving the bound.
type cpDescent struct {
	*modeSpace
	free   cpTerms // the inner vectors at first, and no D
	wanted *linalg.Matrix
	ridge  float64
	whole  float64 // tr(T A Tᵀ)
}

// Limits of a descent.
const (
	// fitGain is the share of what is lowered that a step must win for another to follow.
	fitGain = 1e-4
	// singleShare is the share of the whole from which on single precision tells what is left.
	singleShare = 1e-3
)

// fit lowers the loss under the metric from x. It returns x with a better D where nothing else helps.
func (s *modeSpace) fit(x cpTerms, limit effort) (cpTerms, error) {
	x = x.clone()
	last, err := s.finished(x)
	if err != nil {
		return x, err
	}
	d := &cpDescent{modeSpace: s, wanted: s.wanted(), ridge: last.ridge}
	d.whole = dot(d.wanted.Data, s.target.Data)
	start := x.clone()
	start.even()
	d.free = cpTerms{out: linalg.New(x.out.Rows, 0), in: start.in, window: start.window}
	eval := d.eval
	if left := d.whole - dot(last.out.Data, last.right.Data); left > singleShare*d.whole && !s.light(x.out.Rows) {
		if single, ok := d.single(); ok {
			eval = single.eval
		}
	}
	at, _, err := descend(flat(d.free.all()), limit, eval)
	if err == nil {
		better := cpOf(unflat(d.free.all(), at))
		better.out = linalg.New(x.out.Rows, x.out.Cols)
		if _, err = s.finished(better); err == nil {
			return better, nil
		}
	}
	if unanswered(err) {
		return x, nil
	}
	return x, err
}

// finished makes the inner vectors those of norm one and D the best for them under the metric, and returns what was solved.
func (s *modeSpace) finished(x cpTerms) (lastOf, error) {
	for _, m := range x.inner() {
		unitRows(m, x.out)
	}
	v, err := s.bestLast(x.columns(), s.lastBound(x.out.Rows))
	if err == nil {
		copy(x.out.Data, v.out.Data)
	}
	return v, err
}

// eval returns what is lowered at inner vectors, and its derivative.
func (d *cpDescent) eval(numbers []float64) (float64, []float64, error) {
	y := cpOf(unflat(d.free.all(), numbers))
	columns := y.columns()
	seen := d.seen(columns)
	right := d.b.Mul(false, true, 1, seen, d.target)
	gram, sizes := d.b.Mul(false, true, 1, seen, columns), y.innerSizes()
	for i, n := range sizes {
		gram.Data[i*gram.Cols+i] += d.ridge * n
	}
	var err error
	if y.out, err = d.b.SolveSPD(gram, right); err != nil {
		return 0, nil, err
	}
	missed := d.b.Mul(true, false, 1, y.out, seen)
	subtract(missed, d.wanted)
	grad := y.ontoFactors(d.free.out, d.b.Mul(false, false, 2, y.out, missed))
	d.pull(y, sizes, grad)
	return d.whole - dot(y.out.Data, right.Data), grad, nil
}

// innerSizes are the squared norms of terms but for those of D.
func (x cpTerms) innerSizes() []float64 {
	out := make([]float64, x.in.Rows)
	for s := range out {
		out[s] = 1
		for _, m := range x.inner() {
			out[s] *= squaredNorm(m.Row(s))
		}
	}
	return out
}

// pull adds the derivative of the ridge to that of the loss.
func (d *cpDescent) pull(y cpTerms, sizes, grad []float64) {
	by := make([]float64, len(sizes))
	for s, n := range sizes {
		by[s] = 2 * d.ridge * n * squaredNorm(y.out.Row(s))
	}
	at := 0
	for _, m := range y.inner() {
		for s := range m.Rows {
			row := m.Row(s)
			if size := squaredNorm(row); size > 0 {
				axpy(grad[at:at+len(row)], by[s]/size, row)
			}
			at += len(row)
		}
	}
}

// ontoFactors carries the derivative by the columns [r, K] over to the vectors that they are products of.
func (x cpTerms) ontoFactors(none, slope *linalg.Matrix) []float64 {
	g := cpTerms{out: none, in: overLast(slope, x.taps())}
	slope = overFirst(slope, x.in)
	for i := range x.window {
		g.window = append(g.window, x.overOthers(slope, i))
	}
	return flat(g.all())
}

package compress

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// hidden are what takes the place of calibration at readers of axes where there are no samples: what they would see if what the
// producers read were white, so that near-equal units are merged. It has the zero value for other sites.
func (f *factoring) hidden() ([]calib.Stats, error) {
	if len(f.a.hidden) == 0 {
		return nil, nil
	}
	out := make([]calib.Stats, len(f.a.Sites))
	for i, h := range f.a.hidden {
		axis := &f.a.Axes[i]
		cov, mean, err := f.sums(axis, h)
		if err != nil {
			return nil, fmt.Errorf("%s: axis %q: %w", f.a.model.Path, axis.Name, err)
		}
		for r, p := range axis.Readers {
			second, first, err := decomp.HiddenMoment(h.Activations[r], cov, mean)
			if err != nil {
				return nil, fmt.Errorf("%s: axis %q: %w", f.a.model.Path, axis.Name, err)
			}
			addSquare(second, first, -1)
			supposed(&out[f.a.numbered(p.Site)], p, axis.Units, second, first)
		}
	}
	for i := range out {
		if out[i].A != nil {
			addSquare(out[i].A[0], out[i].Mean[0], 1)
		}
	}
	return out, nil
}

// sums are the covariance, by units, and the mean of what goes into an axis' activation.
func (f *factoring) sums(axis *rewrite.Axis, h *rewrite.Hidden) (cov *linalg.Matrix, mean []float64, err error) {
	kernel, err := h.Producer.Load()
	if err != nil {
		return nil, nil, err
	}
	w := &linalg.Matrix{Rows: kernel.Out, Cols: kernel.Cols(), Data: kernel.Weights}
	var rows []int
	for _, channels := range axis.Producers[0].Channels(axis.Units) {
		rows = append(rows, channels[0])
	}
	w = w.Some(rows, inOrder(w.Cols))
	cov = f.env.Algebra.Mul(false, true, 1, w, w)
	for _, c := range rows {
		mean = append(mean, h.Mean[c])
	}
	if h.Deviation == nil {
		return cov, mean, nil
	}
	by := make([]float64, len(rows))
	for i, c := range rows {
		if v := cov.At(i, i); v > 0 {
			by[i] = h.Deviation[c] / math.Sqrt(v)
		}
	}
	for i, x := range by {
		for j, y := range by {
			cov.Data[i*cov.Cols+j] *= x * y
		}
	}
	return cov, mean, nil
}

// supposed puts the covariance and mean of an axis' units into those of a reader, whose taps, and positions that a Flatten put side by
// side, are taken to be independent, as are channels of which nothing is known.
func supposed(s *calib.Stats, p rewrite.Port, units int, cov *linalg.Matrix, mean []float64) {
	k := p.Site.Kernel
	taps := k.Cols() / k.In
	if s.A == nil {
		s.A, s.Mean = []*linalg.Matrix{linalg.Identity(k.Cols())}, [][]float64{make([]float64, k.Cols())}
		s.Positions = int64(manyColumns * k.Cols())
	}
	all := p.Channels(units)
	for u, channels := range all {
		for v, others := range all {
			for at := range min(len(channels), len(others)) {
				for tap := range taps {
					i, j := channels[at]*taps+tap, others[at]*taps+tap
					s.A[0].Set(i, j, cov.At(u, v))
					s.Mean[0][i] = mean[u]
				}
			}
		}
	}
}

// addSquare adds times·mean·meanᵀ, which makes the second moment of a covariance with 1, and the covariance of a second moment with −1.
func addSquare(m *linalg.Matrix, mean []float64, times float64) {
	for i, x := range mean {
		for j, y := range mean {
			m.Data[i*m.Cols+j] += times * x * y
		}
	}
}

package calib

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// felt counts what is not 0.
func felt(weights []float32) int {
	n := 0
	for _, w := range weights {
		if w != 0 {
			n++
		}
	}
	return n
}

// evened sets what is not 0 to 1.
func evened(weights []float32) []float32 {
	out := make([]float32, len(weights))
	for i, w := range weights {
		if w != 0 {
			out[i] = 1
		}
	}
	return out
}

// byRows tells whether a site reads one row, or one index, for each row that it writes, so that
// its positions can be told apart.
func byRows(s *rewrite.Site) bool {
	return s.View.Stack == 0 && (s.View.Kind == rewrite.LastAxis || s.View.Kind == rewrite.TableRows) && outputKind(s) == rewrite.LastAxis
}

// weigh returns the weights of the positions of a run, for sites that read the same columns: the root of
// the squared norms of the gradients with respect to their outputs. It is nil where all are 0, so
// that a site which no output feels still has moments, and where positions cannot be told apart.
func weigh(sites []*rewrite.Site, r *feed.Run, gradients []tensor.Dense) []float32 {
	var squares []float64
	for i, s := range sites {
		if !byRows(s) || gradients[i].Shape == nil {
			return nil
		}
		shape, values, err := trim(r, outputKind(s), s.View.Stack, gradients[i])
		width := s.Kernel.Out
		if err != nil || len(shape) == 0 || shape[len(shape)-1] != width || len(values) == 0 {
			return nil // which the sum of the gradients says more about
		}
		n := len(values) / width
		if squares == nil {
			squares = make([]float64, n)
		}
		if len(squares) != n || n%len(r.Samples) != 0 {
			return nil
		}
		for t := range squares {
			for _, g := range values[t*width : (t+1)*width] {
				squares[t] += float64(g) * float64(g)
			}
		}
	}
	out := make([]float32, len(squares))
	for t, s := range squares {
		if out[t] = float32(math.Sqrt(s)); math.IsNaN(s) || math.IsInf(s, 0) {
			return nil
		}
	}
	if felt(out) == 0 {
		return nil
	}
	return out
}

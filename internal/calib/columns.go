package calib

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// rows returns the columns x of a plain matrix's input, one a row, as a copy.
func rows(s *rewrite.Site, shape []int, values []float32) []float32 {
	k, last := s.Kernel.In, len(shape)-1
	behind := 1 // how many numbers lie between two of a column
	switch kind := s.View.Kind; {
	case kind == rewrite.LastAxis || last == 0:
		return slices.Clone(values)
	case kind == rewrite.SecondLastAxis:
		behind = shape[last]
	case kind == rewrite.FirstAxis:
		behind = tensor.Product(shape[1:])
	}
	out := make([]float32, len(values))
	for first := 0; first < len(values); first += k * behind {
		for i := range k {
			for t := range behind {
				out[first+t*k+i] = values[first+i*behind+t]
			}
		}
	}
	return out
}

// run is the columns that one run showed, one a row, the roots of their weights, nil where all are 1, and the half it belongs to.
type run struct {
	columns, roots []float32
	half           int
}

// keep returns the columns of a site's input as a run of their own.
func keep(s *rewrite.Site, shape []int, values, roots []float32, half int) run {
	return run{rows(s, shape, values), slices.DeleteFunc(slices.Clone(roots), func(r float32) bool { return r == 0 }), half}
}

// finite reports what is not finite in A or in the columns that stand for it, and in which group.
func (s Stats) finite() (group int, err error) {
	for i, v := range s.Columns.Data {
		if v := float64(v); math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, fmt.Errorf("element %d of column %d is %v", i%s.Columns.Cols, i/s.Columns.Cols, v)
		}
	}
	for g, a := range s.A {
		if err := a.Check(); err != nil {
			return g, err
		}
	}
	return 0, nil
}

// count counts the rows of a table that a run looks up, at the positions that have a weight. As
// in Gather, a negative index counts from the end.
func (st *station) count(ctx context.Context, r *feed.Run, x tensor.Dense, weights []float32) error {
	shape := unfilled(r, rewrite.TableRows, 0, x.Shape)
	var indices []int64
	if shape != nil {
		all, err := x.Int64s()
		if err != nil {
			return err
		}
		indices = all[:tensor.Product(shape)]
		for i, v := range indices {
			if v < 0 {
				indices[i] += int64(st.reading.Columns)
			}
			if v = indices[i]; v < 0 || v >= int64(st.reading.Columns) {
				return fmt.Errorf("index %d is %d, and the table has %d rows", i, all[i], st.reading.Columns)
			}
		}
	}
	if weights = evened(weights); len(weights) == len(indices) && len(weights) > 0 {
		at := 0
		indices = slices.DeleteFunc(indices, func(int64) bool { at++; return weights[at-1] == 0 })
	} else {
		weights = nil
	}
	chunk := st.cut.of(r.Block)
	to := st.seen.at(chunk)
	return st.seen.turn(ctx, &st.turns, r.Seq, chunk, func() {
		for _, v := range indices {
			to.counts[v]++
		}
		if len(indices) > 0 {
			to.saw(r, int64(len(indices)), x, weights)
		}
	})
}

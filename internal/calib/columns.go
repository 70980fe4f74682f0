package calib

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
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

// run is the columns that one run showed, one a row, and the roots of their weights, nil where all are 1.
type run struct{ columns, roots []float32 }

// keep returns the columns of a site's input as a run of their own.
func keep(s *rewrite.Site, shape []int, values, roots []float32) run {
	return run{rows(s, shape, values), slices.DeleteFunc(slices.Clone(roots), func(r float32) bool { return r == 0 })}
}

// keep takes in the columns of a run, in its turn. When there turn out to be more than K,
// which is when the moments take less room, they are summed up, run by run as ever.
func (st *station) keep(w *worker, columns run) {
	k := st.site.Kernel.In
	st.kept = append(st.kept, columns)
	if !st.summed {
		n := 0
		for _, c := range st.kept {
			n += len(c.columns) / k
		}
		st.summed = n > k
	}
	if !st.summed {
		return
	}
	for _, c := range st.kept {
		summation, n := moments.Rows(k, 1), len(c.columns)/k
		st.sums.Run(w.backend, summation, st.pilot.Off(summation, c.columns, n, c.roots, &w.off), n, c.roots, &w.part, &w.scratch)
		st.sums.Add(&w.part)
	}
	st.kept = nil
}

// together puts the columns of all runs together, those of every other run first, with the roots of their weights, nil where
// all are 1, and their mean, and forgets the runs one by one. It returns how many those of the first half are.
func (st *station) together(out *Stats) (first int) {
	k := st.site.Kernel.In
	out.Columns = linalg.NewBlock32(int(st.positions), k)
	to, roots := out.Columns.Data, []float32(nil)
	var part moments.Part
	var off []float32
	for i := range 2 {
		for at := i; at < len(st.kept); at += 2 {
			c := st.kept[at]
			summation, n := moments.Rows(k, 1), len(c.columns)/k
			st.sums.RunFirst(summation, st.pilot.Off(summation, c.columns, n, c.roots, &off), n, c.roots, &part)
			st.sums.AddFirst(i, &part)
			to = to[copy(to, c.columns):]
			st.kept[at] = run{}
			if c.roots != nil {
				roots = append(roots, c.roots...)
			} else {
				roots = append(roots, slices.Repeat([]float32{1}, n)...)
			}
		}
	}
	if slices.ContainsFunc(roots, func(r float32) bool { return r != 1 }) {
		out.Roots = roots
	}
	share := float64(st.sums.Positions(1)) / float64(st.positions)
	out.Mean = st.sums.First(0)
	for i, v := range st.sums.First(1)[0] {
		out.Mean[0][i] += share * (v - out.Mean[0][i])
	}
	return int(st.sums.Positions(0))
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
				indices[i] += int64(len(st.counts))
			}
			if v = indices[i]; v < 0 || v >= int64(len(st.counts)) {
				return fmt.Errorf("index %d is %d, and the table has %d rows", i, all[i], len(st.counts))
			}
		}
	}
	if weights = evened(weights); len(weights) == len(indices) && len(weights) > 0 {
		at := 0
		indices = slices.DeleteFunc(indices, func(int64) bool { at++; return weights[at-1] == 0 })
	} else {
		weights = nil
	}
	return st.turns.Do(ctx, r.Seq, func() {
		for _, v := range indices {
			st.counts[v]++
		}
		if len(indices) > 0 {
			st.saw(r, int64(len(indices)), x, weights)
		}
	})
}

package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// beside is what the sites offer where axes are narrower: the analysis of the narrower model, whose sites have the numbers of those
// of a, and their offers under what is left of the metrics. No sample is run again: what stays of an axis has the values that it
// had, so that A is cut to the columns that stay, and G to the outputs.
//
// With F the fold and S the columns that stay, (W−F) A_:S = 0, so that what a chain C of F loses adds to what the fold does:
//
//	tr(G (W−C) A (W−C)ᵀ) = tr(G (W−F) A (W−F)ᵀ) + tr(G (F−C)_S A_SS (F−C)_Sᵀ).
//
// The caller closes both, the offers first.
func (of *Offers) beside(ctx context.Context, env *Environment, a *Analysis, o Options, list []rewrite.Narrowing) (*Analysis, *Offers, error) {
	folds, err := of.folds(ctx, env, a, list)
	if err != nil {
		return nil, nil, err
	}
	m, err := rewrite.Narrow(a.model, list, folds)
	if err != nil {
		return nil, nil, err
	}
	next, err := a.beside(m, list)
	if err != nil {
		return nil, nil, errors.Join(err, m.Close())
	}
	out := *of
	out.sites = make([]offer, len(of.sites))
	if out.store, err = newStore(env.Algebra, of.store.shelf == nil, o.Memory); err != nil {
		return nil, nil, errors.Join(err, m.Close())
	}
	err = env.stage(ctx, "factor", func(st *stage) error { return out.narrowed(ctx, st, of, next, o, list) })
	if err != nil {
		out.close()
		return nil, nil, errors.Join(err, m.Close())
	}
	return next, &out, nil
}

// beside is the analysis of a model that was made by narrowing that of a.
func (a *Analysis) beside(m *onnxio.Model, list []rewrite.Narrowing) (*Analysis, error) {
	next := *a
	next.model, next.seen = m, rewrite.NarrowedValues(a.seen, list)
	concrete, _ := shapes.InputShapes(m, a.inputs)
	next.Shapes = shapes.InferSeen(m, concrete, next.seen)
	next.Costs = rewrite.MeasureCosts(m, next.Shapes)
	all, _, err := rewrite.Linear(m, next.Shapes)
	if err != nil {
		return nil, err
	}
	next.Sites = nil
	for i := range a.Sites {
		at := slices.IndexFunc(all, func(s rewrite.Site) bool { return s.Name == a.Sites[i].Name })
		if at < 0 {
			return nil, fmt.Errorf("node %q cannot be factored any more in the narrower model", a.Sites[i].Name)
		}
		next.Sites = append(next.Sites, all[at])
	}
	rewrite.Settle(m, next.Sites)
	return &next, nil
}

// narrowed makes the offers of the sites of a narrower model from those of the whole one.
func (of *Offers) narrowed(ctx context.Context, st *stage, from *Offers, a *Analysis, o Options, list []rewrite.Narrowing) error {
	var closed []*closing
	for k := range from.sites {
		before := from.sites[k]
		s := *before.seen
		s.site, s.floors, s.refused, s.overhead = a.Sites[k], nil, nil, before.overhead
		left := rest{in: rewrite.Left(&before.site, list), out: rewrite.LeftOut(&before.site, list), of: before.site.Kernel}
		metric := left.metric(from.store.metrics[before.site.Name])
		if left.cutsOut() && metric.Pullback != nil {
			s.blind, s.note = true, "left alone: what is felt of its outputs is known at its inputs alone, and some of its outputs go"
		}
		s.mean, s.output = left.means(s.mean), metric.Out
		of.sites[k] = offer{seen: &s, ratio: before.ratio, options: []option{dense(&s.site)}, dropped: before.dropped}
		metric, err := of.store.shelf.metric(metric)
		if err == nil {
			metric, err = of.store.put(s.site.Name, metric)
		}
		if err != nil {
			return err
		}
		closed = append(closed, a.closings(k, &of.sites[k], metric)...)
	}
	if err := of.floors(ctx, st, a, closed); err != nil {
		return err
	}
	for k := range of.sites {
		of.sites[k] = a.first(of, k, o)
	}
	return nil
}

// rest are the channels of a kernel that stay, ascending.
type rest struct {
	in, out []int
	of      decomp.Shape
}

func (r rest) cutsIn() bool  { return len(r.in) < r.of.In }
func (r rest) cutsOut() bool { return len(r.out) < r.of.Out }

// columns are those of the inputs that stay.
func (r rest) columns() []int {
	taps := r.of.Cols() / r.of.In
	var out []int
	for _, channel := range r.in {
		for t := range taps {
			out = append(out, channel*taps+t)
		}
	}
	return out
}

// metric is what is left of a metric. A kernel in groups, which stay or go whole, keeps those of the groups that stay.
func (r rest) metric(m decomp.Metric) decomp.Metric {
	if !r.cutsIn() && !r.cutsOut() {
		return m
	}
	if r.of.Groups > 1 {
		return decomp.Metric{In: r.groups(m.In), Sample: r.groups(m.Sample), Out: r.groups(m.Out), Pullback: r.groups(m.Pullback), Diagonal: m.Diagonal}
	}
	out := m
	if r.cutsIn() {
		columns := r.columns()
		out.In, out.Sample, out.Pullback = cut(m.In, columns, columns), cut(m.Sample, nil, columns), cut(m.Pullback, columns, columns)
		out.Diagonal = r.means(m.Diagonal)
	}
	if r.cutsOut() {
		out.Out = cut(m.Out, r.out, r.out)
	}
	return out
}

// groups are the matrices of the groups that stay.
func (r rest) groups(list []*linalg.Matrix) []*linalg.Matrix {
	var out []*linalg.Matrix
	rows := r.of.Rows()
	for g, m := range list {
		if slices.Contains(r.out, g*rows) {
			out = append(out, m)
		}
	}
	return out
}

// means are the numbers for the columns that stay.
func (r rest) means(list [][]float64) [][]float64 {
	var out [][]float64
	switch rows := r.of.Rows(); {
	case list == nil || !r.cutsIn() && !r.cutsOut():
		return list
	case r.of.Groups > 1:
		for g, v := range list {
			if slices.Contains(r.out, g*rows) {
				out = append(out, v)
			}
		}
		return out
	}
	for _, v := range list {
		var some []float64
		for _, c := range r.columns() {
			some = append(some, v[c])
		}
		out = append(out, some)
	}
	return out
}

// cut leaves some rows of each matrix, all for nil, and some columns.
func cut(list []*linalg.Matrix, rows, columns []int) []*linalg.Matrix {
	if list == nil {
		return nil
	}
	out := make([]*linalg.Matrix, len(list))
	for i, m := range list {
		if m == nil {
			continue
		}
		stay := rows
		if stay == nil {
			for r := range m.Rows {
				stay = append(stay, r)
			}
		}
		out[i] = linalg.New(len(stay), len(columns))
		for r, from := range stay {
			for c, at := range columns {
				out[i].Set(r, c, m.At(from, at))
			}
		}
	}
	return out
}

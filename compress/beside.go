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

// narrower is the model beside narrower axes, with all of its readers folded, and what its sites offer. They have the numbers of those
// of the whole model.
type narrower struct {
	a  *Analysis
	of *Offers
}

// close releases both; nil has nothing.
func (n *narrower) close() {
	if n != nil {
		n.of.close()
		_ = n.a.model.Close() // which only shares the maps of the original
	}
}

// beside is what the sites offer where axes are narrower, under what is left of the metrics. No sample is run again: what stays of an
// axis has the values that it had, so that A is cut to the columns that stay, and G to the outputs. Sites that nothing changes at keep
// their offers.
//
// With F the fold and S the columns that stay, (W−F) A_:S = 0, so that what a chain C of F loses adds to what the fold does:
//
//	tr(G (W−C) A (W−C)ᵀ) = tr(G (W−F) A (W−F)ᵀ) + tr(G (F−C)_S A_SS (F−C)_Sᵀ).
//
// It is closed with the offers at the latest.
func (of *Offers) beside(ctx context.Context, env *Environment, a *Analysis, o Options, list []rewrite.Narrowing) (*narrower, error) {
	on, err := of.ground(a, o, list)
	if err != nil {
		return nil, err
	}
	whole := of
	a, of, list = on.a, on.of, on.list
	folds, err := of.folds(ctx, env, a, list)
	if err != nil {
		return nil, err
	}
	m, err := rewrite.Narrow(a.model, list, folds)
	if err != nil {
		return nil, err
	}
	n := &narrower{of: &Offers{}}
	*n.of = *of
	n.of.sites, n.of.axes = make([]offer, len(of.sites)), nil
	if n.a, err = a.beside(m, list); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if n.of.store, err = of.store.beside(o.Memory); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	err = env.stage(ctx, "factor", func(st *stage) error { return n.of.narrowed(ctx, st, of, n.a, o, list) })
	if err != nil {
		n.close()
		return nil, err
	}
	whole.store.adopt(n)
	return n, nil
}

// beside is the analysis of a model that was made by narrowing that of a.
func (a *Analysis) beside(m *onnxio.Model, list []rewrite.Narrowing) (*Analysis, error) {
	next := *a
	next.model, next.seen, next.Axes = m, rewrite.NarrowedValues(a.seen, list), nil
	concrete, _ := shapes.InputShapes(m, a.inputs)
	next.Shapes = shapes.InferSeen(m, concrete, next.seen)
	next.Costs = rewrite.MeasureCosts(m, next.Shapes)
	params, bytes := rewrite.Stored(a.model)
	next.Costs.Params += a.Costs.Params - params // of what does not lie open
	next.Costs.Bytes += a.Costs.Bytes - bytes
	next.forecast = a.forecast.narrowed(list)
	next.Bytes -= a.Costs.Bytes - next.Costs.Bytes
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
	if a.bodies.open != nil {
		rewrite.Pair(m, next.Sites, func(index int) bool { return a.bodies.idle(m, index) })
	}
	a.compact.Hold(next.Sites)
	rewrite.Settle(m, next.Sites)
	return &next, nil
}

// narrowed makes the offers of the sites of a narrower model from those of the whole one.
func (of *Offers) narrowed(ctx context.Context, st *stage, from *Offers, a *Analysis, o Options, list []rewrite.Narrowing) error {
	var closed []*closing
	var cut []int
	for k := range from.sites {
		left := restOf(&from.sites[k].site, list)
		s := *from.sites[k].seen
		s.site = a.Sites[k]
		if !left.cutsIn() && !left.cutsOut() {
			of.sites[k] = from.sites[k]
			of.sites[k].seen = &s
			continue
		}
		cut = append(cut, k)
		s.floors, s.refused = nil, nil
		metric, err := of.store.shelf.metric(left.metric(from.store.metric(s.site.Name)))
		if err == nil {
			metric, err = of.store.put(s.site.Name, metric)
		}
		if err == nil && s.eight != nil {
			s.eight, err = o.eightAt(of.store.algebra, &s, metric)
		}
		if err != nil {
			return err
		}
		switch {
		case s.site.Kernel.Groups > 1:
			s.blind, s.note = true, "left alone: it is in groups, some of which go"
		case left.cutsOut() && metric.Pullback != nil:
			s.blind, s.note = true, "left alone: what is felt of its outputs is known at its inputs alone, and some of its outputs go"
		}
		s.mean, s.output = left.means(s.mean), metric.Out
		of.sites[k] = offer{seen: &s, ratio: from.sites[k].ratio, options: []option{dense(&s.site)}, dropped: from.sites[k].dropped}
		closed = append(closed, a.closings(k, &of.sites[k], metric)...)
	}
	if err := of.floors(ctx, st, a, closed); err != nil {
		return err
	}
	for _, k := range cut {
		of.sites[k] = a.first(of, k, o)
	}
	return nil
}

// restOf is what stays of a site's channels when axes are narrowed.
func restOf(s *rewrite.Site, list []rewrite.Narrowing) rest {
	return rest{in: rewrite.Left(s, list), out: rewrite.LeftOut(s, list), of: s.Kernel}
}

// rest are the channels of a kernel that stay, ascending.
type rest struct {
	in, out []int
	of      decomp.Shape
}

func (r rest) cutsIn() bool  { return len(r.in) < r.of.In }
func (r rest) cutsOut() bool { return len(r.out) < r.of.Out }

// columns are those of the inputs that stay.
func (r rest) columns() []int { return r.of.Columns(0, r.in) }

// metric is what is left of a metric; nothing of that of a kernel in groups.
func (r rest) metric(m decomp.Metric) decomp.Metric {
	if r.of.Groups > 1 {
		return decomp.Metric{}
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

// means are the numbers for the columns that stay.
func (r rest) means(list [][]float64) [][]float64 {
	if list == nil || !r.cutsIn() || r.of.Groups > 1 {
		return list
	}
	out := [][]float64{nil}
	for _, c := range r.columns() {
		out[0] = append(out[0], list[0][c])
	}
	return out
}

// cut leaves some rows of each matrix, all for nil, and some columns.
func cut(list []*linalg.Matrix, rows, columns []int) []*linalg.Matrix {
	out := slices.Clone(list)
	for i, m := range list {
		if m != nil {
			out[i] = m.Some(rows, columns)
		}
	}
	return out
}

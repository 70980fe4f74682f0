package compress

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// unpaired says why an axis that products sum over stays as it is, "" where it need not.
func (a *Analysis) unpaired(axis *rewrite.Axis) string {
	pairs, ok := axis.Pairs()
	if !ok {
		return a.undotted(axis)
	}
	for _, s := range []*rewrite.Site{pairs.Query, pairs.Key} {
		if _, ok := s.Addend(); !ok {
			return fmt.Sprintf("what %s adds cannot be turned with its outputs", s.Name)
		}
	}
	if a.numbered(pairs.Query) < 0 {
		return fmt.Sprintf("%s, which computes it, is left alone: %s", pairs.Query.Name, a.skipped(pairs.Query))
	}
	return ""
}

// pair works out what an axis of queries and keys offers: losses are those of the queries, whose outputs become those of a lower rank.
func (f *factoring) pair(ctx context.Context, o axisOffer) (axisOffer, error) {
	pairs, ok := o.axis.Pairs()
	if !ok {
		return f.dots(ctx, o)
	}
	saw := f.out.sites[f.a.numbered(pairs.Query)].seen
	if o.note = unfelt(saw); o.note != "" {
		return o, nil
	}
	o.energy = saw.energy * saw.counts()
	if _, planned := f.o.FromPlan.order(o.axis); f.o.FromPlan != nil && !planned {
		return o, nil
	}
	leave, err := f.out.store.space.take(ctx, eliminationBytes(pairs.Query))
	if err != nil {
		return o, err
	}
	defer leave()
	moment, err := f.outputMoment(saw)
	if err != nil {
		return o, err
	}
	made, err := decomp.TurnPairs(f.env.Algebra, pairs.QueryHeads, pairs.Of, moment, saw.output[0])
	if err != nil {
		return o.unless(err)
	}
	queries := decomp.Turn{Channels: pairs.QueryHeads}
	for _, head := range pairs.Of {
		queries.By, queries.Dual = append(queries.By, made.Queries[head]), append(queries.Dual, made.Keys[head])
	}
	keys := decomp.Turn{Channels: pairs.KeyHeads, By: made.Keys, Dual: made.Queries}
	o.turn = &turning{heads: len(pairs.QueryHeads), outputs: []turnedSite{{pairs.Query, queries}, {pairs.Key, keys}}}
	for i := range made.Losses {
		made.Losses[i] *= saw.counts()
	}
	return o.losing(inOrder(o.axis.Units), made.Losses), nil
}

// outputMoment is E[y yᵀ] of what a site computes, with what is added to it.
func (f *factoring) outputMoment(saw *seen) (*linalg.Matrix, error) {
	kernel, metric, err := f.out.store.of(saw)
	if err != nil {
		return nil, err
	}
	w := &linalg.Matrix{Rows: kernel.Out, Cols: kernel.In, Data: kernel.Weights}
	out := metric.InputGram(f.env.Algebra, w)
	if saw.mean == nil { // the moment is about zero, and nothing is added: what adds has a place for a shift
		return out, nil
	}
	adds, _ := saw.site.Addend()
	mean := make([]float64, kernel.Out)
	copy(mean, adds)
	for o := range mean {
		for i, v := range w.Row(o) {
			mean[o] += v * saw.mean[0][i]
		}
	}
	for i, v := range mean {
		for j, u := range mean {
			out.Data[i*out.Cols+j] += v * u
		}
	}
	return out, nil
}

// productNames are those of the nodes that sum over an axis.
func productNames(axis *rewrite.Axis) []string {
	var out []string
	for _, n := range axis.Products {
		out = append(out, n.Label())
	}
	return out
}

// silent are the output channels of a site that go and that products sum over: no reader leaves them out.
func (g *ground) silent(s *rewrite.Site) []int {
	var out []int
	for _, n := range g.list {
		if len(n.Axis.Products) == 0 {
			continue
		}
		for _, p := range n.Axis.Producers {
			if p.Site.Node != s.Node {
				continue
			}
			for c, unit := range p.Units {
				if _, stays := slices.BinarySearch(n.Keep, unit); unit >= 0 && !stays {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// silenced is a shift with which some channels of a site add nothing.
func silenced(s *rewrite.Site, shift []float64, channels []int) []float64 {
	adds, _ := s.Addend()
	if len(channels) == 0 || adds == nil {
		return shift
	}
	out := make([]float64, len(adds))
	copy(out, shift)
	for _, c := range channels {
		out[c] = -adds[c]
	}
	return out
}

package compress

import (
	"cmp"
	"context"
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// both tells whether axes may be narrowed and sites factored.
func (q *quest) both() bool { return len(q.a.Axes) > 0 && len(q.a.methods) > 0 }

// rivalry is how many times the least loss another choice may lose and still turn out better: losses of widths and of chains are wrong by
// different factors, which measurements of some of them correct only in part, and errors of many sites add up to more than their sum.
const rivalry = 2

// chooseBoth chooses widths and chains under one budget: first both among the coarse ranks, with losses corrected where that is
// wanted; then, with the axes narrower for good, the chains of what is left, whose losses are known there. Choices of chains alone, of
// widths alone and of both that lose about the same are rivals.
func (q *quest) chooseBoth(ctx context.Context, of *Offers) (*Choice, error) {
	s, err := q.survey(ctx, of)
	if err == nil {
		s, err = q.surer(ctx, s, q.survey)
	}
	if err != nil {
		return nil, err
	}
	if s.unmet != nil {
		return &Choice{Offers: s.offers, Bounds: q.bounds, Spare: q.spare, Unmet: q.unmet(s.unmet, s.ladders)}, nil
	}
	var met []*Choice
	var unmet *Choice
	for _, widths := range s.among {
		c, err := q.beside(ctx, s, widths)
		if err != nil {
			return nil, err
		}
		if c.Unmet != nil {
			unmet = cmp.Or(unmet, c)
		} else {
			met = append(met, c)
		}
	}
	if len(met) == 0 {
		return unmet, nil
	}
	slices.SortStableFunc(met, func(a, b *Choice) int { return cmp.Compare(a.Summary.Loss, b.Summary.Loss) })
	best := met[0]
	for _, c := range met[1:] {
		if c.Summary.Loss <= rivalry*best.Summary.Loss {
			best.rivals = append(best.rivals, c)
		}
	}
	return best, nil
}

// survey chooses widths and the coarse ranks of chains.
func (q *quest) survey(ctx context.Context, of *Offers) (standing, error) {
	return q.inBlocks(ctx, of, q.surveyed)
}

// surveyed is survey with the ranks and widths that are offered, of which those ranks are factored that chains alone would need. Where
// none of them meet the bounds, the standing says by how much.
func (q *quest) surveyed(ctx context.Context, st *stage, of *Offers) (standing, error) {
	s, err := q.settle(ctx, st, of.chainsAlone(), nearHull)
	if err != nil {
		return s, err
	}
	s.offers = s.offers.withAxes(of)
	j := q.jointly(s.offers)
	points, within, err := j.choose()
	if err != nil {
		return s, err
	}
	p := points[0]
	s = standing{offers: s.offers, ladders: j.ladders, stated: j.stated, widths: j.at(p.widths)}
	s.plan = search.Plan{Rungs: p.rungs, Costs: p.costs, Loss: p.loss}
	for _, other := range points {
		if within && other.loss <= rivalry*p.loss {
			s.among = append(s.among, j.at(other.widths))
		}
	}
	if within {
		return s, nil
	}
	b := 0
	for p.costs[b] <= j.limits[b] {
		b++
	}
	budgets := j.budgets()
	rest := j.limits[b] - budgets[b].Limit // what is not up to sites
	s.refuse(&search.InfeasibleError{Budget: string(q.bounds[b].Resource), Limit: j.limits[b] - rest, Reachable: p.costs[b] - rest}, budgets)
	return s, nil
}

// beside chooses the chains beside axes of such widths, finely.
func (q *quest) beside(ctx context.Context, s standing, widths []int) (*Choice, error) {
	in, at := *q, (*narrower)(nil)
	of, lost := s.offers.chainsAlone(), 0.0
	if list := (&Choice{Offers: s.offers, widths: widths}).narrowings(); len(list) > 0 {
		var err error
		if at, err = s.offers.beside(ctx, q.env, q.a, q.o, list); err != nil {
			return nil, err
		}
		in.a, of = at.a, at.of
		in.bounds = slices.Clone(q.bounds)
		for b, t := range q.bounds {
			in.bounds[b] = Target{Resource: t.Resource, Value: t.Limit(q.a.need(t.Resource))}
		}
		for i, k := range widths {
			lost += s.offers.axes[i].loss(k)
		}
	}
	t, err := in.seek(ctx, of)
	if err != nil {
		return nil, err
	}
	if t.unmet != nil {
		return &Choice{Offers: s.offers, Bounds: q.bounds, Spare: q.spare, Unmet: in.unmet(t.unmet, t.ladders)}, nil
	}
	c := q.take(t.offers, t.ladders, t.plan.Rungs)
	c.Offers, c.widths, c.at = s.offers, widths, at
	if at == nil {
		c.Offers = t.offers.withAxes(s.offers)
	} else {
		at.of = t.offers
	}
	c.Summary.BesideWidths = true
	c.Summary.Loss, c.Summary.Bound, c.Summary.Corrections = t.plan.Loss+lost, t.plan.Bound+lost, s.offers.Corrections
	if c.Summary.Loss > 0 {
		c.Summary.Gap = (c.Summary.Loss - c.Summary.Bound) / c.Summary.Loss
	}
	return c, nil
}

// chainsAlone are the offers without axes.
func (of *Offers) chainsAlone() *Offers {
	next := *of
	next.axes = nil
	return &next
}

// withAxes are the offers with the axes of others.
func (of *Offers) withAxes(others *Offers) *Offers {
	next := *of
	next.axes = others.axes
	return &next
}

package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/search"
)

// What bounds the levels of the search over ranks.
const (
	// rounds is how often ranks of one spacing are added around a choice that moves.
	rounds = 3
	// nearHull is by how much of the best a scheme may be worse at a site, loss and price
	// together, and still be looked at more finely in the first level; it halves with each.
	nearHull = 1. / 32
	// worthwhile is the share of the loss that a level must win for another to follow,
	// from the level called settled on.
	worthwhile = 1. / 128
	settled    = 3
	// heavy is from how many multiply-adds on, for one product of a kernel with a moment of its inputs, schemes are not looked at that are
	// near the best at a site and no better.
	heavy = 1e9
)

// standing is a choice among the options known so far.
type standing struct {
	offers  *Offers
	ladders []ladder
	stated  []search.Ladder
	plan    search.Plan
	unmet   *search.InfeasibleError // instead of a plan
	short   int                     // the budget that it is about
	widths  []int                   // of the axes
	among   [][]int                 // such widths, these first, that lose about as little, where chains are chosen too
}

// stand chooses among the options known so far.
func (q *quest) stand(of *Offers) (standing, error) {
	s := standing{offers: of, ladders: of.ladders(), widths: q.a.units()}
	s.stated = searchLadders(s.ladders, q.bounds)
	var err error
	budgets := q.budgets(s.ladders)
	if len(of.axes) > 0 {
		return s, q.standNarrow(&s, budgets)
	}
	s.plan, err = search.Choose(s.stated, budgets, search.Options{Method: q.o.Search})
	if unmet := (*search.InfeasibleError)(nil); errors.As(err, &unmet) {
		s.refuse(unmet, budgets)
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("choosing ranks: %w", err)
	}
	return s, nil
}

// standNarrow chooses widths, with all sites as they are.
func (q *quest) standNarrow(s *standing, budgets []search.Budget) error {
	w := q.weave(s.offers)
	chosen, err := w.choose()
	if unmet := (*search.InfeasibleError)(nil); errors.As(err, &unmet) {
		k := slices.IndexFunc(budgets, func(b search.Budget) bool { return b.Name == unmet.Budget })
		rest := w.limits[k] - budgets[k].Limit // what is not up to sites
		s.refuse(&search.InfeasibleError{Budget: unmet.Budget, Limit: unmet.Limit - rest, Reachable: unmet.Reachable - rest}, budgets)
		return nil
	}
	if err != nil {
		return err
	}
	s.widths = w.at(chosen.rungs)
	s.plan = search.Plan{
		Rungs: make([]int, len(s.ladders)), Costs: chosen.costs, Loss: chosen.loss, Bound: chosen.bound, Multipliers: chosen.multipliers,
	}
	if s.plan.Loss > 0 {
		s.plan.Gap = (s.plan.Loss - s.plan.Bound) / s.plan.Loss
	}
	return nil
}

// refuse notes that nothing meets a budget.
func (s *standing) refuse(unmet *search.InfeasibleError, budgets []search.Budget) {
	s.unmet = unmet
	s.short = slices.IndexFunc(budgets, func(b search.Budget) bool { return b.Name == unmet.Budget })
}

// descend chooses in levels, from coarse to fine. The first choice is among the ranks
// that every method offers at first. Then each level asks the methods for ranks at its
// finer spacing around what is chosen, and around what is next to it, and chooses
// again, until no method has a finer spacing, or a late level has won next to nothing.
func (q *quest) descend(ctx context.Context, st *stage, of *Offers) (standing, error) {
	now, err := q.settle(ctx, st, of, nearHull)
	if err != nil {
		return now, err
	}
	for level := 1; ; level++ {
		finer, start := false, now
		for range rounds {
			known, any, more := q.closer(&now, level)
			finer = finer || any
			if !more {
				break
			}
			before := now
			if now, err = q.settle(ctx, st, known, slack(level)); err != nil {
				return now, err
			}
			if now.same(&before) {
				break
			}
		}
		if !finer || level >= settled && now.near(&start) {
			return now, nil
		}
	}
}

// slack is by how much of the best a scheme may be worse at a level.
func slack(level int) float64 { return math.Ldexp(nearHull, 1-level) }

// afford is what of a slack there is for the sites of a ladder.
func (l *ladder) afford(slack float64) float64 {
	if k := l.offers[0].site.Kernel; product(k) > heavy {
		return 0
	}
	return slack
}

// product is what one product of a kernel with a moment of its inputs takes, in multiply-adds.
func product(k decomp.Shape) float64 {
	return float64(k.Out) * float64(k.Cols()) * float64(k.Cols())
}

// near tells whether a level that began with start and led to s won too little for
// another to follow.
func (s *standing) near(start *standing) bool {
	return s.unmet == nil && start.unmet == nil && s.plan.Loss >= (1-worthwhile)*start.plan.Loss
}

// same tells whether two choices write every site in the same way.
func (s *standing) same(t *standing) bool {
	if s.unmet != nil || t.unmet != nil {
		return false
	}
	for i, l := range s.ladders {
		if !slices.EqualFunc(l.rungs[s.plan.Rungs[i]], t.ladders[i].rungs[t.plan.Rungs[i]], option.same) {
			return false
		}
	}
	return true
}

// closer offers the ranks at the spacing of a level around a choice, and says whether
// any method has such a spacing there, and whether any of them are new.
func (q *quest) closer(s *standing, level int) (known *Offers, finer, more bool) {
	next := *s.offers
	next.sites = slices.Clone(s.offers.sites)
	for i := range s.ladders {
		l := &s.ladders[i]
		ranks := map[*decomp.Method][]decomp.Rank{}
		for _, c := range s.around(q, i, level) {
			if c.method == nil || c.method.Near == nil {
				continue
			}
			kernel := l.offers[0].site.Kernel
			near := c.method.Near(kernel, c.rank, level, s.offers.multiple(kernel, q.o))
			ranks[c.method] = append(ranks[c.method], near...)
			finer = finer || len(near) > 0
		}
		for k := range q.a.methods {
			m := &q.a.methods[k]
			for _, site := range l.at {
				before := len(next.sites[site].asked)
				next.sites[site] = next.sites[site].ask(m, ranks[m])
				more = more || len(next.sites[site].asked) > before
			}
		}
	}
	return &next, finer, more
}

// around returns what to look at more closely at a ladder: the rung chosen, those
// beside it on the hull, and the best of every other scheme that is near the hull. Where
// the targets cannot be met yet, it is the one that comes closest, open or not.
func (s *standing) around(q *quest, i, level int) []option {
	rungs, l := s.stated[i].Rungs, &s.ladders[i]
	if s.unmet != nil {
		all := slices.Concat(l.rungs, l.open)
		cost := func(rung []option) int64 { return l.cost(rung, q.bounds[s.short].Resource) }
		return slices.MinFunc(all, func(a, b []option) int { return cmp.Compare(cost(a), cost(b)) })[:1]
	}
	prices := s.prices()
	if prices == nil {
		return nil // every site has its best option already
	}
	chosen := s.plan.Rungs[i]
	at := search.Around(s.stated[i], prices, chosen)
	best := map[*decomp.Method]int{}
	for r := range rungs {
		m := l.rungs[r][0].method
		if old, seen := best[m]; !seen || rungs[r].Reduced(prices) < rungs[old].Reduced(prices) {
			best[m] = r
		}
	}
	for _, r := range best {
		if rungs[r].Reduced(prices) <= (1+l.afford(slack(level)))*rungs[chosen].Reduced(prices) {
			at = append(at, r)
		}
	}
	slices.Sort(at)
	var out []option
	for _, r := range slices.Compact(at) {
		out = append(out, l.rungs[r]...)
	}
	return out
}

// prices are what the plan would pay for a unit of each resource; nil where none is
// short.
func (s *standing) prices() []float64 {
	short := func(p float64) bool { return p > 0 }
	if slices.ContainsFunc(s.plan.Multipliers, short) {
		return s.plan.Multipliers
	}
	if s.plan.Loss == 0 {
		return nil
	}
	out := make([]float64, len(s.plan.Costs))
	for b, c := range s.plan.Costs {
		out[b] = s.plan.Loss / max(c, 1)
	}
	return out
}

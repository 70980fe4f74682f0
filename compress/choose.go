package compress

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// Choice is one option for every site, so that all bounds hold.
type Choice struct {
	// Offers are those that the choice was made among, with all that was learned on the way.
	Offers *Offers
	// Bounds are what the choice had to meet, and Spare how many bytes it had to leave free of a bound on the file: what a
	// file takes is known before it is written only up to some names and sizes.
	Bounds []Target
	Spare  float64
	// Summary is the outcome of the search.
	Summary PlanSummary
	// Unmet says which of the bounds nothing meets; there is no choice then.
	Unmet *UnmetError

	picks  []option // by site
	widths []int    // by axis, how many units stay
}

// Choose picks one rung of every ladder within all bounds, or takes those of a given plan. It asks for finer ranks around
// what it picks; where no choice meets the bounds, it asks for ranks that do not fit blocks of channels; and where the search
// that is asked for corrects its losses, it measures some and picks again. All of that is in the Offers of the choice, to
// begin the next one with.
func Choose(ctx context.Context, env *Environment, a *Analysis, of *Offers, o Options, bounds []Target, spare float64) (*Choice, error) {
	o = o.WithDefaults()
	q := &quest{env: env, a: a, o: o, bounds: bounds, spare: spare}
	if o.FromPlan != nil {
		of, err := of.everything(ctx, env, a)
		if err != nil {
			return nil, err
		}
		var c *Choice
		err = env.stage(ctx, "search", func(*stage) (err error) {
			c, err = q.follow(of)
			return err
		})
		return c, err
	}
	s, err := q.seek(ctx, of)
	if err != nil {
		return nil, err
	}
	if doubtful, narrow := q.doubtful(&s), q.doubtfulAxes(&s); len(doubtful)+len(narrow) > 0 {
		err := env.stage(ctx, "correct", func(st *stage) (err error) {
			of, err = q.correct(ctx, st, &s, doubtful, narrow)
			return err
		})
		if err != nil {
			return nil, err
		}
		if s, err = q.seek(ctx, of); err != nil {
			return nil, err
		}
	}
	if s.unmet != nil {
		return &Choice{Offers: s.offers, Bounds: bounds, Spare: spare, Unmet: q.unmet(s.unmet, s.ladders)}, nil
	}
	c := q.take(s.offers, s.ladders, s.plan.Rungs)
	c.widths = s.widths
	c.Summary.Loss, c.Summary.Bound, c.Summary.Gap, c.Summary.Corrections = s.plan.Loss, s.plan.Bound, s.plan.Gap, s.offers.Corrections
	return c, nil
}

// quest is what a choice is looked for by.
type quest struct {
	env    *Environment
	a      *Analysis
	o      Options
	bounds []Target
	spare  float64
}

// seek searches for a choice within all bounds.
func (q *quest) seek(ctx context.Context, of *Offers) (s standing, err error) {
	err = q.env.stage(ctx, "search", func(st *stage) (err error) {
		if s, err = q.descend(ctx, st, of); err != nil || s.unmet == nil || !q.blocked(s.offers) {
			return err
		}
		wide := *s.offers
		wide.AnyRank, wide.sites = true, slices.Clone(s.offers.sites)
		for k := range wide.sites {
			wide.sites[k] = q.a.first(&wide, k, q.o)
		}
		s, err = q.descend(ctx, st, &wide)
		return err
	})
	return s, err
}

// blocked tells whether only such ranks are offered that fit blocks of channels, and nobody asked for that.
func (q *quest) blocked(of *Offers) bool {
	if q.o.RankMultiple > 0 || of.AnyRank {
		return false
	}
	for k := range of.sites {
		if len(q.a.methods) > 0 && q.o.multiple(of.sites[k].site.Kernel) > 1 {
			return true
		}
	}
	return slices.ContainsFunc(of.axes, func(o axisOffer) bool { return q.o.widthMultiple(o.axis.Units) > 1 })
}

// take settles on one rung of every ladder.
func (q *quest) take(of *Offers, ls []ladder, rungs []int) *Choice {
	c := &Choice{Offers: of, Bounds: q.bounds, Spare: q.spare, picks: make([]option, len(of.sites))}
	for i, l := range ls {
		for k, site := range l.at {
			c.picks[site] = l.rungs[rungs[i]][k]
		}
	}
	c.Summary.Measure = of.measure()
	return c
}

// budgets are the bounds less what the nodes outside the ladders need.
func (q *quest) budgets(ls []ladder) []search.Budget {
	out := make([]search.Budget, len(q.bounds))
	for k, t := range q.bounds {
		out[k] = search.Budget{Name: string(t.Resource), Limit: t.Limit(q.a.need(t.Resource)) - q.a.fixed(ls, t.Resource)}
		if t.Resource == Bytes {
			out[k].Limit -= q.spare
		}
	}
	return out
}

// unmet restates the search's refusal for the whole model.
func (q *quest) unmet(e *search.InfeasibleError, ls []ladder) *UnmetError {
	k := slices.IndexFunc(q.bounds, func(t Target) bool { return string(t.Resource) == e.Budget })
	return q.missed(k, e.Limit, e.Reachable, ls)
}

// missed says of bound k that no choice meets it, from what the ladders were allowed and can reach.
func (q *quest) missed(k int, limit, reachable float64, ls []ladder) *UnmetError {
	target := q.bounds[k]
	rest := q.a.fixed(ls, target.Resource)
	if target.Resource == Bytes {
		rest += q.spare
	}
	why := ""
	if q.o.widths() && len(q.a.Axes) == 0 {
		why = q.a.nothingNarrower()
	}
	return &UnmetError{
		Why: why, Target: target, Limit: limit + rest, Reachable: reachable + rest, Original: q.a.need(target.Resource),
		Others: slices.Concat(q.bounds[:k], q.bounds[k+1:]), Sites: len(q.a.Sites),
		Cramped: q.a.cramped, Memory: q.a.wanted,
	}
}

// follow takes the rungs that the given plan names, and holds them against the
// targets.
func (q *quest) follow(of *Offers) (*Choice, error) {
	plan := q.o.FromPlan
	entries := map[string]SitePlan{}
	for _, s := range plan.Sites {
		entries[s.Name] = s
	}
	ls := of.ladders()
	chosen := make([]int, len(ls))
	for i := range ls {
		var err error
		if chosen[i], err = ls[i].planned(entries); err != nil {
			return nil, &UsageError{Err: fmt.Errorf("the plan does not fit %s: %w", q.a.model.Path, err)}
		}
	}
	widths := q.a.units()
	for i := range of.axes {
		o := &of.axes[i]
		x := plan.axis(o.axis.Name)
		if x == nil {
			continue
		}
		if o.order == nil {
			return nil, &UsageError{Err: fmt.Errorf("the plan does not fit %s: axis %q cannot change: %s", q.a.model.Path, x.Name, o.note)}
		}
		widths[i] = len(x.Kept)
	}
	for _, t := range q.bounds {
		if t.Resource == Bytes {
			continue // the written file is held against it
		}
		need := q.a.fixed(ls, t.Resource)
		for i := range ls {
			need += float64(ls[i].cost(ls[i].rungs[chosen[i]], t.Resource))
		}
		if len(widths) > 0 {
			need -= float64(q.a.saved(widths, t.Resource))
		}
		if limit := t.Limit(q.a.need(t.Resource)); need > limit {
			return nil, &PlanError{Target: t, Limit: limit, Needed: need}
		}
	}
	c := q.take(of, ls, chosen)
	for i, l := range ls {
		for _, o := range l.rungs[chosen[i]] {
			c.Summary.Loss += o.loss
		}
	}
	c.widths = widths
	for i, k := range widths {
		c.Summary.Loss += of.axes[i].loss(k)
	}
	c.Summary.Given = true
	return c, nil
}

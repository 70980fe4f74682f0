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
	// at is the narrower model that picks are for, nil where no axis is narrower, or no site has a chain beside.
	at *narrower
	// rivals are other choices that may turn out better, though they are expected to lose more.
	rivals []*Choice
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
		return q.follow(ctx, of)
	}
	if q.both() {
		return q.chooseBoth(ctx, of)
	}
	s, err := q.seek(ctx, of)
	if err == nil {
		s, err = q.surer(ctx, s, q.seek)
	}
	if err != nil {
		return nil, err
	}
	if s.unmet != nil {
		return &Choice{Offers: s.offers, Bounds: bounds, Spare: spare, Unmet: q.unmet(s.unmet, s.ladders)}, nil
	}
	c := q.take(s.offers, s.ladders, s.plan.Rungs)
	c.widths = s.widths
	c.Summary.Loss, c.Summary.Bound, c.Summary.Gap, c.Summary.Corrections = s.plan.Loss, s.plan.Bound, s.plan.Gap, s.offers.Corrections
	return c, nil
}

// factored are the offers that the picks are of.
func (c *Choice) factored() *Offers {
	if c.at != nil {
		return c.at.of
	}
	return c.Offers
}

// quest is what a choice is looked for by.
type quest struct {
	env    *Environment
	a      *Analysis
	o      Options
	bounds []Target
	spare  float64
}

// surer is a choice made again where its losses were worth a measurement, which corrects them, until it has no axes that were not measured.
func (q *quest) surer(ctx context.Context, s standing, again func(context.Context, *Offers) (standing, error)) (standing, error) {
	for range remeasured {
		doubtful, narrow := q.doubtful(&s), q.doubtfulAxes(&s)
		if len(doubtful)+len(narrow) == 0 {
			break
		}
		var of *Offers
		err := q.env.stage(ctx, "correct", func(st *stage) (err error) {
			st.covers(0, mostlyChosen)
			of, err = q.correct(ctx, st, &s, doubtful, narrow)
			return err
		})
		if err != nil {
			return s, err
		}
		told := len(of.Corrections) > len(s.offers.Corrections)
		if s, err = again(ctx, of); err != nil || !told {
			return s, err
		}
	}
	return s, nil
}

// seek searches for a choice within all bounds.
func (q *quest) seek(ctx context.Context, of *Offers) (standing, error) {
	return q.inBlocks(ctx, of, q.descend)
}

// inBlocks chooses among ranks and widths that fill blocks of channels, as far as that is wanted, then among those widths that fill halves
// where whole blocks lose too much, and among all where nothing else is within the bounds.
func (q *quest) inBlocks(ctx context.Context, of *Offers, choose func(context.Context, *stage, *Offers) (standing, error)) (s standing, err error) {
	err = q.env.stage(ctx, "search", func(st *stage) (err error) {
		if s, err = choose(ctx, st, of.halving(false)); err != nil {
			return err
		}
		if q.halved(s.offers) {
			half, err := choose(ctx, st, s.offers.halving(true))
			if err != nil {
				return err
			}
			if half.unmet == nil && (s.unmet != nil || s.plan.Loss > wholeBlocks*half.plan.Loss) {
				s = half
			}
		}
		if s.unmet == nil || !q.blocked(s.offers) {
			return nil
		}
		s, err = choose(ctx, st, q.unblocked(s.offers))
		return err
	})
	return s, err
}

// wholeBlocks is how many times as much widths in whole blocks may lose as those in halves: at the same multiply-adds runtimes compute the
// latter by about a twentieth more slowly, and a twentieth fewer of them in halves lose about as much more.
const wholeBlocks = 1.2

// halved tells whether widths that fill half blocks are worth a look: not where others are asked for, nor beside a bound on the time, of
// which it is not known.
func (q *quest) halved(of *Offers) bool {
	if q.o.RankMultiple > 0 || of.AnyRank || slices.ContainsFunc(q.bounds, func(t Target) bool { return t.Resource == RunTime }) {
		return false
	}
	return slices.ContainsFunc(of.axes, func(o axisOffer) bool { return o.order != nil && q.o.widthMultiple(o.axis.Units) == q.o.channels() })
}

// halving are the offers with or without widths that fill half blocks.
func (of *Offers) halving(on bool) *Offers {
	if of.HalfBlocks == on {
		return of
	}
	next := *of
	next.HalfBlocks = on
	return &next
}

// unblocked are the offers with ranks that do not fill blocks.
func (q *quest) unblocked(of *Offers) *Offers {
	wide := *of
	wide.AnyRank, wide.sites = true, slices.Clone(of.sites)
	for k := range wide.sites {
		wide.sites[k] = q.a.first(&wide, k, q.o)
	}
	return &wide
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
	if percent := !target.Fraction && target.Resource != RunTime && target.Value <= 100; percent { // as which it may have been meant
		why = fmt.Sprintf("%v is a count of %s here; %v %% of the model are %s%%", target.Value, target.Resource, target.Value, target)
	}
	return &UnmetError{
		Why: why, Target: target, Limit: limit + rest, Reachable: reachable + rest, Original: q.a.need(target.Resource),
		Others: slices.Concat(q.bounds[:k], q.bounds[k+1:]), Sites: len(q.a.Sites),
		Cramped: q.a.cramped, Memory: q.a.wanted,
	}
}

// follow takes the widths and the rungs that the given plan names, and holds them against the targets.
func (q *quest) follow(ctx context.Context, of *Offers) (*Choice, error) {
	plan := q.o.FromPlan
	widths, err := q.plannedWidths(of)
	if err != nil {
		return nil, err
	}
	c := &Choice{Offers: of, widths: widths}
	if list := c.narrowings(); len(list) > 0 && plan.factors() {
		if c.at, err = of.beside(ctx, q.env, q.a, q.o, list); err == nil {
			c.at.of, err = c.at.of.everything(ctx, q.env, c.at.a)
		}
		if err != nil {
			return nil, err
		}
	}
	entries := map[string]SitePlan{}
	for _, s := range plan.Sites {
		entries[s.Name] = s
	}
	ls := c.factored().ladders()
	chosen := make([]int, len(ls))
	for i := range ls {
		if chosen[i], err = ls[i].planned(entries); err != nil {
			return nil, &UsageError{Err: fmt.Errorf("the plan does not fit %s: %w", q.a.model.Path, err)}
		}
	}
	next := q.take(c.factored(), ls, chosen)
	next.Offers, next.widths, next.at = c.Offers, c.widths, c.at
	if err := q.affords(next, ls); err != nil {
		return nil, err
	}
	for _, o := range next.picks {
		next.Summary.Loss += o.loss + o.rounding
	}
	for i, k := range widths {
		next.Summary.Loss += of.axes[i].loss(k)
	}
	next.Summary.Given = true
	return next, nil
}

// plannedWidths are those of the given plan.
func (q *quest) plannedWidths(of *Offers) ([]int, error) {
	widths := q.a.units()
	for i := range of.axes {
		o := &of.axes[i]
		x := q.o.FromPlan.axis(o.axis.Name)
		if x == nil {
			continue
		}
		if o.order == nil {
			return nil, &UsageError{Err: fmt.Errorf("the plan does not fit %s: axis %q cannot change: %s", q.a.model.Path, x.Name, o.note)}
		}
		widths[i] = len(x.Kept)
	}
	return widths, nil
}

// affords holds a choice against the bounds, but for that of the file, which is written first.
func (q *quest) affords(c *Choice, ls []ladder) error {
	for _, t := range q.bounds {
		if t.Resource == Bytes {
			continue
		}
		a := q.a
		if c.at != nil {
			a = c.at.a
		}
		need := a.fixed(ls, t.Resource) + c.needs(ls, t.Resource)
		if len(c.widths) > 0 && c.at == nil {
			need -= float64(q.a.saved(c.widths, t.Resource))
		}
		if limit := t.Limit(q.a.need(t.Resource)); need > limit {
			return &PlanError{Target: t, Limit: limit, Needed: need}
		}
	}
	return nil
}

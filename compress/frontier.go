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

// What bounds the picture of the choice that a result gives.
const (
	frontierPoints = 20
	spectrumPoints = 10
)

// Frontier is the loss that the search expects of other budgets of one resource, while
// the other targets hold. It is made of the ranks that the search for the chosen plan
// looked at, which lie closest around that plan: a search for another budget may find better.
type Frontier struct {
	Over Resource `json:"over"`
	// Chosen is the plan that was carried out.
	Chosen FrontierPoint `json:"chosen"`
	// Points are in ascending order, from about the least that can be reached.
	Points []FrontierPoint `json:"points"`
	// Skipped says why there are no points.
	Skipped string `json:"skipped,omitempty"`
}

// FrontierPoint is what the search expects of one budget.
type FrontierPoint struct {
	// Budget and Cost are shares of the original's resource: what a plan may need, and
	// what it needs.
	Budget float64 `json:"budget"`
	Cost   float64 `json:"cost"`
	// Loss and Bound are as in PlanSummary; where both widths and ranks are chosen, Bound is 0: none is known.
	Loss  float64 `json:"loss"`
	Bound float64 `json:"bound"`
}

// frontier chooses again among the offers of the last choice, for budgets from the least to all, by the search that is exact to its
// stated gap, whichever chose the plan that was carried out. The last choice need not be that one, nor be met.
func (w *work) frontier(ctx context.Context, last, chosen *Choice, trials *Trials, written File) (*Frontier, error) {
	a := w.a
	if w.o.FromPlan != nil {
		return &Frontier{Over: MACs, Points: []FrontierPoint{}, Skipped: "the plan was given, so that no other was looked for"}, nil
	}
	over := last.Bounds[0].Resource
	original := float64(a.need(over))
	f := &Frontier{Over: over, Points: []FrontierPoint{}}
	if len(a.Sites) == 0 || original == 0 {
		f.Skipped = fmt.Sprintf("no site can change what the model needs of %s", over)
		return f, nil
	}
	taken, allowed := written.of(over), w.allowed(trials, over)
	if over == RunTime { // as foretold, of which a bound was scaled where that was not measured
		taken, allowed = float64(a.foreseen(chosen)), chosen.Bounds[0].Limit(a.need(over))/original
	}
	q := quest{a: a, o: w.o, bounds: last.Bounds, spare: last.Spare}
	ls := last.Offers.ladders()
	if len(a.Axes) > 0 {
		if last.Summary.BesideWidths {
			chosen = &Choice{Summary: PlanSummary{Loss: chosen.Summary.Loss}}
		}
		f.Chosen = FrontierPoint{Budget: allowed, Cost: taken / original, Loss: chosen.Summary.Loss, Bound: chosen.Summary.Bound}
		return q.frontierNarrow(ctx, last, f)
	}
	stated, budgets := searchLadders(ls, q.bounds), q.budgets(ls)
	rest := q.bounds[0].Limit(a.need(over)) - budgets[0].Limit // what is not up to the ladders
	// The size of a file is known before it is written only on the safe side: what was foreseen of this one and is not there is
	// taken off the others too.
	rest -= chosen.needs(ls, over) + rest - taken
	least := (leastCost(stated) + rest) / original
	f.Chosen = FrontierPoint{Budget: allowed, Cost: taken / original, Loss: chosen.Summary.Loss, Bound: chosen.Summary.Bound}
	for i := range frontierPoints {
		share := least + (1-least)*float64(i)/(frontierPoints-1)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !(share < 1) && i < frontierPoints-1 {
			continue
		}
		budgets[0].Limit = share*original - rest + 1e-9*original // which rounding must not cost a rung
		p, err := search.Choose(stated, budgets, search.Options{Method: "lagrange"})
		unmet := (*search.InfeasibleError)(nil)
		if errors.As(err, &unmet) {
			continue // beside the other targets
		}
		if err != nil {
			return nil, fmt.Errorf("choosing ranks for %s=%.4g: %w", over, share, err)
		}
		f.Points = append(f.Points, FrontierPoint{Budget: share, Cost: (p.Costs[0] + rest) / original, Loss: p.Loss, Bound: p.Bound})
	}
	return f, nil
}

// frontierNarrow is the frontier of widths, and of ranks beside them.
func (q *quest) frontierNarrow(ctx context.Context, last *Choice, f *Frontier) (*Frontier, error) {
	w := q.weave(last.Offers)
	w.method = "lagrange"
	choose := w.choose
	if q.both() {
		choose = q.jointly(last.Offers).within(w)
	}
	original := float64(q.a.need(f.Over))
	least := w.costs(make([]int, len(w.widths)))[0] / original
	for i := range frontierPoints {
		share := least + (1-least)*float64(i)/(frontierPoints-1)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !(share < 1) && i < frontierPoints-1 {
			continue
		}
		w.limits[0] = share * original * (1 + 1e-9)
		p, err := choose()
		if errors.As(err, new(*search.InfeasibleError)) {
			continue // beside the other targets
		}
		if err != nil {
			return nil, fmt.Errorf("choosing widths for %s=%.4g: %w", f.Over, share, err)
		}
		f.Points = append(f.Points, FrontierPoint{Budget: share, Cost: p.costs[0] / original, Loss: p.loss, Bound: p.bound})
	}
	return f, nil
}

// needs is what the ladders need of a resource as they were chosen.
func (c *Choice) needs(ls []ladder, r Resource) float64 {
	var sum int64
	for i := range ls {
		rung := make([]option, len(ls[i].at))
		for k, site := range ls[i].at {
			rung[k] = c.picks[site]
		}
		sum += ls[i].cost(rung, r)
	}
	return float64(sum)
}

// leastCost is the least that the ladders can need under the first budget.
func leastCost(ls []search.Ladder) float64 {
	sum := 0.0
	for _, l := range ls {
		least := math.Inf(1)
		for _, r := range l.Rungs {
			least = min(least, r.Costs[0])
		}
		sum += least
	}
	return sum
}

// of is what the file needs of a resource.
func (f File) of(r Resource) float64 {
	switch r {
	case MACs:
		return float64(f.MACs)
	case Params:
		return float64(f.Params)
	}
	return float64(f.Bytes)
}

// allowed is the share of a resource that the plan was allowed: by a target, or, where goals
// were searched for, by the step of the bisection that was delivered.
func (w *work) allowed(t *Trials, r Resource) float64 {
	original, least := w.a.need(r), 1.0
	if t == nil {
		for _, t := range w.o.Targets {
			if t.Resource == r {
				least = min(least, t.Limit(original)/float64(original))
			}
		}
		return least
	}
	for _, step := range t.Steps {
		if step.Met {
			least = min(least, step.Budget)
		}
	}
	return least
}

// curves are what each method could do at the site, thinned out.
func (o *offer) curves(methods []decomp.Method, chosen option) []SpectrumInspection {
	out := o.spectra(methods)
	for i := range out {
		keep := func(r RankInspection) bool {
			return chosen.method != nil && chosen.method.Name == out[i].Method && slices.Equal(r.Rank, chosen.rank)
		}
		out[i].Ranks = thinned(worthwhileRanks(out[i].Ranks, keep), keep)
		if n := len(out[i].Ranks); n > 0 {
			out[i].BreakEven = out[i].Ranks[n-1].Rank
		}
	}
	return out
}

// worthwhileRanks sorts ranks by what they cost, and leaves out those that cost more than
// another and lose no less.
func worthwhileRanks(ranks []RankInspection, keep func(RankInspection) bool) []RankInspection {
	sorted := slices.Clone(ranks)
	slices.SortStableFunc(sorted, func(a, b RankInspection) int {
		return cmp.Or(cmp.Compare(a.MACs, b.MACs), cmp.Compare(a.Params, b.Params), cmp.Compare(a.Loss, b.Loss))
	})
	var out []RankInspection
	least := math.Inf(1)
	for _, r := range sorted {
		if r.Loss < least || keep(r) {
			out = append(out, r)
		}
		least = min(least, r.Loss)
	}
	return out
}

// thinned leaves spectrumPoints of the ranks, evenly, the first and the last among them, and
// the one to keep.
func thinned(ranks []RankInspection, keep func(RankInspection) bool) []RankInspection {
	n := len(ranks)
	if n <= spectrumPoints {
		return ranks
	}
	at := map[int]bool{}
	for i := range spectrumPoints {
		at[i*(n-1)/(spectrumPoints-1)] = true
	}
	var out []RankInspection
	for i, r := range ranks {
		if at[i] || keep(r) {
			out = append(out, r)
		}
	}
	return out
}

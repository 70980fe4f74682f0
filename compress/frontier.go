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
	// Loss and Bound are as in PlanSummary.
	Loss  float64 `json:"loss"`
	Bound float64 `json:"bound"`
}

// outlook completes the result with the command, and with what else could have been chosen:
// as a whole, and at every site.
func (j *job) outlook(ctx context.Context) error {
	f, err := j.frontier(ctx)
	if err != nil {
		return err
	}
	j.result.Frontier, j.result.Command = f, j.opts.Command
	for i, o := range j.offers {
		j.result.Sites[i].Spectra = o.curves(j.methods, j.chosen[i])
	}
	return nil
}

// frontier chooses again for budgets from the least to all, by the search that is exact to its
// stated gap, whichever chose the plan.
func (j *job) frontier(ctx context.Context) (*Frontier, error) {
	if j.opts.FromPlan != nil {
		return &Frontier{Over: MACs, Points: []FrontierPoint{}, Skipped: "the plan was given, so that no other was looked for"}, nil
	}
	bounds := j.bounds()
	over := bounds[0].Resource
	original := float64(j.original(over))
	f := &Frontier{Over: over, Points: []FrontierPoint{}}
	if len(j.offers) == 0 || original == 0 {
		f.Skipped = fmt.Sprintf("no site can change what the model needs of %s", over)
		return f, nil
	}
	ls := ladders(j.offers)
	stated, budgets := searchLadders(ls, bounds), j.budgets(ls)
	rest := bounds[0].Limit(j.original(over)) - budgets[0].Limit // what is not up to the ladders
	least := (leastCost(stated) + rest) / original
	f.Chosen = FrontierPoint{Budget: j.allowed(over), Cost: j.needed(over) / original, Loss: j.result.Plan.Loss, Bound: j.result.Plan.Bound}
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

// needed is what the written model needs of a resource.
func (j *job) needed(r Resource) float64 {
	switch r {
	case MACs:
		return float64(j.result.Output.MACs)
	case Params:
		return float64(j.result.Output.Params)
	}
	return float64(j.result.Output.Bytes)
}

// allowed is the share of a resource that the plan was allowed: by a target, or, where goals
// were searched for, by the step of the bisection that was delivered.
func (j *job) allowed(r Resource) float64 {
	original := float64(j.original(r))
	if j.trials == nil {
		for _, t := range j.opts.Targets {
			if t.Resource == r {
				return min(1, t.Limit(j.original(r))/original)
			}
		}
	}
	least := 1.0
	if j.trials != nil {
		for _, t := range j.trials.Steps {
			if t.Met {
				least = min(least, t.Budget)
			}
		}
	}
	return least
}

// curves are what each method could do at the site, thinned out.
func (o *offer) curves(methods []decomp.Method, chosen option) []SpectrumInspection {
	out := o.spectraOf(methods)
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

// Package search chooses how far to compress each site: one rung of each ladder, so that the losses add
// up to as little as possible while the costs stay within the budgets. It is arithmetic only, and knows
// neither models nor kernels.
//
// A [Ladder] says what one site could become, a [Budget] what all may cost together; [Choose] gives the
// [Plan]. How good it is it says itself, by a bound that no plan can be below.
package search

import "fmt"

// Rung is one choice open at a site.
type Rung struct {
	Costs []float64 // one for each budget, not negative
	Loss  float64   // finite, not negative
}

// Ladder is the choices open at one site, cheapest first; the last rung leaves the site alone.
type Ladder struct {
	Name  string
	Rungs []Rung
}

// Budget is a limit on the sum of one cost over all ladders.
type Budget struct {
	Name  string
	Limit float64
}

// Plan is one rung for each ladder.
type Plan struct {
	Rungs []int     // for each ladder, the index of the chosen rung
	Costs []float64 // for each budget, the sum over the chosen rungs; never above the limit
	Loss  float64   // the sum over the chosen rungs
	// Bound is a loss that no plan within the budgets can be below. It equals Loss where the plan is
	// proved optimal, and comes from the Lagrangian dual where it is not.
	Bound float64
	// Gap is (Loss−Bound)/Loss, and 0 when Loss is 0: the plan is at most this fraction above the best.
	Gap float64
	// Multipliers holds for each budget the price at which the dual bound was found, in loss per unit
	// of cost: about how much loss one more unit of the budget would save.
	Multipliers []float64
}

// InfeasibleError says that no choice of rungs meets the budgets.
type InfeasibleError struct {
	Budget string  // the budget that cannot be met
	Limit  float64 // what it asks for
	// Reachable is the lowest cost that can be reached. Where each budget could be met alone but not all of them
	// together, it is the lowest that was found with the others met as nearly as possible.
	Reachable float64
}

func (e *InfeasibleError) Error() string {
	return fmt.Sprintf("budget %s: %g cannot be reached, the least is %g", e.Budget, e.Limit, e.Reachable)
}

// Options say how to search.
type Options struct {
	Method string // the name of one of Methods; empty for the first of them
}

// maxLoss keeps sums of losses finite. A larger one comes from a factorization gone wrong.
const maxLoss = 1e300

// Choose returns the plan of least loss that the method can find within all budgets: it minimises Σ loss subject to
// Σ cost ≤ limit. Where every site can have its rung of least loss, that is the plan, by any method. Same input,
// same plan.
//
// Where the budgets cannot be met, the error is an *InfeasibleError. A loss or cost that is NaN, infinite or
// negative, and a loss beyond 1e300, are refused with the ladder and the rung that have it.
func Choose(ladders []Ladder, budgets []Budget, o Options) (Plan, error) {
	m, err := method(o.Method)
	if err != nil {
		return Plan{}, err
	}
	p, err := newProblem(ladders, budgets)
	if err != nil {
		return Plan{}, err
	}
	best := make(choice, len(p.sites)) // the first rung of every site is that of least loss
	if p.fits(best) {
		return p.plan(best, dual{multipliers: make([]float64, len(budgets)), bound: p.loss(best)}, true), nil
	}
	start, err := p.feasible()
	if err != nil {
		return Plan{}, err
	}
	best, d, proved, err := m.find(p, start)
	if err != nil {
		return Plan{}, fmt.Errorf("search: %s: %w", m.Name, err)
	}
	return p.plan(best, d, proved), nil
}

// plan puts a choice into the terms of the caller.
func (p *problem) plan(x choice, d dual, proved bool) Plan {
	out := Plan{
		Rungs:       make([]int, len(x)),
		Costs:       make([]float64, len(p.budgets)),
		Loss:        p.loss(x),
		Multipliers: d.multipliers,
	}
	for k, i := range x {
		out.Rungs[k] = p.sites[k][i].index
	}
	for b := range p.budgets {
		out.Costs[b] = p.cost(x, b)
	}
	out.Bound = min(d.bound, out.Loss)
	if proved {
		out.Bound = out.Loss
	}
	if out.Loss > 0 {
		out.Gap = (out.Loss - out.Bound) / out.Loss
	}
	return out
}

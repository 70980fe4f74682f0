package compress

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// What bounds the search for widths.
const (
	weavings  = 16 // linearisations
	exchanges = 64 // changes of a width or of two against each other
	reach     = 4  // how many rungs up or down a width may go in exchange for another
)

// weaving chooses widths. What a site needs is the product of the widths on both of its sides, so that the prices of one axis
// depend on the others.
type weaving struct {
	a      *Analysis
	names  []string
	widths [][]int // on offer, by axis
	losses [][]float64
	bounds []Target
	limits []float64 // of the whole model
	method string
}

// woven is a choice of widths as rungs of the axes.
type woven struct {
	rungs []int
	loss  float64
	costs []float64
	// bound is a loss that no choice of these widths within the limits is below. It comes from what widths cost with all others
	// whole: Π(1−u) ≥ 1 − Σu for shares u that go, so that no choice costs less than these costs say, but for what they say twice.
	bound       float64
	multipliers []float64
}

// weave prepares the choice among what is on offer.
func (q *quest) weave(of *Offers) *weaving {
	w := &weaving{a: q.a, bounds: q.bounds, method: q.o.Search}
	for i := range of.axes {
		o := &of.axes[i]
		w.names = append(w.names, o.axis.Name)
		w.widths = append(w.widths, of.widths(i, q.o))
		var losses []float64
		for _, k := range w.widths[i] {
			losses = append(losses, o.loss(k))
		}
		w.losses = append(w.losses, losses)
	}
	for _, t := range q.bounds {
		limit := t.Limit(q.a.need(t.Resource))
		if t.Resource == Bytes {
			limit -= q.spare
		}
		w.limits = append(w.limits, limit)
	}
	return w
}

// timed tells whether the time is bounded, which goes up by stairs.
func (w *weaving) timed() bool {
	return slices.ContainsFunc(w.bounds, func(t Target) bool { return t.Resource == RunTime })
}

// at are the widths of rungs.
func (w *weaving) at(rungs []int) []int {
	out := make([]int, len(rungs))
	for i, r := range rungs {
		out[i] = w.widths[i][r]
	}
	return out
}

// costs are what the model needs of what is bounded.
func (w *weaving) costs(rungs []int) []float64 {
	widths := w.at(rungs)
	out := make([]float64, len(w.bounds))
	for b, t := range w.bounds {
		out[b] = float64(w.a.need(t.Resource) - w.a.saved(widths, t.Resource))
	}
	return out
}

func (w *weaving) loss(rungs []int) float64 {
	sum := 0.0
	for i, r := range rungs {
		sum += w.losses[i][r]
	}
	return sum
}

// excess is by how much costs are above the limits, as a sum of shares.
func (w *weaving) excess(costs []float64) float64 {
	sum := 0.0
	for b, c := range costs {
		sum += max(c-w.limits[b], 0) / max(w.limits[b], 1)
	}
	return sum
}

// choose returns the widths of least loss that it finds. Where not even the least of all meet a limit, that is an
// *search.InfeasibleError in terms of the whole model.
func (w *weaving) choose() (*woven, error) {
	least := make([]int, len(w.widths))
	for b, c := range w.costs(least) {
		if c > w.limits[b] {
			return nil, &search.InfeasibleError{Budget: string(w.bounds[b].Resource), Limit: w.limits[b], Reachable: c}
		}
	}
	now := make([]int, len(w.widths)) // all whole
	for i := range now {
		now[i] = len(w.widths[i]) - 1
	}
	var best []int
	var first, plan search.Plan
	for n := range weavings {
		next, err := w.linearised(now)
		if infeasible := (*search.InfeasibleError)(nil); errors.As(err, &infeasible) {
			break
		}
		if err != nil {
			return nil, err
		}
		if plan = next; n == 0 {
			first = next
		}
		if w.excess(w.costs(next.Rungs)) == 0 && (best == nil || w.loss(next.Rungs) < w.loss(best)) {
			best = next.Rungs
		}
		if slices.Equal(next.Rungs, now) {
			break
		}
		now = next.Rungs
	}
	if best == nil {
		best = w.repaired(now)
	}
	best = w.exchanged(best)
	out := &woven{rungs: best, loss: w.loss(best), costs: w.costs(best), multipliers: plan.Multipliers}
	if !w.timed() { // of which that about the shares is not true
		out.bound = min(first.Bound, out.loss)
	}
	return out, nil
}

// linearised chooses as if each width cost what it does beside the present ones.
func (w *weaving) linearised(now []int) (search.Plan, error) {
	ladders := make([]search.Ladder, len(now))
	here := w.costs(now)
	budgets := make([]search.Budget, len(w.bounds))
	for b, t := range w.bounds {
		budgets[b] = search.Budget{Name: string(t.Resource), Limit: w.limits[b] - here[b] + float64(w.a.twice.of(t.Resource))}
	}
	for i := range now {
		beside := slices.Clone(now)
		ladders[i].Name = w.names[i]
		for r := range w.widths[i] {
			beside[i] = r
			ladders[i].Rungs = append(ladders[i].Rungs, search.Rung{Costs: w.costs(beside), Loss: w.losses[i][r]})
		}
		for b := range budgets { // costs are counted from the least, which is not always that of the first rung: shifts cost too
			base := math.Inf(1)
			for _, r := range ladders[i].Rungs {
				base = min(base, r.Costs[b])
			}
			for _, r := range ladders[i].Rungs {
				r.Costs[b] -= base
			}
			budgets[b].Limit += here[b] - base
		}
	}
	plan, err := search.Choose(ladders, budgets, search.Options{Method: w.method})
	if err != nil {
		return plan, fmt.Errorf("choosing widths: %w", err)
	}
	return plan, nil
}

// repaired takes widths down until the limits hold, each time by the step that loses least for what it saves. The least
// widths of all are within the limits.
func (w *weaving) repaired(rungs []int) []int {
	rungs = slices.Clone(rungs)
	for {
		over := w.excess(w.costs(rungs))
		if over == 0 {
			return rungs
		}
		at, best := -1, math.Inf(1)
		for i, r := range rungs {
			if r == 0 {
				continue
			}
			rungs[i] = r - 1
			gain := over - w.excess(w.costs(rungs))
			rungs[i] = r
			if price := (w.losses[i][r-1] - w.losses[i][r]) / max(gain, 1e-300); at < 0 || price < best {
				at, best = i, price
			}
		}
		if at < 0 {
			return rungs
		}
		rungs[at]--
	}
}

// exchanged changes a width, or one for another, as long as that lowers the loss within the limits, at true costs.
func (w *weaving) exchanged(rungs []int) []int {
	rungs = slices.Clone(rungs)
	for range exchanges {
		change := w.exchange(rungs)
		if change == nil {
			break
		}
		rungs = change
	}
	return rungs
}

// exchange is the best such change, nil for none.
func (w *weaving) exchange(rungs []int) []int {
	var best []int
	least := -1e-12 * w.loss(rungs)
	now := slices.Clone(rungs)
	try := func(change float64) {
		if change < least && w.excess(w.costs(now)) == 0 {
			best, least = slices.Clone(now), change
		}
	}
	for i := range now {
		for up := rungs[i] + 1; up <= min(rungs[i]+reach, len(w.widths[i])-1); up++ {
			now[i] = up
			won := w.losses[i][up] - w.losses[i][rungs[i]]
			try(won)
			for k := range now {
				if k == i {
					continue
				}
				for down := rungs[k] - 1; down >= max(rungs[k]-reach, 0); down-- {
					now[k] = down
					try(won + w.losses[k][down] - w.losses[k][rungs[k]])
				}
				now[k] = rungs[k]
			}
		}
		now[i] = rungs[i]
	}
	return best
}

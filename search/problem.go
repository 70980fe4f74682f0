package search

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// rung is a Rung that no other of its ladder dominates.
type rung struct {
	costs []float64
	loss  float64
	index int // in the caller's ladder
}

// problem is what is asked, without the rungs that no plan needs.
type problem struct {
	budgets []Budget
	names   []string // of the ladders
	sites   [][]rung // for each ladder, by rising loss
	scales  []float64
}

// choice is one rung for each site, as an index into the problem's lists.
type choice []int

func newProblem(ladders []Ladder, budgets []Budget) (*problem, error) {
	p := &problem{budgets: budgets, scales: make([]float64, len(budgets))}
	for _, b := range budgets {
		if math.IsNaN(b.Limit) || math.IsInf(b.Limit, 0) {
			return nil, fmt.Errorf("search: budget %s has the limit %g: wanted a finite number", b.Name, b.Limit)
		}
	}
	for _, l := range ladders {
		if err := l.check(len(budgets)); err != nil {
			return nil, err
		}
		site := undominated(l.Rungs)
		p.names, p.sites = append(p.names, l.Name), append(p.sites, site)
		for b := range budgets {
			largest := 0.0
			for _, r := range site {
				largest = max(largest, r.costs[b])
			}
			p.scales[b] += largest
		}
	}
	for b, s := range p.scales {
		if math.IsInf(s, 0) {
			return nil, fmt.Errorf("search: the costs under budget %s add up to more than a float64 holds", budgets[b].Name)
		}
		if s == 0 {
			p.scales[b] = 1
		}
	}
	return p, nil
}

func (l Ladder) check(budgets int) error {
	if len(l.Rungs) == 0 {
		return fmt.Errorf("search: ladder %s has no rungs", l.Name)
	}
	for i, r := range l.Rungs {
		if len(r.Costs) != budgets {
			return fmt.Errorf("search: rung %d of ladder %s has %d costs for %d budgets", i, l.Name, len(r.Costs), budgets)
		}
		for _, c := range r.Costs {
			if !(c >= 0) || math.IsInf(c, 0) {
				return fmt.Errorf("search: rung %d of ladder %s has the cost %g: wanted a finite number, not negative", i, l.Name, c)
			}
		}
		if !(r.Loss >= 0) || r.Loss > maxLoss {
			return fmt.Errorf("search: rung %d of ladder %s has the loss %g: wanted a number from 0 to %g", i, l.Name, r.Loss, maxLoss)
		}
	}
	return nil
}

// undominated returns the rungs than which no other is at least as good in loss and in every cost, by rising loss.
// Of equals the last stays, so that leaving a site alone goes before changing it for nothing.
func undominated(rungs []Rung) []rung {
	all := make([]rung, len(rungs))
	for i, r := range rungs {
		all[i] = rung{costs: r.Costs, loss: r.Loss, index: i}
	}
	slices.SortFunc(all, func(a, b rung) int {
		return cmp.Or(cmp.Compare(a.loss, b.loss), slices.Compare(a.costs, b.costs), cmp.Compare(b.index, a.index))
	})
	var kept []rung
	for _, r := range all {
		if !slices.ContainsFunc(kept, func(k rung) bool { return noDearer(k.costs, r.costs) }) {
			kept = append(kept, r)
		}
	}
	return kept
}

func noDearer(a, b []float64) bool {
	for i := range a {
		if a[i] > b[i] {
			return false
		}
	}
	return true
}

// cost and loss add up in the order of the ladders, so that a choice has the same sums wherever they are formed.
func (p *problem) cost(x choice, b int) float64 {
	sum := 0.0
	for k, i := range x {
		sum += p.sites[k][i].costs[b]
	}
	return sum
}

func (p *problem) loss(x choice) float64 {
	sum := 0.0
	for k, i := range x {
		sum += p.sites[k][i].loss
	}
	return sum
}

func (p *problem) fits(x choice) bool {
	for b, budget := range p.budgets {
		if p.cost(x, b) > budget.Limit {
			return false
		}
	}
	return true
}

// room returns what x leaves of each budget, negative where it is exceeded.
func (p *problem) room(x choice) []float64 {
	room := make([]float64, len(p.budgets))
	for b, budget := range p.budgets {
		room[b] = budget.Limit - p.cost(x, b)
	}
	return room
}

// feasible returns a choice within all budgets: cheap, without regard for its loss.
func (p *problem) feasible() (choice, error) {
	x := make(choice, len(p.sites))
	for b, budget := range p.budgets {
		for k, site := range p.sites {
			x[k] = leastBy(site, func(r rung) float64 { return r.costs[b] })
		}
		if least := p.cost(x, b); least > budget.Limit {
			return nil, &InfeasibleError{Budget: budget.Name, Limit: budget.Limit, Reachable: least}
		}
	}
	prices := p.prices(nil)
	for k, site := range p.sites {
		x[k] = leastBy(site, func(r rung) float64 { return priced(0, r.costs, prices) })
	}
	worst := p.repair(x, nil)
	if worst < 0 {
		return x, nil
	}
	if found := p.anyPlan(); found != nil {
		return found, nil
	}
	return nil, &InfeasibleError{Budget: p.budgets[worst].Name, Limit: p.budgets[worst].Limit, Reachable: p.cost(x, worst)}
}

// leastBy returns the first index with the least value.
func leastBy(site []rung, value func(rung) float64) int {
	at, least := 0, math.Inf(1)
	for i, r := range site {
		if v := value(r); v < least {
			at, least = i, v
		}
	}
	return at
}

// prices returns multipliers, or where none is positive, one for each budget in units of its scale.
func (p *problem) prices(multipliers []float64) []float64 {
	if slices.ContainsFunc(multipliers, func(m float64) bool { return m > 0 }) {
		return multipliers
	}
	out := make([]float64, len(p.scales))
	for b, s := range p.scales {
		out[b] = 1 / s
	}
	return out
}

// sorted returns the numbers below n in the order of compare, equal ones by size.
func sorted(n int, compare func(i, j int) int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, compare)
	return out
}

// cheapest is the least that one of some rungs of a site costs.
func (p *problem) cheapest(k int, open []candidate, b int) float64 {
	least := math.Inf(1)
	for _, c := range open {
		least = min(least, p.sites[k][c.rung].costs[b])
	}
	return least
}

// excess returns by how much x exceeds the budgets, as the sum over budgets of fractions of their scale, and the
// budget that it exceeds the most, -1 for none.
func (p *problem) excess(room []float64) (sum float64, worst int) {
	worst = -1
	most := 0.0
	for b, r := range room {
		if over := -r / p.scales[b]; over > 0 {
			sum += over
			if over > most {
				most, worst = over, b
			}
		}
	}
	return sum, worst
}

// repair changes x, one site at a time, until it is within the budgets: each time by the rung that takes most off
// the excess for what it adds to loss + multipliers·cost (with nil: takes most off). It returns -1, or the budget
// still exceeded the most when no single change helps any more.
func (p *problem) repair(x choice, multipliers []float64) int {
	for {
		room := p.room(x)
		over, worst := p.excess(room)
		if worst < 0 {
			return worst
		}
		bestSite, bestRung, best := -1, 0, 0.0
		after := make([]float64, len(room))
		for k, site := range p.sites {
			now := site[x[k]]
			for i, r := range site {
				for b := range room {
					after[b] = room[b] + (now.costs[b] - r.costs[b]) // nothing at all for the rung that is there
				}
				left, _ := p.excess(after)
				gain := over - left
				if multipliers != nil {
					price := r.loss - now.loss
					for b, m := range multipliers {
						price += m * (r.costs[b] - now.costs[b])
					}
					gain /= max(price, 1e-300)
				}
				if over-left > 1e-15*over && gain > best {
					bestSite, bestRung, best = k, i, gain
				}
			}
		}
		if bestSite < 0 {
			return worst
		}
		before := x[bestSite]
		x[bestSite] = bestRung
		if left, _ := p.excess(p.room(x)); left >= over { // all that was taken off was rounding
			x[bestSite] = before
			return worst
		}
	}
}

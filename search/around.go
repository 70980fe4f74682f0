package search

import "slices"

// Reduced returns what a rung costs in loss and in all else at given prices, loss + Σ price·cost: the sum over the
// ladders is what the Lagrangian dual minimises.
func (r Rung) Reduced(prices []float64) float64 {
	sum := r.Loss
	for b, p := range prices {
		sum += p * r.Costs[b]
	}
	return sum
}

// Around returns, in order, the rungs of a ladder next to which finer ones may improve a plan: the one chosen, and the
// corners beside it on the lower convex hull of (Σ price·cost, loss). Prices are a plan's Multipliers; not all may be 0.
func Around(l Ladder, prices []float64, chosen int) []int {
	price := func(costs []float64) float64 { return Rung{Costs: costs}.Reduced(prices) }
	site := make([]rung, len(l.Rungs))
	for i, r := range l.Rungs {
		site[i] = rung{costs: r.Costs, loss: r.Loss, index: i}
	}
	first, edges := hull(0, site, func(r rung) float64 { return price(r.costs) })
	out, at := []int{chosen}, price(l.Rungs[chosen].Costs)
	below, above := -1, -1
	corners := []int{first}
	for _, e := range edges {
		corners = append(corners, e.to)
	}
	for _, i := range corners { // by rising cost
		switch cost := price(l.Rungs[i].Costs); {
		case i == chosen:
		case cost <= at:
			below = i
		case above < 0:
			above = i
		}
	}
	for _, i := range []int{below, above} {
		if i >= 0 {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out
}

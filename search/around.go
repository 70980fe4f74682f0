package search

import "slices"

// Reduced returns what a rung costs in loss and in all else at given prices, loss + Σ price·cost: the sum over the
// ladders is what the Lagrangian dual minimises.
func (r Rung) Reduced(prices []float64) float64 {
	return priced(r.Loss, r.Costs, prices)
}

// priced returns loss + Σ price·cost.
func priced(loss float64, costs, prices []float64) float64 {
	for b, p := range prices {
		loss += p * costs[b]
	}
	return loss
}

// Around returns, in order, the rungs of a ladder next to which finer ones may improve a plan: the one chosen, and the
// corners beside it on the lower convex hull of (Σ price·cost, loss). Prices are a plan's Multipliers; not all may be 0.
func Around(l Ladder, prices []float64, chosen int) []int {
	price := func(costs []float64) float64 { return priced(0, costs, prices) }
	site := make([]rung, len(l.Rungs))
	for i, r := range l.Rungs {
		site[i] = rung{costs: r.Costs, loss: r.Loss, index: i}
	}
	first, edges := hull(0, site, func(r rung) float64 { return price(r.costs) })
	out, at := []int{chosen}, price(l.Rungs[chosen].Costs)
	corners := []int{first} // by rising cost
	for _, e := range edges {
		corners = append(corners, e.to)
	}
	corners = slices.DeleteFunc(corners, func(i int) bool { return i == chosen })
	dearer := slices.IndexFunc(corners, func(i int) bool { return price(l.Rungs[i].Costs) > at })
	if dearer < 0 {
		dearer = len(corners)
	}
	out = append(out, corners[max(dearer-1, 0):min(dearer+1, len(corners))]...)
	slices.Sort(out)
	return out
}

package search

import (
	"cmp"
	"slices"
)

func composite() Method {
	return Method{
		Name:  "composite",
		Title: "continuous ranks under one composite loss, in stages from coarse to fine",
		Doc: `The lower convex hull of each ladder makes its loss a falling, convex, piecewise-linear function e_l(ρ) of a
continuous rank ρ from 0 (the cheapest rung) to 1 (the rung of least loss). The composite loss adds them up,
with a penalty for each budget that is exceeded, and is minimised over all sites at once; λ is raised until the
minimum lies within the budgets. The first stage sees only a few rungs of every ladder, in geometric steps up
from the cheapest; each later stage adds rungs in a box around the optimum of the stage before, and the boxes
shrink by a factor of 4 until nothing between their ends is unseen: of 200 rungs about 20 are looked at. Then
the ranks are rounded down to rungs, and the plan is finished as lagrange's is, over all rungs: what is left of the
budgets is spent, rungs are exchanged, and a proof is tried. The bound is that of the Lagrangian dual, at the prices
of the last stage. Losses are predictions, and the caller may correct them: compress measures the true change of
the outputs with the sites of largest loss replaced one at a time, rescales all e_l by what that says, and chooses again.`,
		Corrects: true,

		Formula: "min over ρ of Σ_l e_l(ρ_l) + λ·Σ_b max(0, Σ_l c_lb(ρ_l)/B_b − 1)",
		Source:  "after A. Aghababaei-Harandi and M.-R. Amini, arXiv 2409.03555: one loss, continuous ranks, several stages",
		find:    improved((*problem).composite),
	}
}

// composite searches in stages, and returns the last stage's optimum, rounded to rungs, with the bound at its prices.
func (p *problem) composite(start choice) dual {
	seen := p.coarse(start)
	for {
		stage := p.only(seen)
		begin := make(choice, len(start))
		for k, i := range start {
			begin[k], _ = slices.BinarySearch(seen[k], i)
		}
		multipliers := stage.dual(begin).multipliers
		path := stage.climb(multipliers)
		at := path.minimum()
		if p.refine(seen, path, at) {
			continue
		}
		d := dual{multipliers: make([]float64, len(p.budgets)), plan: start}
		d.bound, _ = p.relax(d.multipliers)
		d.meet(p, multipliers)
		if x := path.round(at); p.repair(x, d.multipliers) < 0 {
			p.fill(x, d)
			d.keep(p, x)
		}
		return d
	}
}

// coarse returns for each site the rungs of the first stage, by rising loss: of the cheapest n-th, 1st, 2nd, 4th, 8th
// and so on, the one of least loss, and the one that start has.
func (p *problem) coarse(start choice) [][]int {
	seen := make([][]int, len(p.sites))
	for k, site := range p.sites {
		seen[k] = []int{0, start[k], len(site) - 1}
		for up := 1; up < len(site); up *= 2 {
			seen[k] = append(seen[k], len(site)-up)
		}
		slices.Sort(seen[k])
		seen[k] = slices.Compact(seen[k])
	}
	return seen
}

// only returns the problem with only the rungs seen; the index of each is that in p.
func (p *problem) only(seen [][]int) *problem {
	out := &problem{budgets: p.budgets, sites: make([][]rung, len(p.sites)), scales: p.scales}
	for k, list := range seen {
		for _, i := range list {
			r := p.sites[k][i]
			r.index = i
			out.sites[k] = append(out.sites[k], r)
		}
	}
	return out
}

// path is the way up all hulls at once, steepest edge first. For one budget it passes through the minimum of the
// composite loss for every λ; for several it does where the prices along which the hulls were taken are right.
type path struct {
	p      *problem
	bottom choice
	edges  []step
}

// point is a place on a path, and so the continuous rank of every site: whole edges climbed, and a part of the next.
type point struct {
	whole int
	part  float64 // from 0 to below 1
}

// climb returns the path under given prices.
func (p *problem) climb(prices []float64) path {
	prices = p.prices(prices)
	out := path{p: p, bottom: make(choice, len(p.sites))}
	for k, site := range p.sites {
		cheapest, edges := hull(k, site, func(r rung) float64 { return priced(0, r.costs, prices) })
		out.bottom[k] = cheapest
		out.edges = append(out.edges, edges...)
	}
	slices.SortStableFunc(out.edges, func(e, f step) int { return cmp.Compare(f.gain/f.cost, e.gain/e.cost) })
	return out
}

// minimum returns where on the path the composite loss is least, with λ large enough that it is within the budgets, if
// any is. The loss is linear between the ends of edges and the places where a budget is met exactly: one of these.
func (w path) minimum() point {
	const raises, factor = 60, 4
	points, losses, overs := w.corners()
	unit := losses[0] - losses[len(losses)-1] // all there is to gain; λ is in this unit, and at first 1
	if unit <= 0 {
		unit = 1
	}
	at, lambda := 0, 1.0
	for range raises {
		for n := range points {
			if losses[n]/unit+lambda*overs[n] < losses[at]/unit+lambda*overs[at] {
				at = n
			}
		}
		if overs[at] <= 0 {
			break
		}
		lambda *= factor
	}
	return points[at]
}

// corners returns the points at which the composite loss may have its minimum, with Σ_l e_l and the sum of
// max(0, Σ_l c_lb/B_b − 1) over the budgets.
func (w path) corners() (points []point, losses, overs []float64) {
	loss, room := w.p.loss(w.bottom), w.p.room(w.bottom)
	add := func(at point, loss float64, room []float64) {
		over := 0.0
		for b, r := range room {
			if size := w.p.budgets[b].Limit; r < -1e-12*w.p.scales[b] && size > 0 {
				over -= r / size
			} else if r < 0 && size <= 0 {
				over -= r / w.p.scales[b]
			}
		}
		points, losses, overs = append(points, at), append(losses, loss), append(overs, over)
	}
	add(point{}, loss, room)
	for n, e := range w.edges {
		site := w.p.sites[e.site]
		use := make([]float64, len(room))
		for b := range room {
			use[b] = site[e.to].costs[b] - site[e.from].costs[b]
		}
		for b := range room {
			if part := room[b] / use[b]; part > 0 && part < 1 {
				left := make([]float64, len(room))
				for i := range room {
					left[i] = room[i] - part*use[i]
				}
				add(point{n, part}, loss-part*e.gain, left)
			}
		}
		loss -= e.gain
		for b := range room {
			room[b] -= use[b]
		}
		add(point{whole: n + 1}, loss, room)
	}
	return points, losses, overs
}

// round returns the rungs, in terms of the whole problem, at or next below a point.
func (w path) round(at point) choice {
	x := slices.Clone(w.bottom)
	for _, e := range w.edges[:at.whole] {
		x[e.site] = e.to
	}
	for k, i := range x {
		x[k] = w.p.sites[k][i].index
	}
	return x
}

// refine adds to what is seen the rungs of the next stage, and reports whether there are any: in every site three, evenly
// spread, in each gap between rungs seen that lies in the site's box. The box reaches from the corner of the hull below
// the point to the one above it. Rungs outside stay seen, so that an optimum can return.
func (p *problem) refine(seen [][]int, w path, at point) bool {
	const parts = 4
	grew := false
	for k, box := range w.boxes(at) {
		var more []int
		for n, i := range seen[k][:len(seen[k])-1] {
			next := seen[k][n+1]
			if i < box.from || next > box.to {
				continue
			}
			for part := 1; part < parts; part++ {
				if between := i + (next-i)*part/parts; between > i && between < next {
					more = append(more, between)
				}
			}
		}
		if len(more) > 0 {
			grew = true
			seen[k] = append(seen[k], more...)
			slices.Sort(seen[k])
			seen[k] = slices.Compact(seen[k])
		}
	}
	return grew
}

// box is a stretch of a site's rungs, in terms of the whole problem, by rising loss.
type box struct{ from, to int }

func (w path) boxes(at point) []box {
	index := func(k, i int) int { return w.p.sites[k][i].index }
	out := make([]box, len(w.p.sites))
	for k, i := range w.bottom {
		below := min(i+1, len(w.p.sites[k])-1)
		out[k] = box{from: index(k, i), to: index(k, below)}
	}
	above := make([]bool, len(out)) // whether the edge above the point is known
	for n, e := range w.edges {
		switch {
		case n < at.whole, n == at.whole && at.part > 0:
			out[e.site] = box{from: index(e.site, e.to), to: index(e.site, e.from)}
			above[e.site] = n == at.whole
		case !above[e.site]:
			out[e.site].from = index(e.site, e.to)
			above[e.site] = true
		}
	}
	return out
}

package search

import (
	"cmp"
	"math"
	"slices"
)

// dual is what Lagrangian relaxation says: for any multipliers μ ≥ 0,
//
//	bound = Σ_sites min_rungs (loss + μ·cost) − μ·limits
//
// is at most the loss of every plan within the budgets.
type dual struct {
	multipliers []float64
	bound       float64
	plan        choice // the best plan met on the way that is within the budgets
}

// relax returns the bound for given multipliers and the choice that it comes from; of equal rungs the cheapest.
func (p *problem) relax(multipliers []float64) (float64, choice) {
	x := make(choice, len(p.sites))
	bound := 0.0
	for k, site := range p.sites {
		least := math.Inf(1)
		for i, r := range site {
			if v := priced(r.loss, r.costs, multipliers); v <= least {
				least, x[k] = v, i
			}
		}
		bound += least
	}
	for b, m := range multipliers {
		bound -= m * p.budgets[b].Limit
	}
	return bound, x
}

// dual maximises the bound over the multipliers. start is a choice within the budgets. A budget that no choice can
// exceed has the multiplier 0.
func (p *problem) dual(start choice) dual {
	d := dual{multipliers: make([]float64, len(p.budgets)), plan: start}
	d.bound, _ = p.relax(d.multipliers)
	var tight []int
	for b, budget := range p.budgets {
		if p.scales[b] <= budget.Limit {
			continue
		}
		tight = append(tight, b)
		multipliers, x := p.alongHulls(b)
		d.meet(p, multipliers)
		d.keep(p, x)
	}
	if len(tight) > 1 {
		p.ellipsoid(&d, start, tight)
	}
	return d
}

// meet evaluates multipliers, and keeps them where their bound is the best so far.
func (d *dual) meet(p *problem, multipliers []float64) (float64, choice) {
	bound, x := p.relax(multipliers)
	if bound > d.bound {
		d.bound, d.multipliers = bound, slices.Clone(multipliers)
	}
	d.keep(p, x)
	return bound, x
}

// keep keeps a plan that is within the budgets and better than the one kept before.
func (d *dual) keep(p *problem, x choice) {
	if p.fits(x) && p.loss(x) < p.loss(d.plan) {
		d.plan = x
	}
}

// step is one edge of a site's lower convex hull, from a rung to the next dearer one.
type step struct {
	site       int
	from, to   int // rungs
	cost, gain float64
}

// hull returns the edges of the lower convex hull of (cost, loss), cheapest first, and the cheapest rung. Along it each
// unit of cost gains less than the one before.
func hull(k int, site []rung, cost func(rung) float64) (cheapest int, edges []step) {
	costs, order := make([]float64, len(site)), make([]int, len(site))
	for i, r := range site {
		costs[i], order[i] = cost(r), i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(costs[i], costs[j]), cmp.Compare(site[i].loss, site[j].loss))
	})
	var corners []int
	for _, i := range order {
		if len(corners) > 0 && site[i].loss >= site[corners[len(corners)-1]].loss {
			continue
		}
		for len(corners) > 1 {
			a, z := corners[len(corners)-2], corners[len(corners)-1]
			if (site[a].loss-site[z].loss)*(costs[i]-costs[z]) > (site[z].loss-site[i].loss)*(costs[z]-costs[a]) {
				break
			}
			corners = corners[:len(corners)-1]
		}
		corners = append(corners, i)
	}
	for n, i := range corners[1:] {
		from := corners[n]
		edges = append(edges, step{site: k, from: from, to: i, cost: costs[i] - costs[from], gain: site[from].loss - site[i].loss})
	}
	return corners[0], edges
}

// alongHulls solves the relaxation for one budget alone, exactly: it climbs all hulls from the bottom, steepest edge
// first, until one does not fit; that edge's slope is the best multiplier. The choice reached is within that budget.
func (p *problem) alongHulls(b int) (multipliers []float64, x choice) {
	x = make(choice, len(p.sites))
	var edges []step
	for k, site := range p.sites {
		cheapest, e := hull(k, site, func(r rung) float64 { return r.costs[b] })
		x[k] = cheapest
		edges = append(edges, e...)
	}
	slices.SortStableFunc(edges, func(e, f step) int { return cmp.Compare(f.gain/f.cost, e.gain/e.cost) })
	multipliers = make([]float64, len(p.budgets))
	spent := p.cost(x, b)
	for _, e := range edges {
		if spent+e.cost > p.budgets[b].Limit {
			if slope := e.gain / e.cost; slope <= math.MaxFloat64 {
				multipliers[b] = slope
			}
			break
		}
		spent += e.cost
		x[e.site] = e.to
	}
	return multipliers, x
}

// ellipsoid maximises the bound for several budgets by the ellipsoid method with deep cuts (Bland, Goldfarb and Todd,
// Operations Research 29, 1981): the best multipliers are kept inside an ellipsoid, whose centre is tried; half of it
// is cut off by the supergradient there, cost − limit of the relaxation's choice; the smallest ellipsoid around the
// other half is next. Unlike ascent along single multipliers it cannot stick at a kink, and its size bounds what is
// still to be gained. start bounds the multipliers: the relaxation cannot promise less than what start costs.
func (p *problem) ellipsoid(d *dual, start choice, tight []int) {
	const iterations, precision = 1500, 1e-10
	m := len(tight)
	lossScale := max(p.loss(start)-d.bound, 1e-300)
	room := p.room(start)
	center, shape := make([]float64, m), make([][]float64, m)
	for i, b := range tight {
		center[i] = 1 / max(room[b]/p.scales[b], 1e-6) // the multiplier at which start's room alone is worth all its loss
		shape[i] = make([]float64, m)
		shape[i][i] = float64(m) * center[i] * center[i]
	}
	cut := make([]float64, m)
	for range iterations {
		depth, onBound := p.cut(d, tight, center, lossScale, cut)
		along, length := times(shape, cut)
		if onBound && length <= precision*max(d.bound/lossScale, precision) {
			return // length is all that the bound can still rise inside the ellipsoid
		}
		if !(length > 0) || depth >= length {
			return // nothing is left beyond the cut
		}
		shrink(center, shape, along, length, max(depth/length, 0))
	}
}

// cut writes the direction in which better multipliers than center must lie, and returns how far at least: towards
// the positive where one is negative, else up the bound.
func (p *problem) cut(d *dual, tight []int, center []float64, lossScale float64, cut []float64) (depth float64, onBound bool) {
	clear(cut)
	multipliers := make([]float64, len(p.budgets))
	for i, b := range tight {
		if center[i] < 0 {
			cut[i] = 1
			return -center[i], false
		}
		multipliers[b] = center[i] * lossScale / p.scales[b]
	}
	bound, x := d.meet(p, multipliers)
	room := p.room(x)
	for i, b := range tight {
		cut[i] = -room[b] / p.scales[b]
	}
	return (d.bound - bound) / lossScale, true
}

// times returns P·v and √(vᵀ·P·v).
func times(shape [][]float64, v []float64) (along []float64, length float64) {
	along = make([]float64, len(v))
	for i, row := range shape {
		for j, s := range row {
			along[i] += s * v[j]
		}
		length += along[i] * v[i]
	}
	return along, math.Sqrt(max(length, 0))
}

// shrink replaces the ellipsoid by the smallest one around the part of it that lies beyond depth (in units of its half
// width) along a direction v, for which along is P·v and length √(vᵀ·P·v).
func shrink(center []float64, shape [][]float64, along []float64, length, depth float64) {
	m := float64(len(center))
	forward := (1 + m*depth) / (m + 1)
	flatten := 2 * forward / (1 + depth)
	widen := m * m / (m*m - 1) * (1 - depth*depth)
	for i := range center {
		center[i] += forward * along[i] / length
		for j := range shape[i] {
			shape[i][j] = widen * (shape[i][j] - flatten*along[i]*along[j]/(length*length))
		}
	}
}

package search

import (
	"cmp"
	"math"
	"slices"
)

// sweepCells is how many partial plans a sweep keeps from one site to the next.
const sweepCells = 1 << 13

// partial is a choice for the sites up to some depth.
type partial struct {
	costs    []float64
	loss     float64
	reduced  float64 // what its rungs add to the dual bound
	last     link
	occupied bool
}

// link leads from a partial plan to the one that it extends, in the list of those kept one site earlier.
type link struct{ from, rung int32 }

// sweeper is dynamic programming over the rungs that the dual bound leaves open. The sites come one after the other;
// what partial plans have spent is divided into cells, and of all in a cell only one stays, that which adds least to the
// bound. Where no cell ever gives up one that is better in anything, the best plan at the end is the best there is;
// with finer costs than the cells can tell apart, it is near it.
//
// It sees what exchanges of pairs cannot: many sites changing at once, as they must where one of them takes the long step
// from its largest rank to being left alone.
type sweeper struct {
	p     *problem
	open  [][]candidate
	order []int // the sites by depth: those with the fewest rungs open first
	worst float64
	d     dual
	sides []int       // for each budget, into how many parts what is spent of it is divided
	least [][]float64 // for each budget and depth, what the sites before it cost at least
	exact bool
}

// sweep looks for a plan better than x. It returns the best one found, and whether that is proved to be the best of all.
func (p *problem) sweep(x choice, d dual) (choice, bool) {
	s := &sweeper{p: p, open: p.open(x, d), worst: p.loss(x) * (1 - 1e-12), d: d, sides: sides(d.multipliers), exact: true}
	s.order = sorted(len(p.sites), func(a, b int) int { return cmp.Compare(len(s.open[a]), len(s.open[b])) })
	for b := range p.budgets {
		least := make([]float64, len(s.order)+1)
		for n, k := range s.order {
			least[n+1] = least[n] + p.cheapest(k, s.open[k], b)
		}
		s.least = append(s.least, least)
	}
	start := partial{costs: make([]float64, len(p.budgets))}
	settled := 0 // sites without a choice, which come first
	for _, k := range s.order {
		if len(s.open[k]) > 1 {
			break
		}
		r := p.sites[k][x[k]]
		for b, c := range r.costs {
			start.costs[b] += c
		}
		start.loss, start.reduced = start.loss+r.loss, start.reduced+s.open[k][0].reduced
		settled++
	}
	plans, trail := []partial{start}, make([][]link, len(s.order)-settled)
	s.order = s.order[settled:]
	for b := range s.least {
		s.least[b] = s.least[b][settled:]
	}
	for depth := range s.order {
		plans = s.extend(plans, depth)
		for _, q := range plans {
			trail[depth] = append(trail[depth], q.last)
		}
	}
	return s.best(x, plans, trail), s.exact
}

// sides divides the cells among the budgets that have a price: the others are seldom met.
func sides(multipliers []float64) []int {
	priced := 0
	for _, m := range multipliers {
		if m > 0 {
			priced++
		}
	}
	out := make([]int, len(multipliers))
	for b, m := range multipliers {
		out[b] = 1
		if m > 0 {
			out[b] = int(math.Pow(sweepCells, 1/float64(priced)) + 1e-9)
		}
	}
	return out
}

// extend returns what is kept of all partial plans with one site more.
func (s *sweeper) extend(from []partial, depth int) []partial {
	k := s.order[depth]
	budgets := len(s.p.budgets)
	low, high := make([]float64, budgets), make([]float64, budgets)
	for b, least := range s.least {
		low[b] = least[depth+1]
		high[b] = s.p.budgets[b].Limit*(1+1e-12) - (least[len(least)-1] - least[depth+1])
	}
	count := 1
	for _, side := range s.sides {
		count *= side
	}
	cells := make([]partial, count)
	store := make([]float64, len(cells)*budgets)
	costs := make([]float64, budgets)
	for at, f := range from {
		for _, c := range s.open[k] {
			reduced := f.reduced + c.reduced
			if s.d.bound+reduced >= s.worst {
				continue
			}
			r := s.p.sites[k][c.rung]
			cell, fits := 0, true
			for b := range costs {
				costs[b] = f.costs[b] + r.costs[b]
				fits = fits && costs[b] <= high[b]
				cell *= s.sides[b]
				if span := high[b] - low[b]; span > 0 {
					cell += max(min(int((costs[b]-low[b])/span*float64(s.sides[b])), s.sides[b]-1), 0)
				}
			}
			if !fits {
				continue
			}
			next := partial{costs: costs, loss: f.loss + r.loss, reduced: reduced, last: link{int32(at), int32(c.rung)}, occupied: true}
			if old := &cells[cell]; s.wins(next, *old) {
				next.costs = store[cell*budgets : (cell+1)*budgets]
				copy(next.costs, costs)
				*old = next
			}
		}
	}
	return thin(cells, budgets)
}

// wins says which of two partial plans in a cell stays, and notes when the other is better in anything.
func (s *sweeper) wins(next, old partial) bool {
	if !old.occupied {
		return true
	}
	winner, loser, wins := old, next, next.reduced < old.reduced
	if wins {
		winner, loser = next, old
	}
	if winner.loss > loser.loss || !noDearer(winner.costs, loser.costs) {
		s.exact = false
	}
	return wins
}

// thin returns the occupied cells; for one budget, where they come by rising cost, only those of falling loss.
func thin(cells []partial, budgets int) []partial {
	var out []partial
	least := math.Inf(1)
	for _, c := range cells {
		if c.occupied && (budgets > 1 || c.loss < least) {
			out, least = append(out, c), c.loss
		}
	}
	return out
}

// best returns the best of the plans at the end that is within the budgets to the last bit, or x where none is better.
func (s *sweeper) best(x choice, plans []partial, trail [][]link) choice {
	for _, i := range sorted(len(plans), func(a, b int) int { return cmp.Compare(plans[a].loss, plans[b].loss) }) {
		y, at := slices.Clone(x), i
		for depth := len(s.order) - 1; depth >= 0; depth-- {
			step := trail[depth][at]
			y[s.order[depth]], at = int(step.rung), int(step.from)
		}
		switch {
		case s.p.loss(y) >= s.p.loss(x):
			return x
		case s.p.fits(y):
			return y
		}
		s.exact = false // one that is over by rounding may have driven out one that is not
	}
	return x
}

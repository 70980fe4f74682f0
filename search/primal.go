package search

import (
	"math"
	"slices"
	"sort"
)

// improve turns the plan that the relaxation met into the best that can be found, and says whether it is proved to be
// the best there is.
func (p *problem) improve(d dual) (best choice, proved bool) {
	best = slices.Clone(d.plan)
	p.fill(best, d)
	_, other := p.relax(d.multipliers) // at the best multipliers, and over some budget as a rule
	if p.repair(other, d.multipliers) < 0 {
		p.fill(other, d)
		if p.loss(other) < p.loss(best) {
			best = other
		}
	}
	p.polish(best, d)
	if best, proved = p.prove(best, d); proved {
		return best, true
	}
	if best, proved = p.sweep(best, d); !proved {
		p.polish(best, d)
	}
	return best, proved
}

// polish exchanges pairs of rungs, and single ones, until none is left to gain from.
func (p *problem) polish(x choice, d dual) {
	for p.exchange(x, p.open(x, d)) {
		p.fill(x, d)
	}
}

// fill spends what x leaves of the budgets: each time on the rung, of any site and on its hull or not, that takes most
// off the loss for its price under the multipliers, until none fits.
func (p *problem) fill(x choice, d dual) {
	weights := p.prices(d.multipliers)
	for {
		bestSite, bestRung, best := -1, 0, 0.0
		room := p.room(x)
		for k, site := range p.sites {
			now := x[k]
			for i := range now { // the rungs of less loss
				if !within(site[i].costs, site[now].costs, room) {
					continue
				}
				price := 0.0
				for b, w := range weights {
					price += w * (site[i].costs[b] - site[now].costs[b])
				}
				gain := (site[now].loss - site[i].loss) / max(price, 1e-300)
				if gain > best && p.fitsWith(x, k, i) {
					bestSite, bestRung, best = k, i, gain
				}
			}
		}
		if bestSite < 0 {
			return
		}
		x[bestSite] = bestRung
	}
}

// fitsWith says whether x would be within the budgets with rung i at site k.
func (p *problem) fitsWith(x choice, k, i int) bool {
	now := x[k]
	x[k] = i
	fits := p.fits(x)
	x[k] = now
	return fits
}

// within says whether a rung with costs to in place of one with costs from fits into the room, but for rounding.
func within(to, from, room []float64) bool {
	for b, r := range room {
		if to[b]-from[b] > r+1e-12*math.Abs(to[b]) {
			return false
		}
	}
	return true
}

// candidate is a rung that a better plan may still use.
type candidate struct {
	rung    int
	reduced float64 // what using it adds to the bound: loss + μ·cost, less the least of its site
}

// open returns for each site the rungs that a plan better than x may use, by rising loss: those that do not lift the
// bound to the loss of x.
func (p *problem) open(x choice, d dual) [][]candidate {
	slack := p.loss(x) - d.bound + 1e-12*p.loss(x)
	out := make([][]candidate, len(p.sites))
	for k, site := range p.sites {
		least := math.Inf(1)
		all := make([]candidate, len(site))
		for i, r := range site {
			all[i] = candidate{rung: i, reduced: priced(r.loss, r.costs, d.multipliers)}
			least = min(least, all[i].reduced)
		}
		for _, c := range all {
			c.reduced -= least
			if c.reduced <= slack || c.rung == x[k] {
				out[k] = append(out[k], c)
			}
		}
	}
	return out
}

// exchange looks for two sites of which one can give up something for the other to gain more, and for every such pair
// takes the best exchange, once through all pairs. It reports whether there was any.
func (p *problem) exchange(x choice, open [][]candidate) bool {
	var free []int // the sites that have a choice: as a rule few of many
	for k := range p.sites {
		if len(open[k]) > 1 {
			free = append(free, k)
		}
	}
	improved := false
	room, loss := p.room(x), p.loss(x)
	for _, giver := range free {
		for _, taker := range free {
			if giver != taker && p.exchangePair(x, room, loss, giver, taker, open[giver], open[taker]) {
				improved = true
				room, loss = p.room(x), p.loss(x)
			}
		}
	}
	return improved
}

// exchangePair takes the best exchange between two sites; room and loss are those of x.
func (p *problem) exchangePair(x choice, room []float64, loss float64, giver, taker int, gives, takes []candidate) bool {
	give, take := p.sites[giver], p.sites[taker]
	fromGive, fromTake := x[giver], x[taker]
	most := take[fromTake].loss - take[takes[0].rung].loss // what the taker could gain at all
	roomier := make([]float64, len(room))
	bestGive, bestTake, best := fromGive, fromTake, 1e-12*loss
	for _, g := range gives {
		price := give[g.rung].loss - give[fromGive].loss
		if price <= 0 {
			continue
		}
		if price+best >= most {
			break
		}
		for b := range room {
			roomier[b] = room[b] + give[fromGive].costs[b] - give[g.rung].costs[b]
		}
		for _, t := range takes[p.firstWithin(take, takes, fromTake, roomier):] {
			gain := take[fromTake].loss - take[t.rung].loss - price
			if gain <= best {
				break
			}
			if !within(take[t.rung].costs, take[fromTake].costs, roomier) {
				continue
			}
			x[giver], x[taker] = g.rung, t.rung
			if p.fits(x) {
				bestGive, bestTake, best = g.rung, t.rung, gain
				break
			}
		}
	}
	x[giver], x[taker] = bestGive, bestTake
	return bestGive != fromGive
}

// firstWithin skips the takes that cannot fit: with one budget, costs fall as losses rise.
func (p *problem) firstWithin(take []rung, takes []candidate, from int, room []float64) int {
	if len(p.budgets) != 1 {
		return 0
	}
	return sort.Search(len(takes), func(i int) bool { return within(take[takes[i].rung].costs, take[from].costs, room) })
}

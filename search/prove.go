package search

import (
	"cmp"
	"math"
	"slices"
)

// proofLimit is how many partial plans a proof looks at before it gives up: some milliseconds.
const proofLimit = 100_000

// prover searches, depth first, the plans that the dual bound does not rule out.
type prover struct {
	p     *problem
	base  float64       // the dual bound
	order []int         // sites by depth, those with least freedom first
	open  [][]candidate // for each site, by what they add to the bound
	least [][]float64   // for each budget and depth, what the sites from there on cost at least
	costs [][]float64   // for each depth, what the sites before it cost
	x     choice        // the plan in hand
	best  choice        // the best plan found, nil for none
	loss  float64       // its loss
	any   bool          // the first plan will do
	left  int           // partial plans still to look at
}

// prove looks for a plan better than x among those that the bound leaves open. It returns the best one found, and
// whether that is proved to be the best of all.
func (p *problem) prove(x choice, d dual) (choice, bool) {
	s := p.newProver(p.open(x, d))
	s.base, s.best, s.loss = d.bound, slices.Clone(x), p.loss(x)
	s.descend(0, 0)
	return s.best, s.left > 0
}

// anyPlan looks for a plan within the budgets, and returns nil where it finds none.
func (p *problem) anyPlan() choice {
	open, prices := make([][]candidate, len(p.sites)), p.prices(nil)
	for k, site := range p.sites {
		for i, r := range site { // the order in which to try: cheap ones first
			open[k] = append(open[k], candidate{rung: i, reduced: priced(0, r.costs, prices)})
		}
	}
	s := p.newProver(open)
	s.loss, s.any = math.Inf(1), true
	s.descend(0, 0)
	return s.best
}

func (p *problem) newProver(open [][]candidate) *prover {
	s := &prover{p: p, open: open, x: make(choice, len(p.sites)), left: proofLimit}
	freedom := make([]float64, len(p.sites))
	for k, c := range s.open {
		slices.SortStableFunc(c, func(a, b candidate) int { return cmp.Compare(a.reduced, b.reduced) })
		freedom[k] = math.Inf(-1)
		if len(c) > 1 {
			freedom[k] = c[0].reduced - c[1].reduced
		}
	}
	s.order = sorted(len(p.sites), func(a, b int) int { return cmp.Compare(freedom[a], freedom[b]) })
	depths := len(s.order)
	for range depths + 1 {
		s.costs = append(s.costs, make([]float64, len(p.budgets)))
	}
	for b := range p.budgets {
		least := make([]float64, depths+1)
		for n := depths - 1; n >= 0; n-- {
			least[n] = least[n+1] + p.cheapest(s.order[n], s.open[s.order[n]], b)
		}
		s.least = append(s.least, least)
	}
	return s
}

// descend tries all rungs of the site at a depth; reduced is what the sites before it add to the bound.
func (s *prover) descend(depth int, reduced float64) {
	if depth == len(s.order) {
		if loss := s.p.loss(s.x); loss < s.loss && s.p.fits(s.x) {
			s.best, s.loss = slices.Clone(s.x), loss
			if s.any {
				s.left = 0
			}
		}
		return
	}
	k := s.order[depth]
	for _, c := range s.open[k] {
		if s.left <= 0 || s.base+reduced+c.reduced >= s.loss*(1-1e-12) {
			return
		}
		s.left--
		fits := true
		for b, r := range s.p.sites[k][c.rung].costs {
			s.costs[depth+1][b] = s.costs[depth][b] + r
			fits = fits && s.costs[depth+1][b]+s.least[b][depth+1] <= s.p.budgets[b].Limit*(1+1e-12)
		}
		if fits {
			s.x[k] = c.rung
			s.descend(depth+1, reduced+c.reduced)
		}
	}
}

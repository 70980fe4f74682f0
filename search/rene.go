package search

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The settings of arXiv 2409.03555 (its section 5.1), but for what the problem fixes: see the method's documentation.
const (
	reneGamma    = 0.4  // γ of Eq. 5
	reneBeta     = 0.8  // β of Eq. 5
	reneMomentum = 0.9  // of Nesterov's method
	reneRate     = 1e-3 // of the steps
	reneSteps    = 80   // on the logits, in a stage: 100 less the first 20, which are on the factors alone
	reneShrink   = 10   // f: by how much the candidates' spacing shrinks from one stage to the next
)

func rene() Method {
	return Method{
		Name:  "rene",
		Title: "the search of arXiv 2409.03555: softmax over candidate ranks, a multiplicative loss, stages",
		Doc: `Every site holds a logit for each candidate rank. The loss is the product of the expected reconstruction error
under the softmax and a rank loss; the logits go down its gradient by stochastic gradient descent with Nesterov
momentum. The candidates of a stage are every s-th rung; the next has those around the best, from s/2 below to
s/2 above, spaced s/10, with fresh logits, until s is below 1. This is the search of arXiv 2409.03555 without data: the
reconstruction error stands for the validation loss. A rung's loss is the least that its rank can have, so the
steps on the factors, which alternate with those on the logits, have nothing left to do. The error of a mixture
is taken as the mixture of the errors, which is at least as large. The rung that leaves a site alone is a
candidate like the others.

A rung's rank r is its cost as a share of its ladder's dearest (the mean of the shares for several budgets): the
same as r / max R where costs are proportional to ranks, and defined for rank tuples and mixed schemes too.

That search has no budget. Ours is the bisection of β for the plan of least loss that is within the budgets. γ could
not serve: it is a factor of the whole loss, so that it changes the size of the steps and not where they lead. What
the plan leaves of the budgets is not spent, and there is no exchange: neither is in the source. Where no β gives a
plan within the budgets, the plan is a cheap one that is.`,
		Formula: "min over α of [Σ_i Σ_r p_i(r)·e_i(r)] · γ·Σ_i (Σ_r p_i(r)·r / max R_i)^β, p_i = softmax(α_i)",
		Source:  "A. Aghababaei-Harandi and M.-R. Amini, arXiv 2409.03555, Eq. 5 to 9 and Algorithm 1",
		find: func(p *problem, start choice) (choice, dual, bool, error) {
			best, err := p.rene(start)
			if err != nil {
				return nil, dual{}, false, err
			}
			d := p.dual(start)
			return best, d, p.loss(best) <= d.bound, nil
		},
	}
}

// rene bisects the β of Eq. 5 of arXiv 2409.03555, from its own outwards: the larger, the smaller the ranks.
func (p *problem) rene(start choice) (choice, error) {
	const least, most, halvings = -10, 7, 24 // powers of 2
	sites, scale := p.mixtures(), 0.0
	for _, site := range p.sites {
		scale += site[len(site)-1].loss
	}
	var best choice
	try := func(beta float64) (fits bool, err error) {
		x, err := p.reneRun(sites, reneSettings{gamma: reneGamma, beta: beta, rate: reneRate, scale: scale})
		if fits = err == nil && p.fits(x); fits && (best == nil || p.loss(x) < p.loss(best)) {
			best = x
		}
		return fits, err
	}
	low, high := float64(least), float64(most)
	at := math.Log2(reneBeta)
	for range halvings {
		fits, err := try(math.Exp2(at))
		if err != nil {
			return nil, err
		}
		if fits {
			high = at
		} else {
			low = at
		}
		at = (low + high) / 2
	}
	if best == nil {
		return start, nil
	}
	return best, nil
}

// mixture is what the search of arXiv 2409.03555 sees of a site: its rungs by rising rank, with the share r/max R of each.
type mixture struct {
	name  string
	rungs []int // in the problem's list
	share []float64
	loss  []float64
}

func (p *problem) mixtures() []mixture {
	out := make([]mixture, len(p.sites))
	for k, site := range p.sites {
		dearest := make([]float64, len(p.budgets))
		for _, r := range site {
			for b, c := range r.costs {
				dearest[b] = max(dearest[b], c)
			}
		}
		share := make([]float64, len(site))
		m := mixture{name: p.names[k]}
		for i, r := range site {
			m.rungs = append(m.rungs, i)
			for b, c := range r.costs {
				if dearest[b] > 0 {
					share[i] += c / dearest[b] / float64(len(dearest))
				}
			}
		}
		slices.SortFunc(m.rungs, func(i, j int) int {
			return cmp.Or(cmp.Compare(share[i], share[j]), cmp.Compare(j, i))
		})
		for _, i := range m.rungs {
			m.share, m.loss = append(m.share, share[i]), append(m.loss, site[i].loss)
		}
		out[k] = m
	}
	return out
}

// reneSettings are the constants of one descent. scale is the unit of the losses.
type reneSettings struct{ gamma, beta, rate, scale float64 }

// reneRun is Algorithm 1.
func (p *problem) reneRun(sites []mixture, set reneSettings) (choice, error) {
	windows, candidates := make([]window, len(sites)), make([][]int, len(sites))
	for k, m := range sites {
		windows[k] = firstWindow(len(m.rungs))
	}
	x := make(choice, len(sites))
	for slices.ContainsFunc(windows, func(w window) bool { return w.spacing >= 1 }) {
		for k, w := range windows {
			candidates[k] = w.candidates()
		}
		logits, err := descend(sites, candidates, set)
		if err != nil {
			return nil, err
		}
		for k, m := range sites {
			at := candidates[k][largest(logits[k])]
			x[k] = m.rungs[at]
			windows[k] = windows[k].around(at, len(m.rungs)-1)
		}
	}
	return x, nil
}

// window is the candidates of one site in one stage: {low, low+spacing, …, high}. A site with fewer stages than others
// ends with a spacing of 0 and one candidate, its best.
type window struct{ low, high, spacing int }

// firstWindow spans all rungs, at least f and less than f² of them as candidates where there are f.
func firstWindow(rungs int) window {
	w := window{high: rungs - 1, spacing: 1}
	for w.spacing*reneShrink*reneShrink <= rungs {
		w.spacing *= reneShrink
	}
	return w
}

// around returns the next stage's window: s/2 to both sides of the best by the spacing s of the stage just ended, as in
// Fig. 3 of arXiv 2409.03555 (Algorithm 1 as printed divides s one line too early).
func (w window) around(best, last int) window {
	return window{
		low: max(best-w.spacing/2, 0), high: min(best+w.spacing/2, last), spacing: w.spacing / reneShrink,
	}
}

func (w window) candidates() []int {
	var out []int
	for i := w.low; i < w.high; i += max(w.spacing, 1) {
		out = append(out, i)
	}
	return append(out, w.high)
}

// largest returns the index of the largest logit, the last of equals: the larger rank.
func largest(logits []float64) int {
	at := 0
	for i, a := range logits {
		if a >= logits[at] {
			at = i
		}
	}
	return at
}

var errNotFinite = errors.New("the logits are no longer finite numbers")

// descend takes one stage's steps on the logits, all zero at first: v ← m·v + g, α ← α − rate·(g + m·v). A logit that is
// not a number would lose every comparison, and with it the site its rank unnoticed: it is an error.
func descend(sites []mixture, candidates [][]int, set reneSettings) ([][]float64, error) {
	logits, speed, slope := zeros(candidates), zeros(candidates), zeros(candidates)
	for range reneSteps {
		set.gradient(sites, candidates, logits, slope)
		for k, m := range sites {
			for n, g := range slope[k] {
				v := reneMomentum*speed[k][n] + g
				speed[k][n] = v
				logits[k][n] -= set.rate * (g + reneMomentum*v)
				if math.IsNaN(logits[k][n]) || math.IsInf(logits[k][n], 0) {
					return nil, fmt.Errorf("ladder %s: %w", m.name, errNotFinite)
				}
			}
		}
	}
	return logits, nil
}

func zeros(like [][]int) [][]float64 {
	out := make([][]float64, len(like))
	for k, c := range like {
		out[k] = make([]float64, len(c))
	}
	return out
}

// gradient writes the gradient of the loss with respect to the logits to slope, and returns the loss: with p = softmax(α),
// the expected loss e̅ and share s̅ of each site, and E and R the sums over sites of e̅ and γ·s̅^β,
//
//	L = E·R,  ∂L/∂α_i(r) = p_i(r)·(R·(e_i(r) − e̅_i) + E·γβ·s̅_i^(β−1)·(s_i(r) − s̅_i))
func (set reneSettings) gradient(sites []mixture, candidates [][]int, logits, slope [][]float64) float64 {
	errs, shares := make([]float64, len(sites)), make([]float64, len(sites))
	sumErr, sumRank := 0.0, 0.0
	for k, m := range sites {
		p := slope[k] // the softmax for now
		softmax(logits[k], p)
		unit := m.largestShare(candidates[k])
		for n, i := range candidates[k] {
			errs[k] += p[n] * m.loss[i] / set.scale
			shares[k] += p[n] * m.share[i] / unit
		}
		sumErr += errs[k]
		sumRank += set.gamma * math.Pow(shares[k], set.beta)
	}
	for k, m := range sites {
		perShare := 0.0
		if shares[k] > 0 {
			perShare = set.gamma * set.beta * math.Pow(shares[k], set.beta-1)
		}
		unit := m.largestShare(candidates[k])
		for n, i := range candidates[k] {
			slope[k][n] *= sumRank*(m.loss[i]/set.scale-errs[k]) + sumErr*perShare*(m.share[i]/unit-shares[k])
		}
	}
	return sumErr * sumRank
}

// largestShare is max R of Eq. 5, and 1 where nothing costs anything.
func (m mixture) largestShare(candidates []int) float64 {
	if most := m.share[candidates[len(candidates)-1]]; most > 0 {
		return most
	}
	return 1
}

// softmax writes exp(α) over their sum to p.
func softmax(logits, p []float64) {
	most, sum := slices.Max(logits), 0.0
	for i, a := range logits {
		p[i] = math.Exp(a - most)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
}

package decomp

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpGroup is one group's kernel under its metric, with the terms found so far.
type cpGroup struct {
	*modeGroup
	rungs []int // the ranks that a search looks at first, ascending
	exact int   // the rank that rebuilds any kernel
	known map[int]found[cpTerms]
	work  float64 // by what limits of work are multiplied, in all

	leading cpTerms // all leading terms of the tensor, largest first; found when they are first asked for
}

func (c *cpGroup) held() []*linalg.Matrix {
	out := append(c.space.held(), c.w, c.a, c.g)
	if c.leading.out != nil {
		out = append(out, c.leading.all()...)
	}
	return out
}

// measured takes terms out of the whitened coordinates and measures their loss.
func (c *cpGroup) measured(x cpTerms) found[cpTerms] {
	all := x.all()
	for i, m := range all {
		all[i] = rotated(c.space.b, m, c.space.sides[i].inverse).Clone()
	}
	out := found[cpTerms]{factors: cpOf(all)}
	out.factors.even()
	out.loss = c.lossOf(out.factors.out, out.factors.columns())
	return out
}

// whitened is the reverse of measured.
func (c *cpGroup) whitened(x cpTerms) cpTerms {
	all := x.all()
	for i, m := range all {
		all[i] = rotated(c.space.b, m, c.space.sides[i].root).Clone()
	}
	return cpOf(all)
}

// at returns the terms of rank r: the best that was found. They depend on no other rank that was asked for.
func (c *cpGroup) at(r int) (found[cpTerms], error) {
	return known(c.known, r, func() (found[cpTerms], error) { return c.search(r) })
}

// search does the work of at. Where it is little, the terms are never worse than those of the rung below.
func (c *cpGroup) search(r int) (found[cpTerms], error) {
	if r == c.exact {
		return found[cpTerms]{factors: c.exactTerms()}, nil
	}
	smaller := found[cpTerms]{loss: math.Inf(1)}
	if n := below(c.rungs, r); n > 0 && c.space.light(r) {
		var err error
		if smaller, err = c.at(n); err != nil {
			return smaller, err
		}
	}
	best := smaller
	if !math.IsInf(smaller.loss, 1) {
		best.factors = smaller.factors.with(cpTerms{}, r)
	}
	starts, err := c.starts(r, smaller)
	if err != nil {
		return best, err
	}
	for _, x := range starts {
		for _, share := range c.shares() {
			x, err := c.searched(x.clone(), share)
			if unanswered(err) && (len(starts) > 1 || !math.IsInf(best.loss, 1)) {
				continue // another start serves, or the rung below
			}
			if err != nil {
				return best, err
			}
			if f := c.measured(x); f.loss < best.loss && f.loss <= c.energy {
				best = f
			}
		}
	}
	return best, nil
}

// shares are the limits of work of the searches from one start, in those of normal effort. More sweeps may end at terms that are worse for
// the metric: where there is work for more than one search, each begins anew.
func (c *cpGroup) shares() []float64 {
	if c.work > 1 {
		return []float64{1, c.work - 1}
	}
	return []float64{c.work}
}

// searched sweeps from terms in whitened coordinates, and fits what comes of it under the metric.
func (c *cpGroup) searched(x cpTerms, share float64) (cpTerms, error) {
	x, err := c.swept(x, false, share)
	if err != nil {
		return x, err
	}
	return c.fitted(x, fitWork, 1, mostFits, share)
}

// Effort at one rank: rounds as there is work for, each round of sweeps or of a descent counted in multiply-accumulates.
const (
	lightWork = 3e4

	sweepWork   = 8e9
	mostSweeps  = 40
	nearWork    = 3e9 // where a descent follows
	sweepMost   = 4e10
	sweepEnough = 16 // as many where they keep within sweepMost
	leastSweeps = 6
	sweepGain   = 2e-4

	fitWork   = 1.2e9
	mostFits  = 24
	refitWork = 4e9 // for a rank that was chosen
	leastFits = 4
	refits    = 40
	hugeFit   = 1.5e10 // too much for even leastFits
)

// rounds is how many rounds of so much work each are within a share of the work and of the most given, at least the least.
func rounds(work, each float64, least, most int, share float64) int {
	return max(least, int(share*min(work/each, float64(most))))
}

// swept sweeps from x, which may be near its best already, within a share of the limits.
func (c *cpGroup) swept(x cpTerms, near bool, share float64) (cpTerms, error) {
	r, wide := x.out.Rows, c.w.Rows+c.space.in
	each := 2*float64(r)*float64(len(c.w.Data)) + float64(r)*float64(r)*float64(2*wide+r/2)
	work := sweepWork
	if c.space.metric != nil {
		work = nearWork
	}
	sweeps := rounds(work, each, rounds(sweepMost, each, leastSweeps, sweepEnough, share), mostSweeps, share)
	if !c.space.light(r) {
		if single, ok := c.space.newSingle(x); ok && single.alternate(sweeps, near) {
			return single.terms(), nil
		}
	}
	x, _, err := c.space.alternate(x, cpEffort{sweeps: sweeps, gain: sweepGain / share})
	return x, err
}

// fitted descends under the metric, where it is more than what sweeps see, and leaves the last factor the best for the
// others, which is all that it does where there is no work left for more.
func (c *cpGroup) fitted(x cpTerms, work float64, least, most int, share float64) (cpTerms, error) {
	r, k := float64(x.out.Rows), float64(c.w.Cols)
	each := r * k * (k + r)
	evaluations := rounds(work, each, least, most, share)
	if c.space.metric == nil || each > hugeFit || evaluations < 2 {
		x = x.clone()
		_, err := c.space.finished(x)
		return x, err
	}
	return c.space.fit(x, effort{evaluations: evaluations, gain: fitGain / share})
}

// starts returns the terms from which a rank is searched, in whitened coordinates: the leading terms of the tensor. Where
// that is little work, random ones are tried too, and those of a smaller rank, where there are any, with the leading terms
// of what they leave.
func (c *cpGroup) starts(r int, smaller found[cpTerms]) ([]cpTerms, error) {
	if c.leading.out == nil {
		var err error
		if c.leading, err = c.space.leadingTerms(c.space.target, math.MaxInt); err != nil {
			return nil, err
		}
	}
	leading := c.leading.first(r)
	starts := []cpTerms{leading.with(c.space.randomTerms(r-leading.out.Rows), r)}
	if !c.space.light(r) {
		return starts, nil
	}
	starts = append(starts, c.space.randomTerms(r))
	if !math.IsInf(smaller.loss, 1) {
		x := c.whitened(smaller.factors)
		rest, err := c.space.leadingTerms(c.space.residual(x), r-x.out.Rows)
		if err != nil {
			return nil, err
		}
		starts = append(starts, x.with(rest, r))
	}
	return starts, nil
}

// exactTerms writes the kernel as one term for every element of the slice across its longest mode.
func (c *cpGroup) exactTerms() cpTerms {
	lengths := c.space.lengths()
	longest := slices.Index(lengths, slices.Max(lengths))
	x := c.space.zeros(c.exact)
	all := x.all()
	index := make([]int, len(lengths))
	for _, v := range c.w.Data {
		term := 0
		for i, n := range lengths {
			if i != longest {
				term = term*n + index[i]
			}
		}
		for i := range lengths {
			if i != longest {
				all[i].Set(term, index[i], 1)
			}
		}
		all[longest].Set(term, index[longest], v)
		for i := len(index) - 1; i >= 0; i-- {
			if index[i]++; index[i] < lengths[i] {
				break
			}
			index[i] = 0
		}
	}
	x.even()
	return x
}

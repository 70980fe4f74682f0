package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
)

// cpGroup is one group's kernel under its metric, with the terms found so far.
type cpGroup struct {
	*modeGroup
	rungs []int // ranks that start from each other, ascending
	exact int   // the rank that rebuilds any kernel
	found map[int]cpFound
}

// cpFound are the terms of one rank, in the kernel's own coordinates.
type cpFound struct {
	terms cpTerms
	loss  float64 // infinite where nothing better than zero was found
}

// measured takes terms out of the whitened coordinates and measures their loss.
func (c *cpGroup) measured(x cpTerms) cpFound {
	all := x.all()
	for i, m := range all {
		all[i] = turned(c.space.b, m, c.space.sides[i].inverse).Clone()
	}
	out := cpFound{terms: cpOf(all)}
	out.terms.even()
	out.loss = c.lossOf(out.terms.out, out.terms.columns())
	return out
}

// whitened is the reverse of measured.
func (c *cpGroup) whitened(x cpTerms) cpTerms {
	all := x.all()
	for i, m := range all {
		all[i] = turned(c.space.b, m, c.space.sides[i].root).Clone()
	}
	return cpOf(all)
}

// at returns the terms of rank r: the best that was found, and never worse than those of the rung below.
func (c *cpGroup) at(r int) (cpFound, error) {
	if f, ok := c.found[r]; ok {
		return f, nil
	}
	f, err := c.search(r)
	if err != nil {
		return f, err
	}
	c.found[r] = f
	return f, nil
}

func (c *cpGroup) search(r int) (cpFound, error) {
	if r == c.exact {
		return cpFound{terms: c.exactTerms()}, nil
	}
	below, smaller := 0, cpFound{loss: math.Inf(1)}
	for _, n := range c.rungs {
		if n < r {
			below = n
		}
	}
	if below > 0 {
		var err error
		if smaller, err = c.at(below); err != nil {
			return smaller, err
		}
	}
	best := cpFound{loss: math.Inf(1)}
	if !math.IsInf(smaller.loss, 1) {
		best = cpFound{terms: smaller.terms.with(cpTerms{}, r), loss: smaller.loss}
	}
	x, err := c.start(r, smaller)
	if err != nil {
		return best, err
	}
	if x, err = c.improved(x); err != nil {
		return best, err
	}
	if f := c.measured(x); f.loss <= min(best.loss, c.energy) {
		best = f
	}
	return best, nil
}

// Effort at one rank, in products of the sizes of the kernel and of A: at most so many multiply-accumulates, at least
// the second number of rounds, at most the third.
const (
	sweepWork   = 4e10
	leastSweeps = 6
	mostSweeps  = 30
	sweepGain   = 3e-4

	fitWork   = 4e9
	leastFits = 3
	mostFits  = 20
)

func rounds(work, each float64, least, most int) int {
	return max(least, min(most, int(work/each)))
}

// sweeps is how many sweeps rank r may take.
func (c *cpGroup) sweeps(r int) int {
	return rounds(sweepWork, 2*float64(r)*float64(len(c.w.Data)), leastSweeps, mostSweeps)
}

// improved lowers the loss of terms in whitened coordinates under the metric: by plain sweeps where there is none left.
func (c *cpGroup) improved(x cpTerms) (cpTerms, error) {
	r, k := float64(x.out.Rows), float64(c.w.Cols)
	if c.space.metric == nil {
		x, _, err := c.space.alternate(x, cpEffort{sweeps: c.sweeps(x.out.Rows), gain: sweepGain})
		if err != nil {
			return x, err
		}
		return x, c.space.finish(x)
	}
	return c.space.fit(x, rounds(fitWork, r*k*(k+2*r), leastFits, mostFits))
}

// start returns the best of several starts, in whitened coordinates, after a few sweeps: the leading terms of the
// tensor, random ones, and the terms of a smaller rank with the leading terms of what they leave.
func (c *cpGroup) start(r int, smaller cpFound) (cpTerms, error) {
	leading, err := c.space.leadingTerms(c.space.target, r)
	if err != nil {
		return leading, err
	}
	starts := []cpTerms{leading.with(c.space.randomTerms(r-leading.out.Rows), r), c.space.randomTerms(r)}
	if !math.IsInf(smaller.loss, 1) {
		x := c.whitened(smaller.terms)
		rest, err := c.space.leadingTerms(c.space.residual(x), r-x.out.Rows)
		if err != nil {
			return leading, err
		}
		starts = append(starts, x.with(rest, r))
	}
	best, least := leading, math.Inf(1)
	for _, x := range starts {
		x, missed, err := c.space.alternate(x, cpEffort{sweeps: max(c.sweeps(r)/3, leastSweeps)})
		if err != nil {
			return leading, err
		}
		if missed < least {
			best, least = x, missed
		}
	}
	return best, nil
}

// exactTerms writes the kernel as one term for every element of the slice across its longest mode.
func (c *cpGroup) exactTerms() cpTerms {
	lengths := append([]int{c.w.Rows, c.space.in}, c.space.window...)
	longest := 0
	for i, n := range lengths {
		if n > lengths[longest] {
			longest = i
		}
	}
	all := make([]*linalg.Matrix, len(lengths))
	for i, n := range lengths {
		all[i] = linalg.New(c.exact, n)
	}
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
	x := cpOf(all)
	x.even()
	return x
}

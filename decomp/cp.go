package decomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpScheme is one of the two chains that a sum of rank-one terms gives.
type cpScheme struct {
	name   string
	effort Effort
	split  bool // every spatial axis has a vector of its own, else all of them share one
}

func cp(e Effort) Method {
	c := cpScheme{name: "cp", effort: e, split: true}
	return c.method(Method{
		Basis: cpWindowName,
		Title: "four factors by canonical polyadic decomposition, one depthwise factor for each axis",
		Doc: "Writes the kernel as a sum of r terms, each the outer product of one vector of output channels, one of input channels and one for " +
			"each spatial axis. A convolution becomes a 1×1 convolution to r channels, a depthwise convolution along each axis (k×1, then 1×k), and a " +
			"1×1 convolution to the outputs. The depthwise factors cost next to nothing, so nearly all the work is in the two 1×1 factors.\n\n" + cpDoc,
		Formula: "W'[o,c,i,j] = Σ_s D[s,o] P[s,c] Y[s,i] X[s,j]; " + cpFormula,
		ChainText: "Conv 1×1 (C→r) → Conv k×1 (r→r, depthwise; stride, padding, dilation of its axis) → Conv 1×k (r→r, depthwise; those of its axis) → " +
			"Conv 1×1 (r→O; bias). One depthwise factor for every axis with several taps; with groups, every group its own r channels.",
		CostText: "r·(C + O + k + k) weights a group; the first factor runs at the input's size, the last at the output's. dense: C·O·k·k.",
	})
}

const cpWindowName = "cp-window"

func cpWindow(e Effort) Method {
	c := cpScheme{name: cpWindowName, effort: e}
	return c.method(Method{
		Title: "three factors by canonical polyadic decomposition, one depthwise factor for the whole window",
		Doc: "Writes the kernel as a sum of r terms, each the outer product of one vector of output channels, one of input channels and one k×k " +
			"window. A convolution becomes a 1×1 convolution to r channels, a depthwise k×k convolution, and a 1×1 convolution to the outputs.\n\n" +
			"A window need not be a product of a column and a row, so a term says more than one of cp, at a few weights more and one node less.\n\n" + cpDoc,
		Formula: "W'[o,c,t] = Σ_s D[s,o] P[s,c] Z[s,t], t running over the taps of the window; " + cpFormula,
		ChainText: "Conv 1×1 (C→r) → Conv k×k (r→r, depthwise; strides, pads, dilations) → Conv 1×1 (r→O; bias). " +
			"With groups, every group its own r channels.",
		CostText: "r·(C + O + k·k) weights a group; the first factor runs at the input's size, the last at the output's. dense: C·O·k·k.",
	})
}

const (
	cpDoc = "The terms are found by alternating least squares, in coordinates in which the channels and the axes are whitened one by one: " +
		"from the leading terms of nested singular value decompositions, with a ridge on their norms that falls from sweep to sweep; small " +
		"kernels are tried from several starts. Then all factors descend together under the metric of the site itself, the last always the best " +
		"for the others, as far as the work that a rank may take goes. A best approximation need not exist: terms can grow without limit while " +
		"they cancel each other. So their norms are held below a bound, and a rank at which nothing better than zero is found is refused. The " +
		"terms of one rank are not among those of the next, and none waits for another."
	cpFormula = "min tr(G (W−W') A (W−W')ᵀ) with Σ_s ‖term s‖² bounded"
	cpSource  = "Lebedev et al., Speeding-up convolutional neural networks using fine-tuned CP-decomposition, ICLR 2015; bounded norms: " +
		"Phan et al., Stable low-rank tensor decomposition for compression of convolutional neural network, ECCV 2020, arXiv 2008.05441"
)

// method completes the texts with the functions of the scheme.
func (c cpScheme) method(m Method) Method {
	m.Name, m.Source = c.name, cpSource
	m.Accepts, m.Ranks, m.Near, m.Factors = c.accepts, c.ranks, c.near, c.factors
	m.Factor = func(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) { return c.spectrum(b, k, m) }
	m.Refit = c.refit
	return m
}

// accepts reports shapes for which the chain makes no sense.
func (c cpScheme) accepts(s Shape) error {
	line := ""
	if c.split {
		line = "its chain is that of cp-window"
	}
	return acceptsModes(s, "its sums of rank-one terms are those of svd", line)
}

// acceptsModes reports shapes for which a chain with factors along the axes of the window makes no sense. The errors say
// what else the chain is where no axis has several taps, and where only one has; line is "" where one axis is enough.
func acceptsModes(s Shape, flat, line string) error {
	if err := s.Check(); err != nil {
		return err
	}
	switch axes := len(windowAxes(s)); {
	case depthwise(s):
		return fmt.Errorf("decomp: a %v kernel is depthwise: it has no input channels to mix", s)
	case axes == 0:
		return fmt.Errorf("decomp: a %v kernel has no window of several taps: %s", s, flat)
	case axes == 1 && line != "":
		return fmt.Errorf("decomp: a %v kernel has several taps along one axis only: %s", s, line)
	}
	return nil
}

func depthwise(s Shape) bool { return s.Groups > 1 && s.Groups == s.In }

// windowAxes returns the spatial axes with several taps.
func windowAxes(s Shape) []int {
	var axes []int
	for i, w := range s.Window {
		if w > 1 {
			axes = append(axes, i)
		}
	}
	return axes
}

// axes returns the spatial axes of each depthwise factor.
func (c cpScheme) axes(s Shape) [][]int {
	all := windowAxes(s)
	if !c.split {
		return [][]int{all}
	}
	var out [][]int
	for _, a := range all {
		out = append(out, []int{a})
	}
	return out
}

// modes returns the length of each window vector of a term.
func (c cpScheme) modes(s Shape) []int {
	var out []int
	for _, axes := range c.axes(s) {
		n := 1
		for _, a := range axes {
			n *= s.Window[a]
		}
		out = append(out, n)
	}
	return out
}

// exactRank is a number of terms that rebuilds any kernel: one for every element of a slice across the longest mode.
func (c cpScheme) exactRank(s Shape) int {
	modes := append([]int{s.Rows(), s.In / s.Groups}, c.modes(s)...)
	n := 1
	for _, m := range modes {
		n *= m
	}
	return n / slices.Max(modes)
}

// weight is the number of weights of one term.
func (c cpScheme) weight(s Shape) int {
	n := s.Rows() + s.In/s.Groups
	for _, m := range c.modes(s) {
		n += m
	}
	return n
}

// The ranks that a search looks at first: how many, and the shares of the break-even rank between which they lie. Where
// a product of all columns at that rank with the tensor takes more than cpFew multiply-accumulates there are fewer, two
// and a bit less for every factor of ten, so that a large kernel does not take as many times longer as its ranks do.
const (
	cpRungs  = 12
	cpFewest = 6
	cpFew    = 1e7
	cpFewer  = 2.2
	cpLowest = 0.04
	cpMost   = 0.88
)

func (c cpScheme) ranks(s Shape, multiple int) []Rank { return single(c.rungs(s, max(multiple, 1))) }

// limit is the largest rank with fewer weights than the kernel.
func (c cpScheme) limit(s Shape) int {
	return min((s.Rows()*s.Cols()-1)/c.weight(s), c.exactRank(s))
}

// rungs returns a geometric ladder, and the rank that is exact.
func (c cpScheme) rungs(s Shape, step int) []int {
	if c.accepts(s) != nil {
		return nil
	}
	exact, limit := c.exactRank(s), c.limit(s)
	work := float64(limit) * float64(s.Rows()) * float64(s.Cols())
	count := cpRungs - max(0, min(cpRungs-cpFewest, int(math.Round(cpFewer*math.Log10(max(work, 1)/cpFew)))))
	var out []int
	for i := range count {
		r := cpLowest * float64(limit) * math.Pow(cpMost/cpLowest, float64(i)/float64(count-1))
		n := max(1, int(math.Round(r/float64(step)))) * step
		if n <= limit && n < exact && (len(out) == 0 || n > out[len(out)-1]) {
			out = append(out, n)
		}
	}
	if exact%step == 0 {
		out = append(out, exact)
	}
	return out
}

func (c cpScheme) near(s Shape, r Rank, stage, multiple int) []Rank {
	if c.check(s, r) != nil {
		return nil
	}
	step := max(multiple, 1)
	return single(nearby(c.rungs(s, step), r[0], stage, c.limit(s), step))
}

// check reports a rank that the shape does not have.
func (c cpScheme) check(s Shape, r Rank) error {
	if err := c.accepts(s); err != nil {
		return err
	}
	return oneNumber(c.name, s, r, c.exactRank(s))
}

// factors lays out the chain. An axis with one tap is carried by the first factor.
func (c cpScheme) factors(s Shape, r Rank) Chain {
	if c.check(s, r) != nil {
		return nil
	}
	n := r[0] * s.Groups
	chain := Chain{s.factor(c.name+".first", n, s.In, s.Groups, s.flat)}
	for i, axes := range c.axes(s) {
		part := c.name + ".window"
		if c.split {
			part = fmt.Sprintf("%s.axis%d", c.name, i+1)
		}
		chain = append(chain, s.factor(part, n, n, n, func(axis int) bool { return slices.Contains(axes, axis) }))
	}
	return append(chain, s.factor(c.name+".last", s.Out, n, s.Groups, noAxis))
}

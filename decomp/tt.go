package decomp

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func tt(e Effort) Method {
	return Method{
		Name:  "tt",
		Title: "a tensor train: 1×1, one factor for each axis, 1×1",
		Doc: "Cuts the kernel, seen as a tensor of input channels, axes and output channels in that order, between all of its modes. A convolution " +
			"becomes a 1×1 convolution to r1 channels, a convolution along one axis to r2 (k×1), one along the next to r3 (1×k), and a 1×1 convolution " +
			"to the outputs. Each rank can be chosen by itself; tied ones, r1 = r2 = r3, are among them.\n\n" +
			"The factors are found from the inputs on: the first as in svd-in, each after it as the first of two that replace what those before it leave, " +
			"under the metric of the site as it is seen through them, and the last two by a singular value decomposition. Without data all are " +
			"successive singular value decompositions, in subspaces of the channels that belong together. " +
			"With groups, every group has a train of the same ranks.",
		Formula: "W'[o,c,i,j] = Σ_abd D[o,d] X[d,b,j] Y[b,a,i] P[a,c]; min tr(G (W−W') A (W−W')ᵀ)",
		ChainText: "Conv 1×1 (C→r1) → Conv k×1 (r1→r2; stride, padding, dilation of its axis) → Conv 1×k (r2→r3; those of its axis) → " +
			"Conv 1×1 (r3→O; bias). One factor for every axis with several taps.",
		CostText: "r1·C + k·r1·r2 + k·r2·r3 + r3·O weights a group; the first factor runs at the input's size, the last at the output's. dense: C·O·k·k.",
		Source: "Oseledets, Tensor-train decomposition, SIAM J. Sci. Comput. 33 (2011); for convolutions: Garipov et al., Ultimate tensorization, " +
			"arXiv 1611.03214; ranks tied or free: Aghababaei-Harandi and Amini, arXiv 2409.03555",
		Accepts: ttAccepts,
		Ranks:   ttRanks,
		Near:    ttNear,
		Factors: ttFactors,
		Factor:  func(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) { return newTTSpectrum(e, b, k, m) },
		Basis:   svdInName,
		From:    func(basis Spectrum) (Spectrum, error) { return onBasis("tt", basis, ttFrom) },
		Refit: func(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
			return ttRefit(e, b, target, m, start)
		},
	}
}

func ttAccepts(s Shape) error {
	return acceptsModes(s, "its tensor train is svd", "its tensor train is tucker2")
}

// ttLimits returns the largest rank of each bond, which all together rebuild any kernel: the smaller of what lies before
// it and behind it.
func ttLimits(s Shape) Rank {
	axes := windowAxes(s)
	before, behind := s.In/s.Groups, s.Rows()*s.taps()
	out := Rank{min(before, behind)}
	for _, a := range axes {
		before, behind = before*s.Window[a], behind/s.Window[a]
		out = append(out, min(before, behind))
	}
	return out
}

// ttCheck reports a rank that the shape does not have: a bond beyond its limit, or one that holds more than the bond
// before or behind it and the taps between can fill.
func ttCheck(s Shape, r Rank) error {
	if err := ttAccepts(s); err != nil {
		return err
	}
	limits, axes := ttLimits(s), windowAxes(s)
	if len(r) != len(limits) {
		return fmt.Errorf("decomp: tt rank %v of a %v kernel: wanted %d numbers", []int(r), s, len(limits))
	}
	for i, n := range r {
		if n < 1 || n > limits[i] {
			return fmt.Errorf("decomp: tt rank %v of a %v kernel: wanted r%d from 1 to %d", []int(r), s, i+1, limits[i])
		}
		if i == 0 {
			continue
		}
		if k := s.Window[axes[i-1]]; n > k*r[i-1] || r[i-1] > k*n {
			return fmt.Errorf("decomp: tt rank %v of a %v kernel: r%d and r%d differ by more than the %d taps between them can use", []int(r), s, i, i+1, k)
		}
	}
	return nil
}

// ttFactors lays out the chain. An axis with one tap is carried by the first factor.
func ttFactors(s Shape, r Rank) Chain {
	if ttCheck(s, r) != nil {
		return nil
	}
	g := s.Groups
	chain := Chain{s.factor("tt.first", r[0]*g, s.In, g, s.flat)}
	for i, a := range windowAxes(s) {
		chain = append(chain, s.factor(fmt.Sprintf("tt.axis%d", i+1), r[i+1]*g, r[i]*g, g, func(axis int) bool { return axis == a }))
	}
	return append(chain, s.factor("tt.last", s.Out, r[len(r)-1]*g, g, noAxis))
}

// Levels of the coarse ladder.
const (
	ttLevels = 7
	ttLowest = 0.12 // share of the channels at the lowest level
	ttMost   = 0.85 // and at the highest
	ttSkew   = 1.4  // how many times larger one outer share is where they differ
)

// ttRanks returns the ranks that a search looks at first: the outer two the same share of their channels, or one
// ttSkew times the other's; the inner ones as large as the larger, or half as large again, or twice; and all of them
// tied. Those that save nothing are left out, but for the largest.
func ttRanks(s Shape, multiple int) []Rank {
	if ttAccepts(s) != nil {
		return nil
	}
	step, limits := max(multiple, 1), ttLimits(s)
	in, out := float64(s.In/s.Groups), float64(s.Rows())
	var ranks []Rank
	offer := func(first, inner, last float64) {
		r := make(Rank, len(limits))
		for i := range r {
			r[i] = ttRound(inner, step, limits[i])
		}
		r[0], r[len(r)-1] = ttRound(first, step, limits[0]), ttRound(last, step, limits[len(r)-1])
		ranks = append(ranks, r)
	}
	for i := range ttLevels {
		u := ttLowest * math.Pow(ttMost/ttLowest, float64(i)/(ttLevels-1))
		inner := u * math.Sqrt(in*out)
		for _, wide := range []float64{1, 1.5} {
			offer(u*in, wide*inner, u*out)
			offer(u*in/ttSkew, wide*inner, u*out*ttSkew)
		}
		offer(u*in*ttSkew, inner, u*out/ttSkew)
		if in != out {
			tied := u * min(in, out)
			offer(tied, tied, tied)
		}
	}
	if !slices.ContainsFunc(limits, func(n int) bool { return n%step != 0 }) {
		ranks = append(ranks, limits)
	}
	return ttSorted(s, ranks)
}

// ttRound returns the multiple of step nearest to r that is positive and within a limit, 0 for none.
func ttRound(r float64, step, limit int) int {
	return min(max(1, int(math.Round(r/float64(step)))), limit/step) * step
}

// ttSorted returns the ranks that the shape has and that save something, the largest one in any case, each once, in
// ascending order of weights.
func ttSorted(s Shape, ranks []Rank) []Rank {
	weights := func(r Rank) int64 { return ttFactors(s, r).Params() }
	limits := ttLimits(s)
	ranks = slices.DeleteFunc(ranks, func(r Rank) bool {
		return ttCheck(s, r) != nil || weights(r) >= s.Params() && !slices.Equal(r, limits)
	})
	slices.SortFunc(ranks, func(a, b Rank) int {
		full := cmp.Compare(btoi(slices.Equal(a, limits)), btoi(slices.Equal(b, limits)))
		return cmp.Or(full, cmp.Compare(weights(a), weights(b)), slices.Compare(a, b))
	})
	return slices.CompactFunc(ranks, slices.Equal[Rank])
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ttNear returns ranks with one number, or all of them, a step smaller or larger: a third of it, halved at each stage
// after the first.
func ttNear(s Shape, r Rank, stage, multiple int) []Rank {
	if ttCheck(s, r) != nil || stage < 1 {
		return nil
	}
	step, limits := max(multiple, 1), ttLimits(s)
	move := func(to Rank, i, sign int) bool {
		d := r[i] / 3 >> min(stage-1, 62) / step * step
		to[i] += sign * d
		return d > 0 && to[i] > 0 && to[i] <= limits[i]
	}
	var out []Rank
	for _, sign := range []int{-1, 1} {
		all, moved := slices.Clone(r), true
		for i := range r {
			one := slices.Clone(r)
			if move(one, i, sign) {
				out = append(out, one)
			}
			moved = move(all, i, sign) && moved
		}
		if moved {
			out = append(out, all)
		}
	}
	return slices.DeleteFunc(ttSorted(s, out), func(n Rank) bool { return slices.Equal(n, r) })
}

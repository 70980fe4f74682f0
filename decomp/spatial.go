package decomp

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// method completes the texts of a scheme with its functions.
func (p pair) method(m Method) Method {
	m.Name, m.Accepts = p.name, p.accepts
	m.Ranks, m.Near, m.Factors = p.ranks, p.near, p.factors
	m.Factor = func(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) { return p.spectrum(b, k, m) }
	m.Refit, m.Closed, m.Floor = p.refit, p.closed, p.floor
	return m
}

const (
	pairFormula = "min tr(G (W−W') A (W−W')ᵀ) over P and H: from the truncated SVD of the kernel unfolded as "
	pairDescent = " under the means of A and G on either side, by variable projection: H = W A Mᵀ (M A Mᵀ)⁻¹ for the map M of a head P, and the " +
		"loss that is left lowered over P by limited-memory BFGS"
	pairDoc = "Without data the split is the best there is of its rank, a truncated singular value decomposition. Under the second moments of a site " +
		"no closed form is known, since they couple the taps: from the decomposition in which taps and channels are whitened apart, the first " +
		"factor is improved step by step, the last one always being the best for it. With groups, every group gets the same rank."
)

const svdInName = "svd-in"

// inputPair is the pair that cuts the input channels from all else.
func inputPair(e Effort) pair { return pair{name: svdInName, head: pointwise, effort: e} }

func svdIn(e Effort) Method {
	return inputPair(e).method(Method{
		Title: "two factors by singular value decomposition, the inputs first",
		Doc: "Splits a convolution into a 1×1 convolution from the input channels to r, and a k×k convolution from those to the outputs, which keeps " +
			"the stride, padding and dilation. Where there are more input channels than outputs, it is cheaper than svd, whose first factor is " +
			"the k×k one.\n\n" + pairDoc,
		Formula:   "W'[o,c,i,j] = Σ_s H[o,s,i,j] P[s,c];  " + pairFormula + "[C, O·k·k]" + pairDescent,
		ChainText: "Conv 1×1 (C→r; group) → Conv k×k (r→O; strides, pads, dilations, group; bias).",
		CostText:  "r·(C + O·k·k) weights a group; the first factor runs at each position of the input, the last at each of the output. dense: C·O·k·k.",
		Source: "Zhang et al., Accelerating very deep convolutional networks, TPAMI 38 (2016), whose split it is from the other side; variable " +
			"projection: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973)",
	})
}

// pointwise gives the head no taps.
func pointwise(window []int) []bool {
	several := false
	head := make([]bool, len(window))
	for i, w := range window {
		head[i] = w == 1
		several = several || w > 1
	}
	if !several {
		return nil
	}
	return head
}

const spatialSource = "Jaderberg, Vedaldi and Zisserman, Speeding up convolutional neural networks with low rank expansions, BMVC 2014, scheme 2 " +
	"(equations 5 to 7); variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973)"

func spatial(e Effort) Method {
	return pair{name: "spatial", head: cut, effort: e}.method(Method{
		Title: "two factors, the first along the height, the second along the width",
		Doc: "Splits a k×k convolution into a k×1 convolution from the input channels to r, and a 1×k convolution from those to the outputs; each " +
			"keeps the stride, padding and dilation of its axis. Of a window with three axes, the first factor takes the first that has several " +
			"taps, the second the other two.\n\n" + pairDoc,
		Formula:   "W'[o,c,i,j] = Σ_s H[o,s,j] P[s,c,i];  " + pairFormula + "[C·kh, O·kw]" + pairDescent,
		ChainText: "Conv kh×1 (C→r; stride, padding, dilation of that axis, group) → Conv 1×kw (r→O; those of the other axes, group; bias).",
		CostText:  "r·(C·kh + O·kw) weights a group; the first factor runs before the stride along the width. dense: C·O·kh·kw.",
		Source:    spatialSource,
	})
}

func spatialWH(e Effort) Method {
	return pair{name: "spatial-wh", head: cutLast, effort: e}.method(Method{
		Title: "two factors, the first along the width, the second along the height",
		Doc: "The split of spatial with the axes in the other order: a 1×k convolution from the input channels to r, and a k×1 convolution from those " +
			"to the outputs. Of a window with three axes, the second factor takes the first that has several taps, the first the other two. Which " +
			"order is better depends on the kernel.\n\n" + pairDoc,
		Formula:   "W'[o,c,i,j] = Σ_s H[o,s,i] P[s,c,j];  " + pairFormula + "[C·kw, O·kh]" + pairDescent,
		ChainText: "Conv 1×kw (C→r; stride, padding, dilation of those axes, group) → Conv kh×1 (r→O; those of the other axis, group; bias).",
		CostText:  "r·(C·kw + O·kh) weights a group; the first factor runs before the stride along the height. dense: C·O·kh·kw.",
		Source:    spatialSource,
	})
}

// cut gives the head the first axis with several taps, and those before it. It is nil where fewer than two axes have
// several.
func cut(window []int) []bool {
	first := slices.IndexFunc(window, func(w int) bool { return w > 1 })
	if first < 0 || !slices.ContainsFunc(window[first+1:], func(w int) bool { return w > 1 }) {
		return nil
	}
	head := make([]bool, len(window))
	for i, w := range window {
		head[i] = i == first || w == 1
	}
	return head
}

// cutLast gives the head what cut gives the tail.
func cutLast(window []int) []bool {
	head := cut(window)
	for i, w := range window[:len(head)] {
		head[i] = !head[i] || w == 1
	}
	return head
}

// accepts reports shapes for which the scheme makes no sense.
func (p pair) accepts(s Shape) error {
	l, err := p.layout(s)
	if err != nil {
		return err
	}
	if l.headTaps == 1 && l.channels == 1 {
		return fmt.Errorf("decomp: %s of a %v kernel: one input channel a group leaves nothing to split", p.name, s)
	}
	return nil
}

package decomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// EightBits says how numbers of eight bits stand for the weights of a chain and for what lies between its factors: weights by output
// channels, symmetric about zero, and activations by whole tensors, as runtimes compute them.
type EightBits struct {
	// Levels is how many steps there are from zero to the largest weight of an output channel: 127, or 63 where sums of products would
	// overflow.
	Levels int
	// Reach is how far activations go from their mean, in standard deviations.
	Reach float64
}

// activationSteps is into how many the range of a tensor is cut.
const activationSteps = 255

// Even scales what lies between the factors of a chain so that all channels of it reach as far: a channel that hardly moves beside one
// that does would be left a few of the steps that both share. Nothing linear lies between them, so that the chain computes the same. mean
// is that of the inputs where the metric is about it, else nil. Chains of kernels in groups are left as they are.
//
// With e_k how far channel k reaches and U the next factors, rounding adds Σ_k max_j(e_j/d_j)²·d_k²·‖G^½ U_k‖² when channels are divided
// by d, which is least where e_j/d_j is the same for all (cross-layer equalization: Nagel et al., Data-Free Quantization Through Weight
// Equalization and Bias Correction, ICCV 2019).
func (q EightBits) Even(b linalg.Backend, s Shape, m Metric, mean [][]float64, c Chain) (Chain, error) {
	if s.Groups > 1 {
		return c, nil
	}
	out := slices.Clone(c)
	for i := range out {
		out[i].Kernel.Weights = slices.Clone(c[i].Kernel.Weights)
	}
	for i := range len(out) - 1 {
		extents, err := q.extents(b, s, m, mean, out[:i+1])
		if err != nil {
			return nil, err
		}
		even(out[i].Kernel, out[i+1].Kernel, extents)
	}
	return out, nil
}

// even divides the outputs of one kernel and multiplies the inputs of the next, so that all reach as far as they did in the root of the
// mean square. Channels that reach nowhere stay.
func even(k, next Kernel, extents []float64) {
	usual := math.Sqrt(squaredNorm(extents) / float64(len(extents)))
	taps, inner, rows := next.taps(), next.In/next.Groups, next.Rows()
	for c, e := range extents {
		if e <= leastExtent*usual || usual == 0 {
			continue
		}
		by := e / usual
		for i := range k.Cols() {
			k.Weights[c*k.Cols()+i] /= by
		}
		for o := c / inner * rows; o < (c/inner+1)*rows; o++ {
			at := (o*inner + c%inner) * taps
			for t := range taps {
				next.Weights[at+t] *= by
			}
		}
	}
}

// leastExtent is the share of the usual one from which on a channel reaches anywhere.
const leastExtent = 1e-6

// extents is how far each channel behind the first factors of a chain reaches.
func (q EightBits) extents(b linalg.Backend, s Shape, m Metric, mean [][]float64, first Chain) ([]float64, error) {
	k, err := first.compose(b)
	if err != nil {
		return nil, err
	}
	x := k.within(s)
	gram := m.input(0).gram(b, x)
	out := make([]float64, x.Rows)
	for i := range out {
		if mean != nil {
			out[i] = math.Abs(dot(x.Row(i), mean[0]))
		}
		out[i] += q.Reach * math.Sqrt(max(gram.At(i, i), 0))
	}
	return out, nil
}

// within is a kernel of one group as a matrix over the columns of a larger window: where it has one tap along an axis, in the middle.
func (k Kernel) within(s Shape) *linalg.Matrix {
	if slices.Equal(k.Window, s.Window) {
		return &linalg.Matrix{Rows: k.Out, Cols: k.Cols(), Data: k.Weights}
	}
	at := make([]int, k.taps())
	for t := range at {
		step, rest := 1, t
		for i := len(s.Window) - 1; i >= 0; i-- {
			tap := rest % k.Window[i]
			rest /= k.Window[i]
			if k.Window[i] < s.Window[i] {
				tap = s.Window[i] / 2
			}
			at[t] += step * tap
			step *= s.Window[i]
		}
	}
	out := linalg.New(k.Out, k.In*s.taps())
	for i, v := range k.Weights {
		c := i / len(at)
		out.Data[c*s.taps()+at[i%len(at)]] = v
	}
	return out
}

// Rounding is what eight bits cost where a chain, evened, takes the place of a kernel: tr(G ΔW A ΔWᵀ) per position, as a loss is, for the
// rounding ΔW of its weights, and for each tensor between its factors what the rounding of that, evenly spread within a step, becomes
// through the factors behind. The kernel's own output and input are rounded either way, and are left out.
func (q EightBits) Rounding(b linalg.Backend, s Shape, m Metric, mean [][]float64, c Chain) (float64, error) {
	even, err := q.Even(b, s, m, mean, c)
	if err != nil {
		return 0, err
	}
	sum, err := m.Change(b, s, even, q.rounded(even))
	if err != nil || s.Groups > 1 {
		return sum, err
	}
	behind := Metric{Out: m.Out}
	for i := range len(even) - 1 {
		extents, err := q.extents(b, s, m, mean, even[:i+1])
		if err != nil {
			return 0, err
		}
		rest, err := even[i+1:].compose(b)
		if err != nil {
			return 0, fmt.Errorf("what stands behind factor %d: %w", i, err)
		}
		felt, err := behind.Energy(b, rest)
		if err != nil {
			return 0, err
		}
		step := 2 * slices.Max(extents) / activationSteps
		sum += step * step / 12 * felt
	}
	return sum, nil
}

// Alone is what Rounding is for the kernel itself.
func (q EightBits) Alone(b linalg.Backend, m Metric, k Kernel) (float64, error) {
	lost := q.round(k)
	for i, v := range k.Weights {
		lost.Weights[i] -= v
	}
	return m.Energy(b, lost)
}

// rounded are the factors with the weights that eight bits stand for.
func (q EightBits) rounded(c Chain) Chain {
	out := slices.Clone(c)
	for i := range out {
		out[i].Kernel = q.round(out[i].Kernel)
	}
	return out
}

// round is a kernel with the weights that eight bits stand for.
func (q EightBits) round(k Kernel) Kernel {
	out := Kernel{Shape: k.Shape, Weights: slices.Clone(k.Weights)}
	for o := range k.Out {
		row, most := out.Weights[o*k.Cols():(o+1)*k.Cols()], 0.0
		for _, v := range row {
			most = max(most, math.Abs(v))
		}
		step := most / float64(q.Levels)
		if step == 0 {
			continue
		}
		for i, v := range row {
			row[i] = step * math.RoundToEven(v/step)
		}
	}
	return out
}

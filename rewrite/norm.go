package rewrite

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
)

// outputScale returns |scale/√(var+ε)| per output channel where the site's output
// feeds nothing but one BatchNormalization in inference mode with constant
// parameters, so that the two could be folded; nil otherwise.
func (f *finder) outputScale(s *Site) []float64 {
	use, ok := f.graph.Reader(s.Output)
	if !ok || use.Slot != 0 {
		return nil
	}
	n := use.Node
	if !f.main(n) || n.Op() != "BatchNormalization" || !f.inference(n) {
		return nil
	}
	// The normalization's channels are axis 1, those of a product its last axis.
	if out, ok := f.shapes.Of(s.Output); s.View.Kind != ConvPatches && (!ok || len(out) != 2) {
		return nil
	}
	scale, variance := f.channels(n, 1, s.Kernel.Out), f.channels(n, 4, s.Kernel.Out)
	if scale == nil || variance == nil {
		return nil
	}
	epsilon := float64(n.Float("epsilon", 1e-5))
	out := make([]float64, len(scale))
	for i := range out {
		out[i] = math.Abs(scale[i]) / math.Sqrt(variance[i]+epsilon)
		if math.IsNaN(out[i]) || math.IsInf(out[i], 0) {
			return nil
		}
	}
	return out
}

// inference tells whether a BatchNormalization only scales and shifts each channel:
// is_test before opset 7, a single output before 14, training_mode since; spatial
// (before 9) must not be 0.
func (f *finder) inference(n graph.Node) bool {
	if len(n.Inputs()) < 5 || len(n.Outputs()) == 0 {
		return false
	}
	if f.opset < 9 && n.Int("spatial", 1) == 0 {
		return false
	}
	for _, o := range n.Outputs()[1:] {
		if o != "" {
			return false
		}
	}
	switch {
	case f.opset < 7:
		return n.Int("is_test", 0) != 0
	case f.opset < 14:
		return true
	}
	return n.Int("training_mode", 0) == 0
}

// channels reads a constant vector of n numbers from a slot, nil where it is none.
func (f *finder) channels(node graph.Node, slot, n int) []float64 {
	h, ok := f.hold(node.Input(slot))
	if !ok || h.tensor.Len() != n {
		return nil
	}
	v, err := h.tensor.Float64s()
	if err != nil {
		return nil
	}
	return v
}

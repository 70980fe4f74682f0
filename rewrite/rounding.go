package rewrite

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Rounded returns the chain with its weights as Replace writes them, rounded to the element type of the site's weight.
func (s *Site) Rounded(c decomp.Chain) (decomp.Chain, error) {
	out := make(decomp.Chain, len(c))
	for i, f := range c {
		data, err := tensor.Encode(s.Dtype, f.Kernel.Weights)
		if err != nil {
			return nil, fmt.Errorf("node %q: factor %q: %w", s.Name, f.Part, err)
		}
		f.Kernel.Weights, err = tensor.Dense{Type: s.Dtype, Shape: []int{len(f.Kernel.Weights)}, Data: data}.Float64s()
		if err != nil {
			return nil, err
		}
		out[i] = f
	}
	return out, nil
}

package feed

import (
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/samples"
)

// SessionInputs returns the inputs that a session of ONNX Runtime wants.
func SessionInputs(s *ort.Session) []samples.InputSpec {
	var out []samples.InputSpec
	for _, in := range s.Inputs() {
		spec := samples.InputSpec{Name: in.Name, Type: in.Type}
		if !in.Unranked {
			spec.Shape = make([]int, len(in.Shape))
			for i, n := range in.Shape {
				spec.Shape[i] = int(max(n, -1))
			}
		}
		out = append(out, spec)
	}
	return out
}

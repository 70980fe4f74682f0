package samples

import (
	"bytes"
	"fmt"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Complete returns the sample's inputs as a model takes them by themselves, each with the axis that it lacks.
func (s Sample) Complete(inputs []InputSpec) map[string]tensor.Dense {
	shapes := s.Shapes(inputs)
	out := map[string]tensor.Dense{}
	for _, in := range inputs {
		t := s.Inputs[in.Name]
		full := tensor.Dense{Type: t.Type, Shape: shapes[in.Name], Data: t.Data}
		if n := full.Len() / max(t.Len(), 1); n > 1 { // in a batch of the model's own size
			full.Data = bytes.Repeat(t.Data, n)
		}
		out[in.Name] = full
	}
	return out
}

// Stack puts samples of the same shapes one behind the other along a new axis 0 of the given size, which the last of
// them fills up.
func Stack(samples []Sample, inputs []InputSpec, batch int) (map[string]tensor.Dense, error) {
	out := map[string]tensor.Dense{}
	for _, in := range inputs {
		if len(in.Shape) > 0 && in.Shape[0] >= 0 && in.Shape[0] != batch {
			return nil, fmt.Errorf("the first axes of the model's inputs have different sizes (%s), so single samples cannot be stacked; give test_data_set_* folders with whole inputs", inputsText(inputs))
		}
		first := samples[0].Inputs[in.Name]
		t := tensor.New(first.Type, append([]int{batch}, first.Shape...)...)
		if len(t.Data) != batch*len(first.Data) {
			return nil, fmt.Errorf("sample %s: input %q: a batch of %d is too large", samples[0].Name, in.Name, batch)
		}
		for k := range batch {
			copy(t.Data[k*len(first.Data):], samples[min(k, len(samples)-1)].Inputs[in.Name].Data)
		}
		out[in.Name] = t
	}
	return out, nil
}

package samples

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// inputsText lists inputs for an error message.
func inputsText(inputs []InputSpec) string {
	parts := make([]string, len(inputs))
	for i, in := range inputs {
		parts[i] = in.String()
	}
	return strings.Join(parts, "; ")
}

// Alone tells whether the sample has to run by itself: it is a ready-made batch, or
// one of the inputs has no axis to stack samples along.
func (s Sample) Alone(inputs []InputSpec) bool {
	return s.Whole || slices.ContainsFunc(inputs, func(in InputSpec) bool {
		return !in.batched(len(s.Inputs[in.Name].Shape))
	})
}

// Check refuses a sample that does not fit the inputs, or has numbers that are not finite.
func (s Sample) Check(inputs []InputSpec) error {
	for name := range s.Inputs {
		if !slices.ContainsFunc(inputs, func(in InputSpec) bool { return in.Name == name }) {
			return fmt.Errorf("sample %s: it has a tensor %q, which is no input of the model; the inputs are %s", s.Name, name, inputsText(inputs))
		}
	}
	for _, in := range inputs {
		t, ok := s.Inputs[in.Name]
		if !ok {
			return fmt.Errorf("sample %s: nothing for the input %s", s.Name, in)
		}
		if err := s.checkInput(in, t); err != nil {
			return fmt.Errorf("sample %s: %w", s.Name, err)
		}
	}
	return nil
}

func (s Sample) checkInput(in InputSpec, t tensor.Dense) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("input %q: %w", in.Name, err)
	}
	if t.Type != in.Type {
		return fmt.Errorf("the model wants %s, the sample has %s%s; convert the samples to %s", in, t.Type, tensor.ShapeText(t.Shape), in.Type)
	}
	want := in.Shape
	if want != nil && len(want) == len(t.Shape)+1 && !s.Whole {
		want = want[1:]
	}
	fits := want == nil || len(want) == len(t.Shape)
	for i := 0; fits && want != nil && i < len(want); i++ {
		fits = want[i] < 0 || want[i] == t.Shape[i]
	}
	if !fits {
		return fmt.Errorf("the model wants %s, the sample has %s%s; bring the samples to %s", in, t.Type, tensor.ShapeText(t.Shape), tensor.ShapeText(want))
	}
	if slices.Contains(t.Shape, 0) {
		return fmt.Errorf("input %q: the sample is empty, its shape is %s", in.Name, tensor.ShapeText(t.Shape))
	}
	return checkFinite(in.Name, t)
}

// checkFinite refuses NaN and infinite numbers.
func checkFinite(name string, t tensor.Dense) error {
	refuse := func(i int, v float64) error {
		return fmt.Errorf("input %q: element %d is %v; samples must be finite, so look at how they were made", name, i, v)
	}
	switch {
	case t.Type == tensor.Float32:
		for i, v := range t.Float32s() {
			if v-v != 0 { // only NaN and infinity
				return refuse(i, float64(v))
			}
		}
	case t.Type.IsFloat():
		values, err := t.Float64s()
		if err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
		for i, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return refuse(i, v)
			}
		}
	}
	return nil
}

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
// one of the inputs has no first axis to stack samples along.
func (s Sample) Alone(inputs []InputSpec) bool {
	if s.Whole {
		return true
	}
	for i, in := range inputs {
		if axisOf(inputs, i, s.Inputs[in.Name].Shape) != 0 {
			return true
		}
	}
	return false
}

// Check refuses a sample that does not fit the inputs, or has numbers that are not finite.
func (s Sample) Check(inputs []InputSpec) error {
	for name := range s.Inputs {
		if !slices.ContainsFunc(inputs, func(in InputSpec) bool { return in.Name == name }) {
			return fmt.Errorf("sample %s: it has a tensor %q, which is no input of the model; the inputs are %s", s.Name, name, inputsText(inputs))
		}
	}
	empty := true // a past of length 0 is none
	for i, in := range inputs {
		t, ok := s.Inputs[in.Name]
		if !ok {
			return fmt.Errorf("sample %s: nothing for the input %s", s.Name, in)
		}
		if err := s.checkInput(inputs, i, t); err != nil {
			return fmt.Errorf("sample %s: %w", s.Name, err)
		}
		empty = empty && slices.Contains(t.Shape, 0)
	}
	if empty && len(inputs) > 0 {
		in := inputs[0]
		return fmt.Errorf("sample %s: input %q: the sample is empty, its shape is %s", s.Name, in.Name, tensor.ShapeText(s.Inputs[in.Name].Shape))
	}
	return nil
}

func (s Sample) checkInput(inputs []InputSpec, i int, t tensor.Dense) error {
	in := inputs[i]
	if err := t.Check(); err != nil {
		return fmt.Errorf("input %q: %w", in.Name, err)
	}
	if t.Type != in.Type {
		return fmt.Errorf("the model wants %s, the sample has %s%s; convert the samples to %s", in, t.Type, tensor.ShapeText(t.Shape), in.Type)
	}
	want := in.Shape
	if axis := axisOf(inputs, i, t.Shape); want != nil && axis >= 0 && !s.Whole {
		want = slices.Delete(slices.Clone(want), axis, axis+1)
	}
	if want != nil && !fits(want, t.Shape) {
		return fmt.Errorf("the model wants %s, the sample has %s%s; bring the samples to %s", in, t.Type, tensor.ShapeText(t.Shape), tensor.ShapeText(want))
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

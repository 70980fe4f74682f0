package samples

import (
	"fmt"
	"math"
	"slices"
	"strconv"
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
		one := want
		if len(want) == len(in.Shape) && len(want) > 0 && len(want) != len(t.Shape) && !s.Whole {
			one = want[1:] // of a sample, whatever this one is
		}
		return fmt.Errorf("the model wants %s, the sample has %s%s; %s", in, t.Type, tensor.ShapeText(t.Shape), brought(one, t.Shape))
	}
	return checkFinite(in.Name, t)
}

// brought says how an array of samples, each of a shape, comes to one whose samples are of the shape that is wanted.
func brought(want, shape []int) string {
	if order := reordered(want, shape); order != nil {
		words := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(order), "[]")), ", ")
		return fmt.Sprintf("its axes are in another order: numpy.transpose(samples, (%s))", words)
	}
	sizes, open, n := make([]string, len(want)), 0, 1
	for i, size := range want {
		sizes[i] = strconv.Itoa(size)
		if size < 0 {
			sizes[i], open = "-1", open+1
		} else {
			n *= size
		}
	}
	if elements := tensor.Product(shape); open == 0 && elements == n {
		return fmt.Sprintf("it has as many numbers: samples.reshape(-1, %s)", strings.Join(sizes, ", "))
	}
	return "bring the samples to " + tensor.ShapeText(want)
}

// reordered are the axes of an array of samples, the first of which is theirs, in the order in which each sample fits, with as few of them out of their
// order as can be from the first on; nil where there is none.
func reordered(want, shape []int) []int {
	if len(want) != len(shape) || len(want) > 4 { // of more there are too many orders
		return nil
	}
	var try func(order []int) []int
	try = func(order []int) []int {
		k := len(order) - 1
		if k == len(shape) {
			return order
		}
		for axis := 1; axis <= len(shape); axis++ {
			if (want[k] == shape[axis-1] || want[k] < 0) && !slices.Contains(order, axis) {
				if whole := try(append(slices.Clone(order), axis)); whole != nil {
					return whole
				}
			}
		}
		return nil
	}
	return try([]int{0})
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

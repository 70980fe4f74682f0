package shapes

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/backendtest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// frozen returns the model with the given inputs as constants and without the shapes
// that it declares for its outputs.
func frozen(m *onnxio.Model, inputs map[string]tensor.Dense) *onnxio.Model {
	p := graph.Of(m).Parts()
	p.Inputs, p.Values = nil, nil
	for name, d := range inputs {
		p.Initializers = append(p.Initializers, onnxio.DenseTensor(name, d))
	}
	for i, o := range p.Outputs {
		p.Outputs[i] = graph.NewValue(o.Name(), tensor.Undefined, nil)
	}
	return p.Model()
}

// claimed tells whether every operator of the model has a rule.
func claimed(m *onnxio.Model) bool {
	table := rules()
	for _, n := range graph.Of(m).Nodes() {
		if _, ok := table[n.Op()]; !ok {
			return false
		}
	}
	return true
}

// TestBackend infers the models of ONNX's backend tests with their inputs as constants, and
// compares shapes, and numbers where they are folded, with the stored outputs. What
// consists of operators that have a rule must be found.
func TestBackend(t *testing.T) {
	// Numbers of half types are not followed, nor those that a Relu gives, by which Loops run; one of these has another shape in each
	// iteration, and Scan was another operator in set 8.
	open := []string{
		"node/test_range_bfloat16_type_positive_delta", "node/test_range_float16_type_positive_delta", "node/test_loop11", "node/test_scan_sum",
		"node/test_range_bfloat16_type_positive_delta_expanded", "node/test_range_float16_type_positive_delta_expanded",
		"node/test_range_float_type_positive_delta_expanded", "node/test_range_int32_type_negative_delta_expanded",
	}
	found, folded := 0, 0
	for _, c := range backendtest.Cases(t) {
		m, err := onnxio.Read(c.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		inputs, outputs, err := c.Data(m)
		if err != nil {
			if claimed(m) {
				t.Log(err)
			}
			continue
		}
		s := Infer(frozen(m, inputs), nil)
		for i, o := range graph.Of(m).Outputs() {
			got, ok := s.Of(o.Name())
			if !ok {
				if claimed(m) && !slices.Contains(open, c.Name) {
					t.Errorf("%s: %s", c.Name, s.Why(o.Name()))
				}
				continue
			}
			found++
			if !slices.Equal(got, outputs[i].Shape) {
				t.Errorf("%s: output %q: %v, stored %v", c.Name, o.Name(), got, outputs[i].Shape)
				continue
			}
			if v, ok := s.Ints(o.Name()); ok {
				folded++
				if w, err := outputs[i].Int64s(); err != nil || !slices.Equal(v, w) {
					t.Errorf("%s: output %q holds %v, stored %v", c.Name, o.Name(), v, w)
				}
			}
		}
	}
	t.Logf("%d shapes found, numbers of %d", found, folded)
	if found < 1800 || folded < 60 {
		t.Errorf("%d shapes found, numbers of %d: there are 1800 and 60 at least", found, folded)
	}
}

package calib

import (
	"reflect"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestSampleShapes(t *testing.T) {
	spec := func(shape ...int) []InputSpec {
		return []InputSpec{{Name: "x", Type: tensor.Float32, Shape: shape}}
	}
	for _, c := range []struct {
		name   string
		inputs []InputSpec
		sample []int
		whole  bool
		want   []int
	}{
		{"free batch", spec(-1, 3, 4), []int{3, 4}, false, []int{1, 3, 4}},
		{"fixed batch", spec(8, 3, 4), []int{3, 4}, false, []int{8, 3, 4}},
		{"no batch", spec(3, 4), []int{3, 4}, false, []int{3, 4}},
		{"whole", spec(-1, 3, 4), []int{5, 3, 4}, true, []int{5, 3, 4}},
		{"no shape declared", []InputSpec{{Name: "x"}}, []int{3, 4}, false, []int{1, 3, 4}},
	} {
		s := Sample{Whole: c.whole, Inputs: map[string]tensor.Dense{"x": tensor.New(tensor.Float32, c.sample...)}}
		if got := s.Shapes(c.inputs)["x"]; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := (Sample{}).Shapes(spec(-1, 3)); len(got) != 0 {
		t.Errorf("an empty sample has the shapes %v", got)
	}
}

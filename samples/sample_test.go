package samples

import (
	"reflect"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
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

func TestSplit(t *testing.T) {
	calib, held := Split(100, 30, 7)
	if len(calib) != 30 || len(held) != 70 {
		t.Fatalf("%d and %d samples, want 30 and 70", len(calib), len(held))
	}
	all := slices.Sorted(slices.Values(slices.Concat(calib, held)))
	if !slices.Equal(all, testkit.Count(100)) {
		t.Errorf("together they are %v, want each number once", all)
	}
	if again, _ := Split(100, 30, 7); !slices.Equal(again, calib) {
		t.Error("the same seed gives other samples")
	}
	if other, _ := Split(100, 30, 8); slices.Equal(other, calib) {
		t.Error("another seed gives the same samples")
	}
	if slices.IsSorted(calib) || slices.IsSorted(held) {
		t.Error("the samples are in order, so a prefix of them is not random")
	}
	if calib, held = Split(5, 9, 1); len(calib) != 5 || len(held) != 0 {
		t.Errorf("9 of 5 samples: %v and %v", calib, held)
	}
}

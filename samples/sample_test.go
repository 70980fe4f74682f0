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

// recurrent are the inputs of a model with a state, whose batch is not its first axis, and a number that has none.
func recurrent() []InputSpec {
	return []InputSpec{spec("x", -1, 512), spec("state", 2, -1, 64), spec("rate", []int{}...)}
}

// sampleOf is a sample with tensors of the given shapes.
func sampleOf(shapes map[string][]int) Sample {
	s := Sample{Name: "s", Inputs: map[string]tensor.Dense{}}
	for name, shape := range shapes {
		s.Inputs[name] = tensor.New(tensor.Float32, shape...)
	}
	return s
}

// TestEachByItsOwnShape completes every input of a sample by its own shape.
func TestEachByItsOwnShape(t *testing.T) {
	type shapes = map[string][]int
	complete := shapes{"x": {1, 512}, "state": {2, 1, 64}, "rate": {}}
	for name, c := range map[string]struct {
		inputs       []InputSpec
		sample, want shapes
		alone        bool
		batch        int
	}{
		"states without a batch": {recurrent(), shapes{"x": {512}, "state": {2, 64}, "rate": {}}, complete, true, 0},
		"states with a batch":    {recurrent(), shapes{"x": {512}, "state": {2, 1, 64}, "rate": {}}, complete, true, 0},
		"all with a batch":       {recurrent(), shapes{"x": {1, 512}, "state": {2, 1, 64}, "rate": {}}, complete, true, 0},
		"a number beside":        {[]InputSpec{spec("x", -1, 4), spec("t", []int{}...)}, shapes{"x": {4}, "t": {}}, shapes{"x": {1, 4}, "t": {}}, true, 0},
		"a fixed batch and a number": {
			[]InputSpec{spec("x", 3, 4), spec("t", []int{}...)}, shapes{"x": {4}, "t": {}}, shapes{"x": {3, 4}, "t": {}}, true, 3,
		},
		"a fixed batch of one beside": {
			[]InputSpec{spec("x", -1, 4), spec("size", 1, 2)}, shapes{"x": {4}, "size": {2}}, shapes{"x": {1, 4}, "size": {1, 2}}, false, 1,
		},
		"an open axis in all":     {[]InputSpec{spec("x", 8, -1, 4)}, shapes{"x": {8, 4}}, shapes{"x": {8, 8, 4}}, false, 8},
		"a fixed axis and a free": {[]InputSpec{spec("x", -1, 4), spec("ids", 1, -1)}, shapes{"x": {4}, "ids": {7}}, shapes{"x": {1, 4}, "ids": {1, 7}}, false, 0},
	} {
		s := sampleOf(c.sample)
		if err := s.Check(c.inputs); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.Shapes(c.inputs); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: shapes %v, want %v", name, got, c.want)
		}
		for in, x := range s.Complete(c.inputs) {
			if x.Check() != nil || !slices.Equal(x.Shape, c.want[in]) {
				t.Errorf("%s: %s is %v, %v", name, in, x.Shape, x.Check())
			}
		}
		if got := s.Alone(c.inputs); got != c.alone {
			t.Errorf("%s: runs alone: %v, want %v", name, got, c.alone)
		}
		if got := Batch(c.inputs); got != c.batch {
			t.Errorf("%s: the batch is %d, want %d", name, got, c.batch)
		}
	}
	testkit.WantError(t, sampleOf(shapes{"x": {512}, "state": {2, 65}, "rate": {}}).Check(recurrent()), "state: float32[2,?,64]", "float32[2,65]")
}

// TestEmptyPast accepts an input of no elements, such as the past of a decoder's first step, beside others that have some.
func TestEmptyPast(t *testing.T) {
	inputs := []InputSpec{spec("ids", -1, -1), spec("past", -1, 1, -1, 64)}
	if err := sampleOf(map[string][]int{"ids": {5}, "past": {1, 0, 64}}).Check(inputs); err != nil {
		t.Error(err)
	}
	testkit.WantError(t, sampleOf(map[string][]int{"ids": {0}, "past": {1, 0, 64}}).Check(inputs), `"ids"`, "the sample is empty")
	testkit.WantError(t, sampleOf(map[string][]int{"ids": {5}, "past": {1, 0, 65}}).Check(inputs), "[?,1,?,64]", "[1,0,65]")
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

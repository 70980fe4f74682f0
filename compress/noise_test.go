package compress

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// oneInput makes a model with an input "in" of that type and shape.
func oneInput(t *testing.T, typ tensor.Type, dims ...any) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	b.Node("Identity", []string{b.Input("in", typ, dims...)})
	b.Output(b.Rename("out"), typ, dims...)
	return built(t, b)
}

// TestNoiseIsRepeatable: the seed and the number of a sample decide every bit of it.
func TestNoiseIsRepeatable(t *testing.T) {
	m := zoo(t, "cnn")
	draw := func(seed uint64, i int) samples.Sample {
		n, err := newNoise(m, nil, seed)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Sample(i)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := draw(1, 3)
	if !reflect.DeepEqual(first, draw(1, 3)) {
		t.Error("the same seed draws another sample")
	}
	if reflect.DeepEqual(first.Inputs, draw(1, 4).Inputs) || reflect.DeepEqual(first.Inputs, draw(2, 3).Inputs) {
		t.Error("another number, or another seed, draws the same sample")
	}
	v := first.Inputs["image"].Float32s()
	var mean, square float64
	for _, x := range v {
		mean += float64(x) / float64(len(v))
		square += float64(x) * float64(x) / float64(len(v))
	}
	if len(v) != 768 || math.Abs(mean) > 0.2 || math.Abs(square-1) > 0.3 {
		t.Errorf("%d numbers of mean %g and square %g; want 768 of a standard normal", len(v), mean, square)
	}
	if !first.Whole || first.Label != -1 {
		t.Errorf("whole %v, label %d", first.Whole, first.Label)
	}
}

// TestNoiseTypes: whatever type an input has, the sample fits it, or the refusal names it.
func TestNoiseTypes(t *testing.T) {
	for _, typ := range []tensor.Type{
		tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16, tensor.Int64, tensor.Int32, tensor.Int8,
		tensor.Uint8, tensor.Bool, tensor.Uint32,
	} {
		n, err := newNoise(oneInput(t, typ, "N", 3), nil, 1)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		s, err := n.Sample(0)
		if err != nil {
			t.Fatal(err)
		}
		in := s.Inputs["in"]
		if err := in.Check(); err != nil || in.Type != typ || !reflect.DeepEqual(in.Shape, []int{1, 3}) {
			t.Errorf("%s: got %s%v, %v", typ, in.Type, in.Shape, err)
		}
		if typ.IsFloat() {
			continue
		}
		v, err := in.Float64s()
		if err != nil || !reflect.DeepEqual(v, []float64{1, 1, 1}) {
			t.Errorf("%s: %v, %v; want ones", typ, v, err)
		}
	}
	_, err := newNoise(oneInput(t, tensor.String, "N", 3), nil, 1)
	testkit.WantError(t, err, "no samples were given", `"in"`)
	_, err = newNoise(oneInput(t, tensor.Float32, "N", 0), nil, 1)
	testkit.WantError(t, err, "no samples were given", `"in"`, "empty")
}

// TestNoiseLooksUp: inputs that rows are looked up by have numbers of rows, of the smallest table, on whatever way they get there; and no
// two samples are the same.
func TestNoiseLooksUp(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	words, mask, letters := b.Input("words", tensor.Int32, "N", 40), b.Input("mask", tensor.Int64, "N", 40), b.Input("letters", tensor.Float32, "N", 40)
	x := b.Node("Gather", []string{b.Weight("large", 30, 30, 4), words})
	y := b.Node("Gather", []string{b.Weight("small", 11, 4, 11), b.Node("Unsqueeze", []string{words, b.Ints("axes", 2)})}, graph.Int("axis", -1))
	z := b.Node("OneHot", []string{b.Node("Cast", []string{letters}, graph.Int("to", int(tensor.Int64))), b.Ints("depth", 7), b.Tensor("values", tensor.Float32, []int{2}, []float64{0, 1})})
	b.Output(x, tensor.Float32, "N", 40, 4)
	b.Output(y, tensor.Float32, 4, "N", 40, 1)
	b.Output(z, tensor.Float32, "N", 40, 7)
	b.Output(b.Node("Identity", []string{mask}), tensor.Int64, "N", 40)
	ends := b.Node("Gather", []string{b.Input("edges", tensor.Int64, 2, 30), b.Ints("from", 0)}) // as networks on graphs read them
	ends = b.Node("Squeeze", []string{ends, b.Ints("first", 0)})
	b.Output(b.Node("Gather", []string{b.Input("nodes", tensor.Float32, 6, 4), ends}), tensor.Float32, 30, 4)
	n, err := newNoise(built(t, b), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string]float64{"words": 11, "letters": 7, "mask": 2, "edges": 6} {
		var all [][]float64
		for i := range n.Len() {
			s, err := n.Sample(i)
			if err != nil {
				t.Fatal(err)
			}
			v, err := s.Inputs[name].Float64s()
			if err != nil {
				t.Fatal(err)
			}
			if low, high := slices.Min(v), slices.Max(v); name == "mask" && (low != 1 || high != 1) || low < 0 || high >= rows {
				t.Errorf("%s: numbers from %v to %v of %v", name, low, high, rows)
			}
			if same := slices.ContainsFunc(all, func(w []float64) bool { return slices.Equal(v, w) }); same != (name == "mask" && i > 0) {
				t.Errorf("%s: sample %d is one that was before: %v", name, i, same)
			}
			all = append(all, v)
		}
	}
}

// Samples that are all the same tell nothing of a model: numbers, and rows of a table that has several, differ.
func TestNoiseTells(t *testing.T) {
	for name, c := range map[string]struct {
		typ  tensor.Type
		rows int // of the table that the input's numbers are looked up in, if any
		want bool
	}{
		"numbers":       {tensor.Float32, 0, true},
		"tokens":        {tensor.Int64, 30, true},
		"one row":       {tensor.Int64, 1, false},
		"other indices": {tensor.Int64, 0, false},
		"conditions":    {tensor.Bool, 0, false},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", c.typ, 1, 5)
		if c.rows > 0 {
			b.Output(b.Node("Gather", []string{b.Weight("table", c.rows, c.rows, 4), x}), tensor.Float32, 1, 5, 4)
		} else {
			b.Output(b.Node("Identity", []string{x}), c.typ, 1, 5)
		}
		n, err := newNoise(built(t, b), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.tells(); got != c.want {
			t.Errorf("%s: random inputs tell something: %v", name, got)
		}
	}
}

func TestNoiseNeedsShapes(t *testing.T) {
	m := oneInput(t, tensor.Float32, "N", "T")
	_, err := newNoise(m, nil, 1)
	testkit.WantError(t, err, `"in"`, `"T"`, string(OptionInputShapes))
	n, err := newNoise(m, map[string][]int{"in": {2, 5}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := n.Sample(0); err != nil || !reflect.DeepEqual(s.Inputs["in"].Shape, []int{2, 5}) {
		t.Errorf("shape %v, %v", s.Inputs["in"].Shape, err)
	}
	if _, err := newNoise(m, map[string][]int{"in": {1 << 40, 1 << 40}}, 1); err == nil {
		t.Error("a sample beyond all memory was drawn")
	}
}

// TestUnverified: without shapes for random inputs a run says what is missing.
func TestUnverified(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, zoo(t, "conv_dynamic"), Options{Targets: []Target{half(Params)}})
	if r.Verification != nil {
		t.Errorf("verified on %s", r.Verification.Data)
	}
	testkit.WantError(t, errors.New(r.Unverified), "no samples were given", `"H"`, string(OptionInputShapes))
	r, _ = run(t, zoo(t, "conv_dynamic"), Options{Targets: []Target{half(Params)}, InputShapes: map[string][]int{"x": {1, 6, 9, 11}}})
	if r.Verification == nil || r.Verification.Samples != noiseSamples || r.Verification.Data != "random inputs" {
		t.Errorf("verification %+v, unverified %q", r.Verification, r.Unverified)
	}
}

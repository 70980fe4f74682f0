package samples

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// decoding are inputs of a decoder: one row of ids, and others.
func decoding(others ...InputSpec) []InputSpec {
	return append([]InputSpec{{Name: "input_ids", Type: tensor.Int64, Shape: []int{-1, -1}}}, others...)
}

func ids(t *testing.T, rows, columns int, v ...int64) string {
	t.Helper()
	return testkit.SaveArrays(t, map[string]tensor.Dense{"input_ids": tensor.FromInt64([]int{rows, columns}, v)})
}

// Every input that follows from ids has the numbers and the shape that a decoder wants, and the samples' description says what was made.
func TestMade(t *testing.T) {
	path := ids(t, 2, 4, 5, 6, 7, 8, 9, 4, 0, 0)
	for _, c := range []struct {
		spec  InputSpec
		shape []int
		want  []float64 // of the second text
		said  string
	}{
		{InputSpec{Name: "attention_mask", Type: tensor.Int64, Shape: []int{-1, -1}}, []int{4}, []float64{1, 1, 0, 0}, "attention_mask (ones, 0 at padding, which is 0)"},
		{InputSpec{Name: "attention_mask", Type: tensor.Float32, Shape: []int{-1, -1}}, []int{4}, []float64{1, 1, 0, 0}, "attention_mask (ones"},
		{InputSpec{Name: "attention_mask", Type: tensor.Bool, Shape: []int{-1, -1}}, []int{4}, []float64{1, 1, 0, 0}, "attention_mask (ones"},
		{InputSpec{Name: "position_ids", Type: tensor.Int64, Shape: []int{-1, -1}}, []int{4}, []float64{0, 1, 2, 2}, "position_ids (counting)"},
		{InputSpec{Name: "token_type_ids", Type: tensor.Int32, Shape: []int{-1, -1}}, []int{4}, []float64{0, 0, 0, 0}, "token_type_ids (zeros)"},
		{InputSpec{Name: "cache_position", Type: tensor.Int64, Shape: []int{-1}}, []int{4}, []float64{0, 1, 2, 3}, "cache_position (counting)"},
		{InputSpec{Name: "use_cache_branch", Type: tensor.Bool, Shape: []int{1}}, []int{}, []float64{0}, "use_cache_branch (false)"},
		{InputSpec{Name: "num_logits_to_keep", Type: tensor.Int64, Shape: []int{}}, []int{}, []float64{0}, "num_logits_to_keep (0, all)"},
		{InputSpec{Name: "past_key_values.0.key", Type: tensor.Float16, Shape: []int{-1, 3, -1, 8}}, []int{3, 0, 8}, []float64{}, "1 of past_key_values (empty)"},
		{InputSpec{Name: "past_key_values.0.key", Type: tensor.Float32, Shape: []int{1, 3, -1, 8}}, []int{3, 0, 8}, []float64{}, "1 of past_key_values (empty)"},
		{InputSpec{Name: "past_0", Type: tensor.Float32, Shape: []int{2, -1, 3, -1, 8}}, []int{2, 3, 0, 8}, []float64{}, "1 of past_0 (empty)"},
	} {
		src := mustOpen(t, path, SourceOptions{}, decoding(c.spec)...)
		s, err := src.Sample(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(decoding(c.spec)); err != nil {
			t.Error(err)
		}
		d := s.Inputs[c.spec.Name]
		v, err := d.Float64s()
		if err != nil || d.Type != c.spec.Type || !slices.Equal(d.Shape, c.shape) || !slices.Equal(v, c.want) {
			t.Errorf("%s: %s%v %v, %v; want %v %v", c.spec, d.Type, d.Shape, v, err, c.shape, c.want)
		}
		if got := src.Describe(); !strings.Contains(got, "; made of input_ids: "+c.said) {
			t.Errorf("%s: %s", c.spec, got)
		}
	}
}

// A decoder that makes the keys of what an encoder gave anew takes them as zeros, of as many positions.
func TestMadeForEncoder(t *testing.T) {
	path := testkit.SaveArrays(t, map[string]tensor.Dense{
		"input_ids": tensor.FromInt64([]int{1, 2}, []int64{5, 6}), "encoder_hidden_states": tensor.FromFloat32([]int{1, 3, 1}, []float32{1, 2, 3}),
	})
	inputs := decoding(InputSpec{Name: "encoder_hidden_states", Type: tensor.Float32, Shape: []int{-1, -1, 1}}, InputSpec{Name: "use_cache_branch", Type: tensor.Bool, Shape: []int{1}},
		InputSpec{Name: "past_key_values.0.decoder.key", Type: tensor.Float32, Shape: []int{-1, 2, -1, 4}}, InputSpec{Name: "past_key_values.0.encoder.key", Type: tensor.Float32, Shape: []int{-1, 2, -1, 4}})
	s, err := mustOpen(t, path, SourceOptions{}, inputs...).Sample(0)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int{"past_key_values.0.decoder.key": {2, 0, 4}, "past_key_values.0.encoder.key": {2, 3, 4}} {
		if got := s.Inputs[name].Shape; !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// ONNX Runtime GenAI's builder leaves open how many channels a head of a cache has: the attention that reads it says so.
func TestOpenCaches(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8).Import("com.microsoft", 1)
	ids, mask := b.Input("input_ids", tensor.Int64, "batch", "seq"), b.Input("attention_mask", tensor.Int64, "batch", "total")
	key, value := b.Input("past_key_values.0.key", tensor.Float32, "batch", 2, "past", "channels"), b.Input("past_key_values.0.value", tensor.Float32, "batch", 2, "past", "channels")
	x := b.Linear(b.Node("Gather", []string{b.Random("words", -1, 1, 10, 16), ids}), 16, 32, false) // 4 heads of queries, 2 of keys, 2 of values
	b.Node("com.microsoft::GroupQueryAttention", []string{x, "", "", key, value, mask}, graph.Int("num_heads", 4), graph.Int("kv_num_heads", 2))
	b.Output(b.Rename("y"), tensor.Float32, "batch", "seq", 16)
	inputs, err := Inputs(testkit.Built(t, b))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inputs[2:] {
		if want := []int{-1, 2, -1, 4}; !slices.Equal(in.Shape, want) {
			t.Errorf("%s, want %v", in, want)
		}
	}
}

// A cache that is kept as long as a window has room for it, one that grows has none; texts with padding do not go with such caches.
func TestRooms(t *testing.T) {
	inputs, err := Inputs(testkit.Built(t, testmodels.Windowed(1)))
	if err != nil {
		t.Fatal(err)
	}
	room := map[string]int{}
	for _, in := range inputs {
		if room[in.Name] = in.Room; in.Type.IsFloat() && !slices.Equal(in.Shape, []int{-1, 2, -1, 16}) {
			t.Errorf("%s", in)
		}
	}
	want := map[string]int{"input_ids": 0, "attention_mask": 0, "past_key_values.1.key": 0, "past_key_values.1.value": 0}
	for _, kind := range []string{"key", "value"} {
		want["past_key_values.0."+kind] = testmodels.Window
	}
	if !maps.Equal(room, want) {
		t.Errorf("%v, want %v", room, want)
	}
	for i, want := range [][]int{nil, nil, {1, 2, testmodels.Window, 16}, {1, 2, testmodels.Window, 16}, {1, 2, 0, 16}, {1, 2, 0, 16}} {
		if got, ok := inputs[i].Past(); ok != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%s before the first token: %v, want %v", inputs[i], got, want)
		}
	}
	src := mustOpen(t, ids(t, 2, 2, 5, 6, 7, 8), SourceOptions{}, inputs...)
	s := mustSample(t, src, 1)
	for name, want := range map[string][]int{"past_key_values.0.key": {2, testmodels.Window, 16}, "past_key_values.1.key": {2, 0, 16}} {
		if got := s.Inputs[name]; !slices.Equal(got.Shape, want) || slices.ContainsFunc(got.Data, func(b byte) bool { return b != 0 }) {
			t.Errorf("%s is %v", name, got)
		}
	}
	if got, want := src.Describe(), "2 of past_key_values (empty), 2 of past_key_values (room for the window, unused)"; !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	_, err = Open(ids(t, 2, 4, 5, 6, 7, 8, 9, 4, 0, 0), SourceOptions{}, inputs)
	testkit.WantError(t, err, "takes no padding, which is 0 here; give texts of as many tokens each")
}

// What cannot be made is refused with words, and what the file has is not made.
func TestNotMade(t *testing.T) {
	path := ids(t, 1, 2, 5, 6)
	for want, spec := range map[string]InputSpec{
		"no array for the input pixel_values":             {Name: "pixel_values", Type: tensor.Float32, Shape: []int{-1, 3, 8, 8}},
		"no array for the input position_ids":             {Name: "position_ids", Type: tensor.Int64, Shape: []int{3, -1, -1}},
		"no array for the input past_key_values.0.key":    {Name: "past_key_values.0.key", Type: tensor.Float32, Shape: []int{-1, 3, 64, 8}},
		"no array for the input past_key_values.0.value":  {Name: "past_key_values.0.value", Type: tensor.Float32, Shape: []int{-1, -1, -1, 8}},
		"attention_mask, position_ids and token_type_ids": {Name: "encoder_hidden_states", Type: tensor.Float32, Shape: []int{-1, -1, 8}},
	} {
		_, err := Open(path, SourceOptions{}, decoding(spec))
		testkit.WantError(t, err, want)
	}
	cross := decoding(InputSpec{Name: "past_key_values.0.encoder.key", Type: tensor.Float32, Shape: []int{-1, 3, -1, 8}})
	_, err := Open(path, SourceOptions{}, cross)
	testkit.WantError(t, err, "no array for the input past_key_values.0.encoder.key")
	mask := InputSpec{Name: "attention_mask", Type: tensor.Int64, Shape: []int{-1, -1}}
	_, err = Open(testkit.SaveArrays(t, map[string]tensor.Dense{"x": tensor.FromFloat32([]int{1, 2}, []float32{1, 2})}), SourceOptions{}, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 2}}, mask})
	testkit.WantError(t, err, "no array has the ids of tokens")
	given := testkit.SaveArrays(t, map[string]tensor.Dense{"input_ids": tensor.FromInt64([]int{1, 2}, []int64{5, 6}), "attention_mask": tensor.FromInt64([]int{1, 2}, []int64{0, 1})})
	src := mustOpen(t, given, SourceOptions{}, decoding(mask)...)
	if s, err := src.Sample(0); err != nil || strings.Contains(src.Describe(), "made") {
		t.Errorf("%s: %v", src.Describe(), err)
	} else if v, _ := s.Inputs["attention_mask"].Int64s(); !slices.Equal(v, []int64{0, 1}) {
		t.Errorf("the mask given becomes %v", v)
	}
	if _, err := Open(given, SourceOptions{Labels: NextToken}, decoding(mask)); err != nil {
		t.Error(err)
	}
	_, err = Open(testkit.SaveArrays(t, map[string]tensor.Dense{"x": tensor.FromFloat32([]int{1, 2}, []float32{1, 2})}), SourceOptions{Labels: NextToken}, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 2}}})
	testkit.WantError(t, err, "no input of the model takes the ids of tokens")
}

// Padding is what stands in runs at one end of texts and nowhere else.
func TestFindPadding(t *testing.T) {
	for name, c := range map[string]struct {
		texts [][]int64
		want  padding
	}{
		"none":                   {[][]int64{{1, 2, 3}, {2, 3, 1}}, padding{}},
		"behind":                 {[][]int64{{1, 2, 3}, {2, 0, 0}, {4, 1, 0}}, padding{there: true}},
		"before":                 {[][]int64{{7, 7, 3}, {2, 1, 3}}, padding{there: true, before: true, id: 7}},
		"a word that is doubled": {[][]int64{{1, 2, 2}, {2, 3, 1}}, padding{}},
		"the end of texts too":   {[][]int64{{1, 9, 9}, {3, 9, 4}}, padding{}},
		"the first of two":       {[][]int64{{1, 2, 2}, {3, 2, 0}, {4, 0, 0}}, padding{there: true}},
	} {
		if got := findPadding(c.texts); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got := (padding{there: true}).real([]int64{0, 0, 0}); !slices.Equal(got, []bool{true, false, false}) {
		t.Errorf("of padding alone %v", got)
	}
}

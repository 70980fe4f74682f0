package outputs

import (
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestBoxes: the boxes of a detector are told from the scores of classes, with which they are joined or beside which they stand.
func TestBoxes(t *testing.T) {
	type outs = map[string][]any
	join := func(of ...string) func(b *testmodels.Builder, y string) {
		return func(b *testmodels.Builder, y string) {
			var parts []string
			for _, op := range of {
				parts = append(parts, one(b, op, y))
			}
			b.Node("Concat", parts, graph.Int("axis", 1))
			b.Rename("out")
		}
	}
	for name, c := range map[string]struct {
		build func(b *testmodels.Builder, y string)
		outs  outs
		want  Kind
	}{
		"joined":            {join("Exp", "Sigmoid"), outs{"out": {"N", 22, "places"}}, Boxes},
		"joined, last":      {join("Exp", "Sigmoid", "Sigmoid"), outs{"out": {1, 3549, 6}}, Boxes},
		"chances alone":     {join("Sigmoid", "Sigmoid"), outs{"out": {"N", 22, "places"}}, Scores},
		"numbers of a text": {join("Exp", "Exp"), outs{"out": {"N", 22, 100}}, Values},
		"joined for each":   {join("Exp", "Sigmoid"), outs{"out": {"N", 22}}, Scores},
		"scored beside":     {nil, outs{"out": {"N", 4420, 4}, "other": {"N", 4420, 2}}, Boxes},
		"classed beside":    {nil, outs{"out": {"N", "M", 4}, "other": {"N", "M"}}, Boxes},
		"found":             {nil, outs{"out": {"found", 4}, "other": {"found"}}, Boxes},
		"of other places":   {nil, outs{"out": {"N", 100, 4}, "other": {"N", 99, 2}}, Values},
		"another head":      {nil, outs{"out": {"N", 4}, "other": {"N", 2}}, Scores},
		"five numbers":      {nil, outs{"out": {"N", 100, 5}, "other": {"N", 100, 2}}, Values},
		"by its name":       {func(b *testmodels.Builder, y string) {}, outs{"pred_boxes": {"N", 4}}, Boxes},
		"a box's class":     {func(b *testmodels.Builder, y string) {}, outs{"box_class": {"N", 7}}, Scores},
	} {
		b := testmodels.NewBuilder(5, 13, 8)
		y := b.Linear(b.Input("x", tensor.Float32, "N", 8), 8, 16, true)
		first := "out"
		for out := range c.outs {
			if out != "other" {
				first = out
			}
		}
		if c.build == nil || first != "out" {
			one(b, "Identity", y)
			b.Rename(first)
		} else {
			c.build(b, y)
		}
		b.Output(first, tensor.Float32, c.outs[first]...)
		if other, ok := c.outs["other"]; ok {
			one(b, "Sigmoid", y)
			b.Output(b.Rename("other"), tensor.Float32, other...)
		}
		list, err := Of(testkit.Built(t, b), Options{})
		if err != nil || list[0].Kind != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, list, err, c.want)
		}
	}
}

// TestSuppressed: behind a non-maximum suppression the boxes are told from their scores and labels by their shapes and types, and by their names
// where nothing else is known.
func TestSuppressed(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  tensor.Type
		dims []any
		want Kind
	}{
		{"out", tensor.Float32, []any{"found", 4}, Boxes},
		{"out", tensor.Float32, []any{1, 300, 6}, Boxes},
		{"out", tensor.Float32, []any{"found", 7}, Boxes},
		{"det_boxes", tensor.Float32, []any{"found", "sides"}, Boxes},
		{"out", tensor.Float32, []any{}, Values},
		{"out", tensor.Float32, []any{"found"}, Values},
		{"out", tensor.Float32, []any{1, 100}, Values},
		{"out", tensor.Int64, []any{"found"}, Values},
		{"out", tensor.Int64, []any{"found", 4}, Values},
		{"masks", tensor.Float32, []any{"found", 1, 28, 28}, Values},
	} {
		b := testmodels.NewBuilder(5, 13, 8)
		x := b.Input("x", tensor.Float32, "N", 8)
		y := b.Linear(x, 8, 4, true)
		one(b, "Gather", y, one(b, "NonMaxSuppression", x, y))
		b.Output(b.Rename(c.name), c.typ, c.dims...)
		list, err := Of(testkit.Built(t, b), Options{})
		if err != nil || list[0].Kind != c.want {
			t.Errorf("%s %s%v: %+v, %v; want %s", c.name, c.typ, c.dims, list, err, c.want)
		}
	}
	for name, want := range map[string]bool{"out": true, "det_scores": false, "det_boxes": true} {
		if got := (&walk{}).corners(graph.NewValue(name, tensor.Float32, nil)); got != want {
			t.Errorf("%s of unknown shape: boxes %v, want %v", name, got, want)
		}
	}
}

// TestDoubt: four numbers that no softmax makes may be scores or a box, which is said with the flag that settles it. A shape that no
// scores have leaves what they may be otherwise.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		op   string
		dims []any
		o    Options
		want bool
	}{
		{"Identity", []any{"N", 4}, Options{}, true},
		{"Sigmoid", []any{"N", 4}, Options{}, true},
		{"Softmax", []any{"N", 4}, Options{}, false},
		{"Identity", []any{"N", 5}, Options{}, false},
		{"Identity", []any{"N", 4}, Options{Classes: "out"}, false},
		{"Identity", []any{"N", 4}, Options{Kinds: map[string]Kind{"out": Scores}}, false},
		{"Identity", []any{"N", 4}, Options{Kinds: map[string]Kind{"out": Boxes}}, false},
	} {
		list, err := Of(ended(t, func(b *testmodels.Builder, _, y string) string { return one(b, c.op, y) }, c.dims...), c.o)
		if err != nil || (list[0].Doubt != "") != c.want || c.want && !strings.Contains(list[0].Doubt, "--kind out=boxes") {
			t.Errorf("%s%v: %+v, %v", c.op, c.dims, list, err)
		}
	}
	m := ended(t, func(b *testmodels.Builder, _, y string) string { return one(b, "Sigmoid", y) }, "N", 4, "H", "W")
	list, err := Of(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := list[0].At([]int{2, 4, 1, 1}), list[0].At([]int{2, 4, 7, 7}); a.Kind != Scores || b.Kind != Mask || b.Doubt != "" {
		t.Errorf("%+v, %+v", a, b)
	}
	if list, err = Of(m, Options{Classes: "out"}); err != nil || list[0].At([]int{2, 4, 7, 7}).Kind != Scores {
		t.Errorf("%+v, %v", list, err)
	}
}

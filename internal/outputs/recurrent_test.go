package outputs

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// recurrent takes x, memory and other, and gives y and z, of which make is told how z comes about.
func recurrent(t *testing.T, dims []any, make func(b *testmodels.Builder, x, memory, other string) string) *graph.Graph {
	t.Helper()
	b := testmodels.NewBuilder(5, 17, 8)
	x, memory, other := b.Input("x", tensor.Float32, "T", "N", 8), b.Input("memory", tensor.Float32, 1, "N", 8), b.Input("other", tensor.Float32, 1, "N", 8)
	b.Output(b.Node("Softmax", []string{x}), tensor.Float32, "T", "N", 8)
	make(b, x, memory, other)
	b.Output(b.Rename("z"), tensor.Float32, dims...)
	return graph.Of(testkit.Built(t, b))
}

// TestRecurs: what a recurrent operator ends with, or a stream keeps of what it saw, is a state whatever it is called, where an input is what that began
// with; all else of such operators is not.
func TestRecurs(t *testing.T) {
	gru := func(b *testmodels.Builder, x, h string, which int) string {
		out := b.Several("GRU", []string{x, b.Weight("w", 8, 1, 24, 8), b.Weight("r", 8, 1, 24, 8), "", "", h}, 2, graph.Int("hidden_size", 8))
		return b.Node("Identity", []string{out[which]})
	}
	last := func(b *testmodels.Builder, joined string) string {
		return b.Node("Slice", []string{joined, b.Ints("from", -1), b.Ints("to", 1<<30), b.Ints("axes", 0)})
	}
	same := []any{1, "N", 8}
	type build = func(b *testmodels.Builder, x, memory, other string) string
	for name, c := range map[string]struct {
		make build
		dims []any
		want bool
	}{
		"the end of a GRU": {func(b *testmodels.Builder, x, memory, _ string) string { return gru(b, x, memory, 1) }, same, true},
		"all it gives":     {func(b *testmodels.Builder, x, memory, _ string) string { return gru(b, x, memory, 0) }, []any{"T", 1, "N", 8}, false},
		"of a part": {func(b *testmodels.Builder, x, memory, _ string) string {
			return gru(b, x, b.Node("Unsqueeze", []string{b.Node("Gather", []string{memory, b.Tensor("first", tensor.Int64, nil, []float64{0})}, graph.Int("axis", 0)), b.Ints("axes", 0)}), 1)
		}, same, true},
		"of two": {func(b *testmodels.Builder, x, memory, _ string) string {
			one := gru(b, x, memory, 1)
			return b.Node("Concat", []string{one, one}, graph.Int("axis", 0))
		}, []any{2, "N", 8}, false}, // of another size than what it began with
		"begun with what was worked out": {func(b *testmodels.Builder, x, memory, _ string) string {
			return gru(b, x, b.Node("Tanh", []string{memory}), 1)
		}, same, false},
		"begun with nothing": {func(b *testmodels.Builder, x, _, _ string) string { return gru(b, x, "", 1) }, same, false},
		"the end of a stream": {func(b *testmodels.Builder, x, memory, _ string) string {
			return last(b, b.Node("Concat", []string{memory, x}, graph.Int("axis", 0)))
		}, same, true},
		"the end of others": {func(b *testmodels.Builder, x, _, _ string) string {
			return last(b, b.Node("Concat", []string{x, x}, graph.Int("axis", 0)))
		}, same, false},
	} {
		g := recurrent(t, c.dims, c.make)
		list, err := Of(g.Model(), Options{})
		if err != nil || (list[1].Kind == State) != c.want || (list[1].Weight == 0) != c.want {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
		if began := Began(g); began["memory"] != c.want || began["x"] || began["other"] {
			t.Errorf("%s: %v", name, began)
		}
	}
}

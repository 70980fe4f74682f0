package compress

import (
	"errors"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestSkipsInGraphOrder: nodes left alone are listed as they stand in the graph, whatever
// the reason and whenever it came up.
func TestSkipsInGraphOrder(t *testing.T) {
	m := zoo(t, "cnn")
	a, err := Analyse(t.Context(), m, Options{Select: Selection{Keep: []string{"Conv_5", "Conv_2"}}})
	if err != nil {
		t.Fatal(err)
	}
	a = a.without(func(s *rewrite.Site) string {
		if s.Name == "Conv_3" || s.Name == "Conv_7" {
			return "for a test"
		}
		return ""
	})
	var names []string
	for _, s := range a.Skips {
		names = append(names, s.Name)
	}
	if want := []string{"Conv_2", "Conv_3", "Conv_5", "Conv_7"}; !slices.Equal(names, want) {
		t.Errorf("left alone: %v, want %v", names, want)
	}
	if slices.ContainsFunc(a.Sites, func(s rewrite.Site) bool { return slices.Contains(names, s.Name) }) {
		t.Error("a node is a site and left alone")
	}
}

// TestLeaveSettles: a weight stays when one of the sites that share it is taken out.
func TestLeaveSettles(t *testing.T) {
	a, err := Analyse(t.Context(), twice(t, false), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Sites[0].WeightStays {
		t.Fatal("the weight stays though all its users are sites")
	}
	less := a.without(func(s *rewrite.Site) string {
		if s.Op == "Gemm" {
			return "for a test"
		}
		return ""
	})
	if !less.Sites[0].WeightStays {
		t.Error("the weight goes though a node that is left alone reads it")
	}
	if a.Sites[0].WeightStays || len(less.Sites) >= len(a.Sites) || len(less.Skips) <= len(a.Skips) {
		t.Error("the analysis that a site was taken out of has changed")
	}
}

// TestUnknownSizes: under a macs target nodes of unknown size are left alone, and when that
// is all of them, the refusal shows a flag that helps.
func TestUnknownSizes(t *testing.T) {
	for _, c := range []struct{ model, flag string }{
		{"conv_dynamic", "Options.InputShapes x=1x6x224x224"},
		{"embedding", "Options.InputShapes ids=1x128"},
	} {
		m := zoo(t, c.model)
		a, err := Analyse(t.Context(), m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.placed([]Target{half(Params)}); err != nil {
			t.Errorf("%s: params need no sizes: %v", c.model, err)
		}
		_, err = a.placed([]Target{half(Params), half(MACs)})
		testkit.WantError(t, err, "unknown for all", c.flag)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%v is no UsageError", err)
		}
	}

	// One node of two has a size.
	b := testmodels.NewBuilder(1, 17, 8)
	x, y := b.Input("x", tensor.Float32, "N", 8), b.Input("y", tensor.Float32, "N", "T", 8)
	b.Output(b.Linear(x, 8, 8, false), tensor.Float32, "N", 8)
	b.Output(b.Linear(y, 8, 8, false), tensor.Float32, "N", "T", 8)
	a, err := Analyse(t.Context(), built(t, b), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.placed([]Target{half(MACs)}); err != nil {
		t.Fatal(err)
	}
	if len(a.Sites) != 1 || len(a.Skips) != 1 || a.Sites[0].Name != "MatMul_1" {
		t.Fatalf("%d sites, %d left alone", len(a.Sites), len(a.Skips))
	}
	testkit.WantError(t, errors.New(a.Skips[0].Reason), "its MACs are unknown", `"y"`)
}

// TestInspect: the same facts for scripts.
func TestInspect(t *testing.T) {
	m := zoo(t, "conv_dynamic")
	i, err := Inspect(m, nil, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if len(i.Unknown) != 2 || len(i.Uncounted) != 1 || i.MACs != 0 || i.Params != 550 || i.Sites[0].MACs != 0 {
		t.Errorf("%+v", i)
	}
	if i, err = Inspect(m, map[string][]int{"x": {1, 6, 9, 11}}, Selection{}); err != nil {
		t.Fatal(err)
	}
	want := SiteInspection{
		Name: "Conv_1", Op: "Conv", Weight: "conv_weight_1", Type: "float32", Out: 10, In: 6, Window: []int{3, 3}, Groups: 1,
		Params: 540, MACs: 540 * 99, BreakEven: 8, MaxRank: 10,
	}
	if len(i.Unknown)+len(i.Uncounted) != 0 || i.MACs != 540*99 || len(i.Sites) != 1 || i.Sites[0].Name != want.Name {
		t.Fatalf("%+v", i)
	}
	if got := i.Sites[0]; got.Weight != want.Weight || got.MACs != want.MACs || got.BreakEven != want.BreakEven || got.MaxRank != want.MaxRank ||
		got.Params != want.Params || got.Type != want.Type || got.Out != want.Out || got.In != want.In || !slices.Equal(got.Window, want.Window) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, bad := range []map[string][]int{{"z": {1, 6, 9, 11}}, {"x": {1, 5, 9, 11}}, {"x": {6, 9, 11}}} {
		_, err := Inspect(m, bad, Selection{})
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%v: %v is no UsageError", bad, err)
		}
	}
}

// TestInspectReadsNoWeights: a weight that cannot be right is none of its business.
func TestInspectReadsNoWeights(t *testing.T) {
	i, err := Inspect(poisoned(t, 0), nil, Selection{})
	if err != nil || len(i.Sites) != 2 {
		t.Fatalf("%+v, %v", i, err)
	}
	if i, err = Inspect(zoo(t, "quantized"), nil, Selection{}); err != nil || len(i.Sites) != 0 || len(i.Skipped) == 0 || i.Sites == nil {
		t.Errorf("%+v, %v; want no sites but an empty list", i, err)
	}
}

package compress

import (
	"bytes"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// attentive is multi-head attention with a residual, over rows "x" [N,8,12], of which groups of heads share values. What heads
// read is of a low rank, at directions that are no single channels.
func attentive(t testing.TB, heads, shared int) *onnxio.Model {
	t.Helper()
	const width, size = 12, 8
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 8, width)
	split := func(name, x string, heads int, perm ...int) string {
		x = b.Node("Reshape", []string{x, b.Ints(name+"_heads", 0, 8, heads, size)})
		return b.Node("Transpose", []string{x}, graph.Ints("perm", perm...))
	}
	q := split("q", b.Linear(b.Linear(x, width, 5, false), 5, heads*size, true), heads, 0, 2, 1, 3)
	k := split("k", b.Linear(x, width, heads*size, true), heads, 0, 2, 3, 1)
	v := split("v", b.Linear(b.Linear(x, width, 4, false), 4, shared*size, true), shared, 0, 2, 1, 3)
	if shared < heads {
		v = b.Node("Unsqueeze", []string{v, b.Ints("axis", 2)})
		v = b.Node("Expand", []string{v, b.Ints("times", 1, shared, heads/shared, 8, size)})
		v = b.Node("Reshape", []string{v, b.Ints("merged", -1, heads, 8, size)})
	}
	y := b.Node("MatMul", []string{b.Node("Softmax", []string{b.Node("MatMul", []string{q, k})}), v})
	y = b.Node("Transpose", []string{y}, graph.Ints("perm", 0, 2, 1, 3))
	y = b.Node("Reshape", []string{y, b.Ints("joined", 0, 8, heads*size)})
	y = b.Node("Add", []string{x, b.Linear(y, heads*size, width, true)})
	b.Node("Relu", []string{b.Linear(b.Node("Relu", []string{b.Linear(y, width, 24, true)}), 24, 5, true)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 8, 5)
	return built(t, b)
}

// TestHeads: heads of attention become narrower along directions of their own, which of values of rank four in heads of eight loses
// nothing at half of them; the nodes stay those of the original, and threads and the plan give the same bytes.
func TestHeads(t *testing.T) {
	needRuntime(t)
	for name, shared := range map[string]int{"own": 2, "shared": 1} {
		m := attentive(t, 2, shared)
		o := narrow(Options{Targets: []Target{share(Params, 0.86)}, Source: drawn(60, "x", 8, 12), CalibSamples: 48, RankMultiple: 1})
		r, first := run(t, m, o, threads(1))
		i := slices.IndexFunc(r.Axes, func(x AxisResult) bool { return x.Heads == shared && len(x.Readers) > 0 && len(x.Kept) < x.Units })
		if i < 0 {
			t.Fatalf("%s: no heads are narrower: %+v", name, r.Axes)
		}
		if x := r.Axes[i]; x.Loss > 0.05 && len(x.Kept) >= 4 {
			t.Errorf("%s: with %d of %d channels of rank 4, %g of the variance is lost", name, len(x.Kept), x.Units, x.Loss)
		}
		sameNodes(t, m, first)
		if _, again := run(t, m, o, threads(4)); !bytes.Equal(first, again) {
			t.Errorf("%s: other bytes with other threads", name)
		}
		given := Options{FromPlan: reread(t, PlanOf(r)), Source: o.Source, CalibSamples: o.CalibSamples, Probes: 1, AcceptDamage: true}
		if _, planned := run(t, m, given); !bytes.Equal(unrecorded(t, planned), unrecorded(t, first)) {
			t.Errorf("%s: the plan gives other bytes", name)
		}
	}
}

// TestHeadsBeside: chains beside narrower heads, whose sites were turned.
func TestHeadsBeside(t *testing.T) {
	needRuntime(t)
	o := narrow(Options{Targets: []Target{share(Params, 0.6)}, Source: drawn(60, "x", 8, 12), CalibSamples: 48, RankMultiple: 1})
	o.Methods = []string{Width, "svd"}
	m := attentive(t, 2, 2)
	both, written := run(t, m, o)
	if _, again := run(t, m, o, threads(1)); !bytes.Equal(written, again) {
		t.Error("other bytes with other threads")
	}
	for _, method := range o.Methods {
		alone := o
		alone.Methods = []string{method}
		r, _ := run(t, m, alone)
		if decibels(t, both) < decibels(t, r)-0.5 {
			t.Errorf("by both %.2f dB, by %s alone %.2f dB", decibels(t, both), method, decibels(t, r))
		}
	}
}

// decibels is the signal to noise ratio of a result's only output.
func decibels(t *testing.T, r *Result) float64 {
	t.Helper()
	if r.Verification == nil || len(r.Verification.Outputs) != 1 {
		t.Fatalf("verified: %+v", r.Verification)
	}
	return float64(*r.Verification.Outputs[0].SNR)
}

// TestPairs: queries and keys become narrower together, at what is felt of the queries. The model in which their heads are turned
// computes what the original does, and one with half of their channels about as much as is expected.
func TestPairs(t *testing.T) {
	needRuntime(t)
	m := attentive(t, 2, 2)
	o := narrow(Options{Targets: []Target{share(Params, 0.9)}, Source: drawn(60, "x", 8, 12), CalibSamples: 48, RankMultiple: 1, NoRefit: true, Select: Selection{Only: []string{"MatMul_2", "MatMul_3"}}})
	r, written := run(t, m, o, threads(1))
	x := r.Axes[slices.IndexFunc(r.Axes, func(x AxisResult) bool { return len(x.Products) > 0 })]
	if len(x.Kept) >= x.Units || x.Heads != 2 || len(x.Readers) > 0 || x.OutputChange == nil {
		t.Fatalf("queries and keys: %+v", x)
	}
	sameNodes(t, m, written)
	refitted := o
	refitted.NoRefit = false
	if again, _ := run(t, m, refitted); decibels(t, again) < decibels(t, r)-0.5 {
		t.Errorf("%.1f dB with a refit, %.1f without", decibels(t, again), decibels(t, r))
	}
	if db := decibels(t, r); db < 10 {
		t.Errorf("with %d of %d channels of queries and keys, %.1f dB", len(x.Kept), x.Units, db)
	}
	if _, again := run(t, m, o, threads(4)); !bytes.Equal(written, again) {
		t.Error("other bytes with other threads")
	}
	given := Options{FromPlan: reread(t, PlanOf(r)), Source: o.Source, CalibSamples: o.CalibSamples, Probes: 1, AcceptDamage: true, NoRefit: true}
	if _, planned := run(t, m, given); !bytes.Equal(unrecorded(t, planned), unrecorded(t, written)) {
		t.Error("the plan gives other bytes")
	}
}

// TestInspectOpen: axes are found where sizes of inputs are open, at sizes that are said.
func TestInspectOpen(t *testing.T) {
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Input("x", tensor.Float32, "N", "seq", 12)
	b.Linear(b.Node("Relu", []string{b.Linear(x, 12, 24, true)}), 24, 5, true)
	b.Output(b.Rename("y"), tensor.Float32, "N", "seq", 5)
	i, err := Inspect(built(t, b), nil, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if len(i.Axes) != 1 || i.Axes[0].Units != 24 || !slices.Equal(i.Supposed["x"], []int{1, 17, 12}) || len(i.Unknown) == 0 {
		t.Errorf("axes %+v, seen at %v, unknown %v", i.Axes, i.Supposed, i.Unknown)
	}
	if i, err = Inspect(built(t, b), map[string][]int{"x": {1, 8, 12}}, Selection{}); err != nil || len(i.Axes) != 1 || i.Supposed != nil {
		t.Errorf("with the shape given: axes %+v, seen at %v, %v", i.Axes, i.Supposed, err)
	}
}

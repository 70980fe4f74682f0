package compress

import (
	"bytes"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestWidthsMobile: half of the multiply-adds of networks of depthwise convolutions go by widths alone, in the nodes of the original.
func TestWidthsMobile(t *testing.T) {
	needRuntime(t)
	for name, b := range testmodels.Mobile(3) {
		m := built(t, b)
		r, written := run(t, m, narrow(Options{Targets: []Target{share(Params, 0.6)}, RankMultiple: 1}))
		sameNodes(t, m, written)
		heldAxes(t, r)
		if got := r.Targets[0]; r.Verification == nil || float64(got.Reached) > got.Limit || float64(got.Reached) < 0.8*got.Limit {
			t.Errorf("%s: %+v, %+v", name, r.Targets, r.Verification)
		}
	}
}

// TestWidthsByDefault: where nobody names methods, samples are there and no time is asked for, those axes may become narrower that have
// depthwise convolutions on their way, and hidden units of perceptrons at many places, and no others.
func TestWidthsByDefault(t *testing.T) {
	o := Options{Source: images(60), CalibSamples: 48, Targets: []Target{share(MACs, 0.8)}}
	axes := func(m *onnxio.Model, o Options) []rewrite.Axis {
		a, err := Analyse(t.Context(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		return a.Axes
	}
	grouped := func(x rewrite.Axis) bool {
		return slices.ContainsFunc(x.Between, func(n graph.Node) bool { return n.Has("group") })
	}
	found := 0
	for name, b := range testmodels.Mobile(3) {
		m := built(t, b)
		named, blind := o, o
		named.Methods = []string{Width}
		blind.Source = nil
		var want, got []string
		for _, x := range axes(m, named) {
			if grouped(x) || name == "convnext" { // whose perceptrons are products of matrices at all places
				want = append(want, x.Name)
			}
		}
		for _, x := range axes(m, o) {
			got = append(got, x.Name)
		}
		if found += len(got); !slices.Equal(got, want) {
			t.Errorf("%s: axes %q, want %q", name, got, want)
		}
		named.Methods = []string{"svd"}
		if len(axes(m, named))+len(axes(m, blind)) > 0 {
			t.Errorf("%s: axes where they are not wanted", name)
		}
	}
	if found == 0 {
		t.Error("no axes at all")
	}
	o.Targets = []Target{share(RunTime, 0.8)}
	if o.mayNarrow() {
		t.Error("axes where a time is asked for")
	}
	if list := axes(thin(t), Options{Source: o.Source, CalibSamples: 48}); len(list) > 0 {
		t.Errorf("%d axes without depthwise convolutions", len(list))
	}
}

// TestWidthsOfTransformersByDefault: so may hidden units and heads of a transformer, all that only matrix products at many positions compute and read,
// but not the units between two layers that see one column of each sample.
func TestWidthsOfTransformersByDefault(t *testing.T) {
	o := Options{Source: drawn(60, "x", 8, 12), CalibSamples: 48, Targets: []Target{share(Params, 0.8)}}
	m := attentive(t, 2, 2)
	named := o
	named.Methods = []string{"svd", Width}
	want, err := Analyse(t.Context(), m, named)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Analyse(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Axes) == 0 || len(got.Axes) != len(want.Axes) {
		t.Errorf("%d axes by default, %d where they are named", len(got.Axes), len(want.Axes))
	}

	b := testmodels.NewBuilder(5, 17, 8)
	b.Linear(b.Node("Relu", []string{b.Linear(b.Input("x", tensor.Float32, "N", 12), 12, 24, true)}), 24, 5, true)
	b.Output(b.Rename("y"), tensor.Float32, "N", 5)
	o.Source = drawn(60, "x", 12)
	if got, err = Analyse(t.Context(), built(t, b), o); err != nil || len(got.Axes) > 0 {
		t.Errorf("%d axes of a perceptron of one column, error %v", len(got.Axes), err)
	}
}

// TestPlanByDefault: the plan of a run that narrows axes by default gives the same bytes.
func TestPlanByDefault(t *testing.T) {
	needRuntime(t)
	for name, b := range testmodels.Mobile(3) {
		m := built(t, b)
		o := Options{Source: images(60), CalibSamples: 48, Targets: []Target{share(MACs, 0.7)}, Search: "lagrange", AcceptDamage: true}
		r, first := run(t, m, o)
		given := Options{FromPlan: reread(t, PlanOf(r)), Source: o.Source, CalibSamples: o.CalibSamples, AcceptDamage: true}
		if _, again := run(t, m, given); !bytes.Equal(unrecorded(t, again), unrecorded(t, first)) {
			t.Errorf("%s: the plan gives other bytes", name)
		}
	}
}

package calib

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// On a network with convolutions, normalizations and a shortcut, noise at a site's output
// changes the model's outputs by tr(G)/O of its energy.
func TestSensitivityAgainstDifferences(t *testing.T) {
	lib := orttest.Open(t)
	for _, name := range []string{"cnn", "transformer"} {
		t.Run(name, func(t *testing.T) {
			m := zooModel(t, name)
			src := sourceFor(t, m, 192) // so few that the ratios deviate by about 10 %
			sites := sitetest.Sites(t, m, src[0])
			o := Options{Probes: 4, Batch: 8}.withDefaults()
			stats := sensitivities(t, m, src, o)
			inputs := specs(t, m)
			c := newCollector(sites, inputs, o)
			gs, err := c.newGradients(feed.Host{Library: lib, Memory: o.Memory}, m, inputs)
			if err != nil {
				t.Fatal(err)
			}
			feed, err := feed.New(src, testkit.Count(len(src)), inputs, 8, 1)
			if err != nil {
				t.Fatal(err)
			}
			scales, err := gs.perturb(context.Background(), gs.sites, feed, 1, 3)
			if err != nil {
				t.Fatal(err)
			}
			for i, st := range stats {
				want := 0.
				for _, g := range st.G {
					want += trace(g) / float64(sites[i].Kernel.Out)
				}
				if r := scales[i] / want; !(math.Abs(r-1) < 0.25) {
					t.Errorf("%s: noise is worth %.4g of its energy at the output, gradients say %.4g", st.Site, scales[i], want)
				}
			}
		})
	}
}

// Of the sites around an operator without a rule, the one before it is perturbed. The
// operator multiplies by the matrix L of ones on and under the diagonal, so that its G has
// the trace of (S P Sᵀ) between L and Lᵀ.
func TestBlockedSite(t *testing.T) {
	m := chain(t, "N", 4, func(b *testmodels.Builder, x string) string {
		return b.Node("CumSum", []string{x, b.Ints("axis", 1)})
	})
	src := random(perturbed, "x", tensor.Float32, 6)
	stats := sensitivities(t, m, src, Options{Probes: 1, Threads: 2})
	if note := stats[0].Note; !strings.Contains(note, "perturbing") || !strings.Contains(note, "CumSum") {
		t.Errorf("note %q, want one that names CumSum", note)
	}
	if stats[1].Note != "" {
		t.Errorf("behind the operator: note %q", stats[1].Note)
	}
	sum := linalg.New(12, 12) // h ↦ h·sum
	for i := range 12 {
		for j := i; j < 12; j++ {
			sum.Set(i, j, 1)
		}
	}
	b := linalg.Gonum()
	jacobian := b.Mul(false, false, 1, b.Mul(false, false, 1, sum, matrix(t, m, "second")), centring(4))
	want := 0.
	for _, v := range jacobian.Data {
		want += v * v / 12
	}
	g := stats[0].G[0]
	// A single direction of 12 that counts would make the ratio deviate by √(2/256) = 9 %.
	if r := g.At(0, 0) / want; math.Abs(r-1) > 0.2 {
		t.Errorf("the scale is %g, want about %g", g.At(0, 0), want)
	}
	for i, v := range g.Data {
		if onDiagonal := i%13 == 0; onDiagonal && v != g.Data[0] || !onDiagonal && v != 0 {
			t.Fatalf("element %d of G is %g; want a multiple of the identity", i, v)
		}
	}
	again := sensitivities(t, m, src, Options{Probes: 1, Threads: 5})
	if !sameBits(again[0].G, stats[0].G) {
		t.Error("the scale depends on the threads")
	}
}

func TestUndefinedGradient(t *testing.T) {
	m := chain(t, "N", 4, func(b *testmodels.Builder, x string) string {
		return b.Node("Sqrt", []string{b.Node("Relu", []string{x})}) // the slope at 0 is infinite
	})
	st := sensitivities(t, m, random(40, "x", tensor.Float32, 6), Options{Probes: 1})[0]
	if !strings.Contains(st.Note, "not finite") || !(st.G[0].At(0, 0) > 0) {
		t.Errorf("note %q, scale %g, want a measured one", st.Note, st.G[0].At(0, 0))
	}
}

// TestUndefinedOutputs: where an output is NaN whatever is changed, the others tell how sensitive a site is.
func TestUndefinedOutputs(t *testing.T) {
	scale := func(undefined bool) float64 {
		m := chain(t, "N", 4, func(b *testmodels.Builder, x string) string {
			x = b.Node("CumSum", []string{x, b.Ints("axis", 1)})
			if undefined {
				b.Output(b.Node("Sqrt", []string{b.Node("Neg", []string{b.Node("Exp", []string{x})})}), tensor.Float32, "N", 12)
			}
			return x
		})
		return sensitivities(t, m, random(60, "x", tensor.Float32, 6), Options{Probes: 1})[0].G[0].At(0, 0)
	}
	if with, without := scale(true), scale(false); !(with > 0) || math.Abs(with/without-1) > 1e-6 {
		t.Errorf("the scale is %g, without an output that is always NaN %g", with, without)
	}
}

func TestNoOutputToBeSensitive(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 6)
	b.Node("ArgMax", []string{b.Linear(x, 6, 8, false)}, graph.Int("axis", 1))
	b.Output(b.Rename("y"), tensor.Int64, "N", 1)
	st := sensitivities(t, testkit.Built(t, b), random(3, "x", tensor.Float32, 6), Options{Probes: 1})[0]
	if st.G != nil || !strings.Contains(st.Note, "floating-point") || st.A == nil {
		t.Errorf("%d groups of sensitivities, note %q", len(st.G), st.Note)
	}
}

// ONNX Runtime has no Add of opset 6, so that a convolution of it runs and noise cannot be added to what it computes.
func TestNoKernelForPerturbations(t *testing.T) {
	b := testmodels.NewBuilder(1, 6, 3)
	x := b.Input("x", tensor.Float32, "N", 3, 4)
	b.Conv(x, 3, 5, []int{1})
	b.Output(b.Rename("y"), tensor.Float32, "N", 5, 4)
	st := sensitivities(t, testkit.Built(t, b), random(3, "x", tensor.Float32, 3, 4), Options{Probes: 1})[0]
	if st.G != nil || !strings.Contains(st.Note, "does not take the model with perturbations") || st.A == nil {
		t.Errorf("%d groups of sensitivities, note %q", len(st.G), st.Note)
	}
}

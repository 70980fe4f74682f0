package compress

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// A network is compressed alike whether it is written in fused operators or in those that they consist of, and what stayed whole of
// the fused ones is still fused.
func TestFusedAsPlain(t *testing.T) {
	needRuntime(t)
	fused := built(t, testmodels.Fused(3))
	x, err := rewrite.Expand(fused, map[string][]int{"x": {1, 6, 32}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := save(t, x.Model)
	o := Options{Methods: []string{"svd"}, Targets: []Target{{Resource: Params, Value: 0.7, Fraction: true}}, Source: drawn(64, "x", 6, 32), CalibSamples: 32}
	compressed := func(m *onnxio.Model) (*onnxio.Model, *Result) {
		small, r, err := Compress(context.Background(), in(t), m, quick(o))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { small.Close() })
		return small, r
	}
	small, a := compressed(fused)
	_, b := compressed(plain)
	if len(a.Sites) != len(b.Sites) || len(a.Sites) != 8 {
		t.Fatalf("%d sites of the fused model, %d of the plain one", len(a.Sites), len(b.Sites))
	}
	for i, s := range a.Sites {
		if s.Note != "" {
			t.Errorf("%s: %s", s.Name, s.Note)
		}
		if p := b.Sites[i]; s.Method != p.Method || !slices.Equal(s.Rank, p.Rank) {
			t.Errorf("%s: %s %v, want %s %v", s.Name, s.Method, s.Rank, p.Method, p.Rank)
		}
	}
	if got, want := a.Verification.Outputs[0].SNR, b.Verification.Outputs[0].SNR; got == nil || want == nil || math.Abs(*got-*want) > 0.1 {
		t.Errorf("%v dB, want %v", got, want)
	}
	have := map[string]int{}
	for _, n := range graph.Of(small).Nodes() {
		have[n.Op()]++
	}
	for _, op := range []string{"SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "BiasGelu"} {
		if have["com.microsoft::"+op] != 1 {
			t.Errorf("%s is not one node any more: %v", op, have)
		}
	}
}

// Weights of recurrent operators and products written as Einsum, and weights stored behind Casts, are compressed from samples.
func TestWeightsInOddPlaces(t *testing.T) {
	needRuntime(t)
	for name, of := range map[string]struct {
		model   *testmodels.Builder
		samples memory
		sites   int
	}{
		"recurrent": {testmodels.Recurrents(5), drawn(40, "x", 6, 1, 16), 4},
		"cast":      {testmodels.CastWeights(9), drawn(40, "x", 3, 8, 8), 3},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Methods: []string{"svd"}, Targets: []Target{{Resource: Params, Value: 0.9, Fraction: true}}, Source: of.samples, CalibSamples: 24}
			small, r, err := Compress(context.Background(), in(t), built(t, of.model), quick(o))
			if err != nil {
				t.Fatal(err)
			}
			defer small.Close()
			if len(r.Sites) != of.sites {
				t.Errorf("%d sites, want %d", len(r.Sites), of.sites)
			}
			if snr := r.Verification.Outputs[0].SNR; snr == nil || *snr < 3 {
				t.Errorf("%.1f dB", *snr)
			}
		})
	}
}

// Weights of a model of fused operators are tuned through them.
func TestTuneFused(t *testing.T) {
	needRuntime(t)
	o := Options{
		Methods: []string{"svd"}, Targets: []Target{{Resource: Params, Value: 0.7, Fraction: true}}, Source: drawn(64, "x", 6, 32), CalibSamples: 32,
		Descent: &tune.Options{Epochs: 2},
	}
	small, r, err := Compress(context.Background(), in(t), built(t, testmodels.Fused(3)), quick(o))
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	if r.Tuning == nil || r.Tuning.Steps == 0 {
		t.Fatalf("nothing was tuned: %v", r.Tuning)
	}
	for _, n := range graph.Of(small).Nodes() {
		if n.Op() == "com.microsoft::SkipLayerNormalization" {
			return
		}
	}
	t.Error("the SkipLayerNormalization is not one node any more")
}

// Heads of a fused attention become narrower, and it stays fused.
func TestNarrowFused(t *testing.T) {
	needRuntime(t)
	o := Options{Methods: []string{"width"}, Targets: []Target{{Resource: Params, Value: 0.7, Fraction: true}}, Source: drawn(200, "x", 6, 32), CalibSamples: 128}
	fused := built(t, testmodels.Fused(3))
	small, r, err := Compress(context.Background(), in(t), fused, quick(o))
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	heads := 0
	for _, x := range r.Axes {
		if x.Heads > 0 && len(x.Kept) < x.Units {
			heads++
		}
	}
	if heads == 0 {
		t.Errorf("no heads have become narrower: %v", r.Axes)
	}
	have := map[string]int{}
	for _, n := range graph.Of(small).Nodes() {
		have[n.Op()]++
	}
	if have["com.microsoft::MultiHeadAttention"] != 1 || have["Softmax"] != 0 {
		t.Errorf("the attention is not one node any more: %v", have)
	}
	if snr := r.Verification.Outputs[0].SNR; snr == nil || *snr < 3 {
		t.Errorf("%.1f dB", *snr)
	}
}

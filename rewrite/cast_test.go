package rewrite_test

import (
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Weights that are stored in another type behind a Cast are sites, and their factors are stored and cast as they were.
func TestWeightsBehindCasts(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.CastWeights(9))
	defer m.Close()
	sites, skips := linear(t, m)
	if len(sites) != 3 {
		t.Fatalf("%d sites, want 3: %v", len(sites), skips)
	}
	r := rand.New(rand.NewPCG(5, 5))
	x := tensor.New(tensor.Float32, 2, 3, 8, 8)
	for i, v := 0, x.Float32s(); i < len(v); i++ {
		v[i] = float32(r.NormFloat64())
	}
	for _, s := range sites {
		if s.Dtype != tensor.Float16 || s.Computes() != tensor.Float32 {
			t.Errorf("%s is of %v and computes in %v", s.Name, s.Dtype, s.Computes())
		}
		if s.Bias() == rewrite.BiasNone {
			t.Errorf("%s has no bias", s.Name)
		}
	}
	small := rewritten(t, m, sites, 0)
	inputs := map[string]tensor.Dense{"x": x}
	if d := distance(t, execute(t, lib, m, inputs)[0], execute(t, lib, small, inputs)[0]); d > tolerance(tensor.Float16) {
		t.Errorf("moved by %.2g", d)
	}
	for _, w := range graph.Of(small).Initializers() {
		if w.Type() != tensor.Float16 {
			t.Errorf("%q is stored as %v", w.Name(), w.Type())
		}
	}
	for _, gone := range []string{"conv.w", "fc.w", "head.w"} {
		if _, ok := graph.Of(small).Initializer(gone); ok {
			t.Errorf("the weight %q is still there", gone)
		}
	}
	if _, _, err := rewrite.Axes(m, infer(m)); err != nil {
		t.Error(err)
	}
}

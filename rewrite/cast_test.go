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

// castWeights is a model that computes in float32 and stores its weights in float16: x [batch, 3, 8, 8] to y [batch, 20].
func castWeights() *testmodels.Builder {
	b := testmodels.NewBuilder(9, 17, 8)
	x := b.Input("x", tensor.Float32, "batch", 3, 8, 8)
	wide := func(value string) string {
		return b.Node("Cast", []string{value}, graph.Int("to", int(tensor.Float32)))
	}
	b.Float(tensor.Float16)
	w, bias := wide(b.Weight("conv.w", 27, 24, 3, 3, 3)), wide(b.Random("conv.b", -0.1, 0.1, 24))
	x = b.Node("Relu", []string{b.Node("Conv", []string{x, w, bias}, graph.Ints("kernel_shape", 3, 3))})
	x = b.Node("ReduceMean", []string{x}, graph.Ints("axes", 2, 3), graph.Int("keepdims", 0))
	x = b.Node("MatMul", []string{x, b.Node("Transpose", []string{wide(b.Weight("fc.w", 24, 30, 24))}, graph.Ints("perm", 1, 0))})
	x = b.Node("Add", []string{x, wide(b.Random("fc.b", -0.1, 0.1, 30))})
	b.Node("Gemm", []string{x, wide(b.Weight("head.w", 30, 20, 30)), wide(b.Random("head.b", -0.1, 0.1, 20))}, graph.Int("transB", 1))
	b.Float(tensor.Float32)
	b.Output(b.Rename("y"), tensor.Float32, "batch", 20)
	return b
}

// Weights that are stored in another type behind a Cast are sites, and their factors are stored and cast as they were.
func TestWeightsBehindCasts(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, castWeights())
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

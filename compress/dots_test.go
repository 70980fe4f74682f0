package compress

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// rotary is one layer of attention under rotary embeddings over rows "x" [N,8,12], two heads of eight channels. What one frequency turns
// hardly counts.
func rotary(t testing.TB) *onnxio.Model {
	t.Helper()
	const width, heads, size = 12, 2, 8
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 8, width)
	cosines, sines, scale := make([]float64, 64), make([]float64, 64), make([]float64, heads*size)
	for i := range cosines {
		angle := float64(i/size) * math.Pow(0.3, float64(i%size%4))
		cosines[i], sines[i] = math.Cos(angle), math.Sin(angle)
	}
	for i := range scale {
		if scale[i] = 1; i%4 == 1 {
			scale[i] = 0.05
		}
	}
	cos, sin := b.Tensor("cos", tensor.Float32, []int{8, size}, cosines), b.Tensor("sin", tensor.Float32, []int{8, size}, sines)
	turn := func(name string) string {
		y := b.Node("Mul", []string{b.Linear(x, width, heads*size, true), b.Tensor(name, tensor.Float32, []int{heads * size}, scale)})
		y = b.Node("Transpose", []string{b.Node("Reshape", []string{y, b.Ints(name+"_heads", 0, 8, heads, size)})}, graph.Ints("perm", 0, 2, 1, 3))
		half := b.Several("Split", []string{y}, 2, graph.Int("axis", -1))
		beside := b.Node("Concat", []string{b.Node("Neg", []string{half[1]}), half[0]}, graph.Int("axis", -1))
		return b.Node("Add", []string{b.Node("Mul", []string{y, cos}), b.Node("Mul", []string{beside, sin})})
	}
	q, k := turn("q"), b.Node("Transpose", []string{turn("k")}, graph.Ints("perm", 0, 1, 3, 2))
	v := b.Node("Reshape", []string{x, b.Ints("values", 0, 1, 8, width)})
	y := b.Node("MatMul", []string{b.Node("Softmax", []string{b.Node("MatMul", []string{q, k})}), v})
	b.Node("ReduceSum", []string{y, b.Ints("over", 1)}, graph.Int("keepdims", 0))
	b.Output(b.Rename("y"), tensor.Float32, "N", 8, width)
	return built(t, b)
}

// TestDots: queries and keys under rotary embeddings lose whole pairs of channels, those first that say least, and the tables of angles
// with them; the change is about what was expected, and threads and the plan give the same bytes.
func TestDots(t *testing.T) {
	needRuntime(t)
	m := rotary(t)
	for _, units := range []int{3, 2} {
		o := narrow(Options{Targets: []Target{share(Params, float64(units)/4+0.03)}, Source: drawn(120, "x", 8, 12), CalibSamples: 96, RankMultiple: 1})
		r, written := run(t, m, o, threads(1))
		x := r.Axes[0]
		if len(r.Axes) != 1 || x.Units != 4 || len(x.Kept) != units || slices.Contains(x.Kept, 1) || len(x.Products) != 1 || x.Heads != 0 {
			t.Fatalf("queries and keys: %+v", r.Axes)
		}
		sameNodes(t, m, written)
		if db := decibels(t, r); units == 3 && db < 30 {
			t.Errorf("without the pair that says least, %.1f dB", db)
		}
		if c := r.Plan.Corrections; units == 2 && (len(c) == 0 || c[0].Ratio < 0.3 || c[0].Ratio > 3) {
			t.Errorf("what was measured is not what was expected: %+v", c)
		}
		if _, again := run(t, m, o, threads(4)); !bytes.Equal(written, again) {
			t.Error("other bytes with other threads")
		}
		given := Options{FromPlan: reread(t, PlanOf(r)), Source: o.Source, CalibSamples: o.CalibSamples, Probes: 1, AcceptDamage: true}
		if _, planned := run(t, m, given); !bytes.Equal(unrecorded(t, planned), unrecorded(t, written)) {
			t.Error("the plan gives other bytes")
		}
	}
}

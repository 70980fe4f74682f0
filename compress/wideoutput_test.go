package compress

import (
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestWideOutput: a head whose G would take too much of the memory is factored like any other site, to nearly the losses that G
// gives, and its refit says why there is none.
func TestWideOutput(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Node("Tanh", []string{b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 12), b.Weight("first", 12, 12, 30)})})
	b.Node("MatMul", []string{x, b.Weight("head", 30, 30, 900)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 900)
	m := built(t, b)
	var losses []float64
	for _, memory := range []int64{1 << 30, 64 << 20} {
		o := Options{Targets: []Target{half(Params)}, Source: drawn(400, "x", 12), CalibSamples: 300, Probes: 1, Methods: []string{"svd"}, Memory: memory}
		r, _ := run(t, m, o)
		if len(r.Skipped) != 0 || len(r.Sites) != 2 || r.Sites[1].Method != "svd" || r.Verification == nil {
			t.Fatalf("memory %d: %+v, left alone %+v", memory, r.Sites, r.Skipped)
		}
		losses = append(losses, r.Sites[1].Loss)
		if why := r.Sites[1].Refit.Why; strings.Contains(why, "at its inputs alone") != (memory < 1<<30) {
			t.Errorf("memory %d: the refit says %q", memory, why)
		}
	}
	if !(losses[1] > 0.5*losses[0] && losses[1] < 2*losses[0]) {
		t.Errorf("losses %g, want them alike", losses)
	}
}

package compress

import (
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestSaturated: where no output moves on any sample, as behind a sigmoid that is saturated, gradients say nothing of what sites are worth.
// Losses are then those of the sites themselves, and no more goes than the target asks for.
func TestSaturated(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Node("Relu", []string{b.Linear(b.Input("x", tensor.Float32, "N", 32), 32, 48, true)})
	x = b.Node("Relu", []string{b.Linear(x, 48, 32, true)})
	x = b.Node("Add", []string{b.Linear(x, 32, 8, true), b.Tensor("low", tensor.Float32, []int{1}, []float64{-300})})
	b.Output(b.Node("Sigmoid", []string{x}), tensor.Float32, "N", 8)
	r, _ := run(t, built(t, b), Options{Source: drawn(300, "x", 32), Targets: []Target{share(MACs, 0.7)}, Probes: 1})
	if left := float64(r.Output.MACs) / float64(r.Input.MACs); left < 0.6 || left > 0.7 {
		t.Errorf("%.3f of the MACs are left; wanted is 0.7", left)
	}
	if r.Plan.Loss <= 0 || r.Plan.Measure != EnergyShare {
		t.Errorf("loss %v by %s", r.Plan.Loss, r.Plan.Measure)
	}
	for _, s := range r.Sites {
		if !strings.Contains(s.Note, "no output moves") {
			t.Errorf("site %s: note %q", s.Name, s.Note)
		}
	}
}

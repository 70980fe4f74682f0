package tune

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// The state of the last step is kept where no earlier one is surely better, and not where one is.
func TestLastState(t *testing.T) {
	original, small, src := fashion(t)
	tr, err := newTrainer(t.Context(), orttest.Open(t), original, small, src, testkit.Count(600), Options{Epochs: 2, Rate: 2e-3, Average: -1, Features: -1, Threads: 2}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	if err := tr.train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tr.best == nil {
		t.Fatal("nothing was learned")
	}
	good, curve := slices.Clone(tr.best), tr.curve[:len(tr.curve)-1]
	between := func(share float32) []float32 {
		out := slices.Clone(good)
		for i, v := range tr.start {
			out[i] += share * (v - out[i])
		}
		return out
	}
	for _, c := range []struct {
		share float32 // of the start in the last state
		kept  bool
	}{{0, true}, {0.5, false}} {
		tr.best, tr.at, tr.end = slices.Clone(good), 1, ""
		tr.curve = slices.Clone(curve)
		tr.curve[1].Held = 0 // so that the last one is not the best
		tr.weights = between(c.share)
		if err := tr.settle(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if kept := tr.at == 2 && slices.Equal(tr.best, tr.weights); kept != c.kept {
			t.Errorf("with a share of %g of the start: kept %v, want %v", c.share, kept, c.kept)
		}
		tr.best, tr.at = slices.Clone(good), 1
		tr.curve = slices.Clone(curve)
		tr.curve[1].Held = 0
		tr.step--
		if err := tr.settle(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if tr.step++; tr.at != 1 {
			t.Error("a state before the last step is kept, which is not the best")
		}
	}
}

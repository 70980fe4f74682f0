package decomp_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/linalg"
)

func TestRefitOfAnotherChain(t *testing.T) {
	kernel := decomp.Kernel{Shape: decomp.Shape{Out: 4, In: 4, Groups: 1}, Weights: make([]float64, 16)}
	for i := range 4 {
		kernel.Weights[5*i] = 1
	}
	good, err := factor(t, kernel, decomp.Metric{}).Chain(decomp.Rank{2})
	if err != nil {
		t.Fatal(err)
	}
	grouped := append(decomp.Chain{}, good...)
	grouped[0].Kernel.Groups = 2
	for name, start := range map[string]decomp.Chain{"none": nil, "one factor": good[:1], "grouped": grouped} {
		if _, err := method(t, "svd").Refit(linalg.Gonum(), kernel, decomp.Metric{}, start); err == nil {
			t.Errorf("%s: a chain of another kind was refitted", name)
		}
	}
}

package decomp_test

import (
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestEnergy: it is the loss of the kernel of zeros, in every form of the metric.
func TestEnergy(t *testing.T) {
	for _, s := range decomptest.Zoo() {
		got, err := s.Metric.Energy(linalg.Gonum(), s.Kernel)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		zero := s.Kernel
		zero.Weights = make([]float64, len(s.Kernel.Weights))
		if want := decomptest.Loss(s.Kernel, zero, s.Metric); math.Abs(got-want) > 1e-10*want {
			t.Errorf("%s: energy %g, measured %g", s.Name, got, want)
		}
	}
	if _, err := (decomp.Metric{}).Energy(linalg.Gonum(), decomp.Kernel{}); err == nil {
		t.Error("a kernel without a shape has an energy")
	}
}

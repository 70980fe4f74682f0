package decomptest

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
)

// elsewhere: a spectrum answers the same wherever its numbers lie, and does not write to them there.
func elsewhere(t *testing.T, s decomp.Spectrum, ranks []decomp.Rank) {
	t.Helper()
	var losses []float64
	var chains []decomp.Chain
	for _, r := range ranks {
		losses, chains = append(losses, lossOf(t, s, r)), append(chains, chainOf(t, s, r))
	}
	var there, copies [][]float64
	err := s.Move(func(v []float64) ([]float64, error) {
		to := slices.Clone(v)
		there, copies = append(there, to), append(copies, slices.Clone(v))
		return to, nil
	})
	if err != nil || len(there) == 0 {
		t.Fatalf("Move moves %d lists of numbers: %v", len(there), err)
	}
	for i, r := range ranks {
		if loss := lossOf(t, s, r); loss != losses[i] {
			t.Errorf("rank %v loses %g where the numbers were moved, and %g before", r, loss, losses[i])
		}
		for k, f := range chainOf(t, s, r) {
			if !slices.Equal(f.Kernel.Weights, chains[i][k].Kernel.Weights) {
				t.Errorf("rank %v: factor %d is another where the numbers were moved", r, k)
			}
		}
	}
	for i := range there {
		if !slices.Equal(there[i], copies[i]) {
			t.Errorf("list %d of the numbers moved was written to", i)
		}
	}
}

package decomptest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// betterThanMagnitude: in the mean of random problems, the choice of units loses less than that of the ones whose weights weigh
// most under the same metric, √tr(G W_c A_cc W_cᵀ), folded likewise. For every share that stays.
func betterThanMagnitude(t *testing.T, b linalg.Backend) {
	t.Helper()
	r := rand.New(rand.NewPCG(12, 1))
	const problems = 12
	for _, s := range []decomp.Shape{{Out: 8, In: 24, Groups: 1}, {Out: 6, In: 10, Window: []int{3}, Groups: 1}} {
		for _, share := range []float64{0.25, 0.5, 0.75} {
			chosen, heaviest := 0.0, 0.0
			for range problems {
				a := Axis{Units: s.In, Readers: []decomp.Reader{reading(r, s, math.Pow(10, -1-2*r.Float64()))}}
				e, k := eliminated(t, b, a), int(share*float64(s.In))
				chosen += lossOfUnits(a, folds(t, a, e, k)) / e.Energy() / problems
				heaviest += lossOfUnits(a, exactFolds(t, a, heaviestUnits(a)[:k])) / e.Energy() / problems
			}
			if !(chosen <= heaviest) {
				t.Errorf("%v kernels, %g of the units: %g of the energy is lost, by magnitude %g", s, share, chosen, heaviest)
			}
		}
	}
}

// heaviestUnits returns the units by what each alone adds to the outputs, those that add most first.
func heaviestUnits(a Axis) []int {
	weights, order := make([]float64, a.Units), make([]int, a.Units)
	for u := range order {
		order[u] = u
		for _, r := range a.Readers {
			alone := decomp.Kernel{Shape: r.Kernel.Shape, Weights: slices.Clone(r.Kernel.Weights)}
			for i := range alone.Weights {
				if i/(r.Kernel.Cols()/r.Kernel.In)%r.Kernel.In == u {
					alone.Weights[i] = 0
				}
			}
			weights[u] += r.Scale * Loss(r.Kernel, alone, r.Metric)
		}
	}
	slices.SortFunc(order, func(u, v int) int { return cmp.Compare(weights[v], weights[u]) })
	return order
}

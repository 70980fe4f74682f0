package decomp_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestSilence: losses are the sums over what left, fall with what stays, are the least for one unit, and in the mean far below those of
// dropping by size.
func TestSilence(t *testing.T) {
	const units, rank = 12, 6
	r := rand.New(rand.NewPCG(5, 33))
	mean := [2]float64{}
	for range 20 {
		x := gaussian(r, rank, units)
		h := linalg.Gonum().Mul(true, false, 1, x, x)
		order, losses, err := decomp.Silence(h, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := func(left []int) float64 {
			out := 0.0
			for _, i := range left {
				for _, j := range left {
					out += h.At(i, j)
				}
			}
			return out
		}
		for k := range units + 1 {
			if want := sum(order[k:]); losses[k] < want-1e-9 || k > 0 && losses[k] > losses[k-1] {
				t.Errorf("%d units lose %g, before %v; the sum over what left is %g", k, losses[k], losses[:k], want)
			}
		}
		for u := range units {
			if sum([]int{u}) < losses[units-1]-1e-12 {
				t.Errorf("unit %d alone loses %g, less than %d at %g", u, sum([]int{u}), order[units-1], losses[units-1])
			}
		}
		size := slices.Clone(order)
		slices.SortFunc(size, func(a, b int) int { return int(math.Copysign(1, h.At(b, b)-h.At(a, a))) })
		kept, given, err := decomp.Silence(h, size)
		if err != nil || !slices.Equal(kept, size) {
			t.Fatalf("the order %v became %v, %v", size, kept, err)
		}
		mean[0], mean[1] = mean[0]+losses[units/2], mean[1]+given[units/2]
	}
	if mean[0] > 0.7*mean[1] {
		t.Errorf("half of the units lose %g in the sum, by size %g", mean[0], mean[1])
	}
	_, _, err := decomp.Silence(linalg.New(3, 3), []int{0, 1, 1})
	testkit.WantError(t, err, "[0 1 1]", "each of 3 units once")
}

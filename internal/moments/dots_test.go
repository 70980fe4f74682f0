package moments

import (
	"math"
	"testing"
)

// TestShiftedDots holds sums of a channel with itself against those that are written out, at the ends of blocks and beyond the data.
func TestShiftedDots(t *testing.T) {
	for _, n := range []int{0, 1, 5, dotBlock - 1, dotBlock, 2*dotBlock + 3} {
		a, b := noise(n, 1), noise(n, 2)
		for _, offsets := range [][]int{{0}, {0, 1, 2, 3}, {-3, 2, 0, 7, dotBlock, -dotBlock}, {-n, n, n - 1, 1 - n, 3 * n}} {
			var buf []float64
			for k, got := range shiftedDots(a, b, offsets, &buf) {
				want := 0.
				for i, v := range a {
					if at := i + offsets[k]; at >= 0 && at < n {
						want += float64(v) * float64(b[at])
					}
				}
				if math.Abs(got-want) > 1e-4*math.Sqrt(float64(n)) {
					t.Errorf("%d numbers, offset %d: %g, want %g", n, offsets[k], got, want)
				}
			}
		}
	}
}

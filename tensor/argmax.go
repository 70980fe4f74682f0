package tensor

import "math"

// ArgMax returns the index of the largest number, the first of equals; -1 where one is NaN.
func ArgMax[F float32 | float64](v []F) int {
	best := 0
	for i, x := range v {
		if math.IsNaN(float64(x)) {
			return -1
		}
		if x > v[best] {
			best = i
		}
	}
	return best
}

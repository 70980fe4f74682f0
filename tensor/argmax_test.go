package tensor

import (
	"math"
	"testing"
)

func TestArgMax(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		v    []float64
		want int
	}{
		{nil, 0},
		{[]float64{-3}, 0},
		{[]float64{1, 5, 2}, 1},
		{[]float64{2, 7, 7, 1}, 1},
		{[]float64{-inf, 0, inf}, 2},
		{[]float64{3, nan, 9}, -1},
		{[]float64{9, 3, nan}, -1},
	} {
		if got := ArgMax(c.v); got != c.want {
			t.Errorf("%v: %d, want %d", c.v, got, c.want)
		}
	}
	if got := ArgMax([]float32{0, 2, 1}); got != 1 {
		t.Errorf("float32: %d", got)
	}
}

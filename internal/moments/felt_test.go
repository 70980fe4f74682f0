package moments

import (
	"math"
	"slices"
	"testing"
)

func TestRoots(t *testing.T) {
	f := Felt{2: {4, 0, 1}, 5: {1, 1, 2}}
	for _, c := range []struct {
		samples   []int
		positions int
		want      []float32
	}{
		{[]int{2}, 3, []float32{float32(math.Sqrt(1.6)), 0, float32(math.Sqrt(0.4))}},
		{[]int{5, 2}, 6, []float32{float32(math.Sqrt(5. / 9)), float32(math.Sqrt(5. / 9)), float32(math.Sqrt(10. / 9)), float32(math.Sqrt(20. / 9)), 0, float32(math.Sqrt(5. / 9))}},
		{[]int{1}, 3, nil}, // it is not weighed
		{[]int{2}, 4, nil}, // it has another size
		{[]int{2, 5}, 7, nil},
		{[]int{1, 3}, 2, nil},
	} {
		if got := f.Roots(c.samples, c.positions); !slices.Equal(got, c.want) {
			t.Errorf("samples %v at %d positions: %v, want %v", c.samples, c.positions, got, c.want)
		}
	}
	if got := Weigh([]float32{1, 2, 3, 4, 5, 6}, []float32{2, 0, 1}); !slices.Equal(got, []float32{2, 4, 5, 6}) {
		t.Errorf("weighed rows %v", got)
	}
}

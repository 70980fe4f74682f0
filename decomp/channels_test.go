package decomp

import (
	"slices"
	"testing"
)

// TestSome: input channels are taken out and put back, tap by tap and group by group.
func TestSome(t *testing.T) {
	whole := Kernel{Shape: Shape{Out: 4, In: 6, Window: []int{2}, Groups: 2}, Weights: make([]float64, 24)}
	for i := range whole.Weights {
		whole.Weights[i] = float64(i + 1)
	}
	channels := []int{0, 2, 3, 4} // the second of the first group and the third of the second go
	some := whole.Some(channels)
	if want := []float64{1, 2, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22}; some.In != 4 || some.Check() != nil || !slices.Equal(some.Weights, want) {
		t.Errorf("%v: %v, want %v", some.Shape, some.Weights, want)
	}
	back := some.Among(whole.Shape, channels)
	for i, v := range back.Weights {
		if want := whole.Weights[i]; i/2%3 == 1 && i < 12 || i/2%3 == 2 && i >= 12 {
			if v != 0 {
				t.Errorf("weight %d of a channel that goes is %g", i, v)
			}
		} else if v != want {
			t.Errorf("weight %d is %g, want %g", i, v, want)
		}
	}
}

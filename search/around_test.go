package search_test

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/search"
)

// TestAround: the rung chosen and the corners of the hull beside it, whatever the order.
func TestAround(t *testing.T) {
	l := search.Ladder{Rungs: rungs(9, 0, 5, 2, 1, 10, 3, 5, 4, 6, 2, 7)} // all but (4, 6) lie on the hull
	for chosen, want := range [][]int{{0, 1}, {0, 1, 3}, {2, 5}, {1, 3, 5}, {1, 3, 4}, {2, 3, 5}} {
		if got := search.Around(l, []float64{0.5}, chosen); !slices.Equal(got, want) {
			t.Errorf("around rung %d: %v, want %v", chosen, got, want)
		}
	}
	if got := search.Around(search.Ladder{Rungs: rungs(1, 1)}, []float64{1}, 0); !slices.Equal(got, []int{0}) {
		t.Errorf("around the only rung: %v", got)
	}
	if got := (search.Rung{Costs: []float64{2, 3}, Loss: 1}).Reduced([]float64{0.5, 2}); got != 8 {
		t.Errorf("reduced cost %g, want 8", got)
	}
}

package decomp

import (
	"slices"
	"testing"
)

func TestCoarse(t *testing.T) {
	for _, c := range []struct {
		n, limit, last, multiple int
		want                     []int
	}{
		{8, 8, 8, 1, []int{1, 2, 3, 4, 6, 7, 8}},
		{4, 40, 64, 1, []int{7, 17, 28, 40, 64}},
		{4, 40, 64, 8, []int{8, 16, 24, 40, 64}},
		{4, 3, 30, 8, []int{8, 24}},
		{4, 3, 5, 8, nil},
		{16, 0, 1, 1, []int{1}},
		{16, 5, 5, 1, []int{1, 2, 3, 4, 5}},
	} {
		if got := coarse(c.n, c.limit, c.last, c.multiple); !slices.Equal(got, c.want) {
			t.Errorf("%d ranks to %d, last %d, multiples of %d: got %v, wanted %v", c.n, c.limit, c.last, c.multiple, got, c.want)
		}
	}
}

// TestNearby wants a search that halves its spacing to be able to reach every rank.
func TestNearby(t *testing.T) {
	for _, multiple := range []int{1, 4} {
		ranks := coarse(6, 100, 128, multiple)
		for want := multiple; want <= 100; want += multiple {
			at := ranks[0] // the closest of what is known
			closer := func(candidates []int) {
				for _, r := range candidates {
					if abs(r-want) < abs(at-want) {
						at = r
					}
				}
			}
			closer(ranks)
			for stage := 1; stage < 10; stage++ {
				for range 3 { // until nothing closer is found
					closer(nearby(ranks, at, stage, 100, multiple))
				}
			}
			if at != want {
				t.Errorf("multiples of %d: stuck at %d on the way to %d", multiple, at, want)
			}
		}
	}
	for _, c := range []struct{ r, stage int }{{1, 1}, {100, 1}, {128, 3}, {1, 70}} {
		for _, r := range nearby([]int{1, 40, 100, 128}, c.r, c.stage, 100, 1) {
			if r < 1 || r > 100 || r == c.r {
				t.Errorf("near %d at stage %d: %d", c.r, c.stage, r)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

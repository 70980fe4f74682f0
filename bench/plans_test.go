//go:build unix

package main

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
)

// The plan of one ratio stays within its limit, and uses nearly all of it.
func TestUniform(t *testing.T) {
	r := &compress.Result{Sites: []compress.SiteResult{
		{Name: "a", Out: 64, In: 32, Window: []int{3, 3}, Groups: 1, MACsBefore: 64 * 32 * 9 * 100, ParamsBefore: 64 * 32 * 9},
		{Name: "b", Out: 128, In: 128, Groups: 2, MACsBefore: 128 * 64 * 50, ParamsBefore: 128 * 64},
		{Name: "c", Out: 2, In: 1, Groups: 1, MACsBefore: 2, ParamsBefore: 2}, // no rank saves anything
	}}
	for _, cost := range []func(*compress.SiteResult) int64{macsOf, paramsOf} {
		whole := 0.
		for i := range r.Sites {
			whole += float64(cost(&r.Sites[i]))
		}
		for _, share := range []float64{0.9, 0.5, 0.2} {
			plan, need := uniform(r, cost, share*whole), 0.
			for i, s := range plan.Sites {
				rank := 0
				if s.Method != compress.Dense {
					rank = s.Rank[0]
				}
				need += svdCost(&r.Sites[i], rank, cost(&r.Sites[i]))
			}
			if need > share*whole || need < 0.9*share*whole {
				t.Errorf("at %g of %g the plan needs %g", share, whole, need)
			}
			if plan.Sites[2].Method != compress.Dense {
				t.Errorf("site c at %g: %v", share, plan.Sites[2])
			}
		}
	}
}

// Equal numbers share their place.
func TestRanks(t *testing.T) {
	if got, want := ranks([]float64{3, 1, 3, 2, 9}), []float64{2.5, 0, 2.5, 1, 4}; !slices.Equal(got, want) {
		t.Errorf("ranks %v, want %v", got, want)
	}
}

// A shift of all outputs of a sample is no change; the rest is squared and averaged over samples.
func TestChange(t *testing.T) {
	a := [][]float32{{1, 2}, {0, 0}}
	b := [][]float32{{5, 6}, {2, -2}}
	if got := change(a, b); got != 4 {
		t.Errorf("change %g, want 4", got)
	}
}

package decomp_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func TestTTRanks(t *testing.T) {
	m := method(t, "tt")
	for _, s := range []decomp.Shape{
		{Out: 64, In: 64, Window: []int{3, 3}, Groups: 1},
		{Out: 128, In: 64, Window: []int{3, 3}, Groups: 1},
		{Out: 24, In: 24, Window: []int{5, 1, 3}, Groups: 2},
		{Out: 8, In: 6, Window: []int{2, 3, 2}, Groups: 1},
	} {
		ranks := m.Ranks(s, 1)
		if len(ranks) < 10 || len(ranks) > 50 {
			t.Errorf("%v: %d ranks", s, len(ranks))
		}
		tied, free, last := false, false, int64(0)
		for i, r := range ranks {
			params := m.Factors(s, r).Params()
			if i < len(ranks)-1 && params >= s.Params() || params < last {
				t.Errorf("%v: rank %v has %d weights, the one before it %d, dense %d", s, r, params, last, s.Params())
			}
			last = params
			if slices.Max(r) == slices.Min(r) {
				tied = true
			} else {
				free = true
			}
		}
		if !tied || !free {
			t.Errorf("%v: tied ranks: %t, free ranks: %t", s, tied, free)
		}
		for _, r := range m.Ranks(s, 4) {
			if slices.ContainsFunc(r, func(n int) bool { return n%4 != 0 }) {
				t.Errorf("%v: rank %v is not of multiples of 4", s, r)
			}
		}
	}
}

// TestTTFeasible: a bond holds no more than the one beside it and the taps between can fill.
func TestTTFeasible(t *testing.T) {
	k := decomptest.Random(1, decomp.Shape{Out: 30, In: 20, Window: []int{2, 3}, Groups: 1}).Kernel
	s := by(t, "tt", k, decomp.Metric{})
	for _, c := range []struct {
		rank decomp.Rank
		want string
	}{
		{decomp.Rank{2, 4, 12}, ""},
		{decomp.Rank{2, 5, 5}, "r1 and r2"},
		{decomp.Rank{5, 2, 2}, "r1 and r2"},
		{decomp.Rank{2, 4, 13}, "r2 and r3"},
		{decomp.Rank{10, 10, 3}, "r2 and r3"},
		{decomp.Rank{21, 30, 30}, "r1 from 1 to 20"},
		{decomp.Rank{4, 4}, "wanted 3 numbers"},
		{decomp.Rank{4, 0, 4}, "r2 from 1"},
	} {
		_, err := s.Chain(c.rank)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("rank %v: got %v, wanted %q", c.rank, err, c.want)
		}
		if (method(t, "tt").Factors(k.Shape, c.rank) == nil) != (c.want != "") {
			t.Errorf("rank %v: its layout and its chain disagree", c.rank)
		}
	}
}

// TestTTDescends: under a metric the trains lose less than those that are made for the weights alone.
func TestTTDescends(t *testing.T) {
	s := decomptest.Random(4, decomp.Shape{Out: 14, In: 12, Window: []int{3, 3}, Groups: 1})
	under, plain := by(t, "tt", s.Kernel, s.Metric), by(t, "tt", s.Kernel, decomp.Metric{})
	for _, r := range []decomp.Rank{{3, 4, 4}, {6, 8, 7}, {9, 14, 11}} {
		c, err := plain.Chain(r)
		if err != nil {
			t.Fatal(err)
		}
		w, err := c.Compose(linalg.Gonum(), s.Kernel.Shape)
		if err != nil {
			t.Fatal(err)
		}
		if got, alone := loss(t, under, r), decomptest.Loss(s.Kernel, w, s.Metric); !(got < 0.95*alone) || math.IsNaN(alone) {
			t.Errorf("rank %v: loss %g under the metric, %g without it", r, got, alone)
		}
	}
}

package tune

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// Samples that are not seen judge, where there are enough of them; learned from are all others.
func TestSplit(t *testing.T) {
	for _, c := range []struct{ n, seen, want, fresh int }{
		{200, 0, 20, 20}, {200, 150, 20, 20}, {200, 182, 18, 18}, {200, 190, 20, 1}, {200, 200, 20, 0}, {20, 0, 10, 10}, {20000, 0, 1000, 1000}, {1, 0, 0, 0},
	} {
		indices, seen := testkit.Count(c.n), map[int]bool{}
		for _, i := range indices[:c.seen] {
			seen[i] = true
		}
		learn, judge := Split(indices, seen)
		fresh := slices.DeleteFunc(slices.Clone(judge), func(i int) bool { return seen[i] })
		if len(judge) != c.want || len(fresh) < c.fresh {
			t.Errorf("%d samples, %d seen: %d judge, %d of them not seen; want %d and %d", c.n, c.seen, len(judge), len(fresh), c.want, c.fresh)
		}
		all := append(slices.Clone(learn), judge...)
		if slices.Sort(all); !slices.Equal(all, indices) {
			t.Errorf("%d samples, %d seen: learned and judged are %d", c.n, c.seen, len(all))
		}
	}
}

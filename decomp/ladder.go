package decomp

import (
	"math"
	"slices"
)

// coarse returns about n ranks from the multiple to limit, denser among the small ones, where a step counts for more,
// and last at the end where it lies above. All are multiples of the one given.
func coarse(n, limit, last, multiple int) []int {
	var out []int
	most := max(limit, min(multiple, last)) / multiple
	for i := 1; i <= n; i++ {
		r := int(math.Round(float64(most)*math.Pow(float64(i)/float64(n), 1.25))) * multiple
		if r >= multiple && r <= last && (len(out) == 0 || r > out[len(out)-1]) {
			out = append(out, r)
		}
	}
	if end := last / multiple * multiple; end > 0 && (len(out) == 0 || end > out[len(out)-1]) {
		out = append(out, end)
	}
	return out
}

// below returns the largest of some ranks that is smaller than r, 0 for none.
func below(ranks []int, r int) int {
	at, _ := slices.BinarySearch(ranks, r)
	if at == 0 {
		return 0
	}
	return ranks[at-1]
}

// nearby returns the ranks below and above r at the spacing of a stage: the distance to its neighbours among the coarse
// ones (of each other, where r lies between two), halved at each stage; none where that is less than the multiple.
// Beyond limit there is nothing to look for.
func nearby(ranks []int, r, stage, limit, multiple int) []int {
	at, on := slices.BinarySearch(ranks, r)
	lower, upper := below(ranks, r), limit
	if on {
		at++
	}
	if at < len(ranks) {
		upper = min(ranks[at], limit)
	}
	down, up := upper-lower, upper-lower
	if on {
		down, up = r-lower, upper-r
	}
	var out []int
	if d := down >> min(stage, 62) / multiple * multiple; d > 0 && r-d > 0 && r-d <= limit {
		out = append(out, r-d)
	}
	if d := up >> min(stage, 62) / multiple * multiple; d > 0 && r+d <= limit {
		out = append(out, r+d)
	}
	return out
}

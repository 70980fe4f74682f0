package moments

import "slices"

// dotBlock is how many numbers are summed in float32 before they go into a float64: they stay in the first-level cache for all offsets.
const dotBlock = 1 << 12

// shiftedDots returns Σ a[i] b[i+offset] over all i for which both exist, for each offset. A channel by itself is too narrow for
// products of matrices.
func shiftedDots(a, b []float32, offsets []int, buf *[]float64) []float64 {
	const width = 4
	*buf = slices.Grow((*buf)[:0], len(offsets))[:len(offsets)]
	sums := *buf
	clear(sums)
	for from := 0; from < len(a); from += dotBlock {
		to := min(from+dotBlock, len(a))
		i := 0
		for ; i+width <= len(offsets); i += width {
			o := [width]int(offsets[i:])
			first, last := from, to
			for _, d := range o {
				first, last = max(first, -d), min(last, len(b)-d)
			}
			if first >= last {
				first, last = to, to
			} else {
				dot4(a[first:last], b[first+o[0]:], b[first+o[1]:], b[first+o[2]:], b[first+o[3]:], (*[width]float64)(sums[i:]))
			}
			for k, d := range o { // what lies at the ends
				sums[i+k] += dot(a, b, d, from, first) + dot(a, b, d, last, to)
			}
		}
		for ; i < len(offsets); i++ {
			sums[i] += dot(a, b, offsets[i], from, to)
		}
	}
	return sums
}

// dot4 adds the products of a with the beginnings of four others.
func dot4(a, b0, b1, b2, b3 []float32, sums *[4]float64) {
	b0, b1, b2, b3 = b0[:len(a)], b1[:len(a)], b2[:len(a)], b3[:len(a)]
	var s0, s1, s2, s3 float32
	for i, v := range a {
		s0 += v * b0[i]
		s1 += v * b1[i]
		s2 += v * b2[i]
		s3 += v * b3[i]
	}
	sums[0] += float64(s0)
	sums[1] += float64(s1)
	sums[2] += float64(s2)
	sums[3] += float64(s3)
}

// dot is Σ a[i] b[i+offset] over from ≤ i < to, as far as both exist.
func dot(a, b []float32, offset, from, to int) float64 {
	from, to = max(from, -offset), min(to, len(a), len(b)-offset)
	if from >= to {
		return 0
	}
	a, b = a[from:to], b[from+offset:to+offset]
	var sum float32
	for i, v := range a {
		sum += v * b[i]
	}
	return float64(sum)
}

package timing

import "slices"

// Spread is the median of numbers, and the quartiles around it.
type Spread struct{ Low, Median, High float64 }

// SpreadOf sums numbers up; there must be one at least.
func SpreadOf(v []float64) Spread {
	sorted := slices.Sorted(slices.Values(v))
	return Spread{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

// Ratios divides numbers pairwise, the first by the second.
func Ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	return out
}

// Middle is the mean of the middle half of numbers: as steady as the median where they are multiples of a clock's ticks, and finer.
func Middle(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	n := len(sorted)
	half := sorted[n/4 : n-n/4]
	sum := 0.0
	for _, x := range half {
		sum += x
	}
	return sum / float64(len(half))
}

// Quiet is the mean of the numbers between the tenth and the fourth tenth of their order: what is left where others took the machine
// now and then, and finer than a clock's ticks.
func Quiet(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	n := len(sorted)
	low := sorted[n/10 : max(n*4/10, n/10+1)]
	sum := 0.0
	for _, x := range low {
		sum += x
	}
	return sum / float64(len(low))
}

// quantile is the number below which that share of sorted numbers lies, between two of them by proportion.
func quantile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	next := min(i+1, len(sorted)-1)
	return sorted[i] + (at-float64(i))*(sorted[next]-sorted[i])
}

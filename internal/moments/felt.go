package moments

import (
	"maps"
	"math"
	"slices"
)

// Felt says how much the model's outputs feel the output positions of a site, by the numbers of
// the samples in their source: a weight for each position, 0 where the sensitivity is exactly
// zero, as behind the mask of a padded sequence, so that whatever the site computes there is the
// same to the model. A sample that is not in it has the weight 1 throughout.
//
// The loss E[(gᵀΔW x)²] has the fourth-order moment E[x xᵀ ⊗ g gᵀ]. Of the products A ⊗ G that stand for it,
// those with x weighed by ‖g‖² are closer than those with E[x xᵀ] itself (they are one step of the
// power iteration for the closest of all: Van Loan and Pitsianis, Approximation with Kronecker
// products, 1993). Of one random direction a sample, ‖g‖² is noisy, and its root does better.
type Felt map[int][]float32

// Equal tells whether both have the same weights.
func (f Felt) Equal(o Felt) bool { return maps.EqualFunc(f, o, slices.Equal) }

// Roots returns the roots of the weights of consecutive positions, as many of each of the samples with the
// given numbers. They are scaled so that the weights make as many as there are positions that have one.
// It is nil where all weights are equal, and where the samples had other sizes when they were weighed.
func (f Felt) Roots(samples []int, positions int) []float32 {
	each := positions / max(len(samples), 1)
	if each*len(samples) != positions {
		return nil
	}
	weights := make([]float32, 0, positions)
	for _, i := range samples {
		own, ok := f[i]
		if !ok {
			own = slices.Repeat([]float32{1}, each)
		}
		if len(own) != each {
			return nil
		}
		weights = append(weights, own...)
	}
	return Roots(weights)
}

// Roots returns the roots of weights as Felt.Roots does.
func Roots(weights []float32) []float32 {
	sum, n, equal := 0., 0, true
	for _, w := range weights {
		if sum += float64(w); w != 0 {
			n++
		}
		equal = equal && w == weights[0]
	}
	if n == 0 || equal {
		return nil
	}
	out := make([]float32, len(weights))
	for i, w := range weights {
		out[i] = float32(math.Sqrt(float64(w) / sum * float64(n)))
	}
	return out
}

// Put cuts the weights of a run's positions into those of its samples.
func (f Felt) Put(samples []int, weights []float32) {
	each := len(weights) / len(samples)
	for k, i := range samples {
		f[i] = slices.Clone(weights[k*each : (k+1)*each])
	}
}

// Weigh multiplies rows that lie one behind the other by roots, one of each, and leaves out those that
// have 0.
func Weigh(rows, roots []float32) []float32 {
	width := len(rows) / len(roots)
	out := make([]float32, 0, len(rows))
	for i, r := range roots {
		if r == 0 {
			continue
		}
		for _, v := range rows[i*width : (i+1)*width] {
			out = append(out, r*v)
		}
	}
	return out
}

// Columns adds the sums of the columns of weighed rows to sum: Σ w x, of the rows √w x that Weigh made.
func Columns(weighed, roots []float32, sum []float64) {
	at := 0
	for _, r := range roots {
		if r == 0 {
			continue
		}
		for i := range sum {
			sum[i] += float64(r) * float64(weighed[at+i])
		}
		at += len(sum)
	}
}

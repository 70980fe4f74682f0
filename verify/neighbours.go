package verify

import (
	"cmp"
	"math"
	"slices"
)

// What neighbours are looked for among: the first samples that are finite, as far as their vectors take no more bytes.
const (
	neighbours    = 10
	leastVectors  = 4 * neighbours
	mostVectors   = 512
	bytesOfVector = 32 << 10
)

// Neighbours says how many of a sample's nearest samples are so for both models: recall@Of, the mean over the samples, by the cosine of
// their embeddings.
type Neighbours struct {
	// Of is how many of the nearest count, Samples among how many they were looked for, and Kept the share that both models name.
	Of      int     `json:"of"`
	Samples int     `json:"samples"`
	Kept    float64 `json:"kept"`
}

// directions are the embeddings of a sample by the two models, of length 1.
type directions struct{ before, after []float32 }

// directed makes the vectors of a sample; none where they are too long to be kept, or one has no direction.
func directed(y, z []float64) (directions, bool) {
	if 8*len(y) > bytesOfVector {
		return directions{}, false
	}
	before, after := unit(y), unit(z)
	return directions{before, after}, before != nil && after != nil
}

// unit is v with the length 1; nil where it has none.
func unit(v []float64) []float32 {
	sum := 0.
	for _, x := range v {
		sum += x * x
	}
	if sum == 0 || notFinite(sum) {
		return nil
	}
	out, scale := make([]float32, len(v)), 1/math.Sqrt(sum)
	for i, x := range v {
		out[i] = float32(x * scale)
	}
	return out
}

// kept compares the nearest neighbours of all vectors; nil where there are too few to tell.
func kept(list []directions) *Neighbours {
	if len(list) < leastVectors {
		return nil
	}
	common := 0
	for i := range list {
		before := nearest(list, i, func(v directions) []float32 { return v.before })
		after := nearest(list, i, func(v directions) []float32 { return v.after })
		for _, k := range before {
			if slices.Contains(after, k) {
				common++
			}
		}
	}
	return &Neighbours{Of: neighbours, Samples: len(list), Kept: float64(common) / float64(neighbours*len(list))}
}

// nearest are the numbers of the vectors that lie nearest to vector i, itself aside; of equals the first.
func nearest(list []directions, i int, of func(directions) []float32) []int {
	near := make([]float32, len(list))
	order := make([]int, 0, len(list))
	for k := range list {
		if k == i || len(of(list[k])) != len(of(list[i])) {
			continue
		}
		order = append(order, k)
		for c, v := range of(list[i]) {
			near[k] += v * of(list[k])[c]
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(near[b], near[a]) })
	return order[:min(neighbours, len(order))]
}

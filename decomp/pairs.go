package decomp

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Pairs are how queries and keys are turned: per head of keys the maps L of the queries and R of the keys that leave qᵀk as it is,
// LᵀR = 1, of which some first rows leave the most.
type Pairs struct {
	Queries, Keys []*linalg.Matrix // L and R of every head of keys
	// Losses are what numbers of channels lose, from 0 to all, in the unit of tr(G C).
	Losses []float64
}

// TurnPairs finds the maps for heads of queries, given by their channels in the order of units and by the head of keys that each meets.
// moment is C = E[q qᵀ] of all queries' channels, about zero, and felt is G, both [O, O].
//
// When units leave, the products with the keys are those of queries P q, P = L_:rᵀR_:r transposed. Of one head,
//
//	tr(G (1−P) C (1−P)ᵀ) is least for P = G^-½ U_r U_rᵀ G^½,  G^½ C G^½ = U Λ Uᵀ:
//
// L = UᵀG^½ and R = UᵀG^-½, each row of the two scaled to be as long as the other. Heads that share keys share P, that of their
// sums. Losses are of all heads together.
func TurnPairs(b linalg.Backend, heads [][]int, of []int, moment, felt *linalg.Matrix) (*Pairs, error) {
	n := 0
	for _, k := range of {
		n = max(n, k+1)
	}
	p := &Pairs{Queries: make([]*linalg.Matrix, n), Keys: make([]*linalg.Matrix, n)}
	for k := range n {
		var c, g *linalg.Matrix
		for i, channels := range heads {
			if of[i] == k {
				c, g = added(c, moment.Some(channels, channels), 1), added(g, felt.Some(channels, channels), 1)
			}
		}
		if c == nil {
			return nil, fmt.Errorf("decomp: head %d of %d of keys is met by none of queries", k, n)
		}
		var err error
		if p.Queries[k], p.Keys[k], err = pairOf(b, c, g); err != nil {
			return nil, fmt.Errorf("decomp: head %d of %d of keys: %w", k, n, err)
		}
	}
	queries, duals := Turn{Channels: heads}, Turn{Channels: heads}
	for _, k := range of {
		queries.By, duals.By = append(queries.By, p.Queries[k]), append(duals.By, p.Keys[k])
	}
	p.Losses = pairLosses(heads, queries.moment(b, moment), duals.moment(b, felt))
	return p, nil
}

// liftPairs is what is added to G, as a share of its mean diagonal, so that it has an inverse.
const liftPairs = 1e-9

// pairOf returns the maps of one head.
func pairOf(b linalg.Backend, c, g *linalg.Matrix) (queries, keys *linalg.Matrix, err error) {
	c, _ = normalized(c)
	g, _ = normalized(g)
	g = g.Clone()
	mean := 0.0
	for i := range g.Rows {
		mean += g.At(i, i) / float64(g.Rows)
	}
	for i := range g.Rows {
		g.Set(i, i, g.At(i, i)+liftPairs*max(mean, math.SmallestNonzeroFloat64/liftPairs))
	}
	values, vectors, err := b.SymEig(g)
	if err != nil {
		return nil, nil, err
	}
	least := liftPairs * mean / 2
	root := powered(b, values, vectors, least, 0.5)
	_, u, err := b.SymEig(b.Mul(false, false, 1, root, b.Mul(false, false, 1, c, root)))
	if err != nil {
		return nil, nil, err
	}
	rows := leadingRows(u, u.Rows)
	queries = b.Mul(false, false, 1, rows, root)
	keys = b.Mul(false, false, 1, rows, powered(b, values, vectors, least, -0.5))
	for i := range queries.Rows {
		q, k := queries.Row(i), keys.Row(i)
		if by := math.Sqrt(math.Sqrt(dot(k, k)) / math.Sqrt(dot(q, q))); by > 0 && !math.IsInf(by, 1) {
			scaleBy(q, by)
			scaleBy(k, 1/by)
		}
	}
	return queries, keys, nil
}

// powered returns V diag(max(values, least)^by) Vᵀ.
func powered(b linalg.Backend, values []float64, vectors *linalg.Matrix, least, by float64) *linalg.Matrix {
	scaled := vectors.Clone()
	for i := range scaled.Rows {
		for j, v := range values {
			scaled.Row(i)[j] *= math.Pow(max(v, least), by)
		}
	}
	return b.Mul(false, true, 1, scaled, vectors)
}

// pairLosses returns Σ_ij G_ij C_ij over the channels that left, of every head the same, by how many stay.
func pairLosses(heads [][]int, c, g *linalg.Matrix) []float64 {
	n := len(heads[0])
	out := make([]float64, n+1)
	for k := n - 1; k >= 0; k-- {
		var left []int
		for _, channels := range heads {
			left = append(left, channels[k+1:]...)
		}
		sum := 0.0
		for _, channels := range heads {
			i := channels[k]
			for _, j := range left {
				sum += 2 * g.At(i, j) * c.At(i, j)
			}
			for _, other := range heads {
				sum += g.At(i, other[k]) * c.At(i, other[k])
			}
		}
		out[k] = max(out[k+1]+sum, out[k+1])
	}
	return out
}

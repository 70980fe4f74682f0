package decomp

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Silence finds the order in which units leave that nothing makes up for, the one that stays longest first: those of queries and keys under
// rotary embeddings, say. h [n, n] has at i, j what leaving i and j costs together, Σ G C over the channels of the two, so that the units
// that left lose Σ_ij h_ij over themselves. Each time the unit leaves that adds least; with an order that is given, it is kept. losses are
// by how many units stay, from 0 to all.
func Silence(h *linalg.Matrix, given []int) (order []int, losses []float64, err error) {
	n := h.Rows
	if given != nil && (len(given) != n || !slices.Equal(slices.Sorted(slices.Values(given)), natural(n))) {
		return nil, nil, fmt.Errorf("decomp: units in the order %v, wanted each of %d units once", given, n)
	}
	order, losses = make([]int, n), make([]float64, n+1)
	adds := make([]float64, n) // what each unit would add, beside those that left
	for i := range adds {
		adds[i] = h.At(i, i)
	}
	stay := natural(n)
	for k := n - 1; k >= 0; k-- {
		at := 0
		for i, u := range stay {
			if adds[u] < adds[stay[at]] {
				at = i
			}
		}
		if given != nil {
			at = slices.Index(stay, given[k])
		}
		u := stay[at]
		stay = slices.Delete(stay, at, at+1)
		order[k], losses[k] = u, max(losses[k+1], losses[k+1]+adds[u])
		for _, v := range stay {
			adds[v] += h.At(u, v) + h.At(v, u)
		}
	}
	return order, losses, nil
}

// natural are the numbers below n.
func natural(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

package decomp

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

const (
	// panel is the number of columns that leave between two products.
	panel = 64
	// strip is the number of rows that one product brings up to date.
	strip = 128
)

// eliminate returns the units, the one that stays longest first.
func eliminate(b linalg.Backend, units int, all []*seenUnits) ([]int, error) {
	alive := make([]int, units)
	for u := range alive {
		alive[u] = u
	}
	top, fronts, steps := topExponent(all), make([]*front, len(all)), panel
	for i, s := range all {
		var err error
		if fronts[i], err = newFront(b, s, s.weight(top), alive); err != nil {
			return nil, err
		}
		steps = min(steps, max(panel/fronts[i].widest(), 1))
	}
	order := make([]int, 0, units)
	for len(alive) > 1 {
		gone := take(fronts, len(alive), min(steps, len(alive)-1))
		for _, u := range gone {
			order = append(order, alive[u])
		}
		kept := rest(gone, len(alive))
		for i, u := range kept {
			alive[i] = alive[u]
		}
		alive = alive[:len(kept)]
		for _, f := range fronts {
			f.settle(kept, alive)
		}
	}
	order = append(order, alive...)
	slices.Reverse(order)
	return order, nil
}

// take takes units out of all fronts, each time the one that costs least, and returns which, by their place among the units
// that are there.
func take(fronts []*front, units, steps int) []int {
	var gone []int
	costs, left := make([]float64, units), make([]bool, units)
	for range steps {
		clear(costs)
		for _, f := range fronts {
			f.price(costs)
		}
		best := -1
		for u, c := range costs {
			if !left[u] && (best < 0 || c < costs[best]) {
				best = u
			}
		}
		for _, f := range fronts {
			f.leave(best)
		}
		left[best] = true
		gone = append(gone, best)
	}
	return gone
}

// settle brings in what units that left changed. kept are the places of those that stay.
func (f *front) settle(kept, alive []int) {
	var columns []int
	for _, u := range kept {
		for c := f.starts[u]; c < f.starts[u+1]; c++ {
			columns = append(columns, c)
		}
	}
	for c := f.starts[len(f.starts)-1]; c < f.inverse.Cols; c++ {
		columns = append(columns, c)
	}
	left, bent := pick(f.left, columns).T(), pick(f.bent, columns).T()
	f.inverse = compacted(f.b, f.inverse, columns, left, left)
	f.gram = compacted(f.b, f.gram, columns, beside(left, bent), beside(bent, left))
	f.begin(alive)
}

// beside returns a and b next to each other.
func beside(a, b *linalg.Matrix) *linalg.Matrix {
	out := linalg.New(a.Rows, a.Cols+b.Cols)
	for i := range out.Rows {
		copy(out.Row(i), a.Row(i))
		copy(out.Row(i)[a.Cols:], b.Row(i))
	}
	return out
}

// compacted returns what m, which is symmetric and used up, has in some rows and the same columns, ascending, less the product
// x·yᵀ, of which the upper triangle is worked out.
func compacted(b linalg.Backend, m *linalg.Matrix, columns []int, x, y *linalg.Matrix) *linalg.Matrix {
	n := len(columns)
	out := &linalg.Matrix{Rows: n, Cols: n, Data: m.Data[:n*n]} // element by element, no later in the same storage than where it was
	for from := 0; from < n; from += strip {
		to := min(from+strip, n)
		change := b.Mul(false, true, 1, x.RowRange(from, to), y.RowRange(from, n))
		for i := from; i < to; i++ {
			source, target, less := m.Row(columns[i]), out.Row(i), change.Row(i-from)
			for j := from; j < n; j++ {
				target[j] = source[columns[j]] - less[j-from]
			}
		}
	}
	mirror(out)
	return out
}

// mirror copies the upper triangle to the lower one, square by square to keep to what is in cache.
func mirror(m *linalg.Matrix) {
	const side = 32
	for i0 := 0; i0 < m.Rows; i0 += side {
		for j0 := 0; j0 <= i0; j0 += side {
			for i := i0; i < min(i0+side, m.Rows); i++ {
				for j := j0; j < min(j0+side, i); j++ {
					m.Data[i*m.Cols+j] = m.Data[j*m.Cols+i]
				}
			}
		}
	}
}

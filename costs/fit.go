package costs

import (
	"cmp"
	"math"
	"slices"
)

// Fit says what pieces of one kind take that were not measured: Work·(padded work) + Moved·(bytes) + Constant, in microseconds, the
// first two for a million each.
type Fit struct {
	Kind     string  `json:"kind"`
	Block    int     `json:"block"` // of channels
	Work     float64 `json:"work"`
	Moved    float64 `json:"moved"`
	Constant float64 `json:"constant"`
	// Points is how many measured pieces it comes from; Error and Worst are the mean and the largest of its relative errors there.
	Points int     `json:"points"`
	Error  float64 `json:"error"`
	Worst  float64 `json:"worst"`
}

// scale is what work and bytes are counted in.
const scale = 1e-6

// blocks are the numbers of channels that runtimes compute together: of none, NEON, AVX2 and AVX-512.
func blocks() []int { return []int{1, 4, 8, 16} }

// Micros is what the fit says of a piece.
func (f *Fit) Micros(p Piece) float64 {
	return f.Work*p.Work(f.Block)*scale + f.Moved*p.Bytes()*scale + f.Constant
}

// fitted finds a fit for every kind of the points, each with the block that suits it best.
func fitted(points []Point) []Fit {
	kinds := map[string][]Point{}
	for _, p := range points {
		kinds[p.Kind()] = append(kinds[p.Kind()], p)
	}
	var out []Fit
	for kind, list := range kinds {
		best := Fit{Error: math.Inf(1)}
		for _, block := range blocks() {
			if f := fitWith(list, block); f.Error < best.Error {
				best = f
			}
		}
		best.Kind = kind
		out = append(out, best)
	}
	slices.SortFunc(out, func(a, b Fit) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// fitWith minimises the relative errors squared for one size of the blocks.
func fitWith(points []Point, block int) Fit {
	rows := make([][3]float64, len(points))
	for i, p := range points {
		y := max(p.Micros, 1e-3)
		rows[i] = [3]float64{p.Work(block) * scale / y, p.Bytes() * scale / y, 1 / y}
	}
	v := nonNegative(rows)
	f := Fit{Block: block, Work: v[0], Moved: v[1], Constant: v[2], Points: len(points)}
	for _, p := range points {
		e := math.Abs(f.Micros(p.Piece)/max(p.Micros, 1e-3) - 1)
		f.Error += e / float64(len(points))
		f.Worst = max(f.Worst, e)
	}
	return f
}

// nonNegative is the v ≥ 0 with the least Σ (row·v − 1)²: the best of those that each choice of numbers which are not zero gives.
func nonNegative(rows [][3]float64) (best [3]float64) {
	least := float64(len(rows))
	for chosen := 1; chosen < 8; chosen++ {
		v, ok := solved(rows, chosen)
		if !ok || slices.Min(v[:]) < 0 {
			continue
		}
		sum := 0.0
		for _, r := range rows {
			d := r[0]*v[0] + r[1]*v[1] + r[2]*v[2] - 1
			sum += d * d
		}
		if sum < least {
			least, best = sum, v
		}
	}
	return best
}

// solved solves the normal equations for the chosen numbers, bit by bit, by elimination; the others are zero. It is false where they
// do not tell the numbers apart.
func solved(rows [][3]float64, chosen int) (v [3]float64, ok bool) {
	var at []int
	for k := range 3 {
		if chosen>>k&1 == 1 {
			at = append(at, k)
		}
	}
	n := len(at)
	size := [3]float64{} // so that the numbers do not depend on units
	for _, r := range rows {
		for k := range 3 {
			size[k] = max(size[k], math.Abs(r[k]))
		}
	}
	m := make([][]float64, n)
	for i := range m {
		if size[at[i]] == 0 {
			return v, false
		}
		m[i] = make([]float64, n+1)
		for _, r := range rows {
			x := r[at[i]] / size[at[i]]
			for j := range n {
				m[i][j] += x * r[at[j]] / size[at[j]]
			}
			m[i][n] += x
		}
	}
	for i := range n {
		p := i
		for j := i + 1; j < n; j++ {
			if math.Abs(m[j][i]) > math.Abs(m[p][i]) {
				p = j
			}
		}
		m[i], m[p] = m[p], m[i]
		if !(math.Abs(m[i][i]) > 1e-9*float64(len(rows))) {
			return v, false
		}
		for j := range n {
			if j == i {
				continue
			}
			factor := m[j][i] / m[i][i]
			for k := i; k <= n; k++ {
				m[j][k] -= factor * m[i][k]
			}
		}
	}
	for i := range n {
		v[at[i]] = m[i][n] / m[i][i] / size[at[i]]
	}
	return v, true
}

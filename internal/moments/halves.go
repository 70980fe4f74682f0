package moments

import "github.com/onnx-compress/onnx-compress/linalg"

// Halves is Inputs, and tells apart what every other run showed from the rest. It takes no more room: the moments are
// symmetric, and the upper triangles have the sums of one half, the lower ones those of the other.
type Halves struct {
	parts [2]firsts
	sum   *Sum
	runs  int
}

// NewHalves returns empty sums as NewInputs does.
func NewHalves(groups, columns int, pilot *Pilot) *Halves {
	h := &Halves{sum: NewSum(groups, columns)}
	h.sum.apart = &second{columns: columns, diagonals: make([]float64, groups*columns)}
	for i := range h.parts {
		h.parts[i] = firsts{groups: groups, columns: columns, pilot: pilot}
	}
	return h
}

// Run is Inputs.Run.
func (h *Halves) Run(b linalg.Backend, summation Summation, off []float32, n int, roots []float32, part *Part, scratch *Scratch) {
	h.parts[0].Run(b, summation, off, n, roots, part, scratch)
}

// RunFirst is Inputs.RunFirst.
func (h *Halves) RunFirst(summation Summation, off []float32, n int, roots []float32, part *Part) {
	h.parts[0].RunFirst(summation, off, n, roots, part)
}

// Add adds what a run found, to the first half and the second by turns.
func (h *Halves) Add(part *Part) {
	if part.summation != nil {
		h.sum.Add(part.summation, part.products)
	}
	h.parts[h.runs%2].add(part)
	h.runs++
}

// AddFirst adds the first moments of a run to a half.
func (h *Halves) AddFirst(half int, part *Part) { h.parts[half].add(part) }

// Positions is the number of columns that each group met so far in a half.
func (h *Halves) Positions(half int) int64 { return h.parts[half].positions }

// First is E[x] of a half, [K] for each group.
func (h *Halves) First(half int) [][]float64 { return h.parts[half].First() }

// Means calls join for each group with the second moments E[x xᵀ] of either half at (i, j), for i ≤ j, and a matrix whose
// entries there it is to set; what is below the diagonal is set to what is above. The sums are used up.
func (h *Halves) Means(join func(group int, second func(i, j int) (a, b float64), out *linalg.Matrix)) []*linalg.Matrix {
	h.sum.flush()
	h.sum.need()
	n := [2]float64{float64(max(h.parts[0].positions, 1)), float64(max(h.parts[1].positions, 1))}
	for g, m := range h.sum.moments {
		k := m.Rows
		join(g, func(i, j int) (a, b float64) {
			a, b = m.Data[i*k+j]/n[0], h.sum.apart.at(m, g, i, j)/n[1]
			if h.parts[0].piloted() {
				a += h.parts[0].back(g, i, j)
			}
			if h.parts[1].piloted() {
				b += h.parts[1].back(g, i, j)
			}
			return a, b
		}, m)
		for i := range k {
			for j := i + 1; j < k; j++ {
				m.Data[j*k+i] = m.Data[i*k+j]
			}
		}
	}
	return h.sum.moments
}

// second is the half of the runs with odd numbers. Row i of the moments has k−1−i such sums behind its diagonal; they are in the row
// of the lower triangle that is as long, and those on the diagonal beside it.
type second struct {
	columns, runs int
	diagonals     []float64 // [groups, columns]
	totals        []float64 // those of Sum.totals
}

// turn tells whether the run that is to be added belongs to this half.
func (a *second) turn() bool {
	a.runs++
	return a.runs%2 == 0
}

// behind is where the sums of row i are, of its columns from i+1 on.
func behind(m *linalg.Matrix, i int) []float64 { return m.Row(m.Rows - 1 - i)[:m.Rows-1-i] }

func (a *second) at(m *linalg.Matrix, g, i, j int) float64 {
	if i == j {
		return a.diagonals[g*a.columns+i]
	}
	return behind(m, i)[j-i-1]
}

// addDense adds a partial result that is laid out as the moments are.
func (a *second) addDense(partial []float32, moments []*linalg.Matrix) {
	for g, m := range moments {
		k := m.Rows
		for i := range k {
			row := partial[(g*k+i)*k+i:][:k-i]
			a.diagonals[g*k+i] += float64(row[0])
			addTo(behind(m, i), row[1:])
		}
	}
}

// expand adds sums in the layout of a summation.
func (a *second) expand(p Summation, totals []float64, moments []*linalg.Matrix) {
	full := make([]*linalg.Matrix, len(moments))
	for g := range full {
		full[g] = linalg.New(a.columns, a.columns)
	}
	p.expand(totals, full)
	for g, m := range moments {
		for i := range a.columns {
			row := full[g].Row(i)[i:]
			a.diagonals[g*a.columns+i] += row[0]
			addTo(behind(m, i), row[1:])
		}
	}
}

package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Halves is Inputs, and tells apart what half of the runs showed from the rest. It takes no more room: the moments are
// symmetric, and the upper triangles have the sums of one half, the lower ones those of the other.
type Halves struct {
	parts [2]firsts
	sum   *Sum
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

// Add adds what a run found to a half, 0 or 1.
func (h *Halves) Add(half int, part *Part) {
	if part.summation != nil {
		h.sum.add(part.summation, part.products, half == 1)
	}
	h.parts[half].add(part)
}

// AddFirst adds the first moments of a run to a half.
func (h *Halves) AddFirst(half int, part *Part) { h.parts[half].add(part) }

// Positions is the number of columns that each group met so far in a half.
func (h *Halves) Positions(half int) int64 { return h.parts[half].positions }

// First is E[x] of a half, [K] for each group.
func (h *Halves) First(half int) [][]float64 { return h.parts[half].First() }

// Settle moves the sums about zero. Those of several pilots can be joined then, and nothing more added.
func (h *Halves) Settle() {
	h.sum.flush()
	h.sum.need()
	for half := range h.parts {
		p := &h.parts[half]
		if p.piloted() {
			for g, m := range h.sum.moments {
				for i := range m.Rows {
					for j := i; j < m.Rows; j++ {
						*h.sum.at(half, m, g, i, j) += p.back(g, i, j)
					}
				}
			}
		}
		p.settle()
	}
}

// Numbers are where settled sums lie, in a fixed order: the moments of each group, [K, K], what lies on the second half's diagonals,
// and the first moments of either half.
func (h *Halves) Numbers() [][]float64 {
	return append(slices.Clone(h.sum.Numbers()), h.sum.apart.diagonals, h.parts[0].first, h.parts[1].first)
}

// Join adds to settled sums the Numbers of others, of so many positions of either half.
func (h *Halves) Join(positions [2]int64, numbers [][]float64) {
	for i, to := range h.Numbers() {
		addTo(to, numbers[i])
	}
	for i := range h.parts {
		h.parts[i].positions += positions[i]
	}
}

// Means calls join for each group with the second moments E[x xᵀ] of either half at (i, j), for i ≤ j, and a matrix whose
// entries there it is to set; what is below the diagonal is set to what is above. The sums, which are settled, are used up.
func (h *Halves) Means(join func(group int, second func(i, j int) (a, b float64), out *linalg.Matrix)) []*linalg.Matrix {
	n := [2]float64{float64(max(h.parts[0].positions, 1)), float64(max(h.parts[1].positions, 1))}
	for g, m := range h.sum.moments {
		k := m.Rows
		join(g, func(i, j int) (a, b float64) {
			return *h.sum.at(0, m, g, i, j) / n[0], *h.sum.at(1, m, g, i, j) / n[1]
		}, m)
		for i := range k {
			for j := i + 1; j < k; j++ {
				m.Data[j*k+i] = m.Data[i*k+j]
			}
		}
	}
	return h.sum.moments
}

// at is where the sum of a half lies, of a group's entry (i, j) with i ≤ j.
func (s *Sum) at(half int, m *linalg.Matrix, g, i, j int) *float64 {
	if half == 0 {
		return &m.Data[i*m.Cols+j]
	}
	return s.apart.at(m, g, i, j)
}

// second is the second half. Row i of the moments has k−1−i such sums behind its diagonal; they are in the row
// of the lower triangle that is as long, and those on the diagonal beside it.
type second struct {
	columns   int
	diagonals []float64 // [groups, columns]
	totals    []float64 // those of Sum.totals
}

// behind is where the sums of row i are, of its columns from i+1 on.
func behind(m *linalg.Matrix, i int) []float64 { return m.Row(m.Rows - 1 - i)[:m.Rows-1-i] }

func (a *second) at(m *linalg.Matrix, g, i, j int) *float64 {
	if i == j {
		return &a.diagonals[g*a.columns+i]
	}
	return &behind(m, i)[j-i-1]
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

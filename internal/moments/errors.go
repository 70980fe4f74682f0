package moments

import "github.com/onnx-compress/onnx-compress/linalg"

// Errors sums e xᵀ and e, e being what belongs to a site's output at the positions whose columns x Inputs sums, about
// the pilot of the same inputs. As there, Σ e xᵀ = Σ e x̃ᵀ + Σ e (p∘m)ᵀ, and only the first is summed in float32.
type Errors struct {
	groups, rows, columns int
	pilot                 *Pilot
	products              []float64 // Σ e x̃ᵀ, [groups·rows, columns]
	first                 []float64 // Σ e, [groups·rows]
	inside                []float64 // Σ e m, [groups·rows, taps]; with a pilot only
}

// NewErrors returns empty sums for groups of that many output channels and columns of the given length.
func NewErrors(groups, rows, columns int, pilot *Pilot) *Errors {
	return &Errors{groups: groups, rows: rows, columns: columns, pilot: pilot}
}

// ErrorsPart is what one run adds to Errors.
type ErrorsPart struct {
	products      []float32
	first, inside []float64
}

// RunErrors leaves in parts the sums of a run, for each of several errors e of one site: of n units of a summation for e with inputs
// off, without the pilot, and of ny units of one for e alone. Roots are those of the weights of rows that Weigh made, nil where all
// are 1.
func RunErrors(b linalg.Backend, all []*Errors, summation Cross, n int, y Summation, ny int, e [][]float32, off, roots []float32, parts []*ErrorsPart, scratch *Scratch) {
	products := make([][]float32, len(parts))
	for i, part := range parts {
		part.products = grow(&part.products, summation.Size())
		clear(part.products)
		products[i] = part.products
	}
	summation.Run(b, e, off, n, products, scratch)
	for i, s := range all {
		s.runFirst(summation, n, y, ny, e[i], roots, parts[i])
	}
}

// runFirst leaves in part the sums of e alone.
func (s *Errors) runFirst(summation Cross, n int, y Summation, ny int, e, roots []float32, part *ErrorsPart) {
	part.first, part.inside = make([]float64, s.groups*s.rows), nil
	if roots != nil {
		Columns(e, roots, part.first)
	} else {
		y.Columns(e, ny, part.first)
	}
	switch {
	case s.pilot.values == nil:
	case roots != nil:
		part.inside = part.first // one tap, always inside
	default:
		channels := len(s.pilot.values) / s.groups
		part.inside = make([]float64, len(part.first)*s.columns/channels)
		summation.Inside(e, n, part.inside)
	}
}

// Add adds what a run found. The order of the additions decides the last bits.
func (s *Errors) Add(part *ErrorsPart) {
	s.products = plus(s.products, part.products)
	s.first, s.inside = plus(s.first, part.first), plus(s.inside, part.inside)
}

// Means returns E[e xᵀ], [rows, K], and E[e], [rows], of each group over n positions; zeros where nothing was added.
func (s *Errors) Means(n int64) (crossed []*linalg.Matrix, first [][]float64) {
	count := float64(max(n, 1))
	for g := range s.groups {
		m, e := linalg.New(s.rows, s.columns), make([]float64, s.rows)
		crossed, first = append(crossed, m), append(first, e)
		if s.products == nil {
			continue
		}
		for i := range e {
			e[i] = s.first[g*s.rows+i] / count
		}
		for i, v := range s.products[g*len(m.Data) : (g+1)*len(m.Data)] {
			m.Data[i] = v / count
		}
		if s.pilot.values == nil {
			continue
		}
		channels := len(s.pilot.values) / s.groups
		taps := s.columns / channels
		for i := range s.rows {
			row, inside := m.Row(i), s.inside[(g*s.rows+i)*taps:]
			for j := range row {
				row[j] += float64(s.pilot.values[g*channels+j/taps]) * inside[j%taps] / count
			}
		}
	}
	return crossed, first
}

package moments

import "github.com/onnx-compress/onnx-compress/linalg"

// Inputs sums the first and second moments of the columns that a site reads, about its pilot.
//
// With p the pilot, x̃ an input without it and m, for each tap, 1 at the positions at which it lies inside the input and
// 0 in the padding, a column is x = x̃ + p∘m, whose taps in the padding are 0 in all three. Hence
//
//	Σ x xᵀ = Σ x̃ x̃ᵀ + Σ x̃ (p∘m)ᵀ + Σ (p∘m) x̃ᵀ + Σ (p∘m)(p∘m)ᵀ
//
// exactly. Only the first is a product of inputs, in float32. The others are made of Σ x̃ m', for a channel and two taps,
// and of the number of positions at which two taps both lie inside, summed in float64.
type Inputs struct {
	firsts
	sum *Sum
}

// NewInputs returns empty sums for groups of columns of the given length, about a pilot that is set before anything is
// added.
func NewInputs(groups, columns int, pilot *Pilot) *Inputs {
	return &Inputs{firsts{groups: groups, columns: columns, pilot: pilot}, NewSum(groups, columns)}
}

// firsts are all sums but the products.
type firsts struct {
	groups, columns int
	pilot           *Pilot
	first           []float64 // Σ x, [groups·columns]; with a pilot Σ x̃ m', [channels, taps, taps]
	inside          []float64 // positions, [taps, taps]; with a pilot only
	positions       int64
}

// Part is what one run adds to Inputs.
type Part struct {
	summation     Summation // nil for first moments alone
	products      []float32
	first, inside []float64
	positions     int64
}

// Positions is the number of columns that each group met so far.
func (s *firsts) Positions() int64 { return s.positions }

// Run leaves in part the sums of n units of a summation, off being their numbers without the pilot (Pilot.Off). Roots are
// those of the weights of rows that Weigh made, nil where all are 1.
func (s *firsts) Run(b linalg.Backend, summation Summation, off []float32, n int, roots []float32, part *Part, scratch *Scratch) {
	s.RunFirst(summation, off, n, roots, part)
	part.summation, part.products = summation, grow(&part.products, summation.Size())
	clear(part.products)
	summation.Run(b, off, n, part.products, scratch)
}

// RunFirst is Run for the first moments alone.
func (s *firsts) RunFirst(summation Summation, off []float32, n int, roots []float32, part *Part) {
	part.summation, part.positions = nil, summation.Positions(n)
	size, pairs := s.groups*s.columns, s.pilot.values != nil
	if part.inside = nil; pairs {
		part.inside = summation.together()
		for i := range part.inside {
			part.inside[i] *= float64(n)
		}
		size = len(s.pilot.values) * len(part.inside)
	}
	part.first = make([]float64, size)
	switch {
	case roots != nil:
		Columns(off, roots, part.first)
	case pairs:
		summation.pairs(off, n, part.first)
	default:
		summation.Columns(off, n, part.first)
	}
}

// Add adds what a run found. The order of the additions decides the last bits.
func (s *Inputs) Add(part *Part) {
	if part.summation != nil {
		s.sum.Add(part.summation, part.products)
	}
	s.add(part)
}

func (s *firsts) add(part *Part) {
	s.positions += part.positions
	s.first, s.inside = plus(s.first, part.first), plus(s.inside, part.inside)
}

// plus adds b to a, which is nil at first.
func plus[F float32 | float64](a []float64, b []F) []float64 {
	if a == nil {
		a = make([]float64, len(b))
	}
	addTo(a, b)
	return a
}

// Means returns E[x xᵀ], [K, K], and E[x], [K], of each group, about zero; zeros where nothing was added. The sums are
// used up.
func (s *Inputs) Means() (second []*linalg.Matrix, first [][]float64) {
	second = s.sum.Mean(max(s.positions, 1))
	if !s.piloted() {
		return second, s.First()
	}
	for g, m := range second {
		for i := range s.columns {
			for j := i; j < s.columns; j++ {
				v := m.At(i, j) + s.back(g, i, j)/float64(s.positions)
				m.Set(i, j, v)
				m.Set(j, i, v)
			}
		}
	}
	return second, s.First()
}

// piloted tells whether something was added about a pilot.
func (s *firsts) piloted() bool { return s.first != nil && s.pilot.values != nil }

// back is what moves the sum of an entry of a group's products, about the pilot, to zero.
func (s *firsts) back(g, i, j int) float64 {
	pi, pj, taps := s.off(g, i), s.off(g, j), s.taps()
	return pj*s.crossed(g, i, j) + pi*s.crossed(g, j, i) + pi*pj*s.inside[i%taps*taps+j%taps]
}

// settle moves the sums about zero.
func (s *firsts) settle() {
	first := make([]float64, s.groups*s.columns)
	switch {
	case s.piloted():
		taps := s.taps()
		for i := range first {
			g, k := i/s.columns, i%s.columns
			first[i] = s.crossed(g, k, k) + s.off(g, k)*s.inside[k%taps*taps+k%taps]
		}
	case s.first != nil:
		first = s.first
	}
	s.first, s.inside, s.pilot = first, nil, &Pilot{}
}

// First is E[x] of Means, which it leaves to be taken.
func (s *firsts) First() [][]float64 {
	first := make([][]float64, s.groups)
	for g := range first {
		first[g] = make([]float64, s.columns)
		for i := range first[g] {
			switch {
			case s.first == nil || s.positions == 0:
			case s.pilot.values == nil:
				first[g][i] = s.first[g*s.columns+i] / float64(s.positions)
			default:
				tap := i % s.taps()
				first[g][i] = (s.crossed(g, i, i) + s.off(g, i)*s.inside[tap*s.taps()+tap]) / float64(s.positions)
			}
		}
	}
	return first
}

// taps is the number of columns of a channel, where there is a pilot.
func (s *firsts) taps() int { return s.groups * s.columns / len(s.pilot.values) }

// off is the pilot of a group's column.
func (s *firsts) off(g, i int) float64 { return float64(s.pilot.values[(g*s.columns+i)/s.taps()]) }

// crossed is Σ x̃ m' for a group's column i and the tap of its column j.
func (s *firsts) crossed(g, i, j int) float64 {
	return s.first[(g*s.columns+i)*s.taps()+j%s.taps()]
}

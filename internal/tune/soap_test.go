package tune

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// draw is a matrix of normal numbers, whose columns differ in size so that no two eigenvalues are near each other.
func draw(r *rand.Rand, rows, cols int) *linalg.Matrix {
	m := linalg.New(rows, cols)
	for i := range m.Data {
		m.Data[i] = r.NormFloat64() * math.Pow(1.7, float64(i%cols)) * math.Pow(1.3, float64(i/cols))
	}
	return m
}

func floats(m *linalg.Matrix) []float32 {
	out := make([]float32, len(m.Data))
	for i, v := range m.Data {
		out[i] = float32(v)
	}
	return out
}

// farthest is the largest difference of two vectors.
func farthest(x []float32, y []float64) float64 {
	most := 0.
	for i, v := range x {
		most = max(most, math.Abs(float64(v)-y[i]))
	}
	return most
}

// definition is SOAP of one matrix as arXiv 2409.11321 has it, in float64.
type definition struct {
	b                          linalg.Backend
	left, right, u, v          *linalg.Matrix
	first, second              *linalg.Matrix // first in the usual coordinates
	betaOne, betaTwo, betaSide float64
}

func (d *definition) step(w, g *linalg.Matrix, number int, rate float64) {
	mix := func(into **linalg.Matrix, m *linalg.Matrix, beta float64) {
		if *into == nil {
			*into = linalg.New(m.Rows, m.Cols)
		}
		for i, x := range m.Data {
			(*into).Data[i] = beta*(*into).Data[i] + (1-beta)*x
		}
	}
	side := d.betaSide
	if number == 1 {
		side = 0
	}
	mix(&d.left, d.b.Mul(false, true, 1, g, g), side)
	mix(&d.right, d.b.Mul(true, false, 1, g, g), side)
	if (number-1)%refresh == 0 {
		_, d.u, _ = d.b.SymEig(d.left)
		_, d.v, _ = d.b.SymEig(d.right)
	}
	into := func(m *linalg.Matrix) *linalg.Matrix {
		return d.b.Mul(false, false, 1, d.b.Mul(true, false, 1, d.u, m), d.v)
	}
	mix(&d.first, g, d.betaOne)
	square := into(g)
	for i, x := range square.Data {
		square.Data[i] = x * x
	}
	mix(&d.second, square, d.betaTwo)
	move := into(d.first)
	roots := make([]float64, len(move.Data))
	for i := range roots {
		roots[i] = math.Sqrt(d.second.Data[i] / (1 - math.Pow(d.betaTwo, float64(number))))
	}
	for i := range move.Data {
		move.Data[i] /= (1 - math.Pow(d.betaOne, float64(number))) * (roots[i] + 1e-5*slices.Max(roots) + 1e-8)
	}
	move = d.b.Mul(false, true, 1, d.b.Mul(false, false, 1, d.u, move), d.v)
	for i, x := range move.Data {
		w.Data[i] -= rate * x
	}
}

// SOAP against its definition in float64, over several turns of the bases.
func TestSOAPDefinition(t *testing.T) {
	const rows, cols = 6, 6
	r := rand.New(rand.NewPCG(3, 4))
	d := descentOf(SOAP, 1, []int{rows, cols, 1, 1})
	want := &definition{b: linalg.Gonum(), betaOne: 0.9, betaTwo: 0.99, betaSide: 0.99}
	exact := draw(r, rows, cols)
	w := floats(exact)
	for n := 1; n <= 3*refresh+2; n++ {
		g := draw(r, rows, cols)
		for i, v := range floats(g) { // the same gradient for both
			g.Data[i] = float64(v)
		}
		rate := 1e-3 * float64(n%3+1)
		d.apply(w, floats(g), stride{number: n, rate: rate, scale: 1})
		want.step(exact, g, n, rate)
		if off := farthest(w, exact.Data); off > 2e-5 {
			t.Fatalf("step %d: off by %g", n, off)
		}
	}
}

// Where rows and columns of all gradients are turned, the steps turn along: coordinates make no difference to SOAP, and
// they do to Adam.
func TestSOAPTurnsAlong(t *testing.T) {
	const rows, cols = 5, 5
	b := linalg.Gonum()
	for _, kind := range []Optimizer{SOAP, Adam} {
		r := rand.New(rand.NewPCG(8, 9))
		orthogonal := func(n int) *linalg.Matrix {
			u, _, _, err := b.SVD(draw(r, n, n))
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		p, q := orthogonal(rows), orthogonal(cols)
		turned := func(m *linalg.Matrix) *linalg.Matrix { return b.Mul(false, true, 1, b.Mul(false, false, 1, p, m), q) }
		d, e := descentOf(kind, 1, []int{rows, cols}), descentOf(kind, 1, []int{rows, cols})
		w, v := make([]float32, rows*cols), make([]float32, rows*cols)
		for n := 1; n <= 2*refresh; n++ {
			g := draw(r, rows, cols)
			s := stride{number: n, rate: 0.01, scale: 1}
			d.apply(w, floats(g), s)
			e.apply(v, floats(turned(g)), s)
		}
		own := linalg.New(rows, cols)
		for i, x := range w {
			own.Data[i] = float64(x)
		}
		off := farthest(v, turned(own).Data)
		if kind == SOAP && off > 1e-3 || kind == Adam && off < 1e-2 {
			t.Errorf("%s: off by %g", kind, off)
		}
	}
}

// On a bowl that is steep and flat along directions across the entries, SOAP gets much further than Adam.
func TestSOAPIllConditioned(t *testing.T) {
	const n = 12
	b := linalg.Gonum()
	r := rand.New(rand.NewPCG(1, 6))
	steep := func() *linalg.Matrix { // symmetric, of condition 1,000
		u, _, _, err := b.SVD(draw(r, n, n))
		if err != nil {
			t.Fatal(err)
		}
		scaled := u.Clone()
		for i := range scaled.Data {
			scaled.Data[i] *= math.Pow(1000, -float64(i%n)/(n-1))
		}
		return b.Mul(false, true, 1, scaled, u)
	}
	left, right := steep(), steep()
	start := make([]float32, n*n)
	for i := range start {
		start[i] = float32(r.NormFloat64())
	}
	reached := map[Optimizer]float64{}
	for _, kind := range []Optimizer{SOAP, Adam} {
		w, d := slices.Clone(start), descentOf(kind, 1, []int{n, n})
		s := schedule{rate: 0.05, warmUp: 20, steps: 600}
		loss := 0.
		for k := 1; k <= s.steps; k++ {
			at := linalg.New(n, n)
			for i, x := range w {
				at.Data[i] = float64(x)
			}
			g := b.Mul(false, false, 1, b.Mul(false, false, 1, left, at), right)
			loss = 0
			for i, x := range g.Data {
				loss += 0.5 * x * at.Data[i]
			}
			d.apply(w, floats(g), stride{number: k, rate: s.at(k), scale: 1})
		}
		reached[kind] = loss
	}
	if !(reached[SOAP] < reached[Adam]/10) {
		t.Errorf("SOAP reaches %g, Adam %g", reached[SOAP], reached[Adam])
	}
}

// Where all gradients lie in a few directions, the weights stay put along the others.
func TestSOAPFaint(t *testing.T) {
	const n = 8
	b := linalg.Gonum()
	r := rand.New(rand.NewPCG(5, 5))
	u, _, _, err := b.SVD(draw(r, n, n))
	if err != nil {
		t.Fatal(err)
	}
	few := linalg.New(n, 3) // of the directions of the rows
	for i := range n {
		copy(few.Row(i), u.Row(i)[:3])
	}
	w, d := make([]float32, n*n), descentOf(SOAP, 1, []int{n, n})
	const rate, steps = 0.01, 100
	for k := 1; k <= steps; k++ {
		d.apply(w, floats(b.Mul(false, false, 1, few, draw(r, 3, n))), stride{number: k, rate: rate, scale: 1})
	}
	at := linalg.New(n, n)
	for i, x := range w {
		at.Data[i] = float64(x)
	}
	moved := b.Mul(true, false, 1, u, at)
	for i := range n {
		size := 0.
		for _, v := range moved.Row(i) {
			size = max(size, math.Abs(v))
		}
		if i < 3 && size < rate || i >= 3 && size > rate/2 {
			t.Errorf("direction %d moves by up to %g", i, size)
		}
	}
}

// Where the moments overflow, so that there are no eigenvectors, weights that are finite stay so, and those of other
// matrices move on.
func TestSOAPOverflow(t *testing.T) {
	d := descentOf(SOAP, 1, []int{2, 2}, []int{2, 2})
	w := []float32{1, 1, 1, 1, 1, 1, 1, 1}
	g := []float32{1e30, -1e30, 1e30, 0, 1, 2, 3, 4}
	for n := 1; n <= refresh+2; n++ {
		d.apply(w, g, stride{number: n, rate: 0.01, scale: 1})
	}
	along := float32(0)
	for i := 4; i < 8; i++ {
		along += g[i] * (w[i] - 1)
	}
	if along > -1 || !finite(w) {
		t.Errorf("%v, by %g along the gradient", w, along)
	}
}

// Sides that are too long keep their coordinates, and what is no matrix is moved by Adam.
func TestSOAPSides(t *testing.T) {
	list := shaped([]int{4, 3}, []int{widest + 1, 2}, []int{widest + 1, widest + 1}, []int{5}, []int{1, 9}).list
	r := newRotations(linalg.Gonum(), list)
	var sides [][2]bool
	for _, m := range r.list {
		sides = append(sides, [2]bool{m.rows != nil, m.columns != nil})
	}
	want := [][2]bool{{true, true}, {false, true}, {false, true}}
	if len(sides) != len(want) || sides[0] != want[0] || sides[1] != want[1] || sides[2] != want[2] {
		t.Errorf("rows and columns that turn: %v, want %v", sides, want)
	}
	if n := 2 * (4*4 + 3*3 + 2*2 + 9*9); len(r.numbers) != n {
		t.Errorf("%d numbers, want %d", len(r.numbers), n)
	}
	random := rand.New(rand.NewPCG(2, 2))
	d, e := descentOf(SOAP, 1, []int{5}), descentOf(Adam, 1, []int{5})
	w, v := make([]float32, 5), make([]float32, 5)
	for n := 1; n < 9; n++ {
		g := floats(draw(random, 1, 5))
		s := stride{number: n, rate: 0.1, scale: 1}
		d.apply(w, g, s)
		e.apply(v, g, s)
	}
	for i := range w {
		if w[i] != v[i] {
			t.Errorf("number %d: %g, Adam %g", i, w[i], v[i])
		}
	}
}

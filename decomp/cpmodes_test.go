package decomp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestModeSpaceOfProduct: a metric that is the Kronecker product of its marginals is a multiple of the identity in the
// whitened coordinates, and the way there and back is the identity.
func TestModeSpaceOfProduct(t *testing.T) {
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(1, 2))
	lengths := []int{4, 3, 2}
	a := &linalg.Matrix{Rows: 1, Cols: 1, Data: []float64{1}}
	for _, n := range lengths {
		x := randomMatrix(r, 2*n, n)
		part := b.Mul(true, false, 1, x, x)
		grown := linalg.New(a.Rows*n, a.Rows*n)
		for i := range grown.Rows {
			for j := range grown.Rows {
				grown.Set(i, j, a.At(i/n, j/n)*part.At(i%n, j%n))
			}
		}
		a = grown
	}
	w, x := randomMatrix(r, 5, a.Rows), randomMatrix(r, 10, 5)
	s, err := newModeSpace(b, w, lengths[0], lengths[1:], a, b.Mul(true, false, 1, x, x))
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Rows {
		for j := range a.Rows {
			want := 0.0
			if i == j {
				want = s.metric.At(0, 0)
			}
			if got := s.metric.At(i, j); math.Abs(got-want) > 1e-10*s.metric.At(0, 0) {
				t.Fatalf("the whitened metric is %g at (%d, %d), wanted %g", got, i, j, want)
			}
		}
	}
	g := &modeGroup{space: s, w: w, a: a, g: b.Mul(true, false, 1, x, x)}
	c := &cpGroup{modeGroup: g}
	terms := s.randomTerms(3)
	back := c.measured(c.whitened(terms)).factors
	product := func(x cpTerms) *linalg.Matrix { return s.b.Mul(true, false, 1, x.out, x.columns()) }
	want, got := product(terms), product(back)
	for i, v := range want.Data {
		if math.Abs(got.Data[i]-v) > 1e-10*want.MaxAbs() {
			t.Fatalf("there and back, weight %d is %g, was %g", i, got.Data[i], v)
		}
	}
}

// TestBoundedSolve holds solutions against the conditions of the bounded problem.
func TestBoundedSolve(t *testing.T) {
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(3, 4))
	x := randomMatrix(r, 12, 8)
	for i := range x.Rows { // the last column is nearly the first
		x.Set(i, 7, x.At(i, 0)+1e-4*x.At(i, 7))
	}
	m, right := b.Mul(true, false, 1, x, x), randomMatrix(r, 8, 3)
	free, err := boundedSolve(b, m, right, math.Inf(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range b.Mul(false, false, 1, m, free).Data {
		if math.Abs(v-right.Data[i]) > 1e-3 {
			t.Errorf("without a bound, m·X differs by %g", v-right.Data[i])
		}
	}
	size := squaredNorm(free.Data)
	for _, share := range []float64{2, 0.5, 1e-2, 1e-6, 1e-12} {
		got, err := boundedSolve(b, m, right, share*size)
		if err != nil {
			t.Fatal(err)
		}
		if n := squaredNorm(got.Data); n > 1.1*min(share, 1)*size*(1+1e-9) || share < 1 && n < 0.8*share*size {
			t.Errorf("bound %g: ‖X‖² is %g", share*size, n)
		}
		// (m + λ)X = right with one λ ≥ 0 for all.
		rest, lambda := b.Mul(false, false, 1, m, got), 0.0
		for i := range rest.Data {
			rest.Data[i] = right.Data[i] - rest.Data[i]
		}
		lambda = dot(rest.Data, got.Data) / dot(got.Data, got.Data)
		axpy(rest.Data, -lambda, got.Data)
		if lambda < -1e-6 || math.Sqrt(squaredNorm(rest.Data)) > 1e-3 {
			t.Errorf("bound %g: λ is %g, and %g is left", share*size, lambda, math.Sqrt(squaredNorm(rest.Data)))
		}
	}
}

// TestLeadingTerms: all terms together are the tensor, and the first of them are orthogonal and the largest.
func TestLeadingTerms(t *testing.T) {
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(5, 6))
	for _, out := range []int{3, 9} { // fewer outputs than inputs, and more
		w := randomMatrix(r, out, 5*2*3)
		s, err := newModeSpace(b, w, 5, []int{2, 3}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.leadingTerms(w, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if rest := squaredNorm(s.residual(all).Data); rest > 1e-20*s.energy {
			t.Errorf("%d outputs: all terms leave %g of %g", out, rest, s.energy)
		}
		few, err := s.leadingTerms(w, 4)
		if err != nil {
			t.Fatal(err)
		}
		if rest, want := squaredNorm(s.residual(few).Data), s.energy-few.size(); math.Abs(rest-want) > 1e-10*s.energy {
			t.Errorf("%d outputs: four terms leave %g, wanted %g", out, rest, want)
		}
	}
}

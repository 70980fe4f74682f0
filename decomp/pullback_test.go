package decomp_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// gaussian is a matrix of standard normal numbers.
func gaussian(r *rand.Rand, rows, cols int) *linalg.Matrix {
	m := linalg.New(rows, cols)
	for i := range m.Data {
		m.Data[i] = r.NormFloat64()
	}
	return m
}

// TestPullback factors a matrix with more outputs than inputs under G and under WᵀGW, for every form of the inputs' moment: the
// losses and the products are the same at every rank, and the losses are those of the chains under G.
func TestPullback(t *testing.T) {
	const in, out = 7, 40
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(5, 18))
	k := decomp.Kernel{Shape: decomp.Shape{In: in, Out: out, Groups: 1}, Weights: gaussian(r, out, in).Data}
	w := &linalg.Matrix{Rows: out, Cols: in, Data: k.Weights}
	sample, wide := gaussian(r, 30, in), gaussian(r, 3, in)
	square := func(x *linalg.Matrix) *linalg.Matrix { return b.Mul(true, false, 1, x, x) }
	diagonal := []float64{1, 2, 0.5, 3, 0.1, 1, 1}
	for name, g := range map[string]*linalg.Matrix{"regular": square(gaussian(r, 90, out)), "singular": square(gaussian(r, 4, out)), "zero": linalg.New(out, out)} {
		pulled := b.Mul(true, false, 1, w, b.Mul(false, false, 1, g, w))
		for form, m := range map[string]decomp.Metric{
			"identity": {}, "matrix": {In: []*linalg.Matrix{square(sample)}}, "singular": {In: []*linalg.Matrix{square(wide)}},
			"columns": {Sample: []*linalg.Matrix{sample}}, "few columns": {Sample: []*linalg.Matrix{wide}, Diagonal: [][]float64{diagonal}}, "diagonal": {Diagonal: [][]float64{diagonal}},
		} {
			dense, through := m, m
			dense.Out, through.Pullback = []*linalg.Matrix{g}, []*linalg.Matrix{pulled}
			a, c := factor(t, k, dense), factor(t, k, through)
			energy, err := through.Energy(b, k)
			if err != nil || !near(energy, a.Energy(), a.Energy()) || !near(c.Energy(), a.Energy(), a.Energy()) {
				t.Errorf("%s, %s: the energy is %g and %g (%v), want %g", name, form, energy, c.Energy(), err, a.Energy())
			}
			for rank := 1; rank <= in; rank++ {
				want, err1 := a.Loss(decomp.Rank{rank})
				got, err2 := c.Loss(decomp.Rank{rank})
				chain, err3 := c.Chain(decomp.Rank{rank})
				if err1 != nil || err2 != nil || err3 != nil {
					t.Fatal(err1, err2, err3)
				}
				if !near(got, want, a.Energy()) {
					t.Errorf("%s, %s: rank %d loses %g, want %g", name, form, rank, got, want)
				}
				left := b.Mul(true, true, 1, chainMatrix(chain[0]), chainMatrix(chain[1])).T()
				for i, v := range k.Weights {
					left.Data[i] -= v
				}
				lost, err := dense.Energy(b, decomp.Kernel{Shape: k.Shape, Weights: left.Data})
				if err != nil || !near(lost, want, a.Energy()) {
					t.Errorf("%s, %s: the chain of rank %d loses %g (%v), want %g", name, form, rank, lost, err, want)
				}
			}
		}
	}
}

func chainMatrix(f decomp.Factor) *linalg.Matrix {
	return &linalg.Matrix{Rows: f.Kernel.Rows(), Cols: f.Kernel.Cols(), Data: f.Kernel.Weights}
}

func near(got, want, scale float64) bool { return math.Abs(got-want) <= 1e-9*scale }

func TestPullbackRefused(t *testing.T) {
	k := decomp.Kernel{Shape: decomp.Shape{In: 2, Out: 3, Groups: 1}, Weights: make([]float64, 6)}
	one := []*linalg.Matrix{linalg.Identity(2)}
	for _, m := range []decomp.Metric{{Pullback: one, Out: []*linalg.Matrix{linalg.Identity(3)}}, {Pullback: []*linalg.Matrix{linalg.Identity(3)}}} {
		_, err := method(t, "svd").Factor(linalg.Gonum(), k, m)
		testkit.WantError(t, err, "output")
	}
	k.Shape.Window = []int{1}
	_, err := method(t, "svd").Factor(linalg.Gonum(), k, decomp.Metric{Pullback: one})
	testkit.WantError(t, err, "plain matrices")
}

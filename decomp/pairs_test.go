package decomp_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// definite draws a positive definite matrix.
func definite(random *rand.Rand, n int) *linalg.Matrix {
	m := linalg.New(2*n, n)
	for i := range m.Data {
		m.Data[i] = random.NormFloat64() * math.Exp(float64(i%n)/float64(n))
	}
	return linalg.Gonum().Mul(true, false, 1, m, m)
}

// TestTurnPairs: L and R leave products as they are; of one head, what k channels lose is what the best matrix of rank k loses under the
// same G, and of several heads it is what the definition says.
func TestTurnPairs(t *testing.T) {
	b := linalg.Gonum()
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		heads [][]int
		of    []int
	}{
		{[][]int{{0, 1, 2, 3, 4}}, []int{0}},
		{[][]int{{0, 2, 4}, {1, 3, 5}}, []int{0, 1}},
		{[][]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}}, []int{1, 1, 0, 0}},
	} {
		n, size := 0, len(c.heads[0])
		for _, channels := range c.heads {
			n += len(channels)
		}
		moment, felt := definite(random, n), definite(random, n)
		p, err := decomp.TurnPairs(b, c.heads, c.of, moment, felt)
		if err != nil {
			t.Fatal(err)
		}
		for k := range p.Queries {
			for i, v := range b.Mul(true, false, 1, p.Queries[k], p.Keys[k]).Data {
				if want := map[bool]float64{true: 1}[i%(size+1) == 0]; math.Abs(v-want) > 1e-7 {
					t.Errorf("LᵀR has %g at %d, want %g", v, i, want)
				}
			}
		}
		for k := range size + 1 {
			left := linalg.Identity(n) // 1 − P
			for i, channels := range c.heads {
				l, r := p.Queries[c.of[i]].RowRange(0, k), p.Keys[c.of[i]].RowRange(0, k)
				for a, row := range channels {
					for e, col := range channels {
						for s := range k {
							left.Data[row*n+col] -= r.At(s, a) * l.At(s, e)
						}
					}
				}
			}
			moved := b.Mul(false, true, 1, b.Mul(false, false, 1, left, moment), left)
			want := 0.0
			for i, v := range moved.Data {
				want += v * felt.Data[i]
			}
			if got := p.Losses[k]; math.Abs(got-want) > 1e-7*p.Losses[0] {
				t.Errorf("%d heads with %d of %d channels lose %g, want %g", len(c.heads), k, size, got, want)
			}
		}
		if len(c.heads) > 1 {
			continue
		}
		k := decomp.Kernel{Shape: decomp.Shape{Out: n, In: n, Groups: 1}, Weights: linalg.Identity(n).Data}
		spectrum, err := decomp.Methods()[0].Factor(b, k, decomp.Metric{In: []*linalg.Matrix{moment}, Out: []*linalg.Matrix{felt}})
		if err != nil {
			t.Fatal(err)
		}
		for r := 1; r < n; r++ {
			if want, err := spectrum.Loss(decomp.Rank{r}); err != nil || math.Abs(p.Losses[r]-want) > 1e-7*p.Losses[0] {
				t.Errorf("%d of %d channels lose %g, the best of the rank %g (%v)", r, n, p.Losses[r], want, err)
			}
		}
		turn := decomp.Turn{Channels: c.heads, By: p.Queries, Dual: p.Keys}
		source := decomptest.Random(7, decomp.Shape{Out: n, In: 6, Groups: 1})
		nothing := decomp.Kernel{Shape: source.Kernel.Shape, Weights: make([]float64, len(source.Kernel.Weights))}
		one := decomptest.Loss(source.Kernel, nothing, source.Metric)
		other := decomptest.Loss(turn.Outputs(b, source.Kernel), nothing, turn.OutputMetric(b, source.Metric))
		if math.Abs(one-other) > 1e-7*one {
			t.Errorf("the energy of the kernel with turned outputs is %g, was %g", other, one)
		}
	}
}

package decomp_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestEven: a chain with even channels computes what it did, whatever its method; those between two factors reach as far, which costs no
// more than the chain did before.
func TestEven(t *testing.T) {
	q := decomp.EightBits{Levels: 127, Reach: 8}
	for _, shape := range []decomp.Shape{
		{Out: 24, In: 12, Window: []int{3, 3}, Groups: 1},
		{Out: 24, In: 24, Window: []int{3}, Groups: 2},
		{Out: 24, In: 40, Groups: 1},
	} {
		s := decomptest.Random(5, shape)
		for _, m := range decomp.Methods() {
			if m.Accepts(shape) != nil {
				continue
			}
			chain := halfway(t, m, s)
			for i := range chain[0].Kernel.Weights[:chain[0].Kernel.Cols()] { // as uneven as rounding could meet it
				chain[0].Kernel.Weights[i] *= 100
			}
			even, err := q.Even(linalg.Gonum(), shape, s.Metric, nil, chain)
			if err != nil {
				t.Fatal(err)
			}
			one, other := composed(t, chain, shape), composed(t, even, shape)
			if d := decomptest.Loss(one, other, s.Metric); d > 1e-20*decomptest.Loss(one, decomp.Kernel{Shape: shape, Weights: make([]float64, len(one.Weights))}, s.Metric) {
				t.Errorf("%s of %v computes something else: %g", m.Name, shape, d)
			}
			again, err := q.Even(linalg.Gonum(), shape, s.Metric, nil, even)
			if err != nil {
				t.Fatal(err)
			}
			for i := range even {
				for k, v := range even[i].Kernel.Weights {
					if w := again[i].Kernel.Weights[k]; math.Abs(v-w) > 1e-9*math.Abs(v) {
						t.Fatalf("%s of %v: factor %d is not even: %g becomes %g", m.Name, shape, i, v, w)
					}
				}
			}
			if same := slices.Equal(even[0].Kernel.Weights, chain[0].Kernel.Weights); same != (shape.Groups > 1) {
				t.Errorf("%s of %v: left as it is: %v", m.Name, shape, same)
			}
		}
	}
}

// TestRounding holds what eight bits cost against a model that is run with them: weights rounded by outputs, and what lies between the
// factors by the range that it has.
func TestRounding(t *testing.T) {
	shape := decomp.Shape{Out: 10, In: 16, Groups: 1}
	s := decomptest.Random(3, shape)
	q := decomp.EightBits{Levels: 127, Reach: 8}
	m := decomp.Methods()[0]
	chain := halfway(t, m, s)
	got, err := q.Rounding(linalg.Gonum(), shape, s.Metric, nil, chain)
	if err != nil {
		t.Fatal(err)
	}
	even, err := q.Even(linalg.Gonum(), shape, s.Metric, nil, chain)
	if err != nil {
		t.Fatal(err)
	}
	first, last := matrix(even[0].Kernel), matrix(even[1].Kernel)
	b := linalg.Gonum()
	spread := b.Mul(false, true, 1, b.Mul(false, false, 1, first, s.Metric.In[0]), first)
	step := 2 * 8 * math.Sqrt(spread.At(0, 0)) / 255
	want, err := s.Metric.Change(b, shape, even, decomp.Chain{{Kernel: byRows(even[0].Kernel)}, {Kernel: byRows(even[1].Kernel)}})
	if err != nil {
		t.Fatal(err)
	}
	random, draws, felt := rand.New(rand.NewPCG(1, 2)), 4000, 0.0
	for range draws {
		h := linalg.New(first.Rows, 1)
		for i := range h.Data {
			v := 1000 * step * random.NormFloat64()
			h.Data[i] = step*math.RoundToEven(v/step) - v
		}
		y := b.Mul(false, false, 1, last, h)
		felt += b.Mul(true, false, 1, y, b.Mul(false, false, 1, s.Metric.Out[0], y)).At(0, 0) / float64(draws)
	}
	if want += felt; math.Abs(got-want) > 0.05*want {
		t.Errorf("rounding is said to cost %g, and costs %g", got, want)
	}
	alone, err := q.Alone(b, s.Metric, s.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	if want := decomptest.Loss(s.Kernel, byRows(s.Kernel), s.Metric); math.Abs(alone-want) > 1e-9*want || alone <= 0 {
		t.Errorf("rounding the kernel is said to cost %g, and costs %g", alone, want)
	}
	coarse := decomp.EightBits{Levels: 63, Reach: 8}
	if more, err := coarse.Rounding(b, shape, s.Metric, nil, chain); err != nil || more <= got {
		t.Errorf("with seven bits %g, with eight %g (%v)", more, got, err)
	}
	far, err := q.Rounding(b, shape, s.Metric, [][]float64{slices.Repeat([]float64{50}, 16)}, chain)
	if err != nil || far <= got {
		t.Errorf("with inputs far from zero %g, else %g (%v)", far, got, err)
	}
}

// halfway is the chain of a method at the middle one of its ranks.
func halfway(t *testing.T, m decomp.Method, s decomptest.Specimen) decomp.Chain {
	t.Helper()
	spectrum, err := m.Factor(linalg.Gonum(), s.Kernel, s.Metric)
	if err != nil {
		t.Fatal(err)
	}
	ranks := m.Ranks(s.Kernel.Shape, 1)
	chain, err := spectrum.Chain(ranks[len(ranks)/2])
	if err != nil {
		t.Fatal(err)
	}
	out := slices.Clone(chain)
	for i := range out {
		out[i].Kernel.Weights = slices.Clone(out[i].Kernel.Weights)
	}
	return out
}

func composed(t *testing.T, c decomp.Chain, s decomp.Shape) decomp.Kernel {
	t.Helper()
	k, err := c.Compose(linalg.Gonum(), s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func matrix(k decomp.Kernel) *linalg.Matrix {
	return &linalg.Matrix{Rows: k.Out, Cols: k.Cols(), Data: k.Weights}
}

// byRows rounds the weights of each output to 127 steps of the largest.
func byRows(k decomp.Kernel) decomp.Kernel {
	out := decomp.Kernel{Shape: k.Shape, Weights: slices.Clone(k.Weights)}
	for row := range slices.Chunk(out.Weights, k.Cols()) {
		most := max(slices.Max(row), -slices.Min(row))
		for i, v := range row {
			row[i] = math.RoundToEven(v*127/most) * most / 127
		}
	}
	return out
}

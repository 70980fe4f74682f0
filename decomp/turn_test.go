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

// headsOf is a reader of so many heads of so many channels each, under a metric in one of its forms.
func headsOf(heads, size, out int, form int) decomp.HeadReader {
	random := rand.New(rand.NewPCG(uint64(heads), uint64(size)))
	draw := func(rows, cols int) *linalg.Matrix {
		m := linalg.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = random.NormFloat64() * math.Exp(float64(i%cols)/float64(cols))
		}
		return m
	}
	b, k := linalg.Gonum(), heads*size
	sample, felt := draw(3*k, k), draw(2*out, out)
	r := decomp.HeadReader{Reader: decomp.Reader{
		Kernel: decomp.Kernel{Shape: decomp.Shape{Out: out, In: k, Groups: 1}, Weights: draw(out, k).Data}, Scale: 2,
	}}
	r.Metric.Out = []*linalg.Matrix{b.Mul(true, false, 1, felt, felt)}
	diagonal := make([]float64, k)
	for i := range diagonal {
		diagonal[i] = random.Float64()
	}
	switch form {
	case 0:
		r.Metric.In = []*linalg.Matrix{b.Mul(true, false, 1, sample, sample)}
	case 1:
		r.Metric.Sample = []*linalg.Matrix{sample}
	default:
		r.Metric.Sample, r.Metric.Diagonal = []*linalg.Matrix{sample}, [][]float64{diagonal}
	}
	for h := range heads {
		channels := make([]int, size)
		for j := range channels {
			channels[j] = h + j*heads // heads need not lie together
		}
		r.Heads, r.Of = append(r.Heads, channels), append(r.Of, h)
	}
	return r
}

// turnOf is the turn of a reader's heads.
func turnOf(t *testing.T, r decomp.HeadReader) decomp.Turn {
	t.Helper()
	by, err := decomp.TurnHeads(linalg.Gonum(), len(r.Heads), []decomp.HeadReader{r})
	if err != nil {
		t.Fatal(err)
	}
	return decomp.Turn{Channels: r.Heads, By: by}
}

// TestTurn: a turn is orthogonal, kernels and metrics that are turned together say the same, and what a turned kernel computes of
// turned inputs is what it computed.
func TestTurn(t *testing.T) {
	b := linalg.Gonum()
	for form := range 3 {
		r := headsOf(3, 4, 5, form)
		turn := turnOf(t, r)
		for i, q := range turn.By {
			for k, v := range b.Mul(false, true, 1, q, q).Data {
				if want := map[bool]float64{true: 1}[k%5 == 0]; math.Abs(v-want) > 1e-12 {
					t.Errorf("head %d: QQᵀ has %g at %d, want %g", i, v, k, want)
				}
			}
		}
		x := make([]float64, r.Kernel.In)
		for i := range x {
			x[i] = float64(i%5) - 1.7
		}
		turned := turn.Inputs(b, r.Kernel)
		if slices.Equal(turned.Weights, r.Kernel.Weights) {
			t.Error("nothing is turned")
		}
		before, after := product(r.Kernel, x), product(turned, turn.Vector(b, x))
		for i, v := range before {
			if math.Abs(v-after[i]) > 1e-12*math.Abs(v) {
				t.Errorf("output %d is %g of turned inputs, was %g", i, after[i], v)
			}
		}
		zero := decomp.Kernel{Shape: r.Kernel.Shape, Weights: make([]float64, len(r.Kernel.Weights))}
		one, other := decomptest.Loss(r.Kernel, zero, r.Metric), decomptest.Loss(turned, zero, turn.InputMetric(b, r.Metric))
		if math.Abs(one-other) > 1e-12*one {
			t.Errorf("form %d: the energy of the turned kernel is %g, of the kernel %g", form, other, one)
		}

		source := decomptest.Random(7, decomp.Shape{Out: r.Kernel.In, In: 6, Groups: 1})
		nothing := decomp.Kernel{Shape: source.Kernel.Shape, Weights: make([]float64, len(source.Kernel.Weights))}
		one = decomptest.Loss(source.Kernel, nothing, source.Metric)
		other = decomptest.Loss(turn.Outputs(b, source.Kernel), nothing, turn.OutputMetric(b, source.Metric))
		if math.Abs(one-other) > 1e-12*one {
			t.Errorf("the energy of the kernel with turned outputs is %g, was %g", other, one)
		}
	}
}

func product(k decomp.Kernel, x []float64) []float64 {
	out := make([]float64, k.Out)
	for i, w := range k.Weights {
		out[i/k.In] += w * x[i%k.In]
	}
	return out
}

// TestTurnHeads: of one head, the first k rows lose what the best matrix of rank k loses, at every k. Of several, they lose no more than
// any k channels of each head do.
func TestTurnHeads(t *testing.T) {
	b := linalg.Gonum()
	for form := range 3 {
		r := headsOf(1, 6, 9, form)
		turn := turnOf(t, r)
		e := elimination(t, turn, r)
		spectrum, err := decomp.Methods()[0].Factor(b, r.Kernel, r.Metric)
		if err != nil {
			t.Fatal(err)
		}
		for k := 1; k < 6; k++ {
			got, err := e.Loss(k)
			if err != nil {
				t.Fatal(err)
			}
			least, err := spectrum.Loss(decomp.Rank{k})
			if err != nil {
				t.Fatal(err)
			}
			if want := r.Scale * least; math.Abs(got-want) > 1e-8*e.Energy() {
				t.Errorf("form %d: with %d of 6 channels the loss is %g, want %g of rank %d", form, k, got, want, k)
			}
		}

		r = headsOf(3, 4, 7, form)
		turned := elimination(t, turnOf(t, r), r)
		units := make([][]int, 4)
		for _, channels := range r.Heads {
			for u, c := range channels {
				units[u] = append(units[u], c)
			}
		}
		r.Channels = units
		plain, err := decomp.Eliminate(b, 4, []decomp.Reader{r.Reader})
		if err != nil {
			t.Fatal(err)
		}
		for k := 1; k < 4; k++ {
			best, _ := plain.Loss(k)
			if got, _ := turned.Loss(k); !(got < best) {
				t.Errorf("form %d: with %d of 4 channels in three heads the loss is %g, and %g without a turn", form, k, got, best)
			}
		}
	}
}

// elimination drops the last of the turned channels of each head first.
func elimination(t *testing.T, turn decomp.Turn, r decomp.HeadReader) *decomp.Elimination {
	t.Helper()
	b, order := linalg.Gonum(), []int(nil)
	turned := decomp.Reader{Kernel: turn.Inputs(b, r.Kernel), Metric: turn.InputMetric(b, r.Metric), Scale: r.Scale}
	for u := range r.Heads[0] {
		var channels []int
		for _, head := range r.Heads {
			channels = append(channels, head[u])
		}
		turned.Channels, order = append(turned.Channels, channels), append(order, u)
	}
	e, err := decomp.EliminateInOrder(b, order, []decomp.Reader{turned})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

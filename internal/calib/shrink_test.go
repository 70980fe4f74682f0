package calib

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// sampled makes the sensitivities of one sample: channels×n, with the rows of mix as what the
// channels share.
func sampled(r *rand.Rand, mix *linalg.Matrix, n int) linalg.Block32 {
	x := linalg.Block32{Rows: mix.Rows, Cols: n, Stride: n, Data: make([]float32, mix.Rows*n)}
	v := make([]float64, mix.Cols)
	for j := range n {
		for i := range v {
			v[i] = r.NormFloat64()
		}
		for i := range mix.Rows {
			for k, m := range mix.Row(i) {
				x.Data[i*n+j] += float32(m * v[k])
			}
		}
	}
	return x
}

// estimate returns the mean of the second moments of samples of n positions, and α.
func estimate(mix *linalg.Matrix, samples, n int, seed uint64) (*linalg.Matrix, float64) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &worker{backend: linalg.Gonum()}
	sum, s := linalg.New(mix.Rows, mix.Rows), variance{}
	for range samples {
		x := sampled(r, mix, n)
		for i := range x.Rows {
			for j := range x.Rows {
				for k := range n {
					sum.Data[i*x.Rows+j] += float64(x.Data[i*n+k]) * float64(x.Data[j*n+k]) / float64(samples*n)
				}
			}
		}
		s.add(block{groups: []linalg.Block32{x}}.offDiagonal(w), n)
	}
	return sum, s.noise(0, sum, int64(samples*n))
}

// distance is the Frobenius norm of a − b.
func distance(a, b *linalg.Matrix) float64 {
	sum := 0.
	for i, v := range a.Data {
		sum += (v - b.Data[i]) * (v - b.Data[i])
	}
	return math.Sqrt(sum)
}

// Independent channels leave nothing off the diagonal; channels that share all they have
// leave nearly everything. In between, what is shrunk lies closer to the truth.
func TestShrinkage(t *testing.T) {
	const channels, samples, n = 60, 40, 3
	one := linalg.New(channels, 1)
	for i := range one.Data {
		one.Data[i] = 1 + float64(i%3)
	}
	mixed := linalg.Identity(channels)
	for i := range mixed.Rows {
		mixed.Set(i, 0, 0.3)
	}
	for _, c := range []struct {
		name        string
		mix         *linalg.Matrix
		least, most float64
	}{
		{"independent", linalg.Identity(channels), 0.95, 1},
		{"all alike", one, 0, 0.1},
		{"mixed", mixed, 0.2, 0.9},
	} {
		g, alpha := estimate(c.mix, samples, n, 7)
		if !(alpha >= c.least && alpha <= c.most) {
			t.Errorf("%s: α = %.3f, want %g to %g", c.name, alpha, c.least, c.most)
		}
		truth := linalg.Gonum().Mul(false, true, 1, c.mix, c.mix)
		before := distance(g, truth)
		shrink(g, alpha)
		if after := distance(g, truth); c.most > 0.1 && !(after < before) {
			t.Errorf("%s: the error grows from %.3g to %.3g", c.name, before, after)
		}
	}
}

// Rows and columns as positions, fewer and more of them than channels: always the same number,
// that of the definition.
func TestOffDiagonal(t *testing.T) {
	for _, n := range []int{1, 4, 5, 17} {
		const channels = 5
		x := sampled(rand.New(rand.NewPCG(3, uint64(n))), linalg.Identity(channels), n)
		turned := linalg.Block32{Rows: n, Cols: channels, Stride: channels, Data: make([]float32, len(x.Data))}
		want := 0.
		for i := range channels {
			for j := range channels {
				s := 0.
				for k := range n {
					s += float64(x.Data[i*n+k]) * float64(x.Data[j*n+k])
					turned.Data[k*channels+i] = x.Data[i*n+k]
				}
				if i != j {
					want += s * s
				}
			}
		}
		for _, b := range []block{{groups: []linalg.Block32{x}}, {groups: []linalg.Block32{turned}, turned: true}} {
			got := b.offDiagonal(&worker{backend: linalg.Gonum()})
			if math.Abs(got[0]-want) > 1e-5*want || b.positions() != n {
				t.Errorf("%d positions, turned %v: %g of %d positions, want %g", n, b.turned, got[0], b.positions(), want)
			}
		}
	}
}

// One sample does not say how far apart samples lie, so nothing off the diagonal is believed.
func TestNoiseOfOneSample(t *testing.T) {
	if _, alpha := estimate(linalg.Identity(6), 1, 9, 2); alpha != 1 {
		t.Errorf("α = %g of one sample, want 1", alpha)
	}
}

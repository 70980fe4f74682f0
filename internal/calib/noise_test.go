package calib

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// normal draws columns of the covariance of L·z, one a sample, about a mean of 2.
func normal(seed uint64, n int, root *linalg.Matrix) memory {
	src := random(n, "x", tensor.Float32, root.Rows)
	r := rand.New(rand.NewPCG(seed, 5))
	for i := range src {
		x := src[i].Inputs["x"].Float32s()
		z := make([]float64, root.Cols)
		for k := range z {
			z[k] = r.NormFloat64()
		}
		for k := range x {
			sum := 2.
			for j, v := range root.Row(k) {
				sum += v * z[j]
			}
			x[k] = float32(sum)
		}
	}
	return src
}

// TestNoise wants covariances of few samples nearer to the true one with their noise taken off than without, whether columns are
// kept or summed, and the more samples, the less to take off.
func TestNoise(t *testing.T) {
	const k = 24
	root := linalg.New(k, k)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range k {
		for j := range k {
			root.Set(i, j, 0.2*r.NormFloat64())
		}
		root.Set(i, i, 1+float64(i)/k)
	}
	truth := linalg.Gonum().Mul(false, true, 1, root, root)
	distance := func(s Stats) float64 {
		m := s.Input(true)
		a := m.In
		if a == nil {
			a = []*linalg.Matrix{linalg.Gonum().Mul(true, false, 1, m.Sample[0], m.Sample[0])}
			if m.Diagonal != nil {
				for i, v := range m.Diagonal[0] {
					a[0].Data[i*k+i] += v
				}
			}
		}
		sum := 0.
		for i, v := range a[0].Data {
			sum += (v - truth.Data[i]) * (v - truth.Data[i])
		}
		return sum
	}
	last := 1.
	for _, n := range []int{4, 8, 16, 64, 512} {
		for _, kept := range []int{0, n} {
			var with, without, share float64
			const draws = 12
			for seed := range uint64(draws) {
				b := testmodels.NewBuilder(1, 17, 8)
				b.Output(b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", k), b.Weight("w", k, k, 8)}), tensor.Float32, "N", 8)
				s := collected(t, b, normal(seed, n, root), Options{Samples: kept, Backend: linalg.Gonum()})[0]
				if (s.Columns.Rows > 0) != (kept > 0 && n < k) {
					t.Fatalf("%d samples: %d columns are kept", n, s.Columns.Rows)
				}
				share += s.Noise[0].OffDiagonal / draws
				with += distance(s) / draws
				s.Noise = nil
				without += distance(s) / draws
			}
			t.Logf("%d samples (kept: %d): %.2f of what is off the diagonal is noise; distance %.3g with it, %.3g without", n, kept, share, without, with)
			if with > without*1.001 {
				t.Errorf("%d samples (kept: %d): a covariance is %g off the true one with its noise taken off, %g without", n, kept, with, without)
			}
			if share > last+0.05 {
				t.Errorf("%d samples (kept: %d): %.3f is noise, of fewer samples %.3f", n, kept, share, last)
			}
			if kept > 0 {
				last = share
			}
		}
	}
	if last > 0.1 {
		t.Errorf("of 512 samples, %.3f is noise", last)
	}
}

// TestTooFewToTell: samples that cannot be told apart leave nothing but a scale, and inputs that do not vary nothing at all.
func TestTooFewToTell(t *testing.T) {
	build := func() *testmodels.Builder {
		b := testmodels.NewBuilder(1, 17, 8)
		b.Output(b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 6), b.Weight("w", 6, 6, 3)}), tensor.Float32, "N", 3)
		return b
	}
	for n := 1; n <= 2; n++ {
		s := collected(t, build(), random(n, "x", tensor.Float32, 6), Options{Backend: linalg.Gonum()})[0]
		a := s.Input(true).In[0]
		if s.Noise[0] != unknownNoise || !(a.At(0, 0) > 0) {
			t.Errorf("%d samples: noise %v, moment %v", n, s.Noise, a.Data)
		}
		for i, v := range a.Data {
			if want := linalg.Identity(6).Data[i] * a.At(0, 0); math.Abs(v-want) > 1e-12 {
				t.Errorf("%d samples: element %d is %g, wanted %g", n, i, v, want)
			}
		}
	}
	src := random(9, "x", tensor.Float32, 6)
	for i := range src {
		for k := range src[i].Inputs["x"].Float32s() {
			src[i].Inputs["x"].Float32s()[k] = 3
		}
	}
	if a := collected(t, build(), src, Options{Backend: linalg.Gonum()})[0].Input(true).In[0]; a.MaxAbs() > 1e-5 {
		t.Errorf("constant inputs have the covariance %v", a.Data)
	}
}

func TestNoiseInFile(t *testing.T) {
	for _, n := range []Noise{{1.5, 0, 0}, {0, -1, 0}, {math.NaN(), 0, 0}, {0, 0, 1e7}} {
		s := someStats()
		s.Noise[1] = n
		var b bytes.Buffer
		if _, err := s.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		_, err := ReadStats(&b)
		testkit.WantError(t, err, "reading statistics")
	}
}

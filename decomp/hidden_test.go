package decomp_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

var activations = map[decomp.Activation]func(float64) float64{
	decomp.Identity: func(x float64) float64 { return x },
	decomp.ReLU:     func(x float64) float64 { return max(x, 0) },
	decomp.ReLU6:    func(x float64) float64 { return min(max(x, 0), 6) },
	decomp.GELU:     func(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 },
}

// pairOf is a covariance of two units.
func pairOf(s1, s2, rho float64) *linalg.Matrix {
	return &linalg.Matrix{Rows: 2, Cols: 2, Data: []float64{s1 * s1, rho * s1 * s2, rho * s1 * s2, s2 * s2}}
}

// integral is ∫ f over the standard normal distribution, by quadrature between the kinks.
func integral(f func(u float64) float64, kinks ...float64) float64 {
	edges := []float64{-9, 9}
	for _, k := range kinks {
		if k > -9 && k < 9 {
			edges = append(edges, k)
		}
	}
	slices.Sort(edges)
	sum := 0.0
	for i := 1; i < len(edges); i++ {
		half := (edges[i] - edges[i-1]) / 2
		for n, x := range legendre.nodes {
			u := edges[i-1] + half*(1+x)
			sum += half * legendre.weights[n] * f(u) * math.Exp(-u*u/2) / math.Sqrt(2*math.Pi)
		}
	}
	return sum
}

var legendre = func() (rule struct{ nodes, weights []float64 }) {
	const points = 64
	rule.nodes, rule.weights = make([]float64, points), make([]float64, points)
	quad.Legendre{}.FixedLocations(rule.nodes, rule.weights, -1, 1)
	return rule
}()

// expectedBoth is E[f(x) f(y)] by integrals: of what y is expected to give where x is known, over x.
func expectedBoth(f func(float64) float64, m1, m2, s1, s2, rho float64) float64 {
	rest := s2 * math.Sqrt(1-rho*rho)
	kinks := func(m, s float64) []float64 { return []float64{-m / s, (6 - m) / s} }
	return integral(func(u float64) float64 {
		m := m2 + rho*s2*u
		inner := f(m)
		if rest > 1e-9*s2 {
			inner = integral(func(v float64) float64 { return f(m + rest*v) }, kinks(m, rest)...)
		}
		return f(m1+s1*u) * inner
	}, append(kinks(m1, s1), (0-m2)/(rho*s2), (6-m2)/(rho*s2))...)
}

// TestHiddenMoment holds the closed forms against integrals: correlations of all sizes, small and large deviations, means on
// either side.
func TestHiddenMoment(t *testing.T) {
	for f, of := range activations {
		for _, rho := range []float64{-1, -0.99, -0.93, -0.6, 0.02, 0.5, 0.9, 0.924, 0.926, 0.97, 0.999, 1} {
			for _, c := range [][4]float64{{0, 0, 1, 1}, {0, 0, 0.3, 2}, {1, -0.5, 1, 1}, {-1.5, -1, 0.7, 1.2}, {2, 2.01, 1, 1}, {-0.8, -0.8, 1, 1}, {5, 3, 2, 4}, {-3, 2, 1, 0.5}} {
				second, first, err := decomp.HiddenMoment(f, pairOf(c[2], c[3], rho), c[:2])
				if err != nil {
					t.Fatal(err)
				}
				scale := math.Sqrt(second.At(0, 0)*second.At(1, 1)) + 1e-3
				if want := expectedBoth(of, c[0], c[1], c[2], c[3], rho); math.Abs(second.At(0, 1)-want) > 1e-9*scale {
					t.Errorf("%v, means %v, deviations %v, correlation %g: E is %.10g, by integrals %.10g", f, c[:2], c[2:], rho, second.At(0, 1), want)
				}
				if second.At(0, 1) != second.At(1, 0) {
					t.Errorf("%v: the moment is not symmetric: %v", f, second.Data)
				}
				for i := range 2 {
					m, s := c[i], c[2+i]
					mean := integral(func(u float64) float64 { return of(m + s*u) }, -m/s, (6-m)/s)
					square := integral(func(u float64) float64 { return of(m+s*u) * of(m+s*u) }, -m/s, (6-m)/s)
					if math.Abs(first[i]-mean) > 1e-9*(1+scale) || math.Abs(second.At(i, i)-square) > 1e-8*(square+1e-3) {
						t.Errorf("%v, mean %g, deviation %g: E f is %g and E f² %g, by integrals %g and %g", f, m, s, first[i], second.At(i, i), mean, square)
					}
				}
			}
		}
	}
}

// TestHiddenMomentArcCosine: without means, ReLU gives the arc-cosine kernel.
func TestHiddenMomentArcCosine(t *testing.T) {
	for rho := -1.0; rho <= 1; rho += 1. / 64 {
		second, first, err := decomp.HiddenMoment(decomp.ReLU, pairOf(2, 3, rho), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := 6 * (math.Sqrt(1-rho*rho) + rho*(math.Pi-math.Acos(rho))) / (2 * math.Pi)
		if math.Abs(second.At(0, 1)-want) > 1e-13 || math.Abs(first[1]-3/math.Sqrt(2*math.Pi)) > 1e-15 {
			t.Errorf("correlation %g: %.16g, wanted %.16g", rho, second.At(0, 1), want)
		}
	}
}

// TestHiddenMomentSampled draws white inputs of a random layer and takes the moments of what it gives.
func TestHiddenMomentSampled(t *testing.T) {
	const units, inputs, samples = 8, 5, 200_000
	r, b := rand.New(rand.NewPCG(3, 21)), linalg.Gonum()
	w, bias := gaussian(r, units, inputs), gaussian(r, 1, units).Data
	x := gaussian(r, samples, inputs)
	z := b.Mul(false, true, 1, x, w)
	for f, of := range activations {
		h := z.Clone()
		for i := range h.Data {
			h.Data[i] = of(h.Data[i] + bias[i%units])
		}
		sampled := b.Mul(true, false, 1./samples, h, h)
		second, first, err := decomp.HiddenMoment(f, b.Mul(false, true, 1, w, w), bias)
		if err != nil {
			t.Fatal(err)
		}
		for i := range units {
			mean := 0.0
			for n := range samples {
				mean += h.At(n, i) / samples
			}
			if scale := math.Sqrt(second.At(i, i)); math.Abs(mean-first[i]) > 0.01*scale {
				t.Errorf("%v: the mean of unit %d is %g, sampled %g", f, i, first[i], mean)
			}
			for j := range units {
				if scale := math.Sqrt(second.At(i, i) * second.At(j, j)); math.Abs(second.At(i, j)-sampled.At(i, j)) > 0.02*scale {
					t.Errorf("%v: the moment of units %d and %d is %g, sampled %g", f, i, j, second.At(i, j), sampled.At(i, j))
				}
			}
		}
	}
}

// TestHiddenMomentExtremes: constant units, units that never wake, and any scale give moments that fit each other.
func TestHiddenMomentExtremes(t *testing.T) {
	means := []float64{0, 3, -3, -40, 40, 1e150, -1e150, 1e-200, 0, 0, 2}
	deviations := []float64{0, 0, 0, 1, 1, 1, 1, 1e-180, 1e100, 1e-100, 1e-160}
	n := len(means)
	cov := linalg.New(n, n)
	for i := range n {
		for j := range n {
			if cov.Set(i, j, 0.5*deviations[i]*deviations[j]); i == j {
				cov.Set(i, i, deviations[i]*deviations[i])
			}
		}
	}
	for f := range activations {
		second, first, err := decomp.HiddenMoment(f, cov, means)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if math.IsNaN(first[i]) || math.IsInf(first[i], 0) {
				t.Errorf("%v: the mean of unit %d is %g", f, i, first[i])
			}
			for j := range n {
				if v := second.At(i, j); !(math.Abs(v) <= math.Sqrt(second.At(i, i))*math.Sqrt(second.At(j, j))*(1+1e-12)) {
					t.Errorf("%v: the moment of units %d and %d is %g, theirs alone %g and %g", f, i, j, v, second.At(i, i), second.At(j, j))
				}
			}
		}
		if want := activations[f](3); math.Abs(second.At(1, 1)-want*want) > 1e-9*want*want && f != decomp.GELU {
			t.Errorf("%v: a unit that is always 3 has the moment %g", f, second.At(1, 1))
		}
		if f == decomp.ReLU && second.At(3, 3) != 0 {
			t.Errorf("a unit that never wakes has the moment %g", second.At(3, 3))
		}
	}
}

func TestHiddenMomentRefuses(t *testing.T) {
	good := linalg.Identity(2)
	bad, negative := good.Clone(), good.Clone()
	bad.Set(0, 1, math.NaN())
	negative.Set(1, 1, -1)
	for name, call := range map[string]func() error{
		"unknown activation": func() error { _, _, err := decomp.HiddenMoment(decomp.GELU+1, good, nil); return err },
		"no square":          func() error { _, _, err := decomp.HiddenMoment(decomp.ReLU, linalg.New(2, 3), nil); return err },
		"too few means":      func() error { _, _, err := decomp.HiddenMoment(decomp.ReLU, good, []float64{1}); return err },
		"no number":          func() error { _, _, err := decomp.HiddenMoment(decomp.ReLU, bad, nil); return err },
		"negative variance":  func() error { _, _, err := decomp.HiddenMoment(decomp.ReLU, negative, nil); return err },
		"infinite mean": func() error {
			_, _, err := decomp.HiddenMoment(decomp.ReLU, good, []float64{0, math.Inf(1)})
			return err
		},
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestHiddenMomentMerges: units with the same weights, and those with multiples of them, are merged without samples and without
// loss; what the layers give together stays.
func TestHiddenMomentMerges(t *testing.T) {
	const inputs, distinct, units, outputs = 6, 7, 12, 4
	r, b := rand.New(rand.NewPCG(3, 22)), linalg.Gonum()
	w, bias := gaussian(r, units, inputs), gaussian(r, 1, units).Data
	for u := distinct; u < units; u++ {
		by := 0.5 + r.Float64()
		for i := range w.Row(u) {
			w.Row(u)[i] = by * w.At(u-distinct, i)
		}
		bias[u] = by * bias[u-distinct]
	}
	second, _, err := decomp.HiddenMoment(decomp.ReLU, b.Mul(false, true, 1, w, w), bias)
	if err != nil {
		t.Fatal(err)
	}
	k := decomp.Kernel{Shape: decomp.Shape{Out: outputs, In: units, Groups: 1}, Weights: gaussian(r, outputs, units).Data}
	e, err := decomp.Eliminate(b, units, []decomp.Reader{{Kernel: k, Metric: decomp.Metric{In: []*linalg.Matrix{second}}, Scale: 1}})
	if err != nil {
		t.Fatal(err)
	}
	merged := widthOf(t, e, distinct)
	if merged.loss > 1e-10*e.Energy() {
		t.Errorf("%d distinct units of %d lose %g of %g", distinct, units, merged.loss, e.Energy())
	}
	for range 20 {
		x := gaussian(r, 1, inputs)
		h := b.Mul(false, true, 1, x, w).Data
		for u := range h {
			h[u] = max(h[u]+bias[u], 0)
		}
		for o := range outputs {
			want, got := 0.0, 0.0
			for u, v := range h {
				want += k.Weights[o*units+u] * v
			}
			for i, u := range merged.kept {
				got += merged.fold.Weights[o*distinct+i] * h[u]
			}
			if math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
				t.Errorf("output %d is %g, merged %g", o, want, got)
			}
		}
	}
}

// BenchmarkHiddenMoment is that of 1,536 units.
func BenchmarkHiddenMoment(b *testing.B) {
	const units = 1536
	r := rand.New(rand.NewPCG(3, 23))
	w, bias := gaussian(r, units, 64), gaussian(r, 1, units).Data
	cov := linalg.Gonum().Mul(false, true, 1, w, w)
	for _, f := range []decomp.Activation{decomp.ReLU, decomp.ReLU6, decomp.GELU} {
		b.Run(f.String(), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := decomp.HiddenMoment(f, cov, bias); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

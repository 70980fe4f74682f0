package refit

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// drawn is a matrix of normal numbers.
func drawn(r *rand.Rand, rows, cols int) *linalg.Matrix {
	m := linalg.New(rows, cols)
	for i := range m.Data {
		m.Data[i] = r.NormFloat64()
	}
	return m
}

// drawnFacts are the moments of n inputs and of errors that follow from these by d and noise, group by group.
func drawnFacts(r *rand.Rand, d []*linalg.Matrix, n int, noise float64) facts {
	b := linalg.Gonum()
	f := facts{n: int64(n)}
	mean := func(m *linalg.Matrix) []float64 {
		out := make([]float64, m.Rows)
		for i := range out {
			for _, v := range m.Row(i) {
				out[i] += v / float64(n)
			}
		}
		return out
	}
	for _, m := range d {
		x := drawn(r, m.Cols, n)
		for i := range x.Rows {
			for j := range x.Row(i) {
				x.Row(i)[j] = x.Row(i)[j]/float64(1+i) + 0.3
			}
		}
		e := b.Mul(false, false, 1, m, x)
		for i := range e.Data {
			e.Data[i] += noise * r.NormFloat64()
		}
		share := 1 / float64(n)
		f.xx, f.x = append(f.xx, b.Mul(false, true, share, x, x)), append(f.x, mean(x))
		f.own.ex, f.own.e = append(f.own.ex, b.Mul(false, true, share, e, x)), append(f.own.e, mean(e))
		f.ee = append(f.ee, b.Mul(false, true, share, e, e))
	}
	f.both = f.own
	return f
}

// Few combinations of the outputs tell which ridge is better, with and without an output metric, groups, means and narrower inputs;
// and what they say is left is about what is left.
func TestSketch(t *testing.T) {
	const rows, cols = 200, 120
	for _, test := range []struct {
		name           string
		groups         int
		metric, narrow bool
	}{{"plain", 1, false, false}, {"metric", 1, true, false}, {"groups", 2, true, false}, {"narrow", 1, true, true}} {
		t.Run(test.name, func(t *testing.T) {
			r, b := rand.New(rand.NewPCG(1, 2)), linalg.Gonum()
			shape := decomp.Shape{Out: rows * test.groups, In: cols * test.groups, Groups: test.groups}
			p := &problem{backend: b, choice: &Choice{}, kernel: decomp.Kernel{Shape: shape, Weights: drawn(r, rows*test.groups, cols).Data}, shift: true}
			p.base = p.kernel.Weights
			var d []*linalg.Matrix
			for range test.groups {
				d = append(d, drawn(r, rows, cols))
				if test.metric {
					v := drawn(r, rows, 20) // of fewer directions than outputs
					p.g = append(p.g, b.Mul(false, true, 1, v, v))
				}
			}
			if test.narrow {
				p.base = slices.Clone(p.base)
				for i := range p.base {
					p.base[i] *= 1.1
				}
				for i := range cols / 2 {
					p.columns = append(p.columns, 2*i)
				}
			}
			fit, held := drawnFacts(r, d, 150, 30), drawnFacts(r, d, 80, 30)
			small, sFit, sHeld := p.sketch(fit, held)
			if small == p || small.kernel.Rows() != sketched {
				t.Fatalf("a problem of %d outputs is not made smaller", rows)
			}
			var want, got []float64
			for _, ridge := range ridges()[:5] {
				for _, by := range []struct {
					p         *problem
					fit, held facts
					to        *[]float64
				}{{p, fit, held, &want}, {small, sFit, sHeld, &got}} {
					var xx []rough
					for g, m := range by.held.xx {
						xx = append(xx, roughly(less(m, by.held.x[g], by.held.x[g])))
					}
					left, err := by.p.compare(by.fit, by.held, xx, by.p.systems(by.fit, by.fit.own), []target{by.fit.own}, ridge)
					if err != nil {
						t.Fatal(err)
					}
					*by.to = append(*by.to, left...)
				}
			}
			for i := range want {
				if d := math.Abs(got[i]/want[i] - 1); !(d < 0.4) {
					t.Errorf("ridge %g: %g is left, by the sketch %g", ridges()[i], want[i], got[i])
				}
				for j := range i {
					if change := math.Log(want[i] / want[j]); math.Abs(change) > 0.1 && change*math.Log(got[i]/got[j]) < 0 {
						t.Errorf("ridges %g and %g leave %g and %g, by the sketch %g and %g", ridges()[j], ridges()[i], want[j], want[i], got[j], got[i])
					}
				}
			}
		})
	}
}

// One system answers for both targets as two do.
func TestTargetsTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	shape := decomp.Shape{Out: 6, In: 9, Groups: 1}
	p := &problem{backend: linalg.Gonum(), choice: &Choice{}, kernel: decomp.Kernel{Shape: shape, Weights: drawn(r, 6, 9).Data}, shift: true}
	p.base = p.kernel.Weights
	f := drawnFacts(r, []*linalg.Matrix{drawn(r, 6, 9)}, 40, 1)
	f.both = drawnFacts(r, []*linalg.Matrix{drawn(r, 6, 9)}, 40, 1).own
	together, err := p.wanted(p.systems(f, f.own, f.both), 0.01, system.exactly)
	if err != nil {
		t.Fatal(err)
	}
	for i, target := range []target{f.own, f.both} {
		alone, err := p.wanted(p.systems(f, target), 0.01, system.exactly)
		if err != nil {
			t.Fatal(err)
		}
		for at, v := range alone[0].Weights {
			if math.Abs(v-together[i].Weights[at]) > 1e-12*math.Abs(v) {
				t.Fatalf("target %d: weight %d is %g alone and %g together", i, at, v, together[i].Weights[at])
			}
		}
	}
}

// TestRoughly: in float32 the solution leaves about what the exact one leaves of the errors, whatever the size of the numbers; and where
// float32 cannot tell, it is the exact one.
func TestRoughly(t *testing.T) {
	r, b := rand.New(rand.NewPCG(5, 6)), linalg.Gonum()
	for _, size := range []float64{1, 1e-15, 1e15} {
		f := drawnFacts(r, []*linalg.Matrix{drawn(r, 7, 40)}, 60, 1)
		s := system{f.xx[0], f.own.ex[0]}
		for i := range s.a.Data {
			s.a.Data[i] *= size * size
		}
		for i := range s.ex.Data {
			s.ex.Data[i] *= size
		}
		for _, ridge := range ridges()[:5] {
			want, err := s.exactly(b, ridge)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.roughly(b, ridge)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range want.Data {
				if math.Abs(got.Data[i]-v) > 1e-2*want.MaxAbs() {
					t.Fatalf("size %g, ridge %g: number %d is %g, exactly %g", size, ridge, i, got.Data[i], v)
				}
			}
		}
	}
	flat := system{linalg.New(3, 3), drawn(r, 2, 3)}
	if got, err := flat.roughly(b, 1); err != nil || got.MaxAbs() != 0 {
		t.Errorf("of a constant input: %v, %v", got, err)
	}
}

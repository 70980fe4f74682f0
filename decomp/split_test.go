package decomp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func randomMatrix(r *rand.Rand, rows, cols int) *linalg.Matrix {
	m := linalg.New(rows, cols)
	for i := range m.Data {
		m.Data[i] = r.NormFloat64()
	}
	return m
}

// randomMoment returns the second moment of a few more samples than it has rows.
func randomMoment(r *rand.Rand, n int) *linalg.Matrix {
	x := randomMatrix(r, n, n+n/2+1)
	return linalg.Gonum().Mul(false, true, 1/float64(x.Cols), x, x)
}

// TestSplit holds the loss of a best tail, and its gradient with respect to the head, against differences.
func TestSplit(t *testing.T) {
	const rows, width, taps, rank = 7, 6, 3, 4
	r := rand.New(rand.NewPCG(1, 1))
	b := linalg.Gonum()
	a, g := randomMoment(r, width*taps), randomMoment(r, rows)
	for name, c := range map[string][2]*linalg.Matrix{"none": {}, "input": {a, nil}, "output": {nil, g}, "both": {a, g}} {
		s := newSplit(b, randomMatrix(r, rows, width*taps), c[0], c[1], taps)
		at := func(head *linalg.Matrix) (float64, *linalg.Matrix) {
			v := s.through(head)
			f, err := s.solved(v)
			if err != nil {
				t.Fatal(err)
			}
			exact, cheap := s.lossOf(v, f.tail), s.lossBy(v, f.tail)
			if math.Abs(exact-cheap) > 1e-10*s.energy || math.Abs(exact-f.loss) > 1e-13*s.energy {
				t.Errorf("%s: loss %g from the error, %g from the energy, %g with what is left", name, exact, cheap, f.loss)
			}
			return exact, s.slope(f)
		}
		head := randomMatrix(r, rank, width)
		_, slope := at(head)
		for i := range head.Data {
			const step = 1e-5
			up, down := head.Clone(), head.Clone()
			up.Data[i] += step
			down.Data[i] -= step
			lossUp, _ := at(up)
			lossDown, _ := at(down)
			if want := (lossUp - lossDown) / (4 * step); math.Abs(slope.Data[i]-want) > 1e-6*s.energy {
				t.Errorf("%s: half the slope along %d is %g, measured %g", name, i, slope.Data[i], want)
			}
		}
	}
}

// TestDescend wants the minimum of a function whose valley is curved.
func TestDescend(t *testing.T) {
	evaluations := 0
	valley := func(x []float64) (float64, []float64, error) {
		evaluations++
		u, v := x[0]-1, x[1]-x[0]*x[0]
		return u*u + 10*v*v, []float64{2*u - 40*v*x[0], 20 * v}, nil
	}
	x, value, err := descend([]float64{-1, 2}, effort{evaluations: 100}, valley)
	if err != nil || value > 1e-12 || math.Abs(x[0]-1)+math.Abs(x[1]-1) > 1e-5 {
		t.Errorf("got %g at %v after %d evaluations, %v", value, x, evaluations, err)
	}
	evaluations = 0
	if _, _, err := descend([]float64{-1, 2}, effort{evaluations: 5}, valley); err != nil || evaluations > 5 {
		t.Errorf("took %d evaluations of 5, %v", evaluations, err)
	}
}

package decomp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestSingleSweep: a sweep in single precision is one in double precision but for rounding, with one window mode and with
// several.
func TestSingleSweep(t *testing.T) {
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(7, 8))
	for _, window := range [][]int{{6}, {3, 2}, {2, 3, 2}} {
		cols := 9
		for _, n := range window {
			cols *= n
		}
		s, err := newModeSpace(b, randomMatrix(r, 11, cols), 9, window, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		x, err := s.leadingTerms(s.target, 5)
		if err != nil {
			t.Fatal(err)
		}
		single, ok := s.newSingle(x)
		if !ok {
			t.Fatal("single precision does not hold the terms")
		}
		single.passes = 1
		for range 3 {
			want, err := s.sweep(x)
			if err != nil {
				t.Fatal(err)
			}
			missed, ok := single.sweep(ridgeLeast)
			if !ok {
				t.Fatal("a sweep in single precision has no answer")
			}
			if got := missed * s.energy; math.Abs(got-want) > 1e-4*s.energy {
				t.Errorf("windows %v: single precision misses %g, double %g", window, got, want)
			}
			rest := squaredNorm(s.residual(single.terms()).Data)
			if math.Abs(rest-want) > 1e-4*s.energy {
				t.Errorf("windows %v: the terms of single precision leave %g, wanted %g", window, rest, want)
			}
		}
	}
}

// TestSingleOfNothing: tensors that single precision cannot hold are left to double precision.
func TestSingleOfNothing(t *testing.T) {
	s, err := newModeSpace(linalg.Gonum(), linalg.New(3, 8), 4, []int{2}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.newSingle(s.zeros(2)); ok {
		t.Error("single precision takes a tensor of zeros")
	}
}

// TestRidgeFalls: the ridge falls from the first sweep to the last, in however few.
func TestRidgeFalls(t *testing.T) {
	for _, n := range []int{1, 2, 5, 6, 40} {
		last := float32(math.Inf(1))
		for i := range n {
			if v := ridge(ridgeFirst, i, n, 0.5); !(v <= last && v >= ridgeLeast) {
				t.Errorf("%d sweeps: the ridge is %g at sweep %d and %g before", n, v, i, last)
			} else {
				last = v
			}
		}
	}
}

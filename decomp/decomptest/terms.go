package decomptest

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Terms is Σ_s ‖term s‖² of a chain that is a sum of rank-one terms in a single group: the vectors of a term lie in the rows of all
// factors but the last, and in a column of that.
func Terms(c decomp.Chain) float64 {
	r, sum := c[0].Kernel.Out, 0.0
	for s := range r {
		product := 1.0
		for i, f := range c {
			norm := 0.0
			for j, w := range f.Kernel.Weights {
				if i < len(c)-1 && j/(len(f.Kernel.Weights)/r) == s || i == len(c)-1 && j%r == s {
					norm += w * w
				}
			}
			product *= norm
		}
		sum += product
	}
	return sum
}

// TermsHold: without a metric, the terms of every rank that a search looks at first are together no larger than so many times the
// kernel, since of terms that cancel nothing is left where numbers have few bits. It is for kernels large enough that this matters.
func TermsHold(t *testing.T, b linalg.Backend, m decomp.Method, s Specimen, bound float64) {
	t.Helper()
	spectrum, err := m.Factor(b, s.Kernel, s.Metric)
	if err != nil {
		t.Fatal(err)
	}
	const large = 3e4 // weights times terms
	held := 0
	for _, r := range usable(t, spectrum, m.Ranks(s.Kernel.Shape, 1)) {
		if float64(r[0])*float64(len(s.Kernel.Weights)) <= large {
			continue
		}
		held++
		if size := Terms(chainOf(t, spectrum, r)) / spectrum.Energy(); !(size <= bound) {
			t.Errorf("%s of %s at rank %v: Σ‖term‖² is %.2f times the kernel's, want at most %g", m.Name, s.Name, r, size, bound)
		}
	}
	if held == 0 {
		t.Errorf("%s of %s: no rank is large", m.Name, s.Name)
	}
}

package decomptest

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// based: what is made from the factorization of its basis, whatever that was asked before, answers as the method itself does, and
// loses at no rank less than the basis at the first number.
func based(t *testing.T, b linalg.Backend, m decomp.Method, s Specimen, spectrum decomp.Spectrum, ranks []decomp.Rank) {
	t.Helper()
	if m.From == nil {
		return
	}
	all := decomp.Methods()
	basis, err := all[slices.IndexFunc(all, func(n decomp.Method) bool { return n.Name == m.Basis })].Factor(b, s.Kernel, s.Metric)
	if err != nil {
		t.Fatal(err)
	}
	lossOf(t, basis, ranks[0][:1])
	made, err := m.From(basis)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ranks {
		loss := lossOf(t, spectrum, r)
		if got := lossOf(t, made, r); got != loss {
			t.Errorf("rank %v: loss %g, and %g from the basis", r, loss, got)
		}
		if least := lossOf(t, basis, r[:1]); loss < least*(1-1e-6)-1e-12*size(s) {
			t.Errorf("rank %v: loss %g, and %s at rank %v loses %g", r, loss, m.Basis, r[:1], least)
		}
	}
	if _, err := m.From(spectrum); err == nil {
		t.Error("made from a factorization that is none by its basis")
	}
}

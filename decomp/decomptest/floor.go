package decomptest

import (
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// floors returns what every method in closed form says of a specimen.
func floors(t *testing.T, b linalg.Backend, s Specimen) []decomp.Floor {
	t.Helper()
	var out []decomp.Floor
	for _, m := range decomp.Methods() {
		if m.Closed == nil || m.Accepts(s.Kernel.Shape) != nil || !m.Closed(s.Metric) {
			continue
		}
		spectrum, err := m.Factor(b, s.Kernel, s.Metric)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		f, _, err := m.Floor(b, s.Kernel, s.Metric)
		if err != nil {
			t.Fatalf("floor of %s: %v", m.Name, err)
		}
		for _, r := range m.Ranks(s.Kernel.Shape, 1) {
			loss, least := lossOf(t, spectrum, r), f.Least(s.Kernel.Shape, m.Factors(s.Kernel.Shape, r))
			if math.Abs(f.Losses[r[0]]-loss) > 1e-9*loss+1e-13*size(s) {
				t.Errorf("%s at rank %v: loss %g, and %g by its floor", m.Name, r, loss, f.Losses[r[0]])
			}
			if unweighted(s.Metric) && loss > least*(1+1e-6)+1e-12*size(s) {
				t.Errorf("%s at rank %v: loss %g where nothing had to be lifted, and %g by its floor", m.Name, r, loss, least)
			}
		}
		out = append(out, f)
	}
	return out
}

// unweighted says that a metric has nothing that is lifted.
func unweighted(m decomp.Metric) bool {
	return m.In == nil && m.Sample == nil && m.Diagonal == nil && m.Pullback == nil && m.Out == nil
}

// above: no chain loses less than the floors say of its sizes.
func above(t *testing.T, all []decomp.Floor, s Specimen, r decomp.Rank, c decomp.Chain, loss float64) {
	t.Helper()
	for i := range all {
		if least := all[i].Least(s.Kernel.Shape, c); loss < least-1e-13*size(s) {
			t.Errorf("rank %v: loss %g, and no chain of these sizes loses less than %g", r, loss, least)
		}
	}
}

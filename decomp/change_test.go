package decomp_test

import (
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestChange compares with the definition, for every method's chain and its rounded copy, and wants the loss of the
// rounded chain to be that of the exact one and the change together.
func TestChange(t *testing.T) {
	for _, shape := range []decomp.Shape{
		{Out: 24, In: 12, Window: []int{3, 3}, Groups: 1},
		{Out: 24, In: 24, Window: []int{3}, Groups: 2},
		{Out: 24, In: 40, Groups: 1},
	} {
		s := decomptest.Random(5, shape)
		for _, m := range decomp.Methods() {
			if m.Accepts(shape) != nil {
				continue
			}
			spectrum, err := m.Factor(linalg.Gonum(), s.Kernel, s.Metric)
			if err != nil {
				t.Fatal(err)
			}
			ranks := m.Ranks(shape, 1)
			rank := ranks[len(ranks)/2]
			chain, err := spectrum.Chain(rank)
			if err != nil {
				t.Fatal(err)
			}
			rounded := append(decomp.Chain{}, chain...)
			for i := range rounded {
				rounded[i].Kernel.Weights = append([]float64{}, rounded[i].Kernel.Weights...)
				for k, v := range rounded[i].Kernel.Weights {
					frac, e := math.Frexp(v)
					rounded[i].Kernel.Weights[k] = math.Ldexp(math.RoundToEven(frac*2048)/2048, e)
				}
			}
			got, err := s.Metric.Change(linalg.Gonum(), shape, chain, rounded)
			if err != nil {
				t.Fatal(err)
			}
			one, err := chain.Compose(linalg.Gonum(), shape)
			if err != nil {
				t.Fatal(err)
			}
			other, err := rounded.Compose(linalg.Gonum(), shape)
			if err != nil {
				t.Fatal(err)
			}
			if want := decomptest.Loss(one, other, s.Metric); want == 0 || math.Abs(got-want) > 1e-9*want {
				t.Errorf("%s at %v of %v: change %g, wanted %g", m.Name, rank, shape, got, want)
			}
			loss, written := decomptest.Loss(s.Kernel, one, s.Metric), decomptest.Loss(s.Kernel, other, s.Metric)
			if m.Name == "svd" && math.Abs(written-loss-got) > 0.1*got {
				t.Errorf("%v: rounding adds %g to the loss, promised %g", shape, written-loss, got)
			}
		}
	}
	s := decomptest.Random(5, decomp.Shape{Out: 4, In: 6, Groups: 1})
	chain, err := factor(t, s.Kernel, s.Metric).Chain(decomp.Rank{2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Metric.Change(linalg.Gonum(), s.Kernel.Shape, chain, chain[:1]); err == nil {
		t.Error("half a chain was compared")
	}
}

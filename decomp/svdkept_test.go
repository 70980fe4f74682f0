package decomp_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
)

// TestSVDFromComponents: a factorization that was kept to a rank and made again gives the same losses at all ranks, and the same chains
// up to it.
func TestSVDFromComponents(t *testing.T) {
	for _, c := range decomptest.Zoo() {
		if method(t, "svd").Accepts(c.Kernel.Shape) != nil {
			continue
		}
		whole := factor(t, c.Kernel, c.Metric)
		full := c.Kernel.FullRank()
		kept := (full + 1) / 2
		groups, ok := decomp.SVDComponents(whole, kept)
		if !ok {
			t.Fatalf("%s: no components", c.Name)
		}
		losses := make([]float64, full+1)
		losses[0] = whole.Energy()
		for r := 1; r <= full; r++ {
			losses[r], _ = whole.Loss(decomp.Rank{r})
		}
		again, err := decomp.SVDFromComponents(c.Kernel.Shape, losses, groups)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for r := 1; r <= full; r++ {
			if loss, err := again.Loss(decomp.Rank{r}); err != nil || loss != losses[r] {
				t.Errorf("%s: rank %d loses %g, %v; wanted %g", c.Name, r, loss, err, losses[r])
			}
			got, err := again.Chain(decomp.Rank{r})
			if r > kept {
				if err == nil {
					t.Errorf("%s: a chain of rank %d of factors that were kept to %d", c.Name, r, kept)
				}
				continue
			}
			want, wanted := whole.Chain(decomp.Rank{r})
			if err != nil || wanted != nil {
				t.Fatalf("%s: %v, %v", c.Name, err, wanted)
			}
			for i := range want {
				for k, v := range want[i].Kernel.Weights {
					if got[i].Kernel.Weights[k] != v {
						t.Fatalf("%s: rank %d, factor %d has other numbers", c.Name, r, i)
					}
				}
			}
		}
		if _, err := decomp.SVDFromComponents(c.Kernel.Shape, losses[1:], groups); err == nil {
			t.Errorf("%s: losses of too few ranks are taken", c.Name)
		}
	}
	if _, ok := decomp.SVDComponents(nil, 1); ok {
		t.Error("nothing has components")
	}
}

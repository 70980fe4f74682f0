package refit

import (
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// sequences is a model of two matrix products at each of so many positions.
func sequences(t *testing.T, positions int) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", positions, 8)
	y := b.Node("Relu", []string{b.Node("Add", []string{b.Node("MatMul", []string{x, b.Weight("first", 8, 8, 8)}), b.Weight("shift", 8, 8)})})
	b.Node("MatMul", []string{y, b.Weight("second", 8, 8, 5)})
	b.Output(b.Rename("y"), tensor.Float32, "N", nil, nil)
	return testkit.Built(t, b)
}

// written draws n sequences, each of the given rows of a pool of three; row 2 is drawn by another seed.
func written(n int, hidden uint64, rows ...int) memory {
	seen, other := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(hidden, 3))
	var out memory
	for range n {
		var pool [3][]float32
		for i := range pool {
			from := seen
			if i == 2 {
				from = other
			}
			for range 8 {
				pool[i] = append(pool[i], float32(from.NormFloat64()))
			}
		}
		var x []float32
		for _, r := range rows {
			x = append(x, pool[r]...)
		}
		out = append(out, samples.Sample{Name: "sequence", Label: -1, Inputs: map[string]tensor.Dense{"x": tensor.FromFloat32([]int{len(rows), 8}, x)}})
	}
	return out
}

// felt weighs all sites and samples alike.
func felt(choices []Choice, n int, weights ...float32) []Choice {
	for i := range choices {
		choices[i].Felt = moments.Felt{}
		for k := range n {
			choices[i].Felt[k] = weights
		}
	}
	return choices
}

func TestRefitByWeights(t *testing.T) {
	const n = 96
	lib := orttest.Open(t)
	run := func(src memory, weights ...float32) *Result {
		m := sequences(t, src[0].Inputs["x"].Shape[0])
		choices := choose(t, sitetest.Sites(t, m, src[0]), 4, 3)
		if weights != nil {
			choices = felt(choices, n, weights...)
		}
		return refit(t, lib, m, choices, src, Options{})
	}
	// A weight of 0 is as good as no position, and what stands there is not seen.
	plain := run(written(n, 1, 0, 1))
	kept := 0
	for i, s := range plain.Sites {
		if s.Kept {
			kept++
		}
		t.Logf("site %d: %.4g to %.4g", i, s.Before, s.After)
	}
	if kept == 0 {
		t.Fatal("no refit was kept, so that nothing is compared")
	}
	same(t, run(written(n, 1, 0, 1, 2), 1, 1, 0), run(written(n, 9, 0, 1, 2), 1, 1, 0))
	for name, r := range map[string]*Result{
		"the weight 0":     run(written(n, 1, 0, 2, 1), 2, 0, 2),
		"equal weights":    run(written(n, 1, 0, 1), 5, 5),
		"positions thrice": run(written(n, 1, 0, 0, 0, 1, 1, 1)),
	} {
		closeTo(t, name, r, plain)
	}
	// A weight of 3 is as good as three positions.
	closeTo(t, "the weight 3", run(written(n, 1, 0, 1), 3, 1), run(written(n, 1, 0, 0, 1, 0)))
	if other := run(written(n, 1, 0, 1), 3, 1); other.Sites[0].Before == plain.Sites[0].Before {
		t.Error("weights change nothing")
	}
}

// closeTo compares two refits up to rounding.
func closeTo(t *testing.T, name string, got, want *Result) {
	t.Helper()
	for i, s := range got.Sites {
		w := want.Sites[i]
		if s.Kept != w.Kept || sitetest.Apart([]float64{s.Before, s.After}, []float64{w.Before, w.After}) > 1e-4 {
			t.Errorf("%s, site %d: kept %v, %v to %v; want %v, %v to %v", name, i, s.Kept, s.Before, s.After, w.Kept, w.Before, w.After)
		}
		for k, f := range s.Chain {
			if d := sitetest.Apart(f.Kernel.Weights, w.Chain[k].Kernel.Weights); d > 1e-3 {
				t.Errorf("%s, site %d: factor %d is %g apart", name, i, k, d)
			}
		}
	}
}

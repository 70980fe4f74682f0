package refit

import (
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Factors are made for one ridge, for the weights as they are under the same target,
// and once for what was chosen: not for every ridge. What is kept has a lower error on held-out
// samples than what there was.
func TestFactorsOfFinalistsOnly(t *testing.T) {
	m, _ := shortcutModel(t, true, false, true)
	src := sitetest.Draws(160, "x", 0.3, 4, 6, 6)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, 2)
	var calls atomic.Int64
	plain := sitetest.SVD(t)
	for i := range choices {
		counted := plain
		counted.Refit = func(b linalg.Backend, target decomp.Kernel, metric decomp.Metric, start decomp.Chain) (decomp.Chain, error) {
			calls.Add(1)
			return plain.Refit(b, target, metric, start)
		}
		choices[i].Method = counted
	}
	r := refit(t, orttest.Open(t), m, choices, src, Options{Batch: 4})
	factored, kept := 0, 0
	for i, c := range choices {
		if c.Chain != nil {
			factored++
		}
		if r.Sites[i].Kept {
			kept++
			if !(r.Sites[i].After < r.Sites[i].Before) {
				t.Errorf("%s: kept at %g, before %g", r.Sites[i].Site, r.Sites[i].After, r.Sites[i].Before)
			}
		}
	}
	if most := int64(factored * (1 + 1 + 1)); factored == 0 || kept == 0 || calls.Load() > most {
		t.Errorf("%d factorizations at %d sites, of which %d were kept; want at most %d", calls.Load(), factored, kept, most)
	}
}

// TestLeading: one ridge is tried on factors, with the weights as they are under the same target.
func TestLeading(t *testing.T) {
	inf := math.Inf(1)
	others := []candidate{{ridge: inf}, {fit: true, ridge: inf}, {ridge: inf, short: true}, {fit: true, ridge: inf, short: true}}
	ridged := []candidate{{fit: true, ridge: 1}, {fit: true, ridge: 2}, {fit: true, ridge: 3, short: true}}
	want := []candidate{{ridge: inf}, {ridge: inf, short: true}, {fit: true, ridge: inf, short: true}, {fit: true, ridge: 3, short: true}}
	if got := leading(slices.Clone(others), ridged, []float64{5, 4, 3}); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Candidates are solved side by side on the same moments, which stay as they are.
func TestVariances(t *testing.T) {
	m := &linalg.Matrix{Rows: 2, Cols: 2, Data: []float64{1, 2, 2, 3}}
	if got := variances(m); got != m {
		t.Errorf("%v is copied", m)
	}
	m.Data[3] = -1e-9
	got := variances(m)
	if !slices.Equal(got.Data, []float64{1, 2, 2, 0}) || m.Data[3] != -1e-9 {
		t.Errorf("%v becomes %v", m, got)
	}
}

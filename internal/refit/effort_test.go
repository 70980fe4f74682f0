package refit

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// TestShare: the work goes from 0 to all, and never back; a stop that solves a wide site counts more than one that leaves it.
func TestShare(t *testing.T) {
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(64, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, halves(sites)...)
	w, err := newWalk(orttest.Open(t), m, choices, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	w.samples = 64
	all := w.newMeasure()
	last := all.share(-1, 0)
	if last != 0 {
		t.Errorf("%g is done at first", last)
	}
	for k := range w.order {
		for _, swept := range []float64{0, 0.5, 1} {
			now := all.share(k, swept)
			if now < last || now > 1 {
				t.Errorf("stop %d, %g swept: %g is done, behind %g", k, swept, now, last)
			}
			last = now
		}
	}
	w.choices[w.order[0]].Left = "left"
	if some := w.newMeasure(); some.total >= all.total || some.solves[0] != 0 {
		t.Errorf("a site that is left takes %g, all %g of %g", some.solves[0], some.total, all.total)
	}
}

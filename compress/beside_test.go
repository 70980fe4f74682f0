package compress

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// TestBeside: at a site that reads narrower axes, what a chain of the fold loses adds to what the fold does; elsewhere sites offer
// what they did. The costs of what is offered are those of the narrower model.
func TestBeside(t *testing.T) {
	needRuntime(t)
	o := narrow(Options{Targets: []Target{share(MACs, 0.6)}, RankMultiple: 1}).WithDefaults()
	w := factoredIn(t, in(t), coupled(t), o)
	var list []rewrite.Narrowing
	for i := range w.of.axes {
		x := &w.of.axes[i]
		list = append(list, rewrite.Narrowing{Axis: x.axis, Keep: x.kept(x.axis.Units * 2 / 3)})
	}
	a := *w.a
	svd, err := MethodNamed("svd")
	if err != nil {
		t.Fatal(err)
	}
	a.methods = []decomp.Method{svd}
	n, err := w.of.beside(t.Context(), w.env, &a, o, list)
	if err != nil {
		t.Fatal(err)
	}
	small, of := n.a, n.of
	folds, err := w.of.folds(t.Context(), w.env, w.a, list)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for k := range of.sites {
		site := &small.Sites[k]
		if want := rewrite.NarrowedShape(&w.a.Sites[k], list); site.Kernel.String() != want.String() || len(of.sites[k].options) < 2 && site.Kernel.BreakEven() > 1 {
			t.Errorf("%s: %v, want %v; %d options", site.Name, site.Kernel, want, len(of.sites[k].options))
		}
		fold, reads := folds[site.Name]
		if !reads || len(rewrite.LeftOut(&w.a.Sites[k], list)) < w.a.Sites[k].Kernel.Out {
			continue
		}
		tried++
		holdSum(t, w, of, k, fold.Kernel, rewrite.Left(&w.a.Sites[k], list))
	}
	if tried == 0 {
		t.Error("no site was held")
	}
}

// holdSum holds the losses of a site's options against the whole kernel under the whole metric.
func holdSum(t *testing.T, w *workshop, of *Offers, k int, fold decomp.Kernel, left []int) {
	t.Helper()
	before, after := w.of.sites[k].seen, of.sites[k].seen
	kernel, metric, err := w.of.store.of(before)
	if err != nil {
		t.Fatal(err)
	}
	whole := func(c decomp.Kernel) decomp.Chain {
		out := decomp.Kernel{Shape: kernel.Shape, Weights: make([]float64, kernel.Params())}
		taps := kernel.Cols() / kernel.In
		for o := range out.Out {
			for i, channel := range left {
				copy(out.Weights[(o*out.In+channel)*taps:][:taps], c.Weights[(o*c.In+i)*taps:][:taps])
			}
		}
		return decomp.Chain{{Part: "whole", Kernel: out, Axes: slices.Repeat([]bool{true}, len(out.Window))}}
	}
	original := decomp.Chain{{Part: "original", Kernel: kernel, Axes: slices.Repeat([]bool{true}, len(kernel.Window))}}
	lost := func(c decomp.Kernel) float64 {
		v, err := metric.Change(w.env.Algebra, kernel.Shape, original, whole(c))
		if err != nil {
			t.Fatal(err)
		}
		return v * before.positions
	}
	base := lost(fold)
	for _, c := range of.sites[k].options {
		if c.method == nil {
			continue
		}
		chain, err := of.store.chain(after, c)
		if err != nil {
			t.Fatal(err)
		}
		composed, err := chain.Compose(linalg.Gonum(), after.site.Kernel)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := base+c.loss, lost(composed); math.Abs(got-want) > 1e-5*want {
			t.Errorf("%s at rank %v loses %g beside the fold's %g; together %g", after.site.Name, c.rank, c.loss, base, want)
		}
		if macs := after.site.MACs(chain); macs != c.macs || macs >= after.site.DenseMACs() && c.params >= after.site.Kernel.Params() {
			t.Errorf("%s at rank %v: %d MACs, stated %d", after.site.Name, c.rank, macs, c.macs)
		}
	}
}

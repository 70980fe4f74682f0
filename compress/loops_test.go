package compress

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// stepping are samples of a model with a Loop or, of so many steps, a Scan.
func stepping(n, steps int) memory {
	out := drawn(n, "x", 1, testmodels.LoopWidth)
	if steps > 0 {
		for i, s := range drawn(n, "steps", 1, steps, 8) {
			out[i].Inputs["steps"] = s.Inputs["steps"]
		}
	}
	return out
}

// TestLoops: bodies of Loops and Scans hold sites, which are as many afterwards, equal the original at full rank, and count as often as they run.
func TestLoops(t *testing.T) {
	for name, c := range map[string]struct {
		model *testmodels.Builder
		steps int
		trips []int64 // of the sites in bodies, in order
	}{
		"loop":           {testmodels.Loop(3, 4, "true"), 0, []int64{4, 4}},
		"scan":           {testmodels.Scan(3), 5, []int64{5, 5, 5}},
		"scan in a loop": {testmodels.LoopInLoop(3, 3), 5, []int64{3, 15, 15, 15}},
	} {
		t.Run(name, func(t *testing.T) {
			m := save(t, testkit.Built(t, c.model))
			src := stepping(60, c.steps)
			a, small := atFullRank(t, m, src, nil)
			if len(a.Sites) != len(c.trips)+2 || len(a.Skips) > 0 {
				t.Fatalf("%d sites, want %d; left alone %+v", len(a.Sites), len(c.trips)+2, a.Skips)
			}
			var trips []int64
			for _, s := range a.Sites {
				n := int64(s.Repeats)
				if n == 0 {
					continue
				}
				if trips = append(trips, n); s.DenseMACs() != n*s.Kernel.Params() {
					t.Errorf("%s counts %d multiply-adds, of %d runs", s.Name, s.DenseMACs(), n)
				}
			}
			if slices.Sort(trips); !slices.Equal(trips, c.trips) {
				t.Errorf("sites run %v times, want %v", trips, c.trips)
			}
			factors := 0
			for at, n := range graph.Walk(small) {
				if n.Op() == "MatMul" && at.Path != "" {
					factors++
				}
			}
			if factors != 2*len(c.trips) {
				t.Errorf("the body has %d products, two for each of its sites are wanted", factors)
			}
			for w := range graph.Tensors(small) {
				if slices.Equal(w.Shape(), []int{testmodels.LoopWidth, testmodels.LoopWidth}) && (w.Name() == "outer" || strings.HasSuffix(w.Name(), "_weight")) {
					t.Errorf("the weight %q is still there beside its factors", w.Name())
				}
			}
			if got := rewrite.MeasureCosts(a.model, a.Shapes).MACs; got != a.Costs.MACs || got <= c.trips[1]*2*testmodels.LoopWidth*testmodels.LoopWidth {
				t.Errorf("%d multiply-adds are counted", got)
			}
		})
	}
}

// TestLoopsEndToEnd: targets hold for models with Loops and Scans, with samples and without.
func TestLoopsEndToEnd(t *testing.T) {
	for name, c := range map[string]struct {
		model *testmodels.Builder
		o     Options
	}{
		"loop":            {testmodels.Loop(3, 4, ""), Options{Source: stepping(120, 0), Targets: []Target{share(MACs, 0.7)}}},
		"scan":            {testmodels.Scan(3), Options{Source: stepping(120, 5), Targets: []Target{share(MACs, 0.7)}}},
		"scan in a loop":  {testmodels.LoopInLoop(3, 3), Options{Source: stepping(120, 5), Targets: []Target{share(MACs, 0.7)}}},
		"widths too":      {testmodels.Loop(3, 4, ""), Options{Source: stepping(120, 0), Targets: []Target{share(MACs, 0.7)}, Methods: []string{"svd", Width}}},
		"loop, data-free": {testmodels.Loop(3, 4, ""), Options{Targets: []Target{share(Params, 0.7)}}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.AcceptDamage, c.o.RankMultiple, c.o.Probes = true, 1, 1
			r, _ := run(t, save(t, testkit.Built(t, c.model)), c.o)
			if !slices.ContainsFunc(r.Sites, func(s SiteResult) bool { return s.Method != Dense && s.Name != "MatMul_1" }) {
				t.Errorf("no site in the body was replaced: %+v", r.Sites)
			}
		})
	}
}

// TestLoopsThatMayEnd: what may run once, or not at all, is left alone with words, which name the condition that may end it.
func TestLoopsThatMayEnd(t *testing.T) {
	for want, b := range map[string]*testmodels.Builder{
		`body of Loop "Loop_1", which "Less_1.out" may end: only those`: testmodels.Loop(3, 4, "computed"),
		`body of Loop "Loop_1": only those are followed`:                testmodels.Loop(3, 1, ""),
	} {
		a, err := Analyse(context.Background(), testkit.Built(t, b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Sites) != 2 || len(a.Skips) != 2 {
			t.Errorf("%s: %d sites, left alone %+v", want, len(a.Sites), a.Skips)
		}
		for _, s := range a.Skips {
			if !strings.Contains(s.Reason, want) || !strings.Contains(s.Reason, "known to run twice") {
				t.Errorf("%s, want %s", s.Reason, want)
			}
		}
	}
}

// TestBranchesInLoops: what stands in branches inside of the body of a Loop is left alone, each node once, with words.
func TestBranchesInLoops(t *testing.T) {
	const width = testmodels.LoopWidth
	b := testmodels.NewBuilder(5, 17, 8)
	x, flag := b.Input("x", tensor.Float32, "N", width), b.Input("flag", tensor.Bool, 1)
	body := b.Body("body", func(body *testmodels.Builder) {
		body.Input("iteration", tensor.Int64)
		goes := body.Input("condition", tensor.Bool)
		h := body.Linear(body.Input("state", tensor.Float32, "N", width), width, width, false)
		branch := func(name string) graph.Attr {
			return graph.Body(name, body.Body(name, func(inner *testmodels.Builder) {
				inner.Output(inner.Linear(h, width, width, false), tensor.Float32, "N", width)
			}))
		}
		next := body.Node("If", []string{flag}, branch("then_branch"), branch("else_branch"))
		body.Output(body.Node("Identity", []string{goes}), tensor.Bool)
		body.Output(next, tensor.Float32, "N", width)
	})
	b.Node("Loop", []string{b.Tensor("trips", tensor.Int64, nil, []float64{3}), "", x}, graph.Body("body", body))
	b.Output(b.Rename("y"), tensor.Float32, "N", width)
	a, err := Analyse(context.Background(), testkit.Built(t, b), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Sites) != 1 || a.Sites[0].Repeats != 3 || len(a.Skips) != 2 {
		t.Errorf("%d sites, left alone %+v", len(a.Sites), a.Skips)
	}
	for _, s := range a.Skips {
		if !strings.Contains(s.Reason, "in the body of a Loop: which branch an iteration takes is not followed") {
			t.Errorf("%s: %s", s.Name, s.Reason)
		}
	}
}

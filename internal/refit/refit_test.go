package refit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Where nothing was compressed there is nothing to make up for, and at full rank nothing to win.
func TestNothingLost(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(64, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	r := refit(t, lib, m, choose(t, sites), src, Options{})
	for _, s := range r.Sites {
		if s.Kept || s.Chain != nil || !strings.Contains(s.Why, "original") {
			t.Errorf("a model that was left alone was refitted: %+v", s)
		}
	}
	full := make([]int, len(sites))
	for i := range full {
		full[i] = sites[i].Kernel.FullRank()
	}
	choices := choose(t, sites, full...)
	r = refit(t, lib, m, choices, src, Options{})
	for i, s := range r.Sites {
		kernel, err := sites[i].Load()
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Chain.Compose(linalg.Gonum(), kernel.Shape)
		if err != nil {
			t.Fatal(err)
		}
		if d := sitetest.Apart(got.Weights, kernel.Weights); !(d <= 1e-4) {
			t.Errorf("node %q: full-rank factors moved by %.2g of the largest weight", s.Site, d)
		}
	}
}

// Refitting lowers the error of the whole network's output.
func TestRefitHelps(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range []struct {
		model, output string
		ranks         func([]rewrite.Site) []int
	}{
		{"cnn", "logits", halves},
		{"cnn_ir3", "logits", halves},
		{"cnn_constant_nodes", "logits", halves},
		{"cnn_opset22", "logits", func(s []rewrite.Site) []int { return []int{3} }},
	} {
		t.Run(c.model, func(t *testing.T) {
			m := testkit.Zoo(t, c.model)
			src := sitetest.Draws(300, "image", 0.2, 3, 16, 16)
			sites := sitetest.Sites(t, m, src[0])
			choices := choose(t, sites, c.ranks(sites)...)
			r := refit(t, lib, m, choices, src[:200], Options{})
			unseen := src[200:]
			plain := moved(t, lib, m, compress(t, m, choices, before(choices)), unseen, c.output)
			better := moved(t, lib, m, compress(t, m, choices, after(r)), unseen, c.output)
			if !(better < 0.7*plain) {
				t.Errorf("the output moves by %g with the refit, %g without", better, plain)
			}
			if r.Fit != 176 || r.Held != 24 { // blocks of 12, of which two are held out
				t.Errorf("solved on %d samples, judged on %d", r.Fit, r.Held)
			}
		})
	}
}

// subspaces is a site W = I whose chain keeps directions 3 and 4, not quite, and samples of which those that are
// solved on vary along directions 1 and 2 only, and those held out along 3 and 4, or all along the same.
func subspaces(t *testing.T, honest bool) (*onnxio.Model, []Choice, memory) {
	t.Helper()
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 4)
	w := make([]float64, 16)
	for i := range 4 {
		w[5*i] = 1
	}
	b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{4, 4}, w)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 4)
	m := testkit.Built(t, b)
	var src memory
	for i := range 64 {
		v := make([]float32, 4)
		held := i/4%heldEvery == heldEvery-1
		at := 0
		if held || honest {
			at = 2
		}
		v[at+i%2] = float32(1 - i/2%2*2)
		src = append(src, samples.Sample{Label: -1, Inputs: map[string]tensor.Dense{"x": tensor.FromFloat32([]int{4}, v)}})
	}
	choices := choose(t, sitetest.Sites(t, m, src[0]), 2)
	chain := choices[0].Chain
	clear(chain[0].Kernel.Weights)
	clear(chain[1].Kernel.Weights)
	for i := range 2 {
		chain[0].Kernel.Weights[i*4+2+i], chain[1].Kernel.Weights[(2+i)*2+i] = 1, 0.9
	}
	return m, choices, src
}

func TestRefitThatHurtsIsDropped(t *testing.T) {
	lib := orttest.Open(t)
	m, choices, src := subspaces(t, false)
	r := refit(t, lib, m, choices, src, Options{})
	if s := r.Sites[0]; s.Kept || !equal(s.Chain, choices[0].Chain) || math.Abs(s.Before-0.01) > 1e-6 || s.After != s.Before {
		t.Errorf("a refit on samples unlike those held out was kept: %+v", s)
	}
	m, choices, src = subspaces(t, true)
	r = refit(t, lib, m, choices, src, Options{})
	if s := r.Sites[0]; !s.Kept || math.Abs(s.Before-0.01) > 1e-6 || !(s.After < 1e-6) {
		t.Errorf("a refit that helps was not kept: %+v", s)
	}
}

// shortcutModel is a residual block behind a convolution; late puts the shortcut's own work behind the block's in the
// order of the nodes, norm a batch normalization before the addition, and side a convolution into the shortcut.
func shortcutModel(t *testing.T, late, norm, side bool) (m *onnxio.Model, operand string) {
	t.Helper()
	b := testmodels.NewBuilder(9, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 4, 6, 6)
	x = b.Node("Relu", []string{b.Conv(x, 4, 6, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	detour := func() string {
		if side {
			return b.Conv(x, 6, 6, []int{1, 1})
		}
		return b.Node("Clip", []string{x})
	}
	if !late {
		operand = detour()
	}
	y := b.Conv(b.Node("Relu", []string{b.Conv(x, 6, 5, []int{1, 1})}), 5, 6, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))
	if norm {
		y = b.BatchNorm(y, 6)
	}
	if late {
		operand = detour()
	}
	b.Node("Add", []string{operand, y})
	b.Output(b.Rename("y"), tensor.Float32, "N", 6, 6, 6)
	return testkit.Built(t, b), operand
}

func TestShortcut(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range []struct{ late, norm, side bool }{{}, {late: true}, {norm: true}, {late: true, norm: true}, {side: true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			m, operand := shortcutModel(t, c.late, c.norm, c.side)
			src := sitetest.Draws(160, "x", 0.3, 4, 6, 6)
			sites := sitetest.Sites(t, m, src[0])
			choices := choose(t, sites, 2)
			r := refit(t, lib, m, choices, src, Options{})
			last := len(sites) - 1
			s := r.Sites[last]
			if !s.Kept || !s.Shortcut {
				t.Fatalf("the last site of the block does not make up for the shortcut: %+v", s)
			}
			var scale []float64
			if c.norm {
				scale = sites[last].OutputScale // the builder's scales are positive
			}
			checkClosed(t, lib, m, choices, r, last, operand, scale, src)
			for i := range last {
				if r.Sites[i].Shortcut {
					t.Errorf("site %d makes up for a shortcut, and is not the last before the addition", i)
				}
			}
		})
	}
}

// Where the shortcut has a site of its own behind the block's last in the order of the nodes, that one is the last.
func TestShortcutOfALaterSite(t *testing.T) {
	lib := orttest.Open(t)
	m, _ := shortcutModel(t, true, false, true)
	src := sitetest.Draws(160, "x", 0.3, 4, 6, 6)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, 2)
	r := refit(t, lib, m, choices, src, Options{})
	if len(sites) != 4 || r.Sites[2].Shortcut || !r.Sites[3].Shortcut {
		t.Fatalf("of %d sites, these make up for a shortcut: %+v", len(sites), r.Sites)
	}
	x, _ := graph.Of(m).Producer("y")
	operand := x.Input(1)
	checkClosed(t, lib, m, choices, r, 3, operand, nil, src)
}

func TestFiles(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(64, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, halves(sites)...)
	roomy := refit(t, lib, m, choices, src, Options{Batch: 1}) // which memory would lower
	folder := t.TempDir()
	o := Options{Batch: 1, Folder: folder, Progress: func(string, int, int) {
		if _, err := os.ReadDir(folder); err != nil {
			t.Error(err)
		}
	}}
	for i := range sites {
		o.Memory = max(o.Memory, 2*(&walk{}).needs(&sites[i]))
	}
	tight := refit(t, lib, m, choices, src, o)
	if roomy.Spilled != 0 || tight.Spilled == 0 {
		t.Errorf("%d bytes in files with room, %d without", roomy.Spilled, tight.Spilled)
	}
	same(t, roomy, tight)
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	o.Folder = folder + "/none"
	if _, err := Run(context.Background(), lib, m, choices, src, testkit.Count(len(src)), o); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("a folder that is not there gives the error %v", err)
	}
}

// same holds two results to the same bits.
func same(t *testing.T, a, b *Result) {
	t.Helper()
	for i := range a.Sites {
		x, y := a.Sites[i], b.Sites[i]
		if !equal(x.Chain, y.Chain) || x.Before != y.Before || x.After != y.After || x.Ridge != y.Ridge || x.Kept != y.Kept {
			t.Errorf("node %q: the results differ: %g → %g and %g → %g", x.Site, x.Before, x.After, y.Before, y.After)
		}
	}
}

func TestThreads(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(70, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, halves(sites)...)
	one := refit(t, lib, m, choices, src, Options{Threads: 1})
	for _, threads := range []int{2, 5} {
		same(t, one, refit(t, lib, m, choices, src, Options{Threads: threads}))
	}
}

// attic gives copies of what it is given, and keeps these.
type attic struct {
	chains  []decomp.Chain
	tensors int
}

func (a *attic) Chain(c decomp.Chain) (decomp.Chain, error) {
	c = slices.Clone(c)
	for i := range c {
		c[i].Kernel.Weights = slices.Clone(c[i].Kernel.Weights)
	}
	a.chains = append(a.chains, c)
	return c, nil
}

func (a *attic) Tensors(list []onnxio.Tensor) ([]onnxio.Tensor, error) {
	a.tensors += len(list)
	return list, nil
}

// TestAway: what is found lies where it is put, and is the same there.
func TestAway(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(70, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, halves(sites)...)
	away := &attic{}
	r := refit(t, lib, m, choices, src, Options{Away: away})
	same(t, refit(t, lib, m, choices, src, Options{}), r)
	if away.tensors == 0 {
		t.Error("the weights of the model under way are not put away")
	}
	for _, s := range r.Sites {
		if s.Chain == nil {
			continue
		}
		put := func(c decomp.Chain) bool { return &c[0].Kernel.Weights[0] == &s.Chain[0].Kernel.Weights[0] }
		if !slices.ContainsFunc(away.chains, put) {
			t.Errorf("node %q: its chain was not put away", s.Site)
		}
	}
}

func TestCancel(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(64, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, halves(sites)...)
	for _, at := range []int{1, 200, 450} {
		ctx, cancel := context.WithCancel(context.Background())
		folder, watched := t.TempDir(), &testkit.Watched[samples.Sample]{Memory: src}
		_, err := Run(ctx, lib, m, choices, watched, testkit.Count(len(src)), Options{Threads: 2, Memory: 1 << 21, Folder: folder, Progress: func(_ string, done, total int) {
			if total != 64*(len(sites)+1) {
				t.Errorf("the work is %d samples times sites, want %d", total, 64*(len(sites)+1))
			}
			if done >= at {
				cancel()
			}
		}})
		cancel()
		watched.Returned(t)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d: %v", at, err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("temporary files are left: %v, %v", left, err)
		}
	}
}

// No node runs twice on a sample, so that the cost grows with the number of nodes.
func TestEveryNodeRunsOnce(t *testing.T) {
	lib := orttest.Open(t)
	for _, depth := range []int{3, 12} {
		b := testmodels.NewBuilder(2, 17, 8)
		x := b.Input("x", tensor.Float32, "N", 5, 6, 6)
		for range depth {
			x = b.Node("Relu", []string{b.Conv(x, 5, 5, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
		}
		b.Output(b.Rename("y"), tensor.Float32, "N", 5, 6, 6)
		m := testkit.Built(t, b)
		src := sitetest.Draws(32, "x", 0.2, 5, 6, 6)
		sites := sitetest.Sites(t, m, src[0])
		r := refit(t, lib, m, choose(t, sites, halves(sites)...), src, Options{})
		total := 0
		for _, s := range []side{original, compressed} {
			for i, n := range r.nodes[s] {
				total += n
				if n != 1 {
					t.Errorf("depth %d: node %d runs %d times", depth, i, n)
				}
			}
		}
		// All nodes of the original but the last Relu; of the compressed model also without the last site.
		if want := 2*depth - 1 + 2*depth - 2; total != want {
			t.Errorf("depth %d: %d nodes ran, want %d", depth, total, want)
		}
	}
}

// Every model of the zoo is refitted, or refused for a reason; whatever it has between two sites: constants, computed
// shapes, subgraphs, functions, several inputs.
func TestZoo(t *testing.T) {
	lib := orttest.Open(t)
	refitted := 0
	for _, c := range testmodels.All() {
		if !c.Runs {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			m := testkit.Zoo(t, c.Name)
			var src memory
			for i := range 20 {
				inputs, err := testmodels.Feeds(m, uint64(i), map[string]int{"T": 5 + i%3}, 3)
				if err != nil {
					t.Fatal(err)
				}
				src = append(src, samples.Sample{Name: fmt.Sprint("sample ", i), Label: -1, Inputs: inputs, Whole: true})
			}
			sites := sitetest.Sites(t, m, src[0])
			if len(sites) == 0 {
				return
			}
			choices := choose(t, sites, halves(sites)...)
			r, err := Run(context.Background(), lib, m, choices, src, testkit.Count(len(src)), Options{Threads: 2, Grow: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range r.Sites {
				if s.Kept {
					refitted++
					if !(s.After < s.Before) {
						t.Errorf("node %q: error %g on held-out samples, %g before", s.Site, s.After, s.Before)
					}
				}
			}
			small := compress(t, m, choices, after(r))
			for _, o := range graph.Of(m).Outputs() {
				sitetest.Watch(t, lib, small, src[:2], o.Name())
			}
		})
	}
	if refitted < 50 {
		t.Errorf("only %d sites of the zoo were refitted", refitted)
	}
}

// The last run of a model with a batch of its own may hold fewer samples than that: filler counts for nothing.
func TestFixedBatch(t *testing.T) {
	lib := orttest.Open(t)
	c := closedCases()[0]
	m := c.model(t)
	b := testmodels.NewBuilder(1, 17, 8)
	b.Input("x", tensor.Float32, 16, 4, 7, 6)
	b.Output(b.Node("Relu", []string{"x"}), tensor.Float32, nil, nil, nil, nil)
	fixed := graph.Of(m).Parts()
	fixed.Inputs = graph.Of(testkit.Built(t, b)).Inputs()[:1]
	pinned := fixed.Model()
	defer pinned.Close()
	src := sitetest.Draws(120, "x", 0.3, c.shape...) // the last block, which is held out, has 8 of 16
	choices := choose(t, sitetest.Sites(t, m, src[0]), 2, 2)
	own := refit(t, lib, pinned, choose(t, sitetest.Sites(t, pinned, src[0]), 2, 2), src, Options{})
	if own.Held != 8 || own.Fit != 112 {
		t.Fatalf("held out %d of %d samples", own.Held, own.Held+own.Fit)
	}
	checkClosed(t, lib, m, choices, own, 1, "", nil, src)
}

// A weight that several dense sites share stays shared.
func TestSharedWeight(t *testing.T) {
	lib := orttest.Open(t)
	b := testmodels.NewBuilder(4, 17, 8)
	x := b.Node("Relu", []string{b.Linear(b.Input("x", tensor.Float32, "N", 6), 6, 6, true)})
	w := b.Weight("shared", 6, 6, 6)
	x = b.Node("Relu", []string{b.Node("MatMul", []string{x, w})})
	b.Node("MatMul", []string{x, w})
	b.Output(b.Rename("y"), tensor.Float32, "N", 6)
	m := testkit.Built(t, b)
	src := sitetest.Draws(64, "x", 0.3, 6)
	r := refit(t, lib, m, choose(t, sitetest.Sites(t, m, src[0]), 2), src, Options{})
	for _, s := range r.Sites[1:] {
		if s.Kept || s.Chain != nil || !strings.Contains(s.Why, "elsewhere") {
			t.Errorf("a shared weight was refitted: %+v", s)
		}
	}
}

func TestTooLarge(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(32, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	choices := choose(t, sites, halves(sites)...)
	r := refit(t, lib, m, choices, src, Options{Memory: 1 << 10, Folder: t.TempDir()})
	for i, s := range r.Sites {
		if s.Kept || !strings.Contains(s.Why, "memory limit") || !equal(s.Chain, choices[i].Chain) {
			t.Errorf("a site beyond the memory limit: %+v", s)
		}
	}
}

func TestErrors(t *testing.T) {
	lib := orttest.Open(t)
	m := testkit.Zoo(t, "cnn")
	src := sitetest.Draws(8, "image", 0.2, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	good := choose(t, sites, 2)
	cut := (*CutError)(nil)
	moved := slices.Clone(good)
	moved[0].Site.Index++
	if _, err := Run(context.Background(), lib, m, moved, src, testkit.Count(8), Options{}); !errors.As(err, &cut) || cut.Site != sites[0].Name {
		t.Errorf("a site that is not in the graph gives %v", err)
	}
	twice := append(slices.Clone(good), good[0])
	if _, err := Run(context.Background(), lib, m, twice, src, testkit.Count(8), Options{}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a site chosen twice gives %v", err)
	}
	if _, err := Run(context.Background(), lib, m, good, src, testkit.Count(1), Options{}); err == nil || !strings.Contains(err.Error(), "give more") {
		t.Errorf("one sample gives %v", err)
	}
	if _, err := Run(context.Background(), lib, m, good, src, []int{9, 10}, Options{}); err == nil {
		t.Error("samples that are not there are taken")
	}
	spoiled := slices.Clone(good)
	spoiled[0].Output = []*linalg.Matrix{linalg.New(2, 2)}
	if _, err := Run(context.Background(), lib, m, spoiled, src, testkit.Count(8), Options{}); err == nil || !strings.Contains(err.Error(), sites[0].Name) {
		t.Errorf("a metric of the wrong size gives %v", err)
	}
	empty, err := Run(context.Background(), lib, m, nil, src, testkit.Count(8), Options{})
	if err != nil || len(empty.Sites) != 0 {
		t.Errorf("no choices give %v, %v", empty, err)
	}
}

// sequenceModel reads a sequence between its first two sites and, if again is set, once more behind the second.
func sequenceModel(t *testing.T, again bool) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(4, 17, 8)
	x := b.Linear(b.Input("x", tensor.Float32, "N", 6), 6, 6, true)
	list := b.Node("SequenceConstruct", []string{x, x})
	zero := b.Tensor("zero", tensor.Int64, []int{}, []float64{0})
	y := b.Linear(b.Node("SequenceAt", []string{list, zero}), 6, 6, true)
	if again {
		y = b.Node("Mul", []string{y, b.Node("SequenceAt", []string{list, zero})})
	}
	b.Linear(y, 6, 6, true)
	b.Output(b.Rename("out"), tensor.Float32, "N", 6)
	return testkit.Built(t, b)
}

// A value that no tensor holds cannot be kept at a cut; inside a piece it may be what it likes.
func TestSequenceAtTheCut(t *testing.T) {
	lib := orttest.Open(t)
	src := sitetest.Draws(32, "x", 0.3, 6)
	m := sequenceModel(t, false)
	r := refit(t, lib, m, choose(t, sitetest.Sites(t, m, src[0]), 2, 2, 2), src, Options{})
	if !r.Sites[2].Kept {
		t.Errorf("a site behind a sequence was not refitted: %+v", r.Sites[2])
	}
	m = sequenceModel(t, true)
	_, err := Run(context.Background(), lib, m, choose(t, sitetest.Sites(t, m, src[0]), 2, 2, 2), src, testkit.Count(32), Options{})
	if cut := (*CutError)(nil); !errors.As(err, &cut) {
		t.Errorf("a sequence that is needed on both sides of a cut gives %v", err)
	}
}

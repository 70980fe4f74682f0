package compress

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/verify"
)

// explore runs an exploration that is to succeed.
func explore(t *testing.T, m *onnxio.Model, o ExploreOptions) *Exploration {
	t.Helper()
	o.Options.Probes = cmp.Or(o.Options.Probes, -1)
	e, err := Explore(context.Background(), in(t), m, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Schema != ExplorationSchema || e.Input.Path != m.Path || e.Input.SHA256 == "" || e.Input.MACs == 0 || len(e.Stages) == 0 {
		t.Errorf("%+v", e)
	}
	for i, p := range e.Points {
		if i > 0 && p.Budget >= e.Points[i-1].Budget {
			t.Errorf("budget %g follows %g", p.Budget, e.Points[i-1].Budget)
		}
	}
	return e
}

// TestExploreWritesWhatRunWrites: a point's file is the one that a run for this budget
// alone writes in its place, to the last byte, whatever came before it in the exploration; and the point says
// what that run says.
func TestExploreWritesWhatRunWrites(t *testing.T) {
	needRuntime(t)
	data := images(60)
	for name, c := range map[string]struct {
		o       ExploreOptions
		model   *onnxio.Model
		budgets []float64
	}{
		"all schemes": {ExploreOptions{Options: Options{Source: data, CalibSamples: 40, Probes: 1, Methods: schemes()}}, zoo(t, "cnn"), []float64{0.4, 0.7}},
		"composite":   {ExploreOptions{Options: Options{Source: data, CalibSamples: 40, Probes: 1, Search: "composite", Methods: []string{"svd", "spatial"}}}, zoo(t, "cnn"), []float64{0.7, 0.4}},
		"parameters": {
			ExploreOptions{Options: Options{Source: data, CalibSamples: 40, NoRefit: true, RankMultiple: 2}, Over: Params},
			zoo(t, "cnn"),
			[]float64{0.6, 0.35},
		},
		"bytes, data-free": {ExploreOptions{Over: Bytes}, zoo(t, "cnn"), []float64{0.9, 0.655, 0.5}},
		"little memory": {
			ExploreOptions{Options: Options{Source: drawn(40, "x", 12, 1, 1), CalibSamples: 30, Batch: 4, Memory: 56 << 20}},
			wide(t, 2),
			[]float64{0.8, 0.5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Dir(c.model.Path)
			c.o.Models, c.o.Budgets, c.o.Options = filepath.Join(folder, "explored"), c.budgets, quick(c.o.Options)
			e := explore(t, c.model, c.o)
			if err := os.Mkdir(filepath.Join(folder, "run"), 0o777); err != nil {
				t.Fatal(err)
			}
			if len(e.Points) != len(c.budgets) {
				t.Fatalf("%d points for %d budgets", len(e.Points), len(c.budgets))
			}
			for i := range e.Points {
				holdPoint(t, c.model, c.o, e, &e.Points[i], filepath.Join(folder, "run"))
			}
		})
	}
}

// holdPoint holds a point against a run of its own.
func holdPoint(t *testing.T, m *onnxio.Model, eo ExploreOptions, e *Exploration, p *Point, folder string) {
	t.Helper()
	if p.Why != "" || filepath.Dir(p.Path) != eo.Models {
		t.Fatalf("point %+v", p)
	}
	o := RunOptions{Options: quick(eo.Options), Output: filepath.Join(folder, filepath.Base(p.Path))}
	o.Targets = []Target{share(e.Over, p.Budget)}
	r, want := runTo(t, m, o, threads(1))
	got, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the exploration wrote %d bytes that differ from the %d of a run", filepath.Base(p.Path), len(got), len(want))
	}
	if p.MACs != r.Output.MACs || p.Params != r.Output.Params || p.Bytes != r.Output.Bytes || p.Loss != r.Plan.Loss || p.Bound != r.Plan.Bound || p.Gap != r.Plan.Gap {
		t.Errorf("point %+v, result %+v with the plan %+v", p, r.Output, r.Plan)
	}
	if (p.Refit == nil) != (r.Refit == nil) || p.Refit != nil && *p.Refit != *r.Refit || p.Seconds <= 0 {
		t.Errorf("point %+v, refit %+v", p, r.Refit)
	}
	if len(p.Sites) != len(r.Sites) || len(p.Axes) != len(r.Axes) {
		t.Fatalf("%d sites and %d axes, want %d and %d", len(p.Sites), len(p.Axes), len(r.Sites), len(r.Axes))
	}
	for i, s := range r.Sites {
		if q := p.Sites[i]; q.Name != s.Name || q.Method != s.Method || !slices.Equal(q.Rank, s.Rank) || q.MACsAfter != s.MACsAfter || q.ParamsAfter != s.ParamsAfter {
			t.Errorf("site %+v, want %+v", q, s)
		}
	}
	count := 0
	for _, s := range p.Schemes {
		count += s.Sites
	}
	if count != len(r.Sites) {
		t.Errorf("schemes %v of %d sites", p.Schemes, len(r.Sites))
	}
	if eo.Options.Source == nil {
		if p.Outputs != nil || p.Agreement != nil || !strings.Contains(e.Unmeasured, "no samples") {
			t.Errorf("without samples: %+v, %q", p, e.Unmeasured)
		}
		return
	}
	v := r.Verification
	if e.Unmeasured != "" || e.Samples != v.Samples || e.Data != v.Data || len(p.Outputs) != len(v.Outputs) || p.Outputs[0].Cosine != v.Outputs[0].Cosine || *p.Outputs[0].SNR != *v.Outputs[0].SNR {
		t.Errorf("%+v, point %+v; verified %+v", e, p, v)
	}
	if (v.Classes != nil) != (p.Agreement != nil) || v.Classes != nil && (*p.Agreement != v.Classes.Agreement || p.Accuracy.After != v.Classes.Accuracy.After || p.Accuracy.Before != v.Classes.Accuracy.Before) {
		t.Errorf("point %+v, classes %+v", p, v.Classes)
	}
}

// TestExploreSpreads: without budgets there are some from 0.9 down to the least that can be
// reached, and all of them are.
func TestExploreSpreads(t *testing.T) {
	needRuntime(t)
	for _, over := range Resources() {
		m := zoo(t, "cnn")
		e := explore(t, m, ExploreOptions{Over: over, Options: Options{Methods: []string{"svd"}, VerifySamples: 1}})
		n := len(e.Points)
		if n < 4 || n > spreadPoints || e.Points[0].Budget != spreadFrom {
			t.Fatalf("over %s: %d points from %g", over, n, e.Points[0].Budget)
		}
		for _, p := range e.Points {
			if p.Why != "" || p.Path != "" {
				t.Errorf("over %s: point %+v", over, p)
			}
		}
		_, err := Run(context.Background(), in(t), m, to(t, Options{Methods: []string{"svd"}, Targets: []Target{share(over, e.Points[n-1].Budget-0.01)}}))
		if unmet := (*UnmetError)(nil); !errors.As(err, &unmet) {
			t.Errorf("over %s: %g is not the least: %v", over, e.Points[n-1].Budget, err)
		}
		entries, err := os.ReadDir(filepath.Dir(m.Path))
		if err != nil || len(entries) != 1 {
			t.Errorf("%d files lie beside the source, %v", len(entries), err)
		}
	}
}

func TestSpread(t *testing.T) {
	for least, want := range map[float64][]float64{
		0.07: {0.9, 0.8, 0.65, 0.55, 0.45, 0.3, 0.2, 0.07}, 0.6181: {0.9, 0.86, 0.82, 0.78, 0.74, 0.7, 0.66, 0.62}, 0.55: {0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55},
		0.88: {0.9, 0.89, 0.88}, 0.9: {0.9}, 0.951: {0.96}, 0.991: nil, 1: nil, 0: {0.9, 0.75, 0.65, 0.5, 0.4, 0.25, 0.15, 0},
	} {
		if got := evenly(least); !slices.Equal(got, want) {
			t.Errorf("down to %g: %v, want %v", least, got, want)
		}
	}
}

// TestExploreOutOfReach: a budget that no model meets is a point with its reason; only where
// there is none but such is it an error.
func TestExploreOutOfReach(t *testing.T) {
	m := zoo(t, "cnn")
	o := ExploreOptions{Budgets: []float64{0.001, 0.7}, Options: Options{Methods: []string{"svd"}, VerifySamples: 1}, Models: filepath.Join(t.TempDir(), "new")}
	e := explore(t, m, o)
	if len(e.Points) != 2 || e.Points[0].Why != "" || e.Points[0].MACs == 0 || !strings.Contains(e.Points[1].Why, "macs=0.001") || e.Points[1].Path != "" {
		t.Errorf("%+v", e.Points)
	}
	entries, err := os.ReadDir(o.Models)
	if err != nil || len(entries) != 1 || entries[0].Name() != "model.macs-0.70.onnx" {
		t.Errorf("%v, %v", entries, err)
	}
	_, err = Explore(context.Background(), in(t), m, o)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("the model is there already: %v", err)
	}
	o.Overwrite = true
	explore(t, m, o)

	o.Budgets, o.Models = []float64{0.002, 0.001}, filepath.Join(t.TempDir(), "none")
	_, err = Explore(context.Background(), in(t), m, o)
	testkit.WantError(t, err, "macs=0.002", "least that can be reached")
	if _, err := os.Stat(o.Models); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder is left: %v", err)
	}
	o.Budgets, o.Options.Select.Keep = nil, []string{"*"}
	_, err = Explore(context.Background(), in(t), m, o)
	testkit.WantError(t, err, "no node may change")
}

// TestExploreCancelled: when the context ends, complete models stay, what is unfinished goes, and the points so far are told.
func TestExploreCancelled(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	for _, stage := range []string{"analyse", "factor", "search 1/2", "search 2/2", "refit 2/2", "write 2/2", "verify 2/2"} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		o := ExploreOptions{Budgets: []float64{0.8, 0.6}, Models: filepath.Join(t.TempDir(), "models"), Options: Options{
			Methods: []string{"svd"}, Source: images(40), CalibSamples: 30, Probes: -1,
		}}
		e, err := Explore(ctx, in(t, told(func(name string, _, _ int) {
			if name == stage {
				cancel()
			}
		})), m, o)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", stage, err)
		}
		if !strings.HasSuffix(stage, "2/2") {
			if _, err := os.Stat(o.Models); e != nil || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %+v, %v", stage, e, err)
			}
			continue
		}
		entries, err := os.ReadDir(o.Models)
		if err != nil || len(entries) != 1 || e == nil || len(e.Points) != 1 || filepath.Base(e.Points[0].Path) != entries[0].Name() {
			t.Errorf("%s: %v, %v, %+v", stage, entries, err, e)
		}
	}
}

func TestExploreRefused(t *testing.T) {
	m := zoo(t, "cnn")
	for name, c := range map[string]struct {
		o    ExploreOptions
		want string
	}{
		"a target":         {ExploreOptions{Options: Options{Targets: []Target{half(MACs)}}}, "leave targets"},
		"a resource":       {ExploreOptions{Over: "time"}, "macs, params, bytes"},
		"a large budget":   {ExploreOptions{Budgets: []float64{1.5}}, "budget 1.5"},
		"a budget of 0":    {ExploreOptions{Budgets: []float64{0}}, "budget 0"},
		"a budget twice":   {ExploreOptions{Budgets: []float64{0.5, 0.6, 0.5}}, "0.5 is given twice"},
		"an unknown name":  {ExploreOptions{Options: Options{Methods: []string{"svdd"}}}, `did you mean "svd"`},
		"a folder nowhere": {ExploreOptions{Models: filepath.Join(t.TempDir(), "a", "b")}, "folder for the models"},
	} {
		_, err := Explore(context.Background(), in(t), m, c.o)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a usage error with %q", name, err, c.want)
		}
	}
	c := zoo(t, "cnn")
	c.Path = ""
	_, err := Explore(context.Background(), in(t), c, ExploreOptions{})
	testkit.WantError(t, err, "made in memory")
}

func TestModelName(t *testing.T) {
	for budget, want := range map[float64]string{0.5: "net.macs-0.50.onnx", 0.125: "net.macs-0.125.onnx", 1: "net.macs-1.00.onnx", 0.07: "net.macs-0.07.onnx"} {
		if got := ModelName(filepath.Join("some", "net.onnx"), MACs, budget); got != want {
			t.Errorf("%g: %s, want %s", budget, got, want)
		}
	}
}

// TestSmallest: the point that a goal allows, of those that were measured.
func TestSmallest(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	e := &Exploration{Samples: 1000, Points: []Point{
		{Budget: 0.8, Agreement: f(1), Outputs: []PointOutput{{SNR: nil}}},
		{Budget: 0.6, Agreement: f(0.995), Accuracy: &PointAccuracy{Before: 0.9, After: 0.89}, Outputs: []PointOutput{{SNR: f(30)}, {SNR: f(20)}}},
		{Budget: 0.4, Agreement: f(0.9), Accuracy: &PointAccuracy{Before: 0.9, After: 0.8}, Outputs: []PointOutput{{SNR: f(10)}}},
		{Budget: 0.1, Why: "out of reach"},
	}}
	for g, want := range map[verify.Bound]float64{
		agree(0.99): 0.6, agree(0.999): 0.8, agree(0.5): 0.4, drop(0.02): 0.6, snr(15): 0.6, snr(25): 0.8, drop(0.001): 0,
	} {
		got := 0.
		if p := e.Smallest(g); p != nil {
			got = p.Budget
		}
		if got != want {
			t.Errorf("%s: budget %g, want %g", g, got, want)
		}
	}
	e.Samples = 99
	if p := e.Smallest(agree(0.99)); p != nil {
		t.Errorf("99 samples show that %+v keeps 99 %%", p)
	}
}

package compress

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/timing"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// withRuntime is an environment with ONNX Runtime.
func withRuntime(t *testing.T) *Environment {
	t.Helper()
	needRuntime(t)
	env, err := Open(EnvironmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Close)
	return env
}

// trained is the demo model, and a table of costs for it.
func trained(t *testing.T, env *Environment, o CostOptions) (*onnxio.Model, *costs.Table) {
	t.Helper()
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	table, err := MeasureTimes(context.Background(), env, m, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, table
}

// randomPlan draws an option for each site, the site as it is among them.
func randomPlan(a *Analysis, o Options, random *rand.Rand) []option {
	out := make([]option, len(a.Sites))
	for i := range a.Sites {
		s := &a.Sites[i]
		out[i] = dense(s)
		m := &a.methods[random.IntN(len(a.methods))]
		if m.Accepts(s.Kernel) != nil {
			continue
		}
		ranks := m.Ranks(s.Kernel, o.multiple(s.Kernel))
		if len(ranks) == 0 {
			continue
		}
		r := ranks[random.IntN(len(ranks))]
		if c := m.Factors(s.Kernel, r); c != nil && s.MACs(c) < out[i].macs {
			out[i] = option{method: m, rank: r, macs: s.MACs(c)}
		}
	}
	return out
}

// carriedOut is the model of a plan, as a session.
func carriedOut(t *testing.T, env *Environment, a *Analysis, plan []option) *ort.Session {
	t.Helper()
	names := graph.NewNameSet(a.model)
	var patches []rewrite.Patch
	for i, c := range plan {
		if c.method == nil {
			continue
		}
		chain := c.method.Factors(a.Sites[i].Kernel, c.rank)
		for k := range chain {
			chain[k].Kernel.Weights = make([]float64, chain[k].Kernel.Params())
			for j := range chain[k].Kernel.Weights {
				chain[k].Kernel.Weights[j] = 0.01 * float64(j%7)
			}
		}
		p, err := rewrite.Replace(a.model, &a.Sites[i], chain, names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	m, err := rewrite.Apply(a.model, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := feed.Host{Library: env.library}.NewSession(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestForecast: random plans of a model take about as long as a table says that was measured on this machine. Others may work on it, so
// the bound is wide.
func TestForecast(t *testing.T) {
	env := withRuntime(t)
	m, table := trained(t, env, CostOptions{})
	o := Options{}.WithDefaults()
	o.Targets, o.Costs = []Target{half(RunTime)}, table
	a, err := Analyse(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	whole := float64(a.need(RunTime))
	run, err := firstRun(context.Background(), m, &BenchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	as := make([]option, len(a.Sites))
	for i := range as {
		as[i] = dense(&a.Sites[i])
	}
	if ns := a.forecast.plan(a.Sites, as); float64(ns) != whole {
		t.Errorf("the model as it is takes %d ns, want %g", ns, whole)
	}
	random := rand.New(rand.NewPCG(1, 2))
	runners := []func(context.Context) error{timing.Runner(carriedOut(t, env, a, as), run.Inputs)}
	var want []float64
	for range 4 {
		plan := randomPlan(a, o, random)
		want = append(want, float64(a.forecast.plan(a.Sites, plan))/whole)
		runners = append(runners, timing.Runner(carriedOut(t, env, a, plan), run.Inputs))
	}
	took, err := timing.Turns(context.Background(), timing.Limits{WarmUps: 3, Settle: 2, Least: 20, Most: 100, For: 3 * time.Second}, runners...)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, w := range want {
		got := timing.Quiet(took[i+1]) / timing.Quiet(took[0])
		t.Logf("plan %d: predicted %.3f of the original's time, measured %.3f", i, w, got)
		sum += math.Abs(w/got-1) / float64(len(want))
	}
	if sum > 0.4 {
		t.Errorf("predictions are wrong by %.0f %% in the mean", 100*sum)
	}
}

// TestTableFits: a table for other sizes says what of the model it lacks.
func TestTableFits(t *testing.T) {
	env := withRuntime(t)
	m, table := trained(t, env, CostOptions{Batch: 2, Methods: []string{"svd"}})
	if table.Batch != 2 || table.Threads != 1 || table.Processor == "" || !strings.HasPrefix(table.Runtime, "ONNX Runtime ") {
		t.Errorf("%+v", table.Machine)
	}
	unknown, err := costs.New(table.Machine, 0, table.Models, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		m     *onnxio.Model
		table *costs.Table
		want  string
	}{
		"another model": {zoo(t, "cnn"), table, "the model as a whole"},
		"no points":     {m, unknown, "Conv 16×1 3x3 on float32 2x1x28x28"},
	} {
		_, err := Analyse(context.Background(), c.m, Options{Targets: []Target{half(RunTime)}, Costs: c.table})
		if !errors.As(err, new(*costs.MissingError)) || !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := costs.Parse(b.Bytes()); err != nil {
		t.Error(err)
	}
}

// TestMeasureTimesRefuses: what cannot be measured says why.
func TestMeasureTimesRefuses(t *testing.T) {
	env := withRuntime(t)
	m := zoo(t, "cnn")
	for name, o := range map[string]CostOptions{
		"negative": {Threads: -1}, "shape": {InputShapes: map[string][]int{"nosuch": {1}}},
	} {
		if _, err := MeasureTimes(context.Background(), env, m, o); !errors.As(err, new(*UsageError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := MeasureTimes(context.Background(), bare(), m, CostOptions{}); err == nil || !strings.Contains(err.Error(), "needs ONNX Runtime") {
		t.Error(err)
	}
}

// TestProbes: every site of every model in the zoo can be measured by all methods, and the table knows what it measured.
func TestProbes(t *testing.T) {
	env := withRuntime(t)
	shapes := map[string][]int{"tokens": {1, 8}}
	for _, name := range []string{"cnn", "cnn_float16", "transformer", "text_classifier"} {
		t.Run(name, func(t *testing.T) {
			m, o := zoo(t, name), CostOptions{Methods: []string{"svd", "cp"}}
			if graph.Of(m).IsInput("tokens") {
				o.InputShapes = shapes
			}
			table, err := MeasureTimes(context.Background(), env, m, o)
			if err != nil {
				t.Fatal(err)
			}
			if len(table.Points) == 0 || len(table.Fits) == 0 {
				t.Errorf("%d points, %d fits", len(table.Points), len(table.Fits))
			}
			for _, p := range table.Points {
				if us, err := table.Node(p.Piece); err != nil || us != p.Micros {
					t.Errorf("%s: %g, %v", p.Piece, us, err)
				}
			}
		})
	}
}

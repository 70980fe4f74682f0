package compress

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/verify"
)

// foreign is a table of costs for a model as if it were made on another machine, so that how busy this one is decides nothing.
func foreign(t *testing.T, m *onnxio.Model, o CostOptions) *costs.Table {
	t.Helper()
	table, err := MeasureTimes(context.Background(), withRuntime(t), m, o)
	if err != nil {
		t.Fatal(err)
	}
	at := table.Machine
	at.Processor = "Another CPU"
	if table, err = costs.New(at, table.PerNode, table.Models, table.Points); err != nil {
		t.Fatal(err)
	}
	return table
}

// TestExploreTime: a point of an exploration over time is the model that a run for this budget writes, and says what it takes.
func TestExploreTime(t *testing.T) {
	m := inverted(t)
	table := foreign(t, m, CostOptions{Methods: []string{"svd", "spatial"}})
	o := ExploreOptions{Options: quick(Options{Source: images(60), CalibSamples: 40, Costs: table}), Over: RunTime, Budgets: []float64{0.9, 0.8, 0.01}}
	folder := filepath.Dir(m.Path)
	o.Models = filepath.Join(folder, "explored")
	if err := os.Mkdir(filepath.Join(folder, "run"), 0o777); err != nil {
		t.Fatal(err)
	}
	e := explore(t, m, o)
	for i := range e.Points[:2] {
		p := &e.Points[i]
		if l := p.Latency; l == nil || l.Foretold == nil || l.Foretold.After > p.Budget*l.Foretold.Before {
			t.Errorf("%+v", p)
		}
		holdPoint(t, m, o, e, p, filepath.Join(folder, "run"))
	}
	if e.Points[2].Why == "" {
		t.Errorf("%+v", e.Points[2])
	}
}

// TestGoalsInTime: beside a goal, a target of time bounds every model and is what is bisected; the fastest that meets the goal is
// written, however much faster than its target. The frontier of other times is there.
func TestGoalsInTime(t *testing.T) {
	m := inverted(t)
	table := foreign(t, m, CostOptions{Methods: []string{"svd", "spatial"}})
	o := Options{Goals: []verify.Bound{snr(3)}, Targets: []Target{share(RunTime, 0.95)}, Source: images(60), CalibSamples: 40, Probes: 1, Costs: table}
	r, _ := run(t, m, o)
	if r.Trials.Over != RunTime || math.Abs(r.Trials.Steps[0].Budget-0.95) > 1e-9 || r.Latency == nil || len(r.Latency.Attempts) != 1 {
		t.Errorf("%+v, %+v", r.Trials, r.Latency)
	}
	if reached := r.Targets[0]; float64(reached.Reached) > reached.Limit {
		t.Errorf("%+v", reached)
	}
	f := r.Frontier
	if f.Over != RunTime || f.Skipped != "" || len(f.Points) < 5 || f.Chosen.Cost > f.Chosen.Budget {
		t.Fatalf("%+v", f)
	}
	for _, p := range f.Points {
		if p.Cost > p.Budget+1e-6 || p.Cost <= 0 {
			t.Errorf("%+v", p)
		}
	}
}

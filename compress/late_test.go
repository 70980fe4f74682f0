package compress

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// TestRunTime compresses to a share of the time that a table foretells: what is written is foretold to meet it, by the points of the
// table, and both times are in the result. The table is of another machine, so that how busy this one is decides nothing.
func TestRunTime(t *testing.T) {
	env := withRuntime(t)
	m, table := trained(t, env, CostOptions{Methods: []string{"svd", "spatial"}})
	elsewhere := table.Machine
	elsewhere.Processor = "Another CPU"
	foreign, err := costs.New(elsewhere, table.PerNode, table.Models, table.Points)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := run(t, m, Options{
		Methods: []string{"svd", "spatial"}, Costs: foreign, Targets: []Target{{RunTime, 0.85, true}, {MACs, 0.9, true}}, AcceptDamage: true,
	})
	l := r.Latency
	if l == nil || l.Foretold == nil || l.Skipped != "" || !strings.Contains(l.Foretold.Elsewhere, "Another CPU") {
		t.Fatalf("%+v", l)
	}
	reached := r.Targets[0]
	if reached.Resource != RunTime || float64(reached.Reached) > reached.Limit || reached.Reached <= 0 || math.Abs(float64(reached.Original)/1e3-table.Models[0].Micros) > 1 {
		t.Errorf("%+v", reached)
	}
	if got := l.Foretold.After / l.Foretold.Before; math.Abs(got-float64(reached.Reached)/float64(reached.Original)) > 1e-6 || got > 0.85 {
		t.Errorf("foretold %+v, reached %+v", l.Foretold, reached)
	}
	if r.Output.MACs > r.Input.MACs*9/10 {
		t.Errorf("the other target does not hold: %d of %d MACs", r.Output.MACs, r.Input.MACs)
	}
	again, _ := run(t, m, Options{
		Methods: []string{"svd", "spatial"}, Costs: foreign, Targets: []Target{{RunTime, 0.85, true}, {MACs, 0.9, true}}, AcceptDamage: true,
	})
	if again.Output.SHA256 != r.Output.SHA256 {
		t.Error("the same table gives another model")
	}
}

// TestRunTimeRefuses: what a target of time cannot be beside, or without.
func TestRunTimeRefuses(t *testing.T) {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	late := []Target{{RunTime, 0.5, true}}
	for want, o := range map[string]Options{
		"needs ONNX Runtime": {Targets: late},
	} {
		_, err := Run(context.Background(), bare(), m, to(t, o))
		if !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Analyse(context.Background(), m, Options{Targets: late}); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "needs a table of costs") {
		t.Error(err)
	}
}

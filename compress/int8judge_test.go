package compress

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// eighty is a run for int8 of the small network.
func eighty(t *testing.T) RunOptions {
	return to(t, Options{For: ForCPUInt8, Targets: []Target{share(MACs, 0.7)}, Source: images(60), CalibSamples: 40, Probes: 1, Methods: []string{"svd", "spatial", "cp-window"}})
}

// TestForInt8: where no Python has the quantizer, the result says so, and has for every chain what eight bits add, which its plan counts;
// a plan without that loses less.
func TestForInt8(t *testing.T) {
	needRuntime(t)
	bare := t.TempDir()
	if err := os.WriteFile(filepath.Join(bare, "python3"), []byte("#!/bin/sh\necho \"No module named 'onnx'\" >&2; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bare)
	o := eighty(t)
	r, _ := runTo(t, zoo(t, "cnn"), o)
	if r.Int8 != nil || !strings.Contains(r.Unquantized, "pip install") {
		t.Errorf("judged as %+v, or not: %q", r.Int8, r.Unquantized)
	}
	if set := r.For.Set; !strings.Contains(set[len(set)-1], "multiply-adds stand for the time") {
		t.Errorf("%q", set)
	}
	o.Targets, o.Output = append(o.Targets, share(RunTime, 0.9)), out(t)
	if _, err := Run(context.Background(), in(t), zoo(t, "cnn"), o); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "about int8 models") {
		t.Errorf("a target of latency without int8 models: %v", err)
	}
	o.Source = nil
	if _, err := Run(context.Background(), in(t), zoo(t, "cnn"), o); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "samples for the ranges") {
		t.Errorf("a target of latency without samples: %v", err)
	}
	added := 0.0
	for _, s := range r.Sites {
		if s.Rounding == nil && s.Method != Dense {
			t.Errorf("%s, %s: rounding %v", s.Name, s.Method, s.Rounding)
		}
		if s.Rounding != nil {
			added += *s.Rounding
		}
	}
	sum := 0.0
	for _, s := range r.Sites {
		sum += *s.OutputChange
	}
	if added <= 0 || r.Plan.Loss <= sum {
		t.Errorf("rounding adds %g, and of the loss %g the factors are %g", added, r.Plan.Loss, sum)
	}
}

// TestJudgedInt8: a result that is for int8 is chosen by the time as int8, held against the original as int8, and not delivered where it
// is slower then.
func TestJudgedInt8(t *testing.T) {
	needRuntime(t)
	python := provisiontest.Python(t, "onnx", "onnxruntime.quantization")
	t.Setenv("PATH", filepath.Dir(python)+string(os.PathListSeparator)+os.Getenv("PATH"))
	o := eighty(t)
	o.Methods, o.RankMultiple = []string{Width}, 4 // which is hardly slower for it, on any machine
	r, err := Run(context.Background(), in(t), zoo(t, "cnn"), o)
	_, none := os.Stat(o.Output)
	if slow := (*LateError)(nil); errors.As(err, &slow) {
		if !slow.Int8 || slow.Measured <= 1 || none == nil || !strings.Contains(slow.Error(), "both as int8") {
			t.Errorf("%v; %v", slow, none)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	q := r.Int8
	if r.Unquantized != "" || q == nil || q.Ranges != 40 || q.Samples != 20 || len(q.Models) != 4 || none != nil {
		t.Fatalf("%q, %+v, %v", r.Unquantized, q, none)
	}
	if l := r.Latency; l == nil || !l.Int8 || l.Foretold == nil || !(l.Foretold.After <= l.Foretold.Before) || len(r.Targets) != 2 || r.Targets[1].Resource != RunTime {
		t.Errorf("the time as int8: %+v, %+v", l, r.Targets)
	}
	if m := q.Models[3]; m.How != "static" || m.Of != o.Output || m.Report.Compressed != o.Output || *m.Report.Outputs[0].SNR < 3 {
		t.Errorf("%+v", m)
	}
}

// TestInt8Table: a table of int8 models tells the time of these, in a file too, and of nothing else; an exploration for int8 holds its
// points against the original so.
func TestInt8Table(t *testing.T) {
	needRuntime(t)
	python := provisiontest.Python(t, "onnx", "onnxruntime.quantization")
	t.Setenv("PATH", filepath.Dir(python)+string(os.PathListSeparator)+os.Getenv("PATH"))
	m := zoo(t, "cnn")
	measured := foreign(t, m, CostOptions{For: ForCPUInt8, Methods: []string{Width}, RankMultiple: 4})
	var file bytes.Buffer
	if err := measured.Write(&file); err != nil {
		t.Fatal(err)
	}
	table, err := costs.Parse(file.Bytes())
	if err != nil || table.Int8() != costs.Static || !slices.ContainsFunc(table.Points, func(p costs.Point) bool { return p.Type == "int8" }) {
		t.Fatalf("%v: %+v", err, table)
	}
	o := eighty(t).Options
	o.Methods, o.RankMultiple, o.Costs, o.Targets = []string{Width}, 4, table, nil
	e, err := Explore(context.Background(), in(t), m, ExploreOptions{Options: o, Budgets: []float64{0.7}})
	if slow := (*LateError)(nil); errors.As(err, &slow) && slow.Int8 {
		t.Skipf("as this machine happens to time it: %v", err)
	}
	if unmet := (*UnmetError)(nil); errors.As(err, &unmet) && unmet.Target.Resource == RunTime {
		t.Skipf("as this machine happened to time single nodes: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := e.Points[0]
	if p.Int8 == nil || len(p.Int8.Models) != 4 || p.Latency == nil || !p.Latency.Int8 || p.Latency.Foretold == nil || e.Unquantized != "" {
		t.Errorf("%+v, %+v, %q", p.Int8, p.Latency, e.Unquantized)
	}
	if f := p.Latency.Foretold; f.Before != table.Models[0].Micros/1e3 && math.Abs(f.Before*1e3/table.Models[0].Micros-1) > 1e-3 {
		t.Errorf("%+v of %+v", f, table.Models)
	}
	o.For, o.Targets = "", []Target{share(RunTime, 0.9)}
	if _, err := Run(context.Background(), in(t), m, to(t, o)); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "of int8 models (static)") {
		t.Errorf("a table of int8 models for others: %v", err)
	}
}

// TestSlowerInt8: a model is slower as int8 where its quartiles say so too.
func TestSlowerInt8(t *testing.T) {
	model := func(low, speed, high float64) Int8Model {
		return Int8Model{SpeedLow: low, Speed: speed, SpeedHigh: high}
	}
	for _, c := range []struct {
		alone, both Int8Model
		slower      bool
	}{
		{model(1.8, 1.9, 2), model(1.5, 1.6, 1.7), true},
		{model(1.8, 1.9, 2), model(1.5, 1.6, 1.85), false},
		{model(1.89, 1.9, 1.91), model(1.88, 1.885, 1.888), false},
		{model(1.8, 1.9, 2), model(2.4, 2.5, 2.6), false},
	} {
		q := &Int8{Models: slices.Concat(make([]Int8Model, 1), []Int8Model{c.alone, {}, c.both})}
		if q.slower() != c.slower {
			t.Errorf("%+v beside %+v: slower %v", c.both, c.alone, q.slower())
		}
	}
}

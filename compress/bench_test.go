package compress

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestBench times a model beside itself: what is said of the two lies together, and of the operators everything is there.
func TestBench(t *testing.T) {
	needRuntime(t)
	env, err := Open(EnvironmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	m := zoo(t, "cnn")
	for name, o := range map[string]BenchOptions{"random": {Batch: 3}, "samples": {Source: images(2), Batch: 3, Threads: 2}} {
		b, err := Bench(context.Background(), env, m, []string{m.Path}, o)
		if err != nil {
			t.Fatal(name, err)
		}
		if b.Batch != 3 || b.Threads != max(o.Threads, 1) || b.Processor == "" || b.Runtime == "" || len(b.Models) != 2 || b.Turns < benchLimits().Least {
			t.Errorf("%s: %+v", name, b)
		}
		for i, timed := range b.Models {
			if timed.Path != m.Path || !(0 < timed.TimeLow && timed.TimeLow <= timed.Time && timed.Time <= timed.TimeHigh) ||
				!(0 < timed.SpeedLow && timed.SpeedLow <= timed.Speed && timed.Speed <= timed.SpeedHigh) || timed.Memory < 0 {
				t.Errorf("%s: %+v", name, timed)
			}
			if want := 3e3 / timed.Time; timed.Throughput < want*0.999 || timed.Throughput > want*1.001 {
				t.Errorf("%s: %g samples/s, want %g", name, timed.Throughput, want)
			}
			if i == 0 && (timed.Speed != 1 || timed.SpeedLow != 1) {
				t.Errorf("%s: the first is %g times as fast as itself", name, timed.Speed)
			}
		}
		convs := slices.IndexFunc(b.Operators, func(op OperatorTime) bool { return strings.Contains(op.Op, "Conv") })
		if convs < 0 || len(b.Operators[convs].Micros) != 2 || b.Operators[convs].Nodes[0] != b.Operators[convs].Nodes[1] {
			t.Errorf("%s: operators %+v", name, b.Operators)
		}
	}
}

// TestBenchRefuses: what cannot be timed says why.
func TestBenchRefuses(t *testing.T) {
	needRuntime(t)
	env, err := Open(EnvironmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	m := zoo(t, "cnn")
	for name, o := range map[string]BenchOptions{
		"negative": {Batch: -1}, "shape": {InputShapes: map[string][]int{"nosuch": {1}}},
	} {
		if _, err := Bench(context.Background(), env, m, []string{m.Path}, o); !errors.As(err, new(*UsageError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Bench(context.Background(), bare(), m, []string{m.Path}, BenchOptions{}); err == nil || !strings.Contains(err.Error(), "timing models needs ONNX Runtime") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Bench(ctx, env, m, []string{m.Path}, BenchOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

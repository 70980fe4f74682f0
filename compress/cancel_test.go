package compress

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// TestProgress: the stages come in their order, each announced before it counts, and the
// counts rise to their totals.
func TestProgress(t *testing.T) {
	needRuntime(t)
	var seen log
	run(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}, Source: images(50), CalibSamples: 40, Batch: 3}, threads(4), told(seen.add))
	if seen.clash {
		t.Error("calls of Progress overlap")
	}
	var stages []string
	last := event{}
	for _, e := range seen.events {
		if e.stage != last.stage {
			if last.done != last.total {
				t.Errorf("stage %s ended at %d of %d", last.stage, last.done, last.total)
			}
			if e.done != 0 || e.total != 0 {
				t.Errorf("stage %s was not announced: %v", e.stage, e)
			}
			stages = append(stages, e.stage)
		} else if e.done <= last.done || e.total < last.total {
			t.Errorf("stage %s goes from %d to %d", e.stage, last.done, e.done)
		}
		last = e
	}
	if want := []string{"analyse", "calibrate", "factor", "search", "refit", "rewrite", "write", "verify", "time"}; !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
}

// TestCancel ends the context at every stage that a whole run announces, at its beginning
// and within it: the run returns the context's error, and nothing is left behind.
func TestCancel(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name string
		m    *onnxio.Model
		o    Options
		how  func(*EnvironmentOptions)
	}{
		{"with data", zoo(t, "cnn"), Options{Source: images(40), CalibSamples: 30, Batch: 4}, threads(2)},
		{"with sensitivities", zoo(t, "cnn"), Options{Source: images(40), CalibSamples: 30, Batch: 4, Probes: 1}, threads(2)},
		{"in several sweeps", wide(t, 2), Options{Source: drawn(40, "x", 12, 1, 1), CalibSamples: 30, Batch: 10, Memory: 56 << 20}, threads(1)},
		{"data-free", zoo(t, "cnn"), Options{}, threads(0)},
	} {
		var seen log
		c.o.Targets, c.o.Methods = []Target{share(MACs, 0.8)}, []string{"svd", "tucker2"} // the stages are those of all methods
		_, want := run(t, c.m, c.o, c.how, told(seen.add))
		points := map[event]bool{}
		for _, e := range seen.events {
			points[event{stage: e.stage, done: min(e.done, 1)}] = true
		}
		if len(points) < 7 {
			t.Fatalf("%s: only %d points to end at", c.name, len(points))
		}
		for p := range points {
			cancelAt(t, c.m, c.o, p, want, c.how)
		}
	}
}

// cancelAt ends the context at a point, with a file at the output and without.
func cancelAt(t *testing.T, m *onnxio.Model, opts Options, p event, whole []byte, how ...func(*EnvironmentOptions)) {
	t.Helper()
	files := []string{"", "precious"}
	if racing { // which file there was is no matter of threads
		files = files[:1]
	}
	for _, old := range files {
		o := to(t, opts)
		o.Overwrite = old != ""
		if old != "" {
			if err := os.WriteFile(o.Output, []byte(old), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		reached := false
		env := in(t, append(how, told(func(stage string, done, _ int) {
			if stage == p.stage && min(done, 1) == p.done {
				reached = true
				cancel()
			}
		}))...)
		_, err := Run(ctx, env, m, o)
		if !errors.Is(err, context.Canceled) || !reached {
			t.Errorf("ended at %v (reached: %v): error %v", p, reached, err)
		}
		if old == "" {
			empty(t, filepath.Dir(o.Output))
			continue
		}
		if data, err := os.ReadFile(o.Output); err != nil || string(data) != old {
			t.Errorf("ended at %v: the old file holds %d bytes, %v", p, len(data), err)
		}
		if entries, err := os.ReadDir(filepath.Dir(o.Output)); err != nil || len(entries) != 1 {
			t.Errorf("ended at %v: %d files, %v", p, len(entries), err)
		}
	}
	if len(whole) == 0 {
		t.Error("the whole run wrote nothing")
	}
}

// TestCancelledBefore: a context that has ended lets nothing begin.
func TestCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := to(t, Options{Targets: []Target{half(MACs)}})
	if _, err := Run(ctx, in(t), zoo(t, "cnn"), o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	empty(t, filepath.Dir(o.Output))
}

// TestDescribeStops: reading the files back stops at the context's end, too.
func TestDescribeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := reader{ctx, strings.NewReader("abc")}
	b := make([]byte, 1)
	if n, err := r.Read(b); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	cancel()
	if n, err := r.Read(b); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
}

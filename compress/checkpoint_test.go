package compress

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/tune"
)

// TestCheckpoints: a run that is broken off in the middle, again and again, goes on where it was from what lies in its folder, and ends in
// the bytes of one without.
func TestCheckpoints(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := to(t, Options{Source: images(60), CalibSamples: 24, VerifySamples: 8, Methods: []string{"svd"}, Targets: []Target{half(MACs)}, Batch: 2, Descent: &tune.Options{Epochs: 3, Batch: 16}})
	_, want := runTo(t, m, o)
	o.Checkpoint = filepath.Join(t.TempDir(), "kept")
	kept := func() string {
		entries, err := os.ReadDir(o.Checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	var before []string // stages that are done
	for _, c := range []struct{ stage, left string }{
		{"calibrate, samples 3/8", "stats-1.ocs stats-2.ocs"},
		{"merge", "stats-1.ocs stats-2.ocs stats-3.ocs stats-4.ocs stats-5.ocs stats-6.ocs stats-7.ocs stats-8.ocs"},
		{"factor, nodes 2/8", "offers-1.oco stats.ocs"},
		{"tune: 2", "offers-1.oco offers-2.oco offers-3.oco offers-4.oco offers-5.oco offers-6.oco offers-7.oco offers-8.oco refit-"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		o.Output = out(t)
		steps := 0
		_, err := Run(ctx, in(t, told(func(stage string, done, total int) {
			if slices.Contains(before, stage) {
				t.Errorf("%s is done again before %s", stage, c.stage)
			}
			if name, _, _ := strings.Cut(stage, ":"); name == "tune" && done > 0 {
				steps = done
			}
			if stage == c.stage || c.stage == "tune: 2" && steps >= 2 {
				cancel()
			}
		})), m, o)
		cancel()
		if c.stage != "tune: 2" && !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", c.stage, err)
		}
		if got := kept(); !strings.HasPrefix(got, c.left) || c.stage != "tune: 2" && got != c.left {
			t.Errorf("after a break in %s there are %s, want %s", c.stage, got, c.left)
		}
		switch c.stage {
		case "merge":
			before = append(before, "calibrate, samples 1/8", "calibrate, samples 8/8")
		case "factor, nodes 2/8":
			before = append(before, "merge", "factor, nodes 1/8")
		}
	}
	o.Output = out(t)
	r, got := runTo(t, m, o)
	if !bytes.Equal(got, want) || r.Tuning.End != tune.Completed {
		t.Errorf("after all breaks there are other bytes, the tuning is %s", r.Tuning.End)
	}

	if got := kept(); !strings.Contains(got, " stats.ocs tune-") {
		t.Errorf("at the end there are %s", got)
	}

	// What is there of another work is replaced, and what is none of ours is not.
	o.Seed, o.Descent, o.NoRefit = 1, nil, true
	folder := o.Checkpoint
	o.Output, o.Checkpoint = out(t), ""
	_, want = runTo(t, m, o)
	o.Output, o.Checkpoint = out(t), folder
	if _, got := runTo(t, m, o); !bytes.Equal(got, want) {
		t.Error("in a folder of another work there are other bytes")
	}
	if err := os.WriteFile(filepath.Join(folder, "stats.ocs"), []byte("a poem"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Output = out(t)
	_, err := Run(t.Context(), in(t), m, o)
	if bad := (*UsageError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "stats.ocs is there, and nothing that this would have written") {
		t.Errorf("of a poem: %v", err)
	}
	o.Stats = "x"
	if _, err := Run(t.Context(), in(t), m, o); err == nil || !strings.Contains(err.Error(), "leave out Options.Stats") {
		t.Errorf("with statistics: %v", err)
	}
}

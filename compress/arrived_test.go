package compress

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// taking makes files at paths when a stage begins, as another run does that ends meanwhile.
func taking(t *testing.T, stage string, paths ...string) func(*EnvironmentOptions) {
	done := false
	return told(func(name string, _, _ int) {
		if done || !strings.HasPrefix(name, stage) {
			return
		}
		done = true
		for _, path := range paths {
			if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
				t.Error(err)
			}
		}
	})
}

// besideWanted wants a model to have come beside the place that was asked for, where something else is.
func besideWanted(t *testing.T, f File, wanted string) {
	t.Helper()
	if f.Wanted != wanted || f.Path != strings.TrimSuffix(wanted, ".onnx")+".2.onnx" {
		t.Errorf("it is in %s, wanted in %s; that is %s", f.Path, f.Wanted, wanted)
	}
	m, err := onnxio.Read(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if now, err := describe(context.Background(), f.Path, rewrite.Costs{}); err != nil || now.SHA256 != f.SHA256 || now.Bytes != f.Bytes {
		t.Errorf("the result says %+v of it, %v", f, err)
	}
	if got, err := os.ReadFile(wanted); err != nil || string(got) != "precious" {
		t.Errorf("%s holds %q, %v", wanted, got, err)
	}
}

// TestPlaceTaken: where something comes to the place of a model that is being made, whenever that is, it stays, and the work is not lost.
func TestPlaceTaken(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	for _, stage := range []string{"analyse", "verify"} {
		o := RunOptions{Output: out(t), Options: quick(Options{Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 30})}
		r, err := Run(context.Background(), in(t, taking(t, stage, o.Output)), m, o)
		if err != nil {
			t.Fatalf("%s: %v", stage, err)
		}
		besideWanted(t, r.Output, o.Output)
		if r.Verification.Compressed != r.Output.Path {
			t.Errorf("%s: verified was %s", stage, r.Verification.Compressed)
		}
		if stage == "analyse" {
			continue
		}
		small, err := onnxio.Read(r.Output.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		to := TuneOptions{Source: images(40), Output: out(t), Descent: Descent{Epochs: 1, Batch: 16}}
		tuned, err := Tune(context.Background(), in(t, taking(t, "tune", to.Output)), m, small, to)
		if err != nil {
			t.Fatal(err)
		}
		besideWanted(t, tuned.Output, to.Output)
	}
}

// TestPlacesTaken: so it is with models that get the same factors, and those of several sizes.
func TestPlacesTaken(t *testing.T) {
	needRuntime(t)
	o := to(t, Options{Targets: []Target{share(Params, 0.7)}, Source: drawn(64, "x", 6, 16), CalibSamples: 40, Methods: []string{"svd"}, RankMultiple: 1})
	other := filepath.Join(filepath.Dir(o.Output), "go_on.onnx")
	o.Also = []Also{{decoder(t, "go_on."), other}}
	r, err := Run(context.Background(), in(t, taking(t, "verify", other)), decoder(t, "begin."), o)
	if err != nil {
		t.Fatal(err)
	}
	besideWanted(t, r.Also[0].Output, other)
	if r.Output.Path != o.Output || r.Output.Wanted != "" {
		t.Errorf("%+v", r.Output)
	}

	e := ExploreOptions{Budgets: []float64{0.8, 0.6}, Models: filepath.Join(t.TempDir(), "models"), Options: Options{
		Methods: []string{"svd"}, Source: images(40), CalibSamples: 30, Probes: -1,
	}}
	m := zoo(t, "cnn")
	late := filepath.Join(e.Models, ModelName(m.Path, MACs, 0.6))
	got, err := Explore(context.Background(), in(t, taking(t, "verify 2/2", late)), m, e)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(late, ".onnx") + ".2.onnx"; got.Points[1].Path != want {
		t.Errorf("the second is in %s, want %s", got.Points[1].Path, want)
	}
	if now, err := os.ReadFile(late); err != nil || string(now) != "precious" {
		t.Errorf("%s holds %q, %v", late, now, err)
	}
}

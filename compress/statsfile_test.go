package compress

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// counted counts the samples that are read.
type counted struct {
	samples.Source
	reads *atomic.Int64
}

func (c counted) Sample(i int) (samples.Sample, error) {
	c.reads.Add(1)
	return c.Source.Sample(i)
}

// TestStats: with the file absent, present, and of another calibration, the bytes are
// those of a run without one, and samples are only run when they must.
func TestStats(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name   string
		o      Options
		sweeps int
	}{
		{"plain", Options{Source: images(40), CalibSamples: 24}, 1},
		{"with sensitivities", Options{Source: images(40), CalibSamples: 24, Probes: 1}, 1},
		{"in several sweeps", Options{Source: drawn(40, "x", 12, 1, 1), CalibSamples: 24, Memory: 56 << 20}, 2},
	} {
		m := zoo(t, "cnn")
		if c.sweeps > 1 {
			m = wide(t, 8)
		}
		c.o.Targets = []Target{half(MACs)}
		plain, want := run(t, m, c.o)
		if plain.Calibration.Cached || plain.Calibration.Sweeps != c.sweeps {
			t.Errorf("%s: calibration %+v", c.name, plain.Calibration)
		}
		folder := t.TempDir()
		c.o.Stats = filepath.Join(folder, "stats.bin")
		var first []byte
		for turn, cached := range []bool{false, true, true} {
			var reads atomic.Int64
			var seen log
			o := c.o
			o.Source = counted{o.Source, &reads}
			r, got := run(t, m, o, threads(turn+1), told(seen.add))
			if !bytes.Equal(got, want) {
				t.Errorf("%s: turn %d gives other bytes", c.name, turn)
			}
			if r.Calibration.Cached != cached || r.Calibration.Samples != 24 || r.Calibration.Sweeps != c.sweeps {
				t.Errorf("%s: turn %d: calibration %+v", c.name, turn, r.Calibration)
			}
			calibrated := slices.ContainsFunc(seen.events, func(e event) bool { return strings.HasPrefix(e.stage, "calibrate") && e.done > 0 })
			if calibrated == cached {
				t.Errorf("%s: turn %d calibrates on samples: %t", c.name, turn, calibrated)
			}
			if n, threads := reads.Load(), int64(turn+1); n > 40*threads {
				t.Errorf("%s: turn %d reads samples %d times, and there are 40", c.name, turn, n)
			}
			file, err := os.ReadFile(o.Stats)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = file
			}
			if !bytes.Equal(file, first) {
				t.Errorf("%s: turn %d changes the file", c.name, turn)
			}
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d files, %v", c.name, len(entries), err)
		}
	}
}

// TestStatsKey: whatever the statistics depend on, a change of it collects them anew.
func TestStatsKey(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	base := Options{Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Stats: filepath.Join(t.TempDir(), "stats")}
	run(t, m, base)
	for _, c := range []struct {
		name   string
		cached bool
		change func(*Options)
	}{
		{"target", true, func(o *Options) { o.Targets = []Target{share(Params, 0.6)} }},
		{"verification", true, func(o *Options) { o.VerifySamples = 3 }},
		{"seed", false, func(o *Options) { o.Seed = 9 }},
		{"number", false, func(o *Options) { o.CalibSamples = 20 }},
		{"batch", false, func(o *Options) { o.Batch = 7 }},
		{"probes", false, func(o *Options) { o.Probes = 1 }},
		{"sites", false, func(o *Options) { o.Select.Keep = []string{"Conv_2"} }},
		{"data", false, func(o *Options) {
			other := images(40)
			for i := range other {
				other[i].Inputs["image"].Float32s()[5]++
			}
			o.Source = other
		}},
		{"one sample in the middle", false, func(o *Options) {
			other := images(40)
			order, _ := samples.Split(len(other), o.CalibSamples, o.Seed)
			other[order[len(order)/2]].Inputs["image"].Float32s()[5]++
			o.Source = other
		}},
	} {
		o := base
		run(t, m, o, threads(1)) // whatever the last case left there
		c.change(&o)
		if r, _ := run(t, m, o); r.Calibration.Cached != c.cached {
			t.Errorf("%s: cached is %v", c.name, r.Calibration.Cached)
		}
	}
	if r, _ := run(t, zoo(t, "cnn_opset22"), base); r.Calibration.Cached {
		t.Error("the statistics of another model were taken")
	}
}

// TestStatsRefused: another file is left alone, and a damaged one is named.
func TestStatsRefused(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	path := filepath.Join(t.TempDir(), "stats")
	o := to(t, Options{Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Stats: path})
	runTo(t, m, o)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for _, c := range []struct {
		name, want string
		data       []byte
		usage      bool
	}{
		{"other", "holds no statistics", []byte("precious"), true},
		{"empty", "holds no statistics", nil, true},
		{"cut", "is damaged", whole[:len(whole)-9], false},
		{"cut to the key", "is damaged", whole[:len(calibrationMagic)+32], false},
		{"flipped", "is damaged", flipped, false},
		{"longer", "is damaged", append(bytes.Clone(whole), 0), false},
	} {
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		o.Output = out(t)
		_, err := Run(context.Background(), in(t), m, o)
		testkit.WantError(t, err, path, c.want)
		if usage := (*UsageError)(nil); errors.As(err, &usage) != c.usage {
			t.Errorf("%s: %v", c.name, err)
		}
		if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, c.data) {
			t.Errorf("%s: the file has changed, %v", c.name, err)
		}
		empty(t, filepath.Dir(o.Output))
	}
	o.Source = nil
	_, err = Run(context.Background(), in(t), m, o)
	testkit.WantError(t, err, "no samples")
	o.Source, o.Stats = images(40), filepath.Join(path+".d", "stats")
	_, err = Run(context.Background(), in(t), m, o)
	testkit.WantError(t, err, o.Stats)
}

// TestStatsNotLeftBehind: a run that ends early leaves no half of a file.
func TestStatsNotLeftBehind(t *testing.T) {
	needRuntime(t)
	for _, stage := range []string{"calibrate", "factor"} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		folder := t.TempDir()
		o := to(t, Options{Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Stats: filepath.Join(folder, "stats")})
		env := in(t, told(func(s string, done, _ int) {
			if s == stage && done > 0 {
				cancel()
			}
		}))
		if _, err := Run(ctx, env, zoo(t, "cnn"), o); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		empty(t, folder)
	}
}

// TestStatsOfOddModels: whatever a model computes, what is written of it is read again.
func TestStatsOfOddModels(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name   string
		probes int
		left   int // sites left alone for want of numbers
		inner  func(b *testmodels.Builder, x string) string
	}{
		{"numbers that are not finite", -1, 1, func(b *testmodels.Builder, x string) string { return b.Node("Sqrt", []string{x}) }},
		{"slopes that are not finite", 1, 0, func(b *testmodels.Builder, x string) string {
			return b.Node("Sqrt", []string{b.Node("Relu", []string{x})})
		}},
		{"a site that sees nothing", 1, 1, func(b *testmodels.Builder, x string) string {
			return b.Node("Slice", []string{x, b.Ints("from", 0), b.Ints("to", 0), b.Ints("axis", 0)})
		}},
		{"inputs that are zero", 1, 0, func(b *testmodels.Builder, x string) string { return b.Node("Sub", []string{x, x}) }},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 12), b.Weight("w", 12, 12, 16)})
		y := b.Node("MatMul", []string{c.inner(b, x), b.Weight("v", 16, 16, 8)})
		b.Output(y, tensor.Float32, "M", 8)
		b.Output(b.Node("MatMul", []string{x, b.Weight("u", 16, 16, 8)}), tensor.Float32, "N", 8)
		m := built(t, b)
		o := Options{Targets: []Target{share(MACs, 0.8)}, Source: drawn(40, "x", 12), CalibSamples: 24, Probes: c.probes, Stats: filepath.Join(t.TempDir(), "stats")}
		first, want := run(t, m, o)
		again, got := run(t, m, o)
		if first.Calibration.Cached || !again.Calibration.Cached || !bytes.Equal(got, want) {
			t.Errorf("%s: cached %t, then %t; the same bytes: %t", c.name, first.Calibration.Cached, again.Calibration.Cached, bytes.Equal(got, want))
		}
		left := 0
		for _, s := range again.Sites {
			if strings.HasPrefix(s.Note, "left alone") {
				left++
			}
		}
		if left != c.left {
			t.Errorf("%s: %d sites are left alone, want %d", c.name, left, c.left)
		}
	}
}

// TestStatsReadBack: what a later run would not read does not replace what is there.
func TestStatsReadBack(t *testing.T) {
	needRuntime(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "stats")
	o := to(t, Options{Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Stats: path})
	runTo(t, zoo(t, "cnn"), o)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(what string) {
		t.Helper()
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, old) {
			t.Errorf("%s: the file has changed, %v", what, err)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d files, %v", what, len(entries), err)
		}
	}

	long := testkit.Zoo(t, "cnn")
	for _, n := range long.Proto.Graph.Node {
		if n.GetOpType() == "Conv" {
			n.Name = new(n.GetName() + strings.Repeat("/block", 12_000))
		}
	}
	o.Output = out(t)
	_, err = Run(context.Background(), in(t), save(t, long), o)
	testkit.WantError(t, err, path, "would not be read again", "length of the site's name")
	kept("a name that is too long")

	s, err := writeSealed(path, statsHeadOf(collected, statsKey{{"model", "7"}}))
	if err != nil {
		t.Fatal(err)
	}
	site := rewrite.Site{Name: "a", Kernel: decomp.Shape{Groups: 1, Out: 2, In: 2}}
	stats := []calib.Stats{{Site: "a", Positions: 4, Samples: 2, A: []*linalg.Matrix{linalg.Identity(2)}, Mean: [][]float64{{0, 1}}}}
	if err := s.write(context.Background(), stats, []rewrite.Site{site}); err != nil {
		t.Fatal(err)
	}
	waiting, err := filepath.Glob(filepath.Join(folder, ".stats.tmp-*", "stats"))
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%q, %v", waiting, err)
	}
	if err := os.Truncate(waiting[0], int64(len(calibrationMagic))); err != nil {
		t.Fatal(err)
	}
	testkit.WantError(t, s.commit(context.Background()), path, "not what is read back")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	kept("a disk that loses what it was given")
}

package compress

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/search"
	"github.com/onnx-compress/onnx-compress/verify"
)

// TestRecordedOptions: what decides on the result is recorded by the names of the flags,
// what does not is not, and saying a default changes nothing.
func TestRecordedOptions(t *testing.T) {
	must := func(o RunOptions) map[string]string {
		t.Helper()
		got, err := o.Recorded()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	just := func(o Options) map[string]string { return must(RunOptions{Options: o}) }
	o := RunOptions{
		Output: "small.onnx", Overwrite: true,
		Options: Options{
			Targets: []Target{half(MACs), {Resource: Params, Value: 2e6}},
			Methods: []string{"svd"}, Select: Selection{Keep: []string{"a*", "b"}}, InputShapes: map[string][]int{"x": {1, 3}},
			Probes: 1, Seed: 7, Stats: "s", VerifySamples: 5, Time: true, Source: images(3),
		},
		Data: Data{"images", "lessons", samples.SourceOptions{Labels: "l.tsv", Scale: 0.5, Mean: []float64{1, 2}, Crop: samples.Size{Height: 4, Width: 5}, Resize: samples.Resize{Short: 9}}},
	}
	want := map[string]string{
		"targets": "macs=0.5,params=2000000", "methods": "svd", "keep": "a*,b", "input-shapes": `{"x":[1,3]}`, "probes": "1", "seed": "7",
		"scale": "0.5", "mean": "1,2", "crop": "4x5", "resize-short": "9", "batch": "32", "memory": "2147483648",
		"search": search.Methods()[0].Name,
	}
	if got := must(o); !maps.Equal(got, want) {
		t.Errorf("recorded %v\nwant %v", got, want)
	}
	said := Options{Batch: 32, Memory: 2 << 30, Search: search.Methods()[0].Name, Select: Selection{Only: []string{}}}
	if a, b := just(Options{}), just(said); !maps.Equal(a, b) {
		t.Errorf("defaults that are said: %v, left out: %v", b, a)
	}
	if a, b := just(Options{}), just(Options{Seed: 3, Probes: 2, CalibSamples: 5, NoRefit: true}); !maps.Equal(a, b) {
		t.Errorf("without samples their options count: %v, %v", a, b)
	}
	if a, b := just(Options{Source: images(3)}), just(Options{Source: images(3), Probes: -1}); a["probes"] != "1" || b["probes"] != "" {
		t.Errorf("by default %q probes are recorded, and for none %q", a["probes"], b["probes"])
	}
	long := just(Options{Select: Selection{Only: []string{strings.Repeat("x", 500)}}})["only"]
	if !strings.HasPrefix(long, "sha256:") || len(long) != 71 {
		t.Errorf("a long option is recorded as %q", long)
	}
	learning := &tune.Options{Epochs: 3, Threads: 2, Progress: func(string, int, int) {}, Checkpoint: "c", Resume: true}
	if got := just(Options{Descent: learning, TuneSource: images(3)}); got["tune"] != (&tune.Options{Epochs: 3}).String() || got["lessons"] != "" {
		t.Errorf("tuning is recorded as %v", got)
	}
}

// TestRecordedKeys holds every key and the way that its value is written against records of models that were written before.
func TestRecordedKeys(t *testing.T) {
	o := RunOptions{
		Options: Options{
			Targets: []Target{{Resource: Bytes, Value: 0.25, Fraction: true}}, Goals: []verify.Bound{agree(0.99), snr(30)},
			Methods: []string{"svd", "spatial"}, Select: Selection{Only: []string{"a", "b*"}, Keep: []string{"c"}}, Search: "lagrange", RankMultiple: 8,
			InputShapes: map[string][]int{"y": {2}, "x": {1, 3}}, CalibSamples: 48, Probes: 2, NoRefit: true, Seed: 1 << 40, Batch: 7, Memory: 1 << 40,
			Source: images(3), Descent: &tune.Options{Epochs: 3},
		},
		Data: Data{Preparation: samples.SourceOptions{
			Resize: samples.Resize{Short: 256, Exact: samples.Size{Height: 3, Width: 4}}, Crop: samples.Size{Height: 224, Width: 224}, Scale: 1e-7,
			Mean: []float64{0.485, 1e-7}, Std: []float64{0.229}, Layout: samples.NHWC, Order: samples.BGR,
		}},
	}
	got, err := o.Recorded()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"targets": "bytes=0.25", "goals": "agree=99%,snr=30dB", "methods": "svd,spatial", "only": "a,b*", "keep": "c", "search": "lagrange",
		"rank-multiple": "8", "input-shapes": `{"x":[1,3],"y":[2]}`, "calib-samples": "48", "probes": "2", "no-refit": "true", "seed": "1099511627776",
		"batch": "7", "memory": "1099511627776", "tune": (&tune.Options{Epochs: 3}).String(),
		"resize-short": "256", "resize-exact": "3x4", "crop": "224x224", "scale": "1e-7", "mean": "0.485,1e-7", "std": "0.229", "layout": "nhwc", "order": "bgr",
	}
	if !maps.Equal(got, want) {
		t.Errorf("recorded %v\nwant %v", got, want)
	}
	o.FromPlan = &Plan{Schema: PlanSchema, SHA256: "00", Sites: []SitePlan{}}
	if got, err = o.Recorded(); err != nil || got["targets"] != "" || got["from-plan"] !=
		`{"schema":"onnx-compress/plan/1","sha256":"00","original":{"macs":0,"params":0,"bytes":0},"planned":{"macs":0,"params":0,"bytes":0},"sites":[]}` {
		t.Errorf("a plan is recorded as %v, %v", got, err)
	}
}

// TestRecord: the record leads from the result to its source and samples, and the same
// work in another folder gives the same bytes.
func TestRecord(t *testing.T) {
	original := zoo(t, "cnn")
	model, err := os.ReadFile(original.Path)
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 2 {
		folder := t.TempDir()
		for name, data := range map[string][]byte{"a/net.onnx": model, "b/data.bin": []byte("samples"), "c/none": nil} {
			path := filepath.Join(folder, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m, err := onnxio.Read(filepath.Join(folder, "a", "net.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		o := RunOptions{Output: filepath.Join(folder, "c", "small.onnx"), Options: Options{Source: images(20), Targets: []Target{half(MACs)}}}
		o.Data.Path = filepath.Join(folder, "b", "data.bin")
		sums, err := o.hash(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		record, err := o.record(m, sums)
		if err != nil {
			t.Fatal(err)
		}
		small, err := provenance.Attach(m, *record)
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		if err := onnxio.Write(context.Background(), small, o.Output, onnxio.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		r, err := provenance.Read(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		if r.Source.Path != "../a/net.onnx" || r.Data.Path != "../b/data.bin" || r.Version != provenance.Version() || r.Options["targets"] != "macs=0.5" {
			t.Errorf("record %+v", r)
		}
		data, err := os.ReadFile(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && string(data) != string(first) {
			t.Error("another folder gives other bytes")
		}
		first = data
	}
}

// TestRecordedWeights: the record of a written model has the digest of its weights, after tuning too, and a target of bytes counts it.
func TestRecordedWeights(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"plain", Options{Targets: []Target{share(Bytes, 0.7)}}},
		{"tuned", Options{Targets: []Target{share(MACs, 0.7)}, Source: images(40), CalibSamples: 24, Descent: &tune.Options{Epochs: 1}}},
	} {
		o := to(t, c.o)
		r, _ := runTo(t, zoo(t, "cnn"), o)
		record, err := provenance.Read(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		m, err := onnxio.Read(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if sum, err := m.WeightsDigest(context.Background()); err != nil || record.Weights != sum || sum == provenance.Unsealed {
			t.Errorf("%s: %q is recorded, and the weights have %q (%v)", c.name, record.Weights, sum, err)
		}
		if c.o.Descent != nil && (r.Tuning == nil || !r.Tuning.Improved) {
			t.Errorf("%s: tuning changed nothing: %+v", c.name, r.Tuning)
		}
	}
}

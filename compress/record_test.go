package compress

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/search"
)

// TestRecordedOptions: what decides on the result is recorded by the names of the flags,
// what does not is not, and saying a default changes nothing.
func TestRecordedOptions(t *testing.T) {
	must := func(o Options) map[string]string {
		t.Helper()
		got, err := o.Recorded()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	o := Options{
		Output: "small.onnx", Overwrite: true, Targets: []Target{half(MACs), {Resource: Params, Value: 2e6}},
		Methods: []string{"svd"}, Select: Selection{Keep: []string{"a*", "b"}}, InputShapes: map[string][]int{"x": {1, 3}},
		Probes: 1, Seed: 7, Threads: 3, Stats: "s", VerifySamples: 5, Runtime: "lib", Source: images(3), Progress: func(string, int, int) {},
		Data: Data{"images", samples.SourceOptions{Labels: "l.tsv", Scale: 0.5, Mean: []float64{1, 2}, Crop: samples.Size{Height: 4, Width: 5}, Resize: samples.Resize{Short: 9}}},
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
	if a, b := must(Options{}), must(said); !maps.Equal(a, b) {
		t.Errorf("defaults that are said: %v, left out: %v", b, a)
	}
	if a, b := must(Options{}), must(Options{Seed: 3, Probes: 2, CalibSamples: 5, NoRefit: true}); !maps.Equal(a, b) {
		t.Errorf("without samples their options count: %v, %v", a, b)
	}
	long := must(Options{Select: Selection{Only: []string{strings.Repeat("x", 500)}}})["only"]
	if !strings.HasPrefix(long, "sha256:") || len(long) != 71 {
		t.Errorf("a long option is recorded as %q", long)
	}
	learning := &tune.Options{Epochs: 3, Threads: 2, Progress: func(tune.Progress) {}, Checkpoint: "c", Resume: true}
	if got := must(Options{Learning: learning, Lessons: images(3)}); got["tune"] != (&tune.Options{Epochs: 3}).String() || got["lessons"] != "" {
		t.Errorf("tuning is recorded as %v", got)
	}
	for _, name := range undecided() {
		if _, ok := reflect.TypeFor[Options]().FieldByName(name); !ok {
			t.Errorf("Options has no field %s", name)
		}
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
		o := Options{Output: filepath.Join(folder, "c", "small.onnx"), Source: images(20), Targets: []Target{half(MACs)}, Threads: 1}
		o.Data.Path = filepath.Join(folder, "b", "data.bin")
		j := bare(m, o)
		j.opts.Source = o.Source
		j.small = m.Derive(m.Proto)
		if err := j.recorded(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer j.close()
		if err := onnxio.Write(context.Background(), j.small, o.Output, onnxio.WriteOptions{}); err != nil {
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

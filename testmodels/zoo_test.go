package testmodels

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func marshal(t *testing.T, c Case, seed uint64) []byte {
	t.Helper()
	m, err := c.Build(seed)
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	return data
}

func TestSeed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] {
			t.Errorf("two models are called %s", c.Name)
		}
		seen[c.Name] = true
		first := marshal(t, c, 1)
		if !bytes.Equal(first, marshal(t, c, 1)) {
			t.Errorf("%s: the same seed gives other bytes", c.Name)
		}
		if same := bytes.Equal(first, marshal(t, c, 2)); same != slices.Contains(fixed(), c.Name) {
			t.Errorf("%s: another seed gives the same bytes: %v", c.Name, same)
		}
		if _, ok := Get(c.Name); !ok {
			t.Errorf("%s is not found by its name", c.Name)
		}
	}
	if _, ok := Get("none"); ok {
		t.Error("a model that is not there is found")
	}
}

// fixed are the models without a drawn number.
func fixed() []string { return []string{"weight_input", "weight_value_floats"} }

// The bytes are pinned: a change of one of these models is a change of many tests' input.
func TestBytes(t *testing.T) {
	var all []byte
	for _, c := range All() {
		all = fmt.Appendf(all, "%s %x\n", c.Name, sha256.Sum256(marshal(t, c, 1)))
	}
	golden := filepath.Join("testdata", "zoo.sha256")
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(golden, all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all, want) {
		for i, line := range strings.Split(string(all), "\n") {
			if lines := strings.Split(string(want), "\n"); i >= len(lines) || lines[i] != line {
				t.Errorf("%s differs from %s; if that is meant, run with UPDATE_GOLDEN=1", line, golden)
			}
		}
	}
}

// judge is run by Python: ONNX's checker takes every model, and ONNX Runtime runs those
// that are said to run, to outputs of the declared shape with no NaN in them.
const judge = `
import json, sys
import numpy as np, onnx, onnxruntime as ort
ort.set_default_logger_severity(3)
for c in json.load(sys.stdin):
    try:
        model = onnx.load(c["file"])
        onnx.checker.check_model(model, full_check=c["full"])
        if not c["runs"]:
            continue
        session = ort.InferenceSession(c["file"], providers=["CPUExecutionProvider"])
        types = {1: "f4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}
        feeds = {k: np.frombuffer(bytes(v["bytes"]), types[v["type"]]).reshape(v["shape"]) for k, v in c["feeds"].items()}
        for info, value in zip(session.get_outputs(), session.run(None, feeds)):
            sizes = [d for d in info.shape]
            assert len(sizes) == value.ndim, (info.name, sizes, value.shape)
            assert all(isinstance(d, str) or d is None or d == n for d, n in zip(sizes, value.shape)), (info.name, sizes, value.shape)
            assert np.isfinite(value).all(), info.name
            assert value.size < 2 or value.std() > 0, info.name + " is constant"
    except Exception as e:
        print(c["file"], type(e).__name__, e)
`

func TestPeersAcceptTheZoo(t *testing.T) {
	python := provisiontest.Python(t, "onnx", "onnxruntime", "numpy")
	type feed struct {
		Type  tensor.Type `json:"type"`
		Shape []int       `json:"shape"`
		Bytes []int       `json:"bytes"` // json writes []byte as text
	}
	type job struct {
		File  string          `json:"file"`
		Runs  bool            `json:"runs"`
		Full  bool            `json:"full"`
		Feeds map[string]feed `json:"feeds"`
	}
	dir := t.TempDir()
	var jobs []job
	for _, c := range All() {
		file := filepath.Join(dir, c.Name+".onnx")
		data := marshal(t, c, 1)
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := onnxio.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		arrays, err := Feeds(m, 1, map[string]int{"H": 9, "W": 7}, 2)
		if err != nil {
			t.Fatal(err)
		}
		// Shape inference knows no rule for operators of other domains.
		j := job{file, c.Runs, c.Name != "custom_operator", map[string]feed{}}
		for name, d := range arrays {
			if err := d.Check(); err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			f := feed{Type: d.Type, Shape: d.Shape}
			for _, x := range d.Data {
				f.Bytes = append(f.Bytes, int(x))
			}
			j.Feeds[name] = f
		}
		jobs = append(jobs, j)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", judge)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFeeds(t *testing.T) {
	c, _ := Get("transformer")
	m, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	feeds, err := Feeds(m, 1, map[string]int{"T": 5}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got := feeds["tokens"]; len(feeds) != 1 || got.Type != tensor.Int64 || !slices.Equal(got.Shape, []int{3, 5}) {
		t.Errorf("%v", feeds)
	}
	again, _ := Feeds(m, 1, map[string]int{"T": 5}, 3)
	other, _ := Feeds(m, 2, map[string]int{"T": 5}, 3)
	if !bytes.Equal(feeds["tokens"].Data, again["tokens"].Data) || bytes.Equal(feeds["tokens"].Data, other["tokens"].Data) {
		t.Error("the arrays do not follow the seed")
	}
	overridable, _ := Get("cnn_overridable")
	if m, err = overridable.Build(1); err != nil {
		t.Fatal(err)
	}
	if feeds, err = Feeds(m, 1, nil, 1); err != nil || len(feeds) != 1 {
		t.Errorf("inputs with a default get an array: %d, %v", len(feeds), err)
	}
}

func TestBuilderKeepsTheFirstError(t *testing.T) {
	b := NewBuilder(1, 17, 8)
	b.Tensor("short", tensor.Float32, []int{3}, []float64{1})
	b.Tensor("shorter", tensor.Float32, []int{4}, []float64{1})
	if _, err := b.Model(); err == nil || !strings.Contains(err.Error(), `"short"`) {
		t.Errorf("%v", err)
	}
	b = NewBuilder(1, 17, 8)
	b.Input("x", tensor.Float32, 1.5)
	if _, err := b.Model(); err == nil || !strings.Contains(err.Error(), "float64") {
		t.Errorf("%v", err)
	}
	b = NewBuilder(1, 17, 8)
	b.Output(b.Node("Relu", []string{"nowhere"}), tensor.Float32, 1)
	if _, err := b.Model(); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a model with a loose end passes: %v", err)
	}
}

func TestWriteLarge(t *testing.T) {
	dir := t.TempDir()
	inline, external := filepath.Join(dir, "inline.onnx"), filepath.Join(dir, "external.onnx")
	const bytesWanted, width = 200_000, 64 // 16 KiB a weight: 13 of them
	var models []*onnxio.Model
	for path, out := range map[string]bool{inline: false, external: true} {
		if err := WriteLarge(path, 1, bytesWanted, width, out); err != nil {
			t.Fatal(err)
		}
		m, err := onnxio.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Close() }()
		models = append(models, m)
		if n := len(graph.Of(m).Nodes()); n != 13 {
			t.Errorf("%s has %d nodes", path, n)
		}
	}
	for i := range graph.Of(models[0]).Initializers() {
		var raws [2][]byte
		for k, m := range models {
			raw, err := graph.Of(m).Initializers()[i].Raw()
			if err != nil {
				t.Fatal(err)
			}
			raws[k] = raw
		}
		if len(raws[0]) != 4*width*width || !bytes.Equal(raws[0], raws[1]) {
			t.Errorf("weight %d: %d and %d bytes, or different ones", i, len(raws[0]), len(raws[1]))
		}
	}
	if err := WriteLarge(filepath.Join(dir, "huge.onnx"), 1, 3<<30, 4096, false); err == nil || !strings.Contains(err.Error(), "2 GiB") {
		t.Errorf("an inline model over 2 GiB: %v", err)
	}
}

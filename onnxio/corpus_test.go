package onnxio

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// python runs a script with arguments and returns what it prints.
func python(t testing.TB, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(provisiontest.Python(t, "onnx"), append([]string{"-c", script}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return out
}

// corpus lists the models that come with the onnx package for testing backends.
func corpus(t testing.TB) []string {
	t.Helper()
	out := python(t, "import onnx, os; print(os.path.dirname(onnx.__file__))")
	root := filepath.Join(strings.TrimSpace(string(out)), "backend", "test", "data")
	var paths []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".onnx" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 1765 {
		t.Fatalf("%d models below %s, want at least the 1,765 node models of onnx 1.22.0", len(paths), root)
	}
	return paths
}

// TestCorpus reads, writes and reads again every model of the corpus, and gives a sample of
// what it wrote to Python to compare.
func TestCorpus(t *testing.T) {
	paths := corpus(t)
	folder := t.TempDir()
	var pairs []string
	var passed atomic.Int64
	t.Run("models", func(t *testing.T) {
		const shards = 8 // most of the time goes into waiting for the disk
		for shard := range shards {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for i := shard; i < len(paths); i += shards {
					if roundTrip(t, paths[i], written(folder, i)) {
						passed.Add(1)
					}
				}
			})
		}
	})
	for i := 0; i < len(paths); i += 10 {
		pairs = append(pairs, paths[i], written(folder, i))
	}
	if passed.Load() != int64(len(paths)) {
		t.Errorf("%d of %d models passed", passed.Load(), len(paths))
	}
	python(t, `
import onnx, sys
for a, b in zip(sys.argv[1::2], sys.argv[2::2]):
    if onnx.load(a) != onnx.load(b):
        sys.exit(f"{b} is not the model {a}")
`, pairs...)
}

func written(folder string, i int) string {
	return filepath.Join(folder, strconv.Itoa(i)+".onnx")
}

func roundTrip(t *testing.T, from, to string) bool {
	m, err := Read(from)
	if err != nil {
		t.Error(err)
		return false
	}
	defer m.Close()
	if err := Write(context.Background(), m, to, WriteOptions{}); err != nil {
		t.Error(err)
		return false
	}
	back, err := Read(to)
	if err != nil {
		t.Error(err)
		return false
	}
	defer back.Close()
	if ok, diff := Equal(m, back); !ok {
		t.Errorf("%s: %s", from, diff)
		return false
	}
	if err := Print(new(bytes.Buffer), m); err != nil {
		t.Errorf("%s: %v", from, err)
		return false
	}
	return true
}

// TestPythonReadsWhatWeWrite gives written models to onnx's checker and to its loader: weights
// inline, outside, and outside because they were too large.
func TestPythonReadsWhatWeWrite(t *testing.T) {
	valid := func(p *onnxpb.ModelProto) *onnxpb.ModelProto {
		// The branches run on (N, 5); the checker infers shapes.
		for _, g := range []*onnxpb.GraphProto{branch(p), p.Graph.Node[5].Attribute[1].G} {
			g.Output[0].Type = value("", -1, 5).Type
		}
		return p
	}
	folder := t.TempDir()
	out := func(name string, m *Model, limit int) string {
		path := filepath.Join(folder, name)
		s, err := create(context.Background(), m, path, WriteOptions{}, limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	input := t.TempDir()
	p := valid(small())
	makeExternal(t, p.Graph.Initializer[0], input, "a.bin", 13)
	makeExternal(t, p.Graph.Node[2].Attribute[0].T, input, "b.bin", 0)
	saveAt(t, p, filepath.Join(input, "model.onnx"))
	large := valid(small())
	large.Graph.Initializer = append(large.Graph.Initializer, counting("large", 300))
	python(t, `
import onnx, sys
from onnx import numpy_helper as n
inline, outside, large = sys.argv[1:]
for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
a, b, c = onnx.load(inline), onnx.load(outside), onnx.load(large)
for m in a, b, c:
    for w in [m.graph.initializer[0], m.graph.node[2].attribute[0].t, *m.graph.initializer[3:]]:
        got = n.to_array(w).ravel()
        assert (got == range(len(got))).all(), w.name
assert c.graph.initializer[3].name == "large"
headers = [onnx.load(p, load_external_data=False) for p in sys.argv[1:]]
kept = [sum(t.data_location == onnx.TensorProto.EXTERNAL for t in m.graph.initializer) for m in headers]
assert kept == [0, 1, 1], kept
`, out("inline.onnx", New(valid(small())), maxFile), out("outside.onnx", open(t, filepath.Join(input, "model.onnx")), maxFile),
		out("large.onnx", New(large), 2500))
}

// TestTensorsAgainstPython decodes tensors of every real type, with every 8-bit pattern
// in them where elements are narrow, and compares with onnx's own numpy_helper. The numbers
// come back as the bits of float64.
func TestTensorsAgainstPython(t *testing.T) {
	folder := t.TempDir()
	var paths []string
	for typ := tensor.Float32; typ <= tensor.Int2; typ++ {
		if typ == tensor.String || typ == tensor.Complex64 || typ == tensor.Complex128 {
			continue
		}
		n := 256 * 8 / typ.Bits()
		if typ.Bits() > 8 {
			n = 256
		}
		data := make([]byte, typ.Bytes(n))
		for i := range data {
			data[i] = byte(i)
			if typ.Bits() > 8 {
				data[i] = byte(i * 167 >> (i % 3))
			}
			if typ == tensor.Bool {
				data[i] &= 1
			}
		}
		p := &onnxpb.TensorProto{DataType: proto.Int32(int32(typ)), Dims: []int64{int64(n)}, RawData: data}
		b, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, typ.String()+".pb")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	out := python(t, `
import json, onnx, sys, numpy as np
from onnx import numpy_helper
result = {}
for path in sys.argv[1:]:
    t = onnx.TensorProto()
    t.ParseFromString(open(path, "rb").read())
    a = numpy_helper.to_array(t).astype(np.float64)
    result[path] = [f"{v:016x}" for v in a.view(np.uint64).tolist()]
print(json.dumps(result))
`, paths...)
	var want map[string][]string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		compareTensor(t, path, want[path])
	}
}

func compareTensor(t *testing.T, path string, want []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p onnxpb.TensorProto
	if err := proto.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	d, err := New(nil).Tensor(&p).Dense()
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%v: %d numbers, Python has %d", d.Type, len(got), len(want))
	}
	for i, x := range got {
		bits, err := strconv.ParseUint(want[i], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		w := math.Float64frombits(bits)
		if x != w && !(math.IsNaN(x) && math.IsNaN(w)) || math.Signbit(x) != math.Signbit(w) && !math.IsNaN(x) {
			t.Errorf("%v: number %d is %v, Python says %v", d.Type, i, x, w)
		}
	}
}

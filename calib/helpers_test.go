package calib

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// memory is a source of given samples.
type memory []Sample

func (m memory) Len() int                     { return len(m) }
func (m memory) Sample(i int) (Sample, error) { return m[i], nil }
func (m memory) Describe() string             { return fmt.Sprintf("%d samples in memory", len(m)) }

// runtime opens ONNX Runtime or skips the test.
func runtime(t testing.TB) *ort.Library {
	t.Helper()
	lib, err := ort.Open(provisiontest.Need(t, provision.ONNXRuntime))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lib.Close)
	return lib
}

// finish returns the builder's model.
func finish(t testing.TB, b *testmodels.Builder) *onnxio.Model {
	t.Helper()
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// specs returns the inputs of a model.
func specs(t testing.TB, m *onnxio.Model) []InputSpec {
	t.Helper()
	in, err := Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// sitesOf returns every site of a model, at the sizes of the sample.
func sitesOf(t testing.TB, m *onnxio.Model, s Sample) []rewrite.Site {
	t.Helper()
	sites, _, err := rewrite.Linear(m, shapes.Infer(m, s.Shapes(specs(t, m))))
	if err != nil {
		t.Fatal(err)
	}
	return sites
}

// random draws n samples with one tensor of the given shape.
func random(n int, input string, typ tensor.Type, shape ...int) memory {
	r := rand.New(rand.NewPCG(uint64(n), 11))
	var out memory
	for i := range n {
		v := make([]float64, tensor.New(tensor.Uint8, shape...).Len())
		for k := range v {
			v[k] = r.NormFloat64() + 0.2
		}
		data, err := tensor.Encode(typ, v)
		if err != nil {
			panic(err)
		}
		out = append(out, Sample{
			Name: fmt.Sprint("sample ", i), Label: -1,
			Inputs: map[string]tensor.Dense{input: {Type: typ, Shape: shape, Data: data}},
		})
	}
	return out
}

// count is the list 0, …, n-1.
func count(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// worst is the largest |a−b| relative to the largest |b|.
func worst(a, b *linalg.Matrix) float64 {
	w := 0.
	for i := range b.Data {
		w = max(w, math.Abs(a.Data[i]-b.Data[i]))
	}
	return w / max(b.MaxAbs(), 1e-30)
}

// wantError checks that an error is there and has all the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one with %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

// write writes a file into a fresh folder and returns its path.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

package rewrite_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// tolerance is how far full-rank factors may move an output, relative to its largest
// entry: half types round the factors themselves.
func tolerance(t tensor.Type) float64 {
	switch t {
	case tensor.Float16:
		return 2e-3
	case tensor.BFloat16:
		return 2e-2
	}
	return 1e-4
}

// compare reports outputs that moved too far.
func compare(t testing.TB, want, got []tensor.Dense) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d outputs, wanted %d", len(got), len(want))
	}
	for i := range want {
		if d := distance(t, want[i], got[i]); !(d <= tolerance(want[i].Type)) {
			t.Errorf("output %d moved by %.2g", i, d)
		}
	}
}

// infer finds shapes with every open dimension that InputShapes leaves set to 3.
func infer(m *onnxio.Model) *shapes.Shapes {
	inputs, unknown := shapes.InputShapes(m, nil)
	for len(unknown) > 0 {
		given := map[string][]int{}
		for _, v := range graph.Of(m).Feeds() {
			var shape []int
			for i, d := range v.Dims() {
				switch {
				case d.Size > 0:
					shape = append(shape, d.Size)
				case i == 0:
					shape = append(shape, 1)
				default:
					shape = append(shape, 3)
				}
			}
			given[v.Name()] = shape
		}
		inputs, unknown = given, nil
	}
	return shapes.Infer(m, inputs)
}

// linear returns all sites of a model.
func linear(t testing.TB, m *onnxio.Model) ([]rewrite.Site, []rewrite.Skip) {
	t.Helper()
	sites, skips, err := rewrite.Linear(m, infer(m))
	if err != nil {
		t.Fatal(err)
	}
	return sites, skips
}

// factor splits a site's kernel by svd; rank 0 is the full one.
func factor(t testing.TB, s *rewrite.Site, rank int) decomp.Chain {
	t.Helper()
	kernel, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	methods := decomp.Methods()
	svd := methods[slices.IndexFunc(methods, func(m decomp.Method) bool { return m.Name == "svd" })]
	spectrum, err := svd.Factor(linalg.Gonum(), kernel, decomp.Metric{})
	if err != nil {
		t.Fatal(err)
	}
	full := s.Kernel.FullRank()
	if rank == 0 || rank > full {
		rank = full
	}
	chain, err := spectrum.Chain(decomp.Rank{rank})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// patchAll replaces all given sites at a rank.
func patchAll(t testing.TB, m *onnxio.Model, sites []rewrite.Site, rank int) []rewrite.Patch {
	t.Helper()
	names := graph.NewNameSet(m)
	var patches []rewrite.Patch
	for i := range sites {
		p, err := rewrite.Replace(m, &sites[i], factor(t, &sites[i], rank), names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	return patches
}

// rewritten replaces all given sites of a model at a rank.
func rewritten(t testing.TB, m *onnxio.Model, sites []rewrite.Site, rank int) *onnxio.Model {
	t.Helper()
	out, err := rewrite.Apply(m, patchAll(t, m, sites, rank), rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}

// session opens a model in the runtime.
func session(lib *ort.Library, m *onnxio.Model) (*ort.Session, error) {
	data, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	return lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder()})
}

// execute runs a model and returns copies of its outputs.
func execute(t testing.TB, lib *ort.Library, m *onnxio.Model, inputs map[string]tensor.Dense) []tensor.Dense {
	t.Helper()
	session, err := session(lib, m)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	results, err := session.Run(context.Background(), inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	var out []tensor.Dense
	for i := range results.Len() {
		d := results.Get(i)
		out = append(out, tensor.Dense{Type: d.Type, Shape: slices.Clone(d.Shape), Data: slices.Clone(d.Data)})
	}
	return out
}

// pythonCheck collects models for a check by Python's onnx package, all in one process.
type pythonCheck struct {
	python  string
	root    string
	folders []string
}

func newPythonCheck(t testing.TB) *pythonCheck {
	t.Helper()
	return &pythonCheck{python: provisiontest.Python(t, "onnx", "numpy"), root: t.TempDir()}
}

// add writes a model for the check.
func (c *pythonCheck) add(t testing.TB, m *onnxio.Model) (folder string) {
	t.Helper()
	folder = filepath.Join(c.root, strconv.Itoa(len(c.folders)))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	c.folders = append(c.folders, folder)
	write(t, m, filepath.Join(folder, "model.onnx"))
	return folder
}

// addOutputs is add for a model that has to compute the outputs in onnx.reference.
func (c *pythonCheck) addOutputs(t testing.TB, m *onnxio.Model, inputs map[string]tensor.Dense, outputs []tensor.Dense) {
	t.Helper()
	folder := c.add(t, m)
	writeInputs(t, folder, inputs)
	for i, d := range outputs {
		writeTensor(t, filepath.Join(folder, fmt.Sprintf("output_%d.pb", i)), "", d)
	}
}

// addOriginal is add for a model that has to compute in onnx.reference what the original
// computes there.
func (c *pythonCheck) addOriginal(t testing.TB, m, original *onnxio.Model, inputs map[string]tensor.Dense) {
	t.Helper()
	folder := c.add(t, m)
	writeInputs(t, folder, inputs)
	write(t, original, filepath.Join(folder, "original.onnx"))
}

func write(t testing.TB, m *onnxio.Model, path string) {
	t.Helper()
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func writeInputs(t testing.TB, folder string, inputs map[string]tensor.Dense) {
	t.Helper()
	for i, name := range slices.Sorted(maps.Keys(inputs)) {
		writeTensor(t, filepath.Join(folder, fmt.Sprintf("input_%d.pb", i)), name, inputs[name])
	}
}

// done runs the check over all models added.
func (c *pythonCheck) done(t testing.TB) {
	t.Helper()
	if len(c.folders) == 0 {
		t.Fatal("no models to check")
	}
	cmd := exec.Command(c.python, append([]string{filepath.Join("testdata", "check.py")}, c.folders...)...)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("onnx rejects rewritten models (%v):\n%s", err, out)
	}
}

func writeTensor(t testing.TB, path, name string, d tensor.Dense) {
	t.Helper()
	data, err := onnxio.DenseTensor(name, d).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// distance is the largest difference of two tensors over the largest entry of the first.
func distance(t testing.TB, want, got tensor.Dense) float64 {
	t.Helper()
	if want.Type != got.Type || !slices.Equal(want.Shape, got.Shape) {
		t.Fatalf("outputs of type %v, shape %v and type %v, shape %v", want.Type, want.Shape, got.Type, got.Shape)
	}
	a, err := want.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	b, err := got.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	var diff, size float64
	for i := range a {
		d := math.Abs(a[i] - b[i])
		if math.IsNaN(d) {
			return math.NaN()
		}
		diff, size = max(diff, d), max(size, math.Abs(a[i]))
	}
	if size == 0 {
		return diff
	}
	return diff / size
}

func nan() float64 { return math.NaN() }

package compress

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// with adds to each of the samples an input of the given sizes.
func with(src memory, input string, sizes ...int) memory {
	for i, s := range drawn(len(src), input, sizes...) {
		src[i].Inputs[input] = s.Inputs[input]
	}
	return src
}

// TestInputsOfTheirOwnShape calibrates, refits and verifies models of which an input has no batch, has it behind another axis, or
// has no elements.
func TestInputsOfTheirOwnShape(t *testing.T) {
	needRuntime(t)
	for name, c := range map[string]struct {
		build func(b *testmodels.Builder)
		src   memory
	}{
		"a number": {func(b *testmodels.Builder) {
			h := b.Linear(b.Input("x", tensor.Float32, "N", 24), 24, 24, false)
			b.Node("Mul", []string{b.Linear(h, 24, 8, false), b.Input("t", tensor.Float32)})
			b.Output(b.Rename("y"), tensor.Float32, "N", 8)
		}, with(drawn(40, "x", 24), "t")},
		"a state": {func(b *testmodels.Builder) {
			state := b.Node("ReduceSum", []string{b.Input("state", tensor.Float32, 2, "N", 24), b.Ints("axis", 0)}, graph.Int("keepdims", 0))
			h := b.Linear(b.Node("Add", []string{b.Input("x", tensor.Float32, "N", 24), state}), 24, 24, false)
			b.Linear(h, 24, 8, false)
			b.Output(b.Rename("y"), tensor.Float32, "N", 8)
		}, with(drawn(40, "x", 24), "state", 2, 24)},
		"an empty past": {func(b *testmodels.Builder) {
			h := b.Linear(b.Input("x", tensor.Float32, "N", "S", 24), 24, 24, false)
			all := b.Node("Concat", []string{b.Input("past", tensor.Float32, "N", "P", 24), h}, graph.Int("axis", 1))
			b.Linear(all, 24, 8, false)
			b.Output(b.Rename("y"), tensor.Float32, "N", "T", 8)
		}, with(drawn(40, "x", 3, 24), "past", 0, 24)},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		c.build(b)
		r, _ := run(t, built(t, b), Options{Targets: []Target{share(Params, 0.8)}, Source: c.src, Probes: 1})
		if r.Verification == nil || r.Calibration == nil || r.Calibration.Samples != 36 || r.Verification.Samples != 4 {
			t.Errorf("%s: calibrated %+v, verified %+v", name, r.Calibration, r.Verification)
		}
	}
}

// TestHubCache compresses a model whose file and external data are links into one folder, as caches of model hubs have them.
func TestHubCache(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(1, 17, 8)
	b.Linear(b.Linear(b.Input("x", tensor.Float32, "N", 24), 24, 24, false), 24, 8, false)
	b.Output(b.Rename("y"), tensor.Float32, "N", 8)
	m := testkit.Built(t, b)
	blobs, links := filepath.Join(t.TempDir(), "blobs"), filepath.Join(t.TempDir(), "snapshots")
	for _, dir := range []string{blobs, links} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := graph.Of(m).Parts()
	raw, err := p.Initializers[0].Raw()
	if err != nil {
		t.Fatal(err)
	}
	w := p.Initializers[0]
	p.Initializers[0] = onnxio.ExternalTensor(w.Name(), w.Type(), w.Shape(), "model.onnx_data", 0, int64(len(raw)))
	data, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for blob, content := range map[string][]byte{"model.onnx": data, "model.onnx_data": raw} {
		if err := os.WriteFile(filepath.Join(blobs, "blob-"+blob), content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(blobs, "blob-"+blob), filepath.Join(links, blob)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	cached, err := onnxio.Read(filepath.Join(links, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer cached.Close()
	r, _ := run(t, cached, Options{Targets: []Target{share(MACs, 0.8)}, Source: drawn(40, "x", 24), Probes: 1})
	if r.Verification == nil || r.Calibration == nil {
		t.Errorf("calibrated %+v, verified %+v", r.Calibration, r.Verification)
	}
}

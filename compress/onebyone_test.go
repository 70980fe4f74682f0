package compress

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// frozen is a model that says that its batch is free and computes with the one sample of its export.
func frozen(t testing.TB) *onnxio.Model {
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Node("Relu", []string{b.Linear(b.Input("x", tensor.Float32, "N", 24), 24, 24, true)})
	x = b.Node("Reshape", []string{x, b.Ints("shape", 1, 24)})
	b.Output(b.Linear(x, 24, 12, true), tensor.Float32, "N", 12)
	return built(t, b)
}

// TestOneByOne: a model that refuses several samples at once gets them one by one, and the result is what a batch of 1 gives but for the
// batch that was asked for, which it records.
func TestOneByOne(t *testing.T) {
	needRuntime(t)
	m, src := frozen(t), drawn(40, "x", 24)
	o := to(t, Options{Source: src, Targets: []Target{share(MACs, 0.6)}})
	r, data := runTo(t, m, o)
	if v := r.Verification; v == nil || v.Samples == 0 || r.Output.MACs > r.Input.MACs*6/10 {
		t.Fatalf("%+v of %+v, verified by %+v", r.Output, r.Input, v)
	}
	one := to(t, Options{Source: src, Targets: o.Targets, Batch: 1})
	_, by1 := runTo(t, m, one)
	if !bytes.Equal(unrecorded(t, data), unrecorded(t, by1)) || bytes.Equal(data, by1) {
		t.Error("another model than with a batch of 1, or the same record")
	}
	v, err := Verify(context.Background(), in(t), m, o.Output, VerifyOptions{Source: src, Batch: 8})
	if err != nil || v.Samples != 40 {
		t.Errorf("%+v, %v", v, err)
	}
	folder := filepath.Dir(m.Path)
	if err := os.Mkdir(filepath.Join(folder, "run"), 0o777); err != nil {
		t.Fatal(err)
	}
	eo := ExploreOptions{Options: quick(Options{Source: src}), Budgets: []float64{0.6}, Models: filepath.Join(folder, "explored")}
	e := explore(t, m, eo)
	holdPoint(t, m, eo, e, &e.Points[0], filepath.Join(folder, "run"))
}

package feed

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// axial is a model of x [batch, 4, 4] with outputs whose samples lie along several axes, all declared with dims that say nothing.
func axial(t *testing.T, batch any) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, batch, 4, 4)
	output := func(name, op string, in []string, a ...graph.Attr) {
		b.Node(op, in, a...)
		b.Output(b.Rename(name), tensor.Float32)
	}
	output("rows", "Relu", []string{x})
	output("time", "Transpose", []string{x}, graph.Ints("perm", 1, 0, 2))
	output("last", "Transpose", []string{x}, graph.Ints("perm", 1, 2, 0))
	output("mean", "ReduceMean", []string{x}, graph.Ints("axes", 0))
	output("flat", "Reshape", []string{x, b.Ints("to", -1, 4)})
	// The others change a little with one: a scale over the whole batch.
	scale := b.Node("Add", []string{b.Node("Mul", []string{b.Node("ReduceMean", []string{x}), b.Tensor("tiny", tensor.Float32, []int{1}, []float64{1e-4})}), b.Tensor("one", tensor.Float32, []int{1}, []float64{1})})
	output("scaled", "Mul", []string{b.Node("Transpose", []string{x}, graph.Ints("perm", 1, 0, 2)), scale})
	return testkit.Built(t, b)
}

// TestFindAxes: axes are found whatever sizes are equal by chance, in batches of any size and of the model's own.
func TestFindAxes(t *testing.T) {
	src := random(6, "x", tensor.Float32, 4, 4)
	for _, batch := range []any{"N", 4} {
		m := axial(t, batch)
		inputs, err := samples.Inputs(m)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Host{Library: orttest.Open(t)}.NewSession(m)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var list []outputs.Output
		for _, o := range m.Proto.Graph.Output {
			list = append(list, outputs.Output{Name: o.GetName(), Axis: outputs.Undeclared})
		}
		got, err := FindAxes(context.Background(), Opened(s), src, testkit.Count(6), inputs, 4, list)
		if err != nil {
			t.Fatal(err)
		}
		want := Axes{"rows": 0, "time": 1, "last": 2, "mean": -1, "flat": 0, "scaled": 1}
		if batch == 4 {
			want["flat"] = -1
		}
		if !maps.Equal(got, want) {
			t.Errorf("batch %v: %v, want %v", batch, got, want)
		}
		// One sample says nothing but sizes.
		if got, err = FindAxes(context.Background(), Opened(s), src, []int{3}, inputs, 4, list); err != nil || got["rows"] != 0 {
			t.Errorf("batch %v, of one sample: %v, %v", batch, got, err)
		}
		// What is declared, and batches of one, need no run.
		never := func() (*ort.Session, func(), error) { return nil, nil, errors.New("a run") }
		if batch == "N" {
			if got, err := FindAxes(context.Background(), never, src, testkit.Count(6), inputs, 1, list); err != nil || got["time"] != 0 {
				t.Errorf("batches of one: %v, %v", got, err)
			}
		}
		declared := []outputs.Output{{Name: "time", Axis: 1}}
		if got, err := FindAxes(context.Background(), never, src, testkit.Count(6), inputs, 4, declared); err != nil || got["time"] != 1 {
			t.Errorf("declared: %v, %v", got, err)
		}
		if _, err := FindAxes(context.Background(), never, src, testkit.Count(6), inputs, 4, list); err == nil {
			t.Error("no error of a session that cannot be made")
		}
	}
}

// TestLead: samples come first, filler is cut off, and back again all is as it was.
func TestLead(t *testing.T) {
	v := make([]float32, 2*3*2)
	for i := range v {
		v[i] = float32(i)
	}
	d := tensor.FromFloat32([]int{2, 3, 2}, v) // three samples along axis 1
	a := Axes{"y": 1, "none": -1}
	led, ok := a.Lead("y", d, 3)
	if want := []float32{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}; !ok || !equal(led, tensor.FromFloat32([]int{3, 2, 2}, want)) {
		t.Errorf("%v, %v", led, ok)
	}
	if back := a.Back("y", led); !equal(back, d) {
		t.Errorf("back: %v", back)
	}
	r := &Run{Batch: 3, Samples: make([]samples.Sample, 2)}
	if cut, ok := r.WithoutFiller(a, "y", d); !ok || !equal(cut, tensor.FromFloat32([]int{2, 2, 2}, []float32{0, 1, 6, 7, 2, 3, 8, 9})) {
		t.Errorf("without filler: %v, %v", cut, ok)
	}
	if _, ok := r.WithoutFiller(a, "none", d); ok {
		t.Error("filler is told apart where there is no axis")
	}
	r.Samples = make([]samples.Sample, 3)
	if same, ok := r.WithoutFiller(a, "none", d); !ok || !equal(same, d) {
		t.Errorf("without an axis, and no filler: %v, %v", same, ok)
	}
	for _, name := range []string{"none", "other"} {
		if _, ok := a.Lead(name, d, 3); ok {
			t.Errorf("%s leads", name)
		}
	}
}

func equal(a, b tensor.Dense) bool {
	return tensor.ShapeText(a.Shape) == tensor.ShapeText(b.Shape) && bytes.Equal(a.Data, b.Data)
}

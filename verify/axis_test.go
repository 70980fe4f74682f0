package verify

import (
	"context"
	"math"
	"reflect"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// turned is x [batch, 4, 3] · w and scores of its first step, both transposed so that samples lie along another axis, where that is said.
func turned(t *testing.T, batch any, aside bool, noise float64) string {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, batch, 4, 3)
	w := []float64{1, 0.3, -0.2, 0.5, -1, 0.1, 0, 0.2, 0.9}
	for i := range w {
		w[i] += noise * math.Sin(float64(i))
	}
	y := b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{3, 3}, w)})
	scores := b.Node("Flatten", []string{b.Node("Slice", []string{y, b.Ints("from", 0), b.Ints("to", 1), b.Ints("axis", 1)})})
	if aside {
		y = b.Node("Transpose", []string{y}, graph.Ints("perm", 1, 0, 2))
		scores = b.Node("Transpose", []string{scores}, graph.Ints("perm", 1, 0))
	}
	b.Node("Identity", []string{y})
	b.Output(b.Rename("y"), tensor.Float32, nil, nil, nil)
	b.Node("Identity", []string{scores})
	b.Output(b.Rename("scores"), tensor.Float32, nil, nil)
	return save(t, b)
}

// TestAxes: samples are compared one by one along whatever axis they lie, filler left out, also where sizes are equal by chance.
func TestAxes(t *testing.T) {
	var rows [][]float32
	var labels []int
	for i := range 7 {
		row := make([]float32, 12)
		for k := range row {
			row[k] = float32(math.Sin(float64(i*i + 7*k)))
		}
		rows, labels = append(rows, row), append(labels, i%3)
	}
	src := vectors(labels, rows...)
	for i := range src {
		d := src[i].Inputs["x"]
		d.Shape = []int{4, 3}
		src[i].Inputs["x"] = d
	}
	compare := func(batch any, aside bool) *Report {
		t.Helper()
		r, err := Compare(context.Background(), orttest.Open(t), turned(t, batch, aside, 0), turned(t, batch, aside, 0.4), src, []int{0, 1, 2, 3, 4, 5, 6}, Options{Batch: 4, Classes: "scores"})
		if err != nil {
			t.Fatal(err)
		}
		r.Original, r.Compressed = "", ""
		return r
	}
	want := compare("N", false)
	if want.Classes == nil || want.Classes.Accuracy == nil || len(want.Moved) != 7 {
		t.Fatalf("%+v", want)
	}
	for _, batch := range []any{"N", 4} {
		if got := compare(batch, true); !reflect.DeepEqual(got.Classes, want.Classes) || !reflect.DeepEqual(got.Outputs, want.Outputs) || !reflect.DeepEqual(got.Moved, want.Moved) {
			t.Errorf("batch %v: %+v\nwant %+v", batch, got, want)
		}
	}
}

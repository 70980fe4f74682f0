package ort

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// The types of outputs that the model does not declare, and only those of tensors.
func TestOutputTypes(t *testing.T) {
	l := openLibrary(t)
	open := func(name string) graph.Value { return graph.NewValue(name, tensor.Undefined, nil) }
	p := made(
		values(value("x", tensor.Float32, 2, 3)),
		values(open("shape"), open("list"), open("y")), nil,
		node("Shape", []string{"x"}, "shape"), node("SequenceConstruct", []string{"x"}, "list"), node("Neg", []string{"x"}, "y"),
	)
	got, err := l.OutputTypes(marshal(t, p), "")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]tensor.Type{"shape": tensor.Int64, "y": tensor.Float32}; !maps.Equal(got, want) {
		t.Errorf("types %v, want %v", got, want)
	}
	if _, err := l.OutputTypes([]byte("no model"), ""); err == nil {
		t.Error("no error for what is no model")
	}
}

// A single run gives what a session gives, and reads external data.
func TestRunOnce(t *testing.T) {
	l := openLibrary(t)
	x := map[string]tensor.Dense{"x": random(3, 2, 64)}
	want := runOne(t, openSession(t, l, mlp(), Options{}), x)
	got, err := l.RunOnce(context.Background(), marshal(t, mlp()), "", x, []string{"hidden", "y"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !slices.Equal(got[0].Shape, []int{2, 256}) || string(got[1].Data) != want {
		t.Errorf("%d results, the first of shape %v", len(got), got[0].Shape)
	}
	model, data := externalModel(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "w.data"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.RunOnce(context.Background(), model, folder, map[string]tensor.Dense{"x": random(8, 1, 64)}, []string{"y"}); err != nil {
		t.Error(err)
	}
	if _, err := l.RunOnce(context.Background(), marshal(t, mlp()), "", x, []string{"z"}); err == nil || !strings.Contains(err.Error(), "z") {
		t.Errorf("a missing output: error %v", err)
	}
}

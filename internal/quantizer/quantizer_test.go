package quantizer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestStore: the tensors of a run are read again as they were, with their names.
func TestStore(t *testing.T) {
	folder := t.TempDir()
	want := map[string]tensor.Dense{
		"ids":  {Type: tensor.Int64, Shape: []int{1, 2}, Data: []byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}},
		"a/b:": {Type: tensor.Float32, Shape: []int{1}, Data: []byte{0, 0, 128, 63}},
	}
	if err := Store(folder, 7, want); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "000007", "*"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := onnxio.ParseTensor(data)
		if err != nil {
			t.Fatal(err)
		}
		d, err := got.Dense()
		if w := want[got.Name()]; err != nil || d.Type != w.Type || string(d.Data) != string(w.Data) {
			t.Errorf("%s: %+v, %v", got.Name(), d, err)
		}
	}
}

// TestMissing: a Python that is not there, or has no quantizer, is told from one that fails at a model.
func TestMissing(t *testing.T) {
	missing := (*MissingError)(nil)
	if _, err := Run(context.Background(), "no-such-python", "", nil); !errors.As(err, &missing) || !strings.Contains(err.Error(), "no-such-python") {
		t.Error(err)
	}
	bare := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(bare, []byte("#!/bin/sh\necho 'Traceback' >&2; echo \"No module named 'onnx'\" >&2; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), bare, "", nil); !errors.As(err, &missing) || !strings.Contains(err.Error(), "No module named 'onnx' (exit status 1); install it there") {
		t.Error(err)
	}
	python := provisiontest.Python(t, "onnx", "onnxruntime.quantization")
	broken := filepath.Join(t.TempDir(), "broken.onnx")
	if err := os.WriteFile(broken, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Run(context.Background(), python, t.TempDir(), []Job{{broken, broken + ".int8"}})
	if err == nil || errors.As(err, &missing) || !strings.Contains(err.Error(), "quantizer") {
		t.Error(err)
	}
}

// Package backendtest gives tests the models, inputs and outputs that ONNX publishes to
// test backends. They come with the Python package onnx.
package backendtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Case is one model of the suite.
type Case struct {
	Name string // for example "node/test_gemm_alpha"
	Path string // the model file; its data lies in folders beside it
}

// Cases lists the suite's models, sorted by name, or skips the test where no Python has the
// package.
func Cases(t testing.TB) []Case {
	t.Helper()
	python := provisiontest.Python(t, "onnx")
	out, err := exec.Command(python, "-c", "import onnx, os; print(os.path.dirname(onnx.__file__))").Output()
	if err != nil {
		t.Fatalf("asking %s where onnx is: %v", python, err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "backend", "test", "data")
	paths, err := filepath.Glob(filepath.Join(root, "*", "*", "model.onnx"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no models below %s: %v", root, err)
	}
	cases := make([]Case, len(paths))
	for i, p := range paths {
		folder := filepath.Dir(p)
		cases[i] = Case{Name: filepath.Base(filepath.Dir(folder)) + "/" + filepath.Base(folder), Path: p}
	}
	return cases
}

// Data reads the first data set of a case for its model m: one tensor for each graph
// input that is no initializer, by name, and one for each graph output, in order. It is an
// error where one of them is no dense tensor, or is not there.
func (c Case) Data(m *onnxio.Model) (inputs map[string]tensor.Dense, outputs []tensor.Dense, err error) {
	inputs = map[string]tensor.Dense{}
	for _, v := range graph.Of(m).Inputs() {
		if _, ok := graph.Of(m).Initializer(v.Name()); ok {
			continue
		}
		d, err := c.read("input", len(inputs), v)
		if err != nil {
			return nil, nil, err
		}
		inputs[v.Name()] = d
	}
	for i, v := range graph.Of(m).Outputs() {
		d, err := c.read("output", i, v)
		if err != nil {
			return nil, nil, err
		}
		outputs = append(outputs, d)
	}
	return inputs, outputs, nil
}

func (c Case) read(kind string, i int, v graph.Value) (tensor.Dense, error) {
	if !v.Dense() {
		return tensor.Dense{}, fmt.Errorf("%s: %s %q is no dense tensor", c.Name, kind, v.Name())
	}
	path := filepath.Join(filepath.Dir(c.Path), "test_data_set_0", fmt.Sprintf("%s_%d.pb", kind, i))
	data, err := os.ReadFile(path)
	if err != nil {
		return tensor.Dense{}, err
	}
	p, err := onnxio.ParseTensor(data)
	if err != nil {
		return tensor.Dense{}, fmt.Errorf("%s: %w", path, err)
	}
	if p.Type() == tensor.String {
		return tensor.Dense{Type: tensor.String, Shape: p.Shape()}, nil
	}
	return p.Dense()
}

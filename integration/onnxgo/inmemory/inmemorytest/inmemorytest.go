// Package inmemorytest holds runtimes against ONNX Runtime on compressed models.
package inmemorytest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/integration/onnxgo/inmemory"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Chain is a net of two convolutions and two layers upon them, with nothing in it that a small runtime might lack.
func Chain() (*onnxio.Model, error) {
	b := testmodels.NewBuilder(1, 13, 7)
	x := b.Input("image", tensor.Float32, "N", 8, 12, 12)
	around := graph.Ints("pads", 1, 1, 1, 1)
	x = b.Node("Relu", []string{b.Conv(x, 8, 16, []int{3, 3}, around)})
	x = b.Node("Relu", []string{b.Conv(x, 16, 16, []int{3, 3}, around, graph.Ints("strides", 2, 2))})
	x = b.Node("Flatten", []string{x})
	for i, size := range [][2]int{{16 * 36, 32}, {32, 10}} {
		weight, bias := b.Weight(fmt.Sprintf("w%d", i), size[0], size[1], size[0]), b.Weight(fmt.Sprintf("b%d", i), size[0], size[1])
		x = b.Node("Gemm", []string{x, weight, bias}, graph.Int("transB", 1))
	}
	b.Output(b.Rename("scores"), tensor.Float32, "N", 10)
	return b.Model()
}

// Case is a model and a method to compress it by.
type Case struct {
	Model   func() (*onnxio.Model, error)
	Method  string
	Refusal string // the words by which the runtime refuses what comes of it, "" where that runs
}

// Hold compresses models and has a runtime run them: it gives what ONNX Runtime does, or refuses a model in the words of its case, which
// docs/ways/go.md names.
func Hold(t *testing.T, run func(model []byte, input tensor.Dense) ([]float32, error), cases []Case) {
	t.Helper()
	for _, c := range cases {
		m, err := c.Model()
		if err != nil {
			t.Fatal(err)
		}
		far, err := far(t, m, c.Method, run)
		switch {
		case c.Refusal == "" && (err != nil || far > 1e-4):
			t.Errorf("%s: %g of the largest value away, error %v", c.Method, far, err)
		case c.Refusal != "" && (err == nil || !strings.Contains(err.Error(), c.Refusal)):
			t.Errorf("%s: error %v, want %q: see what docs/ways/go.md says", c.Method, err, c.Refusal)
		}
	}
}

// far compresses a model by a method, and returns how far what a runtime gives lies from what ONNX Runtime gives, as a share of the largest value.
func far(t *testing.T, m *onnxio.Model, method string, run func(model []byte, input tensor.Dense) ([]float32, error)) (far float64, err error) {
	t.Helper()
	small, input, err := inmemory.Compressed(context.Background(), m, method)
	if err != nil {
		t.Fatal(err)
	}
	g := m.Proto.Graph
	want, err := orttest.Open(t).RunOnce(context.Background(), small, "", map[string]tensor.Dense{g.Input[0].GetName(): input}, []string{g.Output[0].GetName()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("it panics: %v", fault)
		}
	}()
	got, err := run(small, input)
	if err != nil {
		return 0, err
	}
	if len(got) != len(want[0].Float32s()) {
		t.Fatalf("%d values, want %d", len(got), len(want[0].Float32s()))
	}
	most := 0.0
	for i, v := range want[0].Float32s() {
		far, most = math.Max(far, math.Abs(float64(v-got[i]))), math.Max(most, math.Abs(float64(v)))
	}
	return far / most, nil
}

package feed

import (
	"context"
	"math"
	"os"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

func TestMain(m *testing.M) { os.Exit(provisiontest.Main(m, provision.ONNXRuntime)) }

// TestNewSession wants the same of a model whose weights stay in its file, with a node and a weight that are not there.
func TestNewSession(t *testing.T) {
	lib := orttest.Open(t)
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, "n", 33)
	b.Output(b.Linear(x, 33, 65, true), tensor.Float32, "n", 65)
	m, err := onnxio.Read(testkit.Save(t, testkit.Built(t, b)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	parts := graph.Of(m).Parts()
	y := parts.Outputs[0].Name()
	parts.Nodes = append(parts.Nodes, graph.NewNode("Mul", "twice", []string{y, "two"}, []string{"twice"}))
	parts.Initializers = append(parts.Initializers, onnxio.DenseTensor("two", tensor.FromFloat32([]int{1}, []float32{2})))
	parts.Outputs = append(parts.Outputs, graph.NewValue("twice", tensor.Undefined, nil))
	derived := parts.Model()
	defer derived.Close()
	in := map[string]tensor.Dense{"x": random(1, "x", tensor.Float32, 4, 33)[0].Inputs["x"]}
	var outs [][]float32
	for _, memory := range []int64{0, mappedPart} {
		host := Host{Library: lib, Memory: memory}
		if got := host.Mapped(derived); got != (memory > 0) {
			t.Fatalf("of a limit of %d bytes the weights stay in their file: %v", memory, got)
		}
		s, err := host.NewSession(derived)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, err := s.Run(context.Background(), in, []string{y, "twice"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i, v := range r.Get(0).Float32s() {
			if w := r.Get(1).Float32s()[i]; w != 2*v {
				t.Fatalf("twice %v is %v", v, w)
			}
		}
		outs = append(outs, r.Get(0).Float32s())
	}
	for i, v := range outs[0] {
		if w := outs[1][i]; math.Abs(float64(v-w)) > 1e-5 {
			t.Fatalf("number %d is %v with weights that are held, %v with those in the file", i, v, w)
		}
	}
}

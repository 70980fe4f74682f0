package calib

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

// specs returns the inputs of a model.
func specs(t testing.TB, m *onnxio.Model) []samples.InputSpec {
	t.Helper()
	in, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// random draws n samples with one tensor of the given shape.
func random(n int, input string, typ tensor.Type, shape ...int) memory {
	r := rand.New(rand.NewPCG(uint64(n), 11))
	var out memory
	for i := range n {
		v := make([]float64, tensor.New(tensor.Uint8, shape...).Len())
		for k := range v {
			v[k] = r.NormFloat64() + 0.2
		}
		data, err := tensor.Encode(typ, v)
		if err != nil {
			panic(err)
		}
		out = append(out, samples.Sample{
			Name: fmt.Sprint("sample ", i), Label: -1,
			Inputs: map[string]tensor.Dense{input: {Type: typ, Shape: shape, Data: data}},
		})
	}
	return out
}

// worst is the largest |a−b| relative to the largest |b|.
func worst(a, b *linalg.Matrix) float64 {
	w := 0.
	for i := range b.Data {
		w = max(w, math.Abs(a.Data[i]-b.Data[i]))
	}
	return w / max(b.MaxAbs(), 1e-30)
}

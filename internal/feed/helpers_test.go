package feed

import (
	"fmt"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

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

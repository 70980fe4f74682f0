package testmodels

import (
	"fmt"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Feeds draws an array for every graph input of a model that has no default. Floats are
// uniform with unit variance, integers lie in [0, 8), truth values are either. Free
// dimensions get the size that free names, by dimension name, else the given rest; the
// same dimension name has the same size everywhere.
func Feeds(m *onnxio.Model, seed uint64, free map[string]int, rest int) (map[string]tensor.Dense, error) {
	random := rand.New(rand.NewPCG(seed, 0x66656564))
	feeds := map[string]tensor.Dense{}
	for _, input := range graph.Of(m).Inputs() {
		name := input.Name()
		if _, ok := graph.Of(m).Initializer(name); ok {
			continue
		}
		if !input.Dense() {
			return nil, fmt.Errorf("input %q is not a tensor", name)
		}
		var shape []int
		for _, dim := range input.Dims() {
			size, known := free[dim.Name]
			switch {
			case dim.Size > 0:
				size = dim.Size
			case dim.Name == "" || !known:
				size = rest
			}
			shape = append(shape, size)
		}
		d, err := draw(random, input.Type(), shape)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		feeds[name] = d
	}
	return feeds, nil
}

func draw(random *rand.Rand, t tensor.Type, shape []int) (tensor.Dense, error) {
	n, err := tensor.Elements(shape)
	if err != nil {
		return tensor.Dense{}, err
	}
	v := make([]float64, n)
	for i := range v {
		switch {
		case t.IsFloat():
			v[i] = 1.7320508075688772 * (2*random.Float64() - 1)
		case t == tensor.Bool:
			v[i] = float64(random.IntN(2))
		default:
			v[i] = float64(random.IntN(8))
		}
	}
	data, err := tensor.Encode(t, v)
	return tensor.Dense{Type: t, Shape: shape, Data: data}, err
}

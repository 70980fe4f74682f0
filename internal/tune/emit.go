package tune

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// emitter makes the nodes of a loss. Its methods take and return names of values.
type emitter struct{ *graph.Builder }

// plus adds two values; an empty name stands for nothing.
func (e emitter) plus(a, b string) string {
	if a == "" {
		return b
	}
	return e.Op("Add", a, b)
}

func (e emitter) number(v float64) string {
	return e.Constant(tensor.Float32, []int{}, []float64{v})
}

// scale multiplies by a number.
func (e emitter) scale(x string, k float64) string {
	if k == 1 {
		return x
	}
	return e.Op("Mul", x, e.number(k))
}

func (e emitter) reshape(x string, shape []int) string { return e.Op("Reshape", x, e.Ints(shape...)) }

// mean is that of all numbers.
func (e emitter) mean(x string) string { return e.Reduce("ReduceMean", x, nil, false) }

// sum is that of all numbers.
func (e emitter) sum(x string) string { return e.Reduce("ReduceSum", x, nil, false) }

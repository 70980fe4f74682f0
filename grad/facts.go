package grad

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// manyNumbers bounds the elements of a constant that rules read.
const manyNumbers = 1 << 16

// facts answers what is known about the values of a graph.
type facts struct {
	*graph.Graph
	values Values
	fed    map[string]bool
}

func newFacts(m *onnxio.Model, o Options) *facts {
	f := &facts{Graph: graph.Of(m), values: o.Values, fed: map[string]bool{}}
	for _, name := range o.Feed {
		f.fed[name] = true
	}
	return f
}

// exists reports whether a name is a value of the graph.
func (f *facts) exists(name string) bool {
	_, made := f.Producer(name)
	_, stored := f.Initializer(name)
	return made || stored || f.IsInput(name)
}

// typ returns the type of a value, or Undefined.
func (f *facts) typ(name string) tensor.Type {
	if t, ok := f.Initializer(name); ok {
		return t.Type()
	}
	return f.values[name].Type
}

// shape returns the shape of a value, nil where it is not known.
func (f *facts) shape(name string) []int {
	if t, ok := f.Initializer(name); ok {
		return t.Shape()
	}
	if v := f.values[name]; v.Shape != nil {
		return v.Shape
	}
	if c, ok := f.Constant(name); ok {
		return c.Tensor.Shape()
	}
	return nil
}

// declare describes an input or output of the type and shape of a value.
func (f *facts) declare(name, like string) graph.Value {
	return graph.NewValue(name, f.typ(like), graph.Sizes(f.shape(like)))
}

func orEmpty(shape []int) []int {
	if shape == nil {
		return []int{}
	}
	return shape
}

func integers(v []float64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// constant returns the tensor of a value that is the same in every run.
func (f *facts) constant(name string) (onnxio.Tensor, bool) {
	c, ok := f.Constant(name)
	return c.Tensor, ok && !c.Overridable && !f.fed[name] && !f.fed[c.Tensor.Name()]
}

// numbers returns the elements of a value that is constant, or was seen to be small in a
// run.
func (f *facts) numbers(name string) ([]float64, bool) {
	t, ok := f.constant(name)
	if !ok {
		v := f.values[name].Numbers
		return v, v != nil
	}
	if t.Len() > manyNumbers {
		return nil, false
	}
	v, err := t.Float64s()
	return v, err == nil
}

// carries reports whether a value can carry a gradient. Values of unknown type might.
func carries(t tensor.Type) bool {
	switch t {
	case tensor.Undefined, tensor.Float16, tensor.Float32, tensor.Float64, tensor.BFloat16:
		return true
	}
	return false
}

package grad

import (
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// manyNumbers bounds the elements of a constant that rules read.
const manyNumbers = 1 << 16

// facts answers what is known about the values of a model's main graph.
type facts struct {
	m      *onnxio.Model
	values Values
	fed    map[string]bool
	// made holds the node outputs, and graph inputs that are no initializers.
	made map[string]bool
}

func newFacts(m *onnxio.Model, values Values, fed []string) *facts {
	f := &facts{m: m, values: values, fed: map[string]bool{}, made: map[string]bool{}}
	for _, name := range fed {
		f.fed[name] = true
	}
	for _, in := range m.Graph().GetInput() {
		f.made[in.GetName()] = true
	}
	for _, n := range m.Graph().GetNode() {
		for _, out := range n.Output {
			f.made[out] = true
		}
	}
	delete(f.made, "")
	return f
}

// exists reports whether a name is a value of the main graph.
func (f *facts) exists(name string) bool {
	if f.made[name] {
		return true
	}
	_, ok := f.m.Index().Initializer(name)
	return ok
}

// typ returns the type of a value, or Undefined.
func (f *facts) typ(name string) tensor.Type {
	if t, ok := f.m.Index().Initializer(name); ok {
		return tensor.Type(t.GetDataType())
	}
	return f.values[name].Type
}

// shape returns the shape of a value, nil where it is not known.
func (f *facts) shape(name string) []int {
	if t, ok := f.m.Index().Initializer(name); ok {
		return orEmpty(f.m.Tensor(t).Shape())
	}
	if v := f.values[name]; v.Shape != nil {
		return v.Shape
	}
	if c, ok := f.m.Index().Constant(name); ok && c.Tensor != nil {
		return orEmpty(f.m.Tensor(c.Tensor).Shape())
	}
	return nil
}

func orEmpty(shape []int) []int {
	if shape == nil {
		return []int{}
	}
	return shape
}

// constant returns the tensor of a value that is the same in every run.
func (f *facts) constant(name string) (*onnxpb.TensorProto, bool) {
	c, ok := f.m.Index().Constant(name)
	if !ok || c.Overridable || c.Tensor == nil || f.fed[name] || f.fed[c.Tensor.GetName()] {
		return nil, false
	}
	return c.Tensor, true
}

// numbers returns the elements of a value that is constant, or was seen to be small in a
// run.
func (f *facts) numbers(name string) ([]float64, bool) {
	if t, ok := f.constant(name); ok {
		h := f.m.Tensor(t)
		if h.Len() > manyNumbers {
			return nil, false
		}
		d, err := h.Dense()
		if err != nil {
			return nil, false
		}
		v, err := d.Float64s()
		return v, err == nil
	}
	v := f.values[name].Numbers
	return v, v != nil
}

// carries reports whether a value can carry a gradient. Values of unknown type might.
func carries(t tensor.Type) bool {
	switch t {
	case tensor.Undefined, tensor.Float16, tensor.Float32, tensor.Float64, tensor.BFloat16:
		return true
	}
	return false
}

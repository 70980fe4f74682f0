package grad

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Value is what is known about a value of the forward graph in a run.
type Value struct {
	// Type is the type of the elements, Undefined where it is not known.
	Type tensor.Type
	// Shape is nil where it is not known; a scalar has an empty one.
	Shape []int
	// Numbers holds the elements of a value that rules read, such as the bounds of
	// a Slice, row-major. It is nil for all others.
	Numbers []float64
}

// Values says what is known about the inputs and node outputs of a model's main graph,
// by name. Initializers need no entry.
type Values map[string]Value

// Bytes is what the value takes in memory, 0 where that is not known.
func (v Value) Bytes() int64 {
	if count, err := tensor.Elements(v.Shape); err == nil && v.Type != tensor.Undefined {
		return int64(v.Type.Bytes(count))
	}
	return 0
}

// Computed is what the values take together that the nodes of a model's main graph compute from inputs, in bytes.
func (v Values) Computed(m *onnxio.Model) int64 {
	var sum int64
	g := graph.Of(m)
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			if _, constant := g.Constant(out); !constant {
				sum += v[out].Bytes()
			}
		}
	}
	return sum
}

// Infer finds out about a model's values from the shapes of its inputs, without running
// it. What [shapes.Infer] cannot find stays unknown; [Observe] finds that too.
func Infer(m *onnxio.Model, inputs map[string][]int) Values {
	known := shapes.Infer(m, inputs)
	g := graph.Of(m)
	types := shapes.Types(g)
	values := Values{}
	add := func(name string) {
		if name == "" {
			return
		}
		v := Value{Type: types[name]}
		if s, ok := known.Of(name); ok {
			v.Shape = s
		}
		if n, ok := known.Ints(name); ok && !v.Type.IsFloat() {
			v.Numbers = make([]float64, len(n))
			for i, x := range n {
				v.Numbers[i] = float64(x)
			}
		}
		values[name] = v
	}
	for _, in := range g.Feeds() {
		add(in.Name())
	}
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			add(out)
		}
	}
	return values
}

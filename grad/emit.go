package grad

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// emitter makes the nodes of the gradient, on blocks of channels where that pays.
type emitter struct {
	*graph.Builder
	typ     tensor.Type     // of the elements of the constants that follow
	layout  *layout         // knows which values are in blocks of channels
	scalars map[string]bool // constants of one number
}

func newEmitter(opset int, names *graph.NameSet, l *layout) *emitter {
	return &emitter{Builder: graph.NewBuilder(names, opset, "grad"), layout: l, scalars: map[string]bool{}}
}

// begin sets the prefix of the names and the type of the constants that follow.
func (e *emitter) begin(prefix string, t tensor.Type) { e.Prefix, e.typ = prefix, t }

// Op is Node without attributes.
func (e *emitter) Op(op string, inputs ...string) string { return e.Node(op, inputs) }

// Node makes a node with one output, on blocks of channels where its inputs are in blocks and it works on them.
func (e *emitter) Node(op string, inputs []string, attributes ...graph.Attr) string {
	if y := e.onBlocks(op, inputs, attributes); y != "" {
		return y
	}
	return e.Builder.Node(op, inputs, attributes...)
}

// scalar returns a constant without axes.
func (e *emitter) scalar(v float64) string {
	name := e.floats([]int{}, []float64{v})
	e.scalars[name] = true
	return name
}

// floats returns a constant of the current type.
func (e *emitter) floats(shape []int, v []float64) string { return e.Constant(e.typ, shape, v) }

// zeros returns a tensor of zeros.
func (e *emitter) zeros(shape []int) string {
	if e.Opset < 9 {
		n, err := tensor.Elements(shape)
		if err != nil {
			e.Fail(err)
			return ""
		}
		return e.floats(shape, make([]float64, n))
	}
	zero, err := onnxio.NewTensor("", e.typ, []int{1}, []float64{0})
	if err != nil {
		e.Fail(err)
		return ""
	}
	return e.Node("ConstantOfShape", []string{e.Ints(shape...)}, graph.Tensor("value", zero))
}

package compound

import (
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Recurrent tells whether an operator goes step by step through a sequence, with weights of the input in input 1: W [directions,
// gates, channels]. Its body is a MatMul with these, and the operator itself, which takes what comes out as it is.
func Recurrent(op string) bool { return op == "LSTM" || op == "GRU" || op == "RNN" }

func recurrent(b *body) error {
	if !b.constant(b.x(1)) {
		return errors.New("its weights are not constant")
	}
	if b.Opset < 9 {
		return errors.New("before operator set 9 it has no body")
	}
	shape, err := b.shape(b.x(1))
	if err != nil || len(shape) != 3 {
		return errors.Join(err, fmt.Errorf("weights of shape %v", shape))
	}
	gates := shape[0] * shape[1]
	typ := b.typeOf(b.x(1))
	if !typ.IsFloat() {
		typ = tensor.Float32
	}
	weight := b.transpose(b.reshape(b.x(1), gates, shape[2]), 1, 0)
	inputs := append([]string(nil), b.node.Inputs()...)
	inputs[0] = b.Op("MatMul", b.x(0), weight)
	one, err := onnxio.NewTensor("", typ, []int{1}, []float64{1})
	if err != nil {
		return err
	}
	same := b.Node("ConstantOfShape", []string{b.Ints(gates, gates)}, graph.Tensor("value", one))
	inputs[1] = b.reshape(b.Node("EyeLike", []string{same}), shape[0], shape[1], gates)
	outputs := b.Several(b.node.Op(), inputs, len(b.node.Outputs()), b.node.Attrs()...)
	b.main = outputs[0]
	for i, o := range outputs {
		b.give(i, o)
	}
	return nil
}

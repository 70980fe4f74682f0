package tune

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// emitter appends the nodes of a loss to a graph. Its methods take and return names of values. The first error is
// kept.
type emitter struct {
	opset int64
	names *onnxio.NameSet
	nodes []*onnxpb.NodeProto
	err   error
}

// op appends a node with one output.
func (e *emitter) op(op string, inputs []string, attributes ...*onnxpb.AttributeProto) string {
	name := e.names.Fresh("loss/" + strings.ToLower(op))
	e.nodes = append(e.nodes, &onnxpb.NodeProto{
		Name: proto.String(name), OpType: proto.String(op), Input: inputs, Output: []string{name}, Attribute: attributes,
	})
	return name
}

func (e *emitter) binary(op, a, b string) string { return e.op(op, []string{a, b}) }

func (e *emitter) unary(op, x string) string { return e.op(op, []string{x}) }

// constant appends a Constant node, which every operator set has.
func (e *emitter) constant(t tensor.Type, shape []int, v []float64) string {
	p, err := onnxio.NewTensor("", t, shape, v)
	if err != nil {
		if e.err == nil {
			e.err = err
		}
		return ""
	}
	return e.op("Constant", nil, onnxio.MakeTensor("value", p.Proto()))
}

// scale multiplies by a number.
func (e *emitter) scale(x string, k float64) string {
	if k == 1 {
		return x
	}
	return e.binary("Mul", x, e.constant(tensor.Float32, []int{}, []float64{k}))
}

// reduce applies ReduceSum or ReduceMean. Axes became an input with operator set 13 (ReduceSum) and 18 (ReduceMean).
// Nil axes stand for all, and leave a scalar.
func (e *emitter) reduce(op, x string, axes []int, keep bool) string {
	kept := onnxio.MakeInt("keepdims", 0)
	if keep {
		kept = onnxio.MakeInt("keepdims", 1)
	}
	if axes == nil {
		return e.op(op, []string{x}, kept)
	}
	if e.opset >= 18 || op == "ReduceSum" && e.opset >= 13 {
		return e.op(op, []string{x, e.ints(axes)}, kept)
	}
	return e.op(op, []string{x}, onnxio.MakeInts("axes", int64s(axes)...), kept)
}

func (e *emitter) reshape(x string, shape []int) string { return e.binary("Reshape", x, e.ints(shape)) }

func (e *emitter) ints(v []int) string {
	f := make([]float64, len(v))
	for i, n := range v {
		f[i] = float64(n)
	}
	return e.constant(tensor.Int64, []int{len(v)}, f)
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, n := range v {
		out[i] = int64(n)
	}
	return out
}

// declare describes an input; -1 is an open size, a nil shape an open number of axes.
func declare(name string, t tensor.Type, shape []int) *onnxpb.ValueInfoProto {
	typ := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(t))}
	if shape != nil {
		typ.Shape = &onnxpb.TensorShapeProto{}
		for _, n := range shape {
			d := &onnxpb.TensorShapeProto_Dimension{}
			if n >= 0 {
				d.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(n)}
			}
			typ.Shape.Dim = append(typ.Shape.Dim, d)
		}
	}
	return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: typ}}}
}

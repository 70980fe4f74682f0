package compound

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// scalar returns a constant without axes.
func (b *body) scalar(v float64) string { return b.Constant(b.typ, []int{}, []float64{v}) }

// index returns an integer constant without axes.
func (b *body) index(v int) string { return b.Constant(tensor.Int64, []int{}, []float64{float64(v)}) }

// scale returns k·x.
func (b *body) scale(x string, k float64) string {
	if k == 1 {
		return x
	}
	return b.Op("Mul", x, b.scalar(k))
}

func (b *body) transpose(x string, perm ...int) string {
	return b.Node("Transpose", []string{x}, graph.Ints("perm", perm...))
}

// reshape takes 0 for the size that is there and -1 for what is left.
func (b *body) reshape(x string, to ...int) string { return b.Op("Reshape", x, b.Ints(to...)) }

func (b *body) concat(axis int, parts ...string) string {
	return b.Node("Concat", parts, graph.Int("axis", axis))
}

func (b *body) gather(x, indices string, axis int) string {
	return b.Node("Gather", []string{x, indices}, graph.Int("axis", axis))
}

// unsqueeze adds axes of size 1, at places counted from the front of the result.
func (b *body) unsqueeze(x string, axes ...int) string {
	if b.Opset >= 13 {
		return b.Op("Unsqueeze", x, b.Ints(axes...))
	}
	return b.Node("Unsqueeze", []string{x}, graph.Ints("axes", axes...))
}

// slice takes from begin up to end, in steps, along an axis.
func (b *body) slice(x string, axis, begin, end, step int) string {
	if b.Opset >= 10 {
		return b.Op("Slice", x, b.Ints(begin), b.Ints(end), b.Ints(axis), b.Ints(step))
	}
	return b.Node("Slice", []string{x}, graph.Ints("starts", begin), graph.Ints("ends", end), graph.Ints("axes", axis))
}

// rest stands for the end of an axis, whatever its size.
const rest = math.MaxInt32

func (b *body) cast(x string, to tensor.Type) string {
	return b.Node("Cast", []string{x}, graph.Int("to", int(to)))
}

// size returns the size of an axis as an integer without axes.
func (b *body) size(x string, axis int) string { return b.gather(b.Op("Shape", x), b.index(axis), 0) }

// counting returns the integers 0, 1, … below a limit.
func (b *body) counting(limit string) string { return b.Op("Range", b.index(0), limit, b.index(1)) }

// penalty returns by where a condition holds, and 0 elsewhere.
func (b *body) penalty(condition string, by float64) string {
	return b.scale(b.cast(condition, b.typ), by)
}

// split cuts a value in two equal parts along its last axis.
func (b *body) halves(x string) []string {
	if b.Opset >= 18 {
		return b.Several("Split", []string{x}, 2, graph.Int("axis", -1), graph.Int("num_outputs", 2))
	}
	return b.Several("Split", []string{x}, 2, graph.Int("axis", -1))
}

// lowest is a number of which a softmax makes zero beside any other, in the body's type.
func (b *body) lowest() float64 {
	if b.typ == tensor.Float16 {
		return -65504
	}
	return -1e30
}

// zeros returns a tensor of so many zeros of a type.
func (b *body) zeros(t tensor.Type, shape string) string {
	zero, err := onnxio.NewTensor("", t, []int{1}, []float64{0})
	if err != nil {
		b.Fail(err)
		return ""
	}
	return b.Node("ConstantOfShape", []string{shape}, graph.Tensor("value", zero))
}

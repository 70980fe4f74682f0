package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// This file holds what operator sets write differently, and short cuts for what needs no
// node at all.

func (e *emitter) add(a, b string) string { return e.Op("Add", a, b) }
func (e *emitter) sub(a, b string) string { return e.Op("Sub", a, b) }
func (e *emitter) mul(a, b string) string { return e.Op("Mul", a, b) }
func (e *emitter) div(a, b string) string { return e.Op("Div", a, b) }

// scale multiplies by a number.
func (e *emitter) scale(x string, k float64) string {
	switch k {
	case 1:
		return x
	case -1:
		return e.Op("Neg", x)
	}
	return e.mul(x, e.scalar(k))
}

// shift adds a number.
func (e *emitter) shift(x string, k float64) string {
	if k == 0 {
		return x
	}
	return e.add(x, e.scalar(k))
}

// mask returns 1 where the condition holds and 0 elsewhere. Products with it are an order
// of magnitude faster than Where in ONNX Runtime's CPU provider.
func (e *emitter) mask(condition string) string {
	return e.cast(condition, e.typ)
}

// cast converts to a type.
func (e *emitter) cast(x string, t tensor.Type) string {
	return e.Node("Cast", []string{x}, graph.Int("to", int(t)))
}

// positive returns 1 where x > 0 and 0 elsewhere.
func (e *emitter) positive(x string) string { return e.mask(e.Op("Greater", x, e.scalar(0))) }

// sign returns the sign of x, 0 at 0.
func (e *emitter) sign(x string) string {
	if e.Opset >= 9 {
		return e.Op("Sign", x)
	}
	zero := e.scalar(0)
	return e.sub(e.mask(e.Op("Greater", x, zero)), e.mask(e.Op("Less", x, zero)))
}

// equal compares two tensors of floating-point numbers, for which Equal serves from
// operator set 11 on.
func (e *emitter) equal(a, b string) string {
	if e.Opset >= 11 {
		return e.Op("Equal", a, b)
	}
	return e.Op("Not", e.Op("Or", e.Op("Less", a, b), e.Op("Greater", a, b)))
}

// choose returns a where mask is 1 and b where it is 0.
func (e *emitter) choose(mask, a, b string) string {
	return e.add(e.mul(mask, a), e.mul(e.sub(e.scalar(1), mask), b))
}

// reshape gives x, of shape from (nil where the caller need not know), another shape.
func (e *emitter) reshape(x string, from, to []int) string {
	if from != nil && slices.Equal(from, to) {
		return x
	}
	return e.Op("Reshape", x, e.Ints(to...))
}

// transpose orders the axes of x anew: axis i of the result is axis perm[i] of x.
func (e *emitter) transpose(x string, perm []int) string {
	if slices.IsSorted(perm) {
		return x
	}
	return e.Node("Transpose", []string{x}, graph.Ints("perm", perm...))
}

// expand broadcasts x to a shape.
func (e *emitter) expand(x string, from, to []int) string {
	if slices.Equal(from, to) {
		return x
	}
	if e.Opset >= 8 {
		return e.Op("Expand", x, e.Ints(to...))
	}
	full := slices.Concat(filled(len(to)-len(from), 1), from)
	repeats := slices.Clone(to)
	for i, d := range full {
		if d != 1 {
			repeats[i] = 1
		}
	}
	return e.Op("Tile", e.reshape(x, from, full), e.Ints(repeats...))
}

// sum adds up along axes, which stay with size 1 if keep is set.
func (e *emitter) sum(x string, axes []int, keep bool) string {
	if len(axes) == 0 {
		return x
	}
	return e.Reduce("ReduceSum", x, axes, keep)
}

// reduceTo undoes broadcasting: it adds up x, of shape from, to the shape to that was
// broadcast to it.
func (e *emitter) reduceTo(x string, from, to []int) string {
	if slices.Equal(from, to) {
		return x
	}
	lead := len(from) - len(to)
	var axes []int
	for i, d := range from {
		if i < lead || to[i-lead] == 1 && d != 1 {
			axes = append(axes, i)
		}
	}
	reduced := slices.Clone(from)
	for _, a := range axes {
		reduced[a] = 1
	}
	if len(axes) == lead {
		return e.sum(x, axes, false)
	}
	return e.reshape(e.sum(x, axes, true), reduced, to)
}

// pad puts zeros around x.
func (e *emitter) pad(x string, begin, end []int) string {
	if !slices.ContainsFunc(begin, nonzero) && !slices.ContainsFunc(end, nonzero) {
		return x
	}
	return e.padWith(x, begin, end, 0)
}

// padWith puts a number around x.
func (e *emitter) padWith(x string, begin, end []int, v float64) string {
	pads := slices.Concat(begin, end)
	if e.Opset >= 11 {
		return e.Op("Pad", x, e.Ints(pads...), e.scalar(v))
	}
	return e.Node("Pad", []string{x}, graph.Ints("pads", pads...), graph.Float("value", float32(v)))
}

// slice cuts [begin, end) out of x along axes.
func (e *emitter) slice(x string, axes, begin, end []int) string {
	if len(axes) == 0 {
		return x
	}
	if y := e.cut(x, axes, begin, end); y != "" {
		return y
	}
	if e.Opset >= 10 {
		return e.Op("Slice", x, e.Ints(begin...), e.Ints(end...), e.Ints(axes...))
	}
	return e.Node("Slice", []string{x}, graph.Ints("axes", axes...), graph.Ints("starts", begin...), graph.Ints("ends", end...))
}

// take cuts count entries, step apart, out of spatial axes (first and further) of x, of
// the given shape, beginning at begin. Before operator set 10 Slice has no steps, and a
// MaxPool with windows of one entry takes them, if first is 2.
func (e *emitter) take(first int, x string, shape, begin, count, step []int) string {
	var axes, from, to, steps []int
	strided := false
	for i, n := range count {
		end := begin[i] + (n-1)*step[i] + 1
		if begin[i] == 0 && end == shape[first+i] && step[i] == 1 {
			continue
		}
		axes, from, to, steps = append(axes, first+i), append(from, begin[i]), append(to, end), append(steps, step[i])
		strided = strided || step[i] != 1 && n > 1
	}
	if !strided {
		return e.slice(x, axes, from, to)
	}
	if e.Opset >= 10 {
		return e.Op("Slice", x, e.Ints(from...), e.Ints(to...), e.Ints(axes...), e.Ints(steps...))
	}
	return e.Node("MaxPool", []string{e.slice(x, axes, from, to)},
		graph.Ints("kernel_shape", filled(len(count), 1)...), graph.Ints("strides", step...))
}

// concat joins values along an axis.
func (e *emitter) concat(axis int, parts ...string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return e.Node("Concat", parts, graph.Int("axis", axis))
}

// gather picks entries of x along an axis.
func (e *emitter) gather(x string, axis int, indices []int) string {
	return e.Node("Gather", []string{x, e.Ints(indices...)}, graph.Int("axis", axis))
}

// gemm returns op(a)·op(b) for matrices. C is no option before operator set 11.
func (e *emitter) gemm(a, b string, transA, transB bool, alpha float64) string {
	var attributes []graph.Attr
	if transA {
		attributes = append(attributes, graph.Int("transA", 1))
	}
	if transB {
		attributes = append(attributes, graph.Int("transB", 1))
	}
	if alpha != 1 {
		attributes = append(attributes, graph.Float("alpha", float32(alpha)))
	}
	inputs := []string{a, b}
	if e.Opset < 11 {
		inputs = append(inputs, e.floats([]int{1}, []float64{0}))
	}
	return e.Node("Gemm", inputs, attributes...)
}

// matmul returns a·b; transposing b's last two axes is left to the runtime to fuse.
func (e *emitter) matmul(a, b string) string { return e.Op("MatMul", a, b) }

// swap exchanges the last two of rank axes.
func (e *emitter) swap(x string, rank int) string {
	perm := upTo(rank)
	perm[rank-2], perm[rank-1] = rank-1, rank-2
	return e.transpose(x, perm)
}

// along multiplies x, of the given shape, along an axis with a matrix [n, k], row-major,
// n being the size of the axis: entry j of the result is the sum over i of
// matrix[i, j]·x[i].
func (e *emitter) along(x string, shape []int, axis int, matrix []float64, k int) string {
	n := shape[axis]
	if axis == len(shape)-1 {
		return e.matmul(x, e.floats([]int{n, k}, matrix))
	}
	flipped := make([]float64, len(matrix))
	for i := range n {
		for j := range k {
			flipped[j*n+i] = matrix[i*k+j]
		}
	}
	left := e.floats([]int{k, n}, flipped)
	rest := tensor.Product(shape[axis+1:])
	flat := slices.Concat(shape[:axis], []int{n, rest})
	y := e.matmul(left, e.reshape(x, shape, flat))
	to := slices.Clone(shape)
	to[axis] = k
	return e.reshape(y, slices.Concat(shape[:axis], []int{k, rest}), to)
}

func nonzero(x int) bool { return x != 0 }

// filled returns n copies of v, none where n is negative.
func filled(n, v int) []int { return slices.Repeat([]int{v}, max(n, 0)) }

// upTo returns 0, 1, …, n-1.
func upTo(n int) []int { return span(0, n) }

// downFrom returns n-1, …, 1, 0.
func downFrom(n int) []int {
	list := upTo(n)
	slices.Reverse(list)
	return list
}

// span returns from, from+1, …, to-1.
func span(from, to int) []int {
	out := []int{}
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// multiHead has heads of any size: it reads it from its inputs.
const multiHead = "com.microsoft::MultiHeadAttention"

// sized tells whether a node differs from that of a body by sizes of heads alone, which an operator reads from its inputs.
func (c *collapser) sized(x expanded, was, is graph.Node) bool {
	if angles(x.node) != nil {
		return c.turned(x, was, is)
	}
	if x.node.Op() != multiHead || was.Op() != is.Op() && !is.IsZero() {
		return false
	}
	switch was.Op() {
	case "Constant":
		if is.IsZero() {
			return c.shapes(x, was.Output(0))
		}
		return c.shapes(x, was.Output(0)) && c.headed(x, is.Output(0))
	case "Reshape":
		return !is.IsZero() && was.Input(0) == is.Input(0) && c.shapes(x, was.Input(1)) && c.headed(x, is.Input(1))
	}
	return false
}

// integers are those of a constant, false where a value is none.
func (c *collapser) integers(value string) ([]int64, bool) {
	t, ok := c.stored[value]
	if n := c.makers[value]; !ok && !n.IsZero() && n.Op() == "Constant" {
		t, ok = n.Tensor(c.from, "value")
	}
	if !ok {
		return nil, false
	}
	return integersOf(t)
}

// integersOf are the numbers of a tensor of integers.
func integersOf(t onnxio.Tensor) ([]int64, bool) {
	d, err := t.Dense()
	if err != nil {
		return nil, false
	}
	numbers, err := d.Int64s()
	return numbers, err == nil
}

// shapes tells whether only Reshapes of a body read a value, as what they reshape to.
func (c *collapser) shapes(x expanded, value string) bool {
	return !slices.ContainsFunc(x.body, func(n graph.Node) bool {
		return slices.Contains(n.Inputs(), value) && (n.Op() != "Reshape" || n.Input(0) == value)
	})
}

// headed tells whether a constant is a shape of as many heads as the operator has, or of all side by side.
func (c *collapser) headed(x expanded, value string) bool {
	numbers, _ := c.integers(value)
	n := int64(x.node.Int("num_heads", 0))
	switch len(numbers) {
	case 4:
		return numbers[2] == n
	case 3:
		return n > 0 && numbers[2]%n == 0
	}
	return false
}

// narrower tells whether the heads of a body are of another size.
func (c *collapser) narrower(x expanded, found []graph.Node) bool {
	return slices.ContainsFunc(found, func(n graph.Node) bool {
		return !n.IsZero() && !slices.Contains(x.body, n) && (n.Op() == "Reshape" || n.Op() == "Constant")
	})
}

// scaled are a node's attributes beside narrower heads: with the scale of the scores that follows from the heads as they were, or with so
// many channels to be turned as are left.
func (c *collapser) scaled(x expanded, found []graph.Node) []graph.Attr {
	attrs := x.node.Attrs()
	if x.node.Int(turning, 0) > 0 && angles(x.node) != nil {
		pairs, _ := c.pairs(x)
		attrs = slices.DeleteFunc(attrs, func(a graph.Attr) bool { return a.Name() == turning })
		return append(attrs, graph.Int(turning, 2*pairs))
	}
	if !c.narrower(x, found) || x.node.Float("scale", 0) != 0 || x.channels == 0 {
		return attrs
	}
	attrs = slices.DeleteFunc(attrs, func(a graph.Attr) bool { return a.Name() == "scale" })
	return append(attrs, graph.Float("scale", float32(1/math.Sqrt(float64(x.channels)))))
}

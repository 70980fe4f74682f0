package grad

import (
	"errors"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// reshapeRules are the rules of operators that move no number, or only in blocks.
func reshapeRules() []Rule {
	back := func(c *call) string { return c.reshape(c.g(), c.shapeOut(0), c.shape(0)) }
	return []Rule{
		pointwise("Flatten", "dx = g in the shape of x", back),
		pointwise("Reshape", "dx = g in the shape of x", back),
		pointwise("Squeeze", "dx = g in the shape of x", back),
		pointwise("Unsqueeze", "dx = g in the shape of x", back),
		pointwise("Identity", "dx = g", func(c *call) string { return c.g() }),
		pointwise("Cast", "dx = g in the type of x", func(c *call) string { return c.castBack() }),
		pointwise("CastLike", "dx = g in the type of x", func(c *call) string { return c.castBack() }),
		{Op: "Dropout", Formula: "inference only: dx = g", inputs: first, need: 1, vjp: dropoutRule},
		{Op: "Transpose", Formula: "dx = g with the axes in the old order", inputs: first, need: 1, vjp: transposeRule},
		{Op: "DepthToSpace", Formula: "dx = g with the blocks taken apart again", inputs: first, need: 1, vjp: depthToSpaceRule},
		{Op: "SpaceToDepth", Formula: "dx = DepthToSpace(g)", inputs: first, need: 1, vjp: spaceToDepthRule},
		pointwise("Expand", "dx = Σ g over the broadcast axes", func(c *call) string {
			return c.reduceTo(c.g(), c.shapeOut(0), c.shape(0))
		}),
		{Op: "Tile", Formula: "dx = Σ g over the copies", inputs: first, need: 1, vjp: tileRule},
	}
}

func (c *call) castBack() string {
	to := c.facts.typ(c.x(0))
	if to == c.typ {
		return c.g()
	}
	return c.cast(c.g(), to)
}

func dropoutRule(c *call) error {
	mode, err := c.numbers(2, "")
	if err != nil {
		return err
	}
	if c.Opset >= 12 && slices.ContainsFunc(mode, nonzero) {
		return errors.New("in training mode it has no rule")
	}
	c.give(0, c.g())
	return nil
}

func transposeRule(c *call) error {
	rank := len(c.shape(0))
	perm := c.node.Ints("perm")
	if perm == nil {
		perm = downFrom(rank)
	}
	inverse := filled(rank, -1)
	for i, a := range perm {
		if len(perm) != rank || a < 0 || a >= rank || inverse[a] >= 0 {
			return errShape
		}
		inverse[a] = i
	}
	c.give(0, c.transpose(c.g(), inverse))
	return nil
}

func depthToSpaceRule(c *call) error {
	x, b := c.shape(0), c.node.Int("blocksize", 0)
	if len(x) != 4 || b < 1 || x[1]%(b*b) != 0 {
		return errShape
	}
	if c.Opset < 11 || c.node.String("mode", "DCR") == "DCR" {
		c.give(0, c.Node("SpaceToDepth", []string{c.g()}, graph.Int("blocksize", b)))
		return nil
	}
	apart := c.reshape(c.g(), nil, []int{x[0], x[1] / (b * b), x[2], b, x[3], b})
	c.give(0, c.reshape(c.transpose(apart, []int{0, 1, 3, 5, 2, 4}), nil, x))
	return nil
}

func spaceToDepthRule(c *call) error {
	b := c.node.Int("blocksize", 0)
	if len(c.shape(0)) != 4 || b < 1 {
		return errShape
	}
	c.give(0, c.Node("DepthToSpace", []string{c.g()}, graph.Int("blocksize", b)))
	return nil
}

func tileRule(c *call) error {
	x, y := c.shape(0), c.shapeOut(0)
	if len(x) != len(y) {
		return errShape
	}
	var apart, copies []int
	for i, d := range x {
		if y[i]%d != 0 {
			return errShape
		}
		if n := y[i] / d; n > 1 {
			copies = append(copies, len(apart))
			apart = append(apart, n)
		}
		apart = append(apart, d)
	}
	c.give(0, c.sum(c.reshape(c.g(), y, apart), copies, false))
	return nil
}

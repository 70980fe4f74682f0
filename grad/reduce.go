package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// reduction is what the rules of reductions work with: cotangent and output with the
// reduced axes kept as size 1, so that they broadcast to the input.
type reduction struct {
	g, y  string
	axes  []int
	shape []int // of g and y
	count int   // of entries reduced to one
}

// reduceRule makes a rule from the gradient of a reduction's input, which may still be
// broadcast to it.
func reduceRule(op, formula string, dx func(c *call, r reduction) string) Rule {
	return Rule{Op: op, Formula: formula, inputs: first, need: 1, vjp: func(c *call) error {
		rank := len(c.shape(0))
		axes, err := c.axes(1, "axes", rank)
		if err != nil {
			return err
		}
		if len(axes) == 0 {
			if c.node.Int("noop_with_empty_axes", 0) != 0 {
				axes = []int{}
			} else {
				axes = upTo(rank)
			}
		}
		return c.reduceOver(axes, dx)
	}}
}

// globalRule is reduceRule for all spatial axes.
func globalRule(op, formula string, dx func(c *call, r reduction) string) Rule {
	return Rule{Op: op, Formula: formula, inputs: first, need: 1, vjp: func(c *call) error {
		if len(c.shape(0)) < 3 {
			return errShape
		}
		return c.reduceOver(span(2, len(c.shape(0))), dx)
	}}
}

func (c *call) reduceOver(axes []int, dx func(c *call, r reduction) string) error {
	x := c.shape(0)
	r := reduction{axes: axes, shape: slices.Clone(x), count: 1}
	for _, a := range axes {
		r.shape[a] = 1
		r.count *= x[a]
	}
	if tensor.Product(r.shape) != tensor.Product(c.shapeOut(0)) {
		return errShape
	}
	r.g, r.y = c.reshape(c.g(), c.shapeOut(0), r.shape), c.reshape(c.y(), c.shapeOut(0), r.shape)
	c.give(0, dx(c, r))
	return nil
}

func reduceRules() []Rule {
	sum := func(c *call, r reduction) string { return c.expand(r.g, r.shape, c.shape(0)) }
	mean := func(c *call, r reduction) string {
		return c.expand(c.scale(r.g, 1/float64(r.count)), r.shape, c.shape(0))
	}
	return []Rule{
		reduceRule("ReduceSum", "dx = g", sum),
		reduceRule("ReduceMean", "dx = g/n", mean),
		reduceRule("ReduceMax", "dx = g·[x = y]/Σ[x = y]", reduceExtreme),
		reduceRule("ReduceMin", "dx = g·[x = y]/Σ[x = y]", reduceExtreme),
		reduceRule("ReduceL1", "dx = g·sign(x)", func(c *call, r reduction) string {
			return c.mul(r.g, c.sign(c.x(0)))
		}),
		reduceRule("ReduceL2", "dx = g·x/y, 0 where y = 0", func(c *call, r reduction) string {
			safe := c.add(r.y, c.mask(c.equal(r.y, c.scalar(0))))
			return c.mul(c.div(r.g, safe), c.x(0))
		}),
		reduceRule("ReduceSumSquare", "dx = 2g·x", func(c *call, r reduction) string {
			return c.mul(c.scale(r.g, 2), c.x(0))
		}),
		reduceRule("ReduceLogSum", "dx = g/exp(y)", func(c *call, r reduction) string {
			return c.expand(c.div(r.g, c.Op("Exp", r.y)), r.shape, c.shape(0))
		}),
		reduceRule("ReduceLogSumExp", "dx = g·exp(x-y)", func(c *call, r reduction) string {
			return c.mul(r.g, c.Op("Exp", c.sub(c.x(0), r.y)))
		}),
		globalRule("GlobalAveragePool", "dx = g/n", mean),
		globalRule("GlobalMaxPool", "dx = g·[x = y]/Σ[x = y]", reduceExtreme),
	}
}

// reduceExtreme shares the cotangent among equals.
func reduceExtreme(c *call, r reduction) string {
	hits := c.mask(c.equal(c.x(0), r.y))
	return c.mul(hits, c.div(r.g, c.sum(hits, r.axes, true)))
}

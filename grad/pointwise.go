package grad

import "math"

// pointwise is the rule of a function of one input, applied to each element.
func pointwise(op, formula string, dx func(c *call) string) Rule {
	return Rule{Op: op, Formula: formula, inputs: first, need: 1, vjp: func(c *call) error {
		c.give(0, dx(c))
		return nil
	}}
}

// pointwiseRules are the rules of functions of one number.
func pointwiseRules() []Rule {
	return []Rule{
		pointwise("Abs", "dx = g·sign(x)", func(c *call) string { return c.mul(c.g(), c.sign(c.x(0))) }),
		pointwise("Cos", "dx = -g·sin(x)", func(c *call) string { return c.Op("Neg", c.mul(c.g(), c.Op("Sin", c.x(0)))) }),
		pointwise("Erf", "dx = g·2/√π·exp(-x²)", func(c *call) string {
			bell := c.Op("Exp", c.Op("Neg", c.mul(c.x(0), c.x(0))))
			return c.mul(c.g(), c.scale(bell, 2/math.Sqrt(math.Pi)))
		}),
		pointwise("Exp", "dx = g·y", func(c *call) string { return c.mul(c.g(), c.y()) }),
		pointwise("Log", "dx = g/x", func(c *call) string { return c.div(c.g(), c.x(0)) }),
		pointwise("Neg", "dx = -g", func(c *call) string { return c.Op("Neg", c.g()) }),
		pointwise("Reciprocal", "dx = -g·y²", func(c *call) string {
			return c.Op("Neg", c.mul(c.g(), c.mul(c.y(), c.y())))
		}),
		pointwise("Sin", "dx = g·cos(x)", func(c *call) string { return c.mul(c.g(), c.Op("Cos", c.x(0))) }),
		pointwise("Sqrt", "dx = g/(2y)", func(c *call) string { return c.div(c.g(), c.scale(c.y(), 2)) }),
		pointwise("Tan", "dx = g·(1+y²)", func(c *call) string { return c.mul(c.g(), c.shift(c.mul(c.y(), c.y()), 1)) }),
		pointwise("Tanh", "dx = g·(1-y²)", func(c *call) string { return c.mul(c.g(), c.oneMinusSquare(c.y())) }),
		pointwise("Sigmoid", "dx = g·y·(1-y)", func(c *call) string {
			return c.mul(c.g(), c.sub(c.y(), c.mul(c.y(), c.y())))
		}),
		pointwise("Softplus", "dx = g·sigmoid(x)", func(c *call) string {
			return c.mul(c.g(), c.Op("Sigmoid", c.x(0)))
		}),
		pointwise("Softsign", "dx = g·(1-|y|)²", func(c *call) string {
			rest := c.sub(c.scalar(1), c.Op("Abs", c.y()))
			return c.mul(c.g(), c.mul(rest, rest))
		}),
	}
}

// oneMinusSquare returns 1 - t².
func (e *emitter) oneMinusSquare(t string) string { return e.sub(e.scalar(1), e.mul(t, t)) }

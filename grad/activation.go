package grad

import (
	"fmt"
	"math"
)

// activationRules are the rules of activation functions with pieces, or made of several
// functions.
func activationRules() []Rule {
	return []Rule{
		pointwise("Relu", "dx = g·[y > 0]", func(c *call) string { return c.mul(c.g(), c.positive(c.y())) }),
		pointwise("LeakyRelu", "dx = g·([x > 0] + α·[x ≤ 0])", func(c *call) string {
			a := c.float("alpha", 0.01)
			return c.mul(c.g(), c.shift(c.scale(c.positive(c.x(0)), 1-a), a))
		}),
		{
			Op: "PRelu", Formula: "dx = g·([x > 0] + slope·[x ≤ 0]), dslope = g·min(x, 0)",
			inputs: first | second, need: 2, vjp: prelu,
		},
		pointwise("ThresholdedRelu", "dx = g·[x > α]", func(c *call) string {
			return c.mul(c.g(), c.mask(c.Op("Greater", c.x(0), c.scalar(c.float("alpha", 1)))))
		}),
		pointwise("Elu", "dx = g·([x > 0] + (y+α)·[x ≤ 0])", func(c *call) string {
			return c.mul(c.g(), c.choose(c.positive(c.x(0)), c.scalar(1), c.shift(c.y(), c.float("alpha", 1))))
		}),
		pointwise("Celu", "dx = g·([x > 0] + (y/α+1)·[x ≤ 0])", func(c *call) string {
			low := c.shift(c.scale(c.y(), 1/c.float("alpha", 1)), 1)
			return c.mul(c.g(), c.choose(c.positive(c.x(0)), c.scalar(1), low))
		}),
		pointwise("Selu", "dx = g·(γ·[x > 0] + (y+γα)·[x ≤ 0])", func(c *call) string {
			alpha, gamma := c.float("alpha", 1.67326319217681884765625), c.float("gamma", 1.05070102214813232421875)
			return c.mul(c.g(), c.choose(c.positive(c.x(0)), c.scalar(gamma), c.shift(c.y(), gamma*alpha)))
		}),
		{
			Op: "Clip", Formula: "dx = g·[y = x], dmin = g·[x < min], dmax = g·[x > max]",
			inputs: every, need: 1, vjp: clip,
		},
		pointwise("HardSigmoid", "dx = g·α·[0 < y < 1]", func(c *call) string {
			return c.scale(c.mul(c.g(), c.between(c.y(), 0, 1)), c.float("alpha", 0.2))
		}),
		pointwise("HardSwish", "dx = g·(h + x/6·[0 < h < 1]), h = hardsigmoid(x; 1/6, 1/2)", hardSwish),
		{
			Op: "Gelu", Formula: "dx = g·(Φ(x) + x·φ(x)), or the derivative of the tanh form, x/2·(1+tanh(u)), u = √(2/π)·(x+0.044715x³)",
			inputs: first, need: 1, vjp: gelu,
		},
		pointwise("Mish", "dx = g·(t + x·(1-t²)·sigmoid(x)), t = tanh(softplus(x))", func(c *call) string {
			t := c.Op("Tanh", c.Op("Softplus", c.x(0)))
			slope := c.mul(c.oneMinusSquare(t), c.Op("Sigmoid", c.x(0)))
			return c.mul(c.g(), c.add(t, c.mul(c.x(0), slope)))
		}),
		pointwise("Swish", "dx = g·(s + αx·s·(1-s)), s = sigmoid(αx)", func(c *call) string {
			ax := c.scale(c.x(0), c.float("alpha", 1))
			s := c.Op("Sigmoid", ax)
			return c.mul(c.g(), c.add(s, c.mul(ax, c.sub(s, c.mul(s, s)))))
		}),
	}
}

// between returns 1 where low < x < high and 0 elsewhere.
func (e *emitter) between(x string, low, high float64) string {
	return e.mask(e.Op("And", e.Op("Greater", x, e.scalar(low)), e.Op("Less", x, e.scalar(high))))
}

// prelu is PRelu; the slope is broadcast to x.
func prelu(c *call) error {
	c.want(0, func() string { return c.mul(c.g(), c.choose(c.positive(c.x(0)), c.scalar(1), c.x(1))) })
	if c.wanted(1) {
		low := c.sub(c.x(0), c.Op("Relu", c.x(0)))
		c.giveFrom(1, c.mul(c.g(), low))
	}
	return nil
}

// clip is Clip, with the bounds as attributes before operator set 11.
func clip(c *call) error {
	c.want(0, func() string { return c.mul(c.g(), c.mask(c.equal(c.x(0), c.y()))) })
	c.wantFrom(1, func() string { return c.mul(c.g(), c.mask(c.Op("Less", c.x(0), c.x(1)))) })
	c.wantFrom(2, func() string { return c.mul(c.g(), c.mask(c.Op("Greater", c.x(0), c.x(2)))) })
	return nil
}

func hardSwish(c *call) string {
	sixth := c.scale(c.x(0), 1.0/6)
	h := c.shift(sixth, 0.5)
	inside := c.between(h, 0, 1)
	above := c.mask(c.Op("Greater", c.x(0), c.scalar(3)))
	slope := c.add(c.mul(inside, c.add(h, sixth)), above)
	return c.mul(c.g(), slope)
}

func gelu(c *call) error {
	x := c.x(0)
	switch form := c.node.String("approximate", "none"); form {
	case "none":
		normal := c.shift(c.scale(c.Op("Erf", c.scale(x, math.Sqrt2/2)), 0.5), 0.5)
		bell := c.scale(c.Op("Exp", c.scale(c.mul(x, x), -0.5)), 1/math.Sqrt(2*math.Pi))
		c.give(0, c.mul(c.g(), c.add(normal, c.mul(x, bell))))
	case "tanh":
		k, cubic := math.Sqrt(2/math.Pi), 0.044715
		square := c.mul(x, x)
		u := c.mul(x, c.shift(c.scale(square, k*cubic), k))
		t := c.Op("Tanh", u)
		slope := c.mul(x, c.shift(c.scale(square, 3*k*cubic), k))
		c.give(0, c.scale(c.mul(c.g(), c.add(c.shift(t, 1), c.mul(slope, c.oneMinusSquare(t)))), 0.5))
	default:
		return fmt.Errorf("approximate %q", form)
	}
	return nil
}

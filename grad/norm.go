package grad

import (
	"errors"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// normRules are the rules of normalizations.
func normRules() []Rule {
	const standard = "r = 1/√(var+ε), x̂ = (x-μ)·r, ĝ = g·scale: dx = r·(ĝ - mean(ĝ) - x̂·mean(ĝ·x̂)), dscale = g·x̂, dbias = g"
	return []Rule{
		{
			Op:      "BatchNormalization",
			Formula: "inference only, r = 1/√(var+ε): dx = g·scale·r, dscale = g·(x-mean)·r, dB = g, dmean = -g·scale·r, dvar = -g·scale·(x-mean)·r³/2",
			inputs:  1<<5 - 1, need: 5, vjp: batchNormRule,
		},
		{Op: "LayerNormalization", Formula: standard, inputs: first | second | third, need: 2, vjp: layerNormRule},
		{Op: "InstanceNormalization", Formula: standard, inputs: first | second | third, need: 3, vjp: instanceNormRule},
		{Op: "GroupNormalization", Formula: standard, inputs: first | second | third, need: 3, vjp: groupNormRule},
		{
			Op: "RMSNormalization", Formula: "r = 1/√(mean(x²)+ε), x̂ = x·r, ĝ = g·scale: dx = r·(ĝ - x̂·mean(ĝ·x̂)), dscale = g·x̂",
			inputs: first | second, need: 2, vjp: rmsNormRule,
		},
		{
			Op: "LpNormalization", Formula: "y = x/n: dx = (g - y·Σ g·y)/n for p = 2, (g - sign(x)·Σ g·y)/n for p = 1",
			inputs: first, need: 1, vjp: lpNormRule,
		},
	}
}

// inverseRoot returns 1/√(variance+ε).
func (c *call) inverseRoot(variance string) string {
	return c.Op("Reciprocal", c.Op("Sqrt", c.shift(variance, c.float("epsilon", 1e-5))))
}

func batchNormRule(c *call) error {
	x := c.shape(0)
	if c.node.Int("training_mode", 0) != 0 || len(c.node.Outputs()) > 1 && c.Opset < 14 {
		return errors.New("in training mode it has no rule")
	}
	if c.node.Int("spatial", 1) != 1 {
		return errors.New("with spatial=0 it has no rule")
	}
	if len(x) < 2 {
		return errShape
	}
	for i := range 4 {
		if !slices.Equal(c.shape(i+1), x[1:2]) {
			return errShape
		}
		if c.facts.typ(c.x(i+1)) != c.typ {
			return errors.New("with parameters of another type it has no rule")
		}
	}
	across := append([]int{0}, span(2, len(x))...)
	channel := slices.Concat(x[1:2], filled(len(x)-2, 1))
	wide := func(v string) string { return c.reshape(v, x[1:2], channel) }
	r := c.inverseRoot(c.x(4))
	slope := c.mul(c.x(1), r)
	c.want(0, func() string { return c.mul(c.g(), wide(slope)) })
	if c.wanted(1) || c.wanted(4) {
		centred := c.sub(c.x(0), wide(c.x(3)))
		moment := c.mul(c.sum(c.mul(c.g(), centred), across, false), r)
		c.give(1, moment)
		c.want(4, func() string { return c.scale(c.mul(moment, c.mul(slope, r)), -0.5) })
	}
	if c.wanted(2) || c.wanted(3) {
		total := c.sum(c.g(), across, false)
		c.give(2, total)
		c.want(3, func() string { return c.Op("Neg", c.mul(total, slope)) })
	}
	return nil
}

// standard returns (x-μ)·r and r along axes, which the forward pass does not give out; without centre μ is 0.
func (c *call) standard(x string, axes []int, centre bool) (normal, r string) {
	if centre {
		x = c.sub(x, c.Reduce("ReduceMean", x, axes, true))
	}
	r = c.inverseRoot(c.Reduce("ReduceMean", c.mul(x, x), axes, true))
	return c.mul(x, r), r
}

// unscale returns r·(g - mean(g) - x̂·mean(g·x̂)); without centre the first mean is left out.
func (c *call) unscale(g, normal, r string, axes []int, centre bool) string {
	along := c.mul(normal, c.Reduce("ReduceMean", c.mul(g, normal), axes, true))
	if centre {
		g = c.sub(g, c.Reduce("ReduceMean", g, axes, true))
	}
	return c.mul(r, c.sub(g, along))
}

// layerNormRule normalises over axis and all behind it; scale and bias are broadcast.
func layerNormRule(c *call) error { return c.lastAxesNorm(true) }

func rmsNormRule(c *call) error { return c.lastAxesNorm(false) }

func (c *call) lastAxesNorm(centre bool) error {
	x := c.shape(0)
	axis, err := c.axis("axis", -1, len(x))
	if err != nil {
		return err
	}
	c.normalised(norm{x: c.x(0), g: c.g(), axes: span(axis, len(x)), centre: centre, scale: func() string { return c.x(1) }},
		func(g string) string { return g },
		func(i int, g string) string { return c.reduceTo(g, c.shapeOut(0), c.shape(i)) })
	return nil
}

// norm is a normalization along axes, without centre by the root mean square: its input and cotangent as they are seen, and
// the scale, which is broadcast to them.
type norm struct {
	x, g   string
	axes   []int
	centre bool
	scale  func() string
}

// normalised gives the gradients of a normalization, its scale and its bias. back brings what is seen into the shape of
// input 0, and total adds it up to that of another input.
func (c *call) normalised(n norm, back func(g string) string, total func(input int, g string) string) {
	if c.wanted(0) || c.wanted(1) {
		normal, r := c.standard(n.x, n.axes, n.centre)
		c.want(0, func() string { return back(c.unscale(c.mul(n.g, n.scale()), normal, r, n.axes, n.centre)) })
		c.want(1, func() string { return total(1, c.mul(n.g, normal)) })
	}
	c.want(2, func() string { return total(2, n.g) })
}

// instanceNormRule normalises over the spatial axes, for every sample and channel.
func instanceNormRule(c *call) error {
	x := c.shape(0)
	if len(x) < 3 || !slices.Equal(c.shape(1), x[1:2]) || !slices.Equal(c.shape(2), x[1:2]) {
		return errShape
	}
	axes := span(2, len(x))
	across := append([]int{0}, axes...)
	scale := func() string { return c.reshape(c.x(1), x[1:2], slices.Concat(x[1:2], filled(len(axes), 1))) }
	c.normalised(norm{c.x(0), c.g(), axes, true, scale},
		func(g string) string { return g },
		func(_ int, g string) string { return c.sum(g, across, false) })
	return nil
}

// groupNormRule normalises over groups of channels. Scale and bias are per group up to
// operator set 20, and per channel from then on.
func groupNormRule(c *call) error {
	x, groups := c.shape(0), c.node.Int("num_groups", 0)
	if len(x) < 3 || groups < 1 || x[1]%groups != 0 {
		return errShape
	}
	// Everything is seen as [N, groups, channels of a group, positions].
	full := []int{x[0], groups, x[1] / groups, tensor.Product(x[2:])}
	params, over := []int{groups, 1, 1}, []int{0, 2, 3}
	if c.Opset >= 21 {
		params, over = []int{groups, full[2], 1}, []int{0, 3}
	}
	if tensor.Product(c.shape(1)) != tensor.Product(params) || tensor.Product(c.shape(2)) != tensor.Product(params) {
		return errShape
	}
	g := c.reshape(c.g(), x, full)
	scale := func() string { return c.reshape(c.x(1), c.shape(1), params) }
	c.normalised(norm{c.reshape(c.x(0), x, full), g, []int{2, 3}, true, scale},
		func(g string) string { return c.reshape(g, full, x) },
		func(i int, g string) string { return c.reshape(c.sum(g, over, false), nil, c.shape(i)) })
	return nil
}

func lpNormRule(c *call) error {
	axis, err := c.axis("axis", -1, len(c.shape(0)))
	if err != nil {
		return err
	}
	axes := []int{axis}
	direction, norm := c.y(), ""
	switch p := c.node.Int("p", 2); p {
	case 1:
		direction, norm = c.sign(c.x(0)), c.sum(c.Op("Abs", c.x(0)), axes, true)
	case 2:
		norm = c.Op("Sqrt", c.sum(c.mul(c.x(0), c.x(0)), axes, true))
	default:
		return errShape
	}
	along := c.mul(direction, c.sum(c.mul(c.g(), c.y()), axes, true))
	c.give(0, c.div(c.sub(c.g(), along), norm))
	return nil
}

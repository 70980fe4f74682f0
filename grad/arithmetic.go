package grad

// arithmeticRules are the rules of operators on several inputs that are broadcast together.
func arithmeticRules() []Rule {
	return []Rule{
		{Op: "Add", Formula: "da = g, db = g", inputs: first | second, need: 2, vjp: sum},
		{Op: "Sub", Formula: "da = g, db = -g", inputs: first | second, need: 2, vjp: func(c *call) error {
			c.giveFrom(0, c.g())
			c.want(1, func() string { return c.Op("Neg", c.reduceTo(c.g(), c.shapeOut(0), c.shape(1))) })
			return nil
		}},
		{Op: "Mul", Formula: "da = g·b, db = g·a", inputs: first | second, need: 2, vjp: func(c *call) error {
			c.wantFrom(0, func() string { return c.mul(c.g(), c.x(1)) })
			c.wantFrom(1, func() string { return c.mul(c.g(), c.x(0)) })
			return nil
		}},
		{Op: "Div", Formula: "da = g/b, db = -g·y/b", inputs: first | second, need: 2, vjp: func(c *call) error {
			quotient := c.div(c.g(), c.x(1))
			c.giveFrom(0, quotient)
			c.want(1, func() string { return c.Op("Neg", c.reduceTo(c.mul(quotient, c.y()), c.shapeOut(0), c.shape(1))) })
			return nil
		}},
		{Op: "Pow", Formula: "da = g·b·aᵇ⁻¹, db = g·y·ln(a) for a > 0, else 0", inputs: first | second, need: 2, vjp: power},
		{Op: "Sum", Formula: "dxᵢ = g", inputs: every, need: 1, vjp: sum},
		{Op: "Mean", Formula: "dxᵢ = g/n", inputs: every, need: 1, vjp: func(c *call) error {
			g := c.scale(c.g(), 1/float64(len(c.node.Inputs())))
			for i := range c.node.Inputs() {
				c.giveFrom(i, g)
			}
			return nil
		}},
		{Op: "Max", Formula: "dxᵢ = g·[xᵢ = y]/Σⱼ[xⱼ = y]", inputs: every, need: 1, vjp: extreme},
		{Op: "Min", Formula: "dxᵢ = g·[xᵢ = y]/Σⱼ[xⱼ = y]", inputs: every, need: 1, vjp: extreme},
	}
}

// sum is Add, and Sum of several inputs.
func sum(c *call) error {
	for i := range c.node.Inputs() {
		c.giveFrom(i, c.g())
	}
	return nil
}

// power is Pow. Integer exponents down to 0 work for all bases.
func power(c *call) error {
	a, b := c.x(0), c.x(1)
	c.wantFrom(0, func() string { return c.mul(c.g(), powerSlope(c, a, b)) })
	if c.wanted(1) {
		above := c.positive(a)
		// The logarithm of 1 stands in where a has none.
		log := c.Op("Log", c.choose(above, a, c.scalar(1)))
		c.giveFrom(1, c.mul(c.g(), c.mul(c.y(), log)))
	}
	return nil
}

// powerSlope returns b·aᵇ⁻¹, in few steps for the exponents that networks have.
func powerSlope(c *call, a, b string) string {
	if t, ok := c.facts.constant(b); ok && t.Len() == 1 && len(c.shape(1)) <= len(c.shape(0)) {
		if v, ok := c.facts.numbers(b); ok {
			switch v[0] {
			case 0, 1:
				return c.scalar(v[0])
			case 2:
				return c.scale(a, 2)
			case 3:
				return c.scale(c.mul(a, a), 3)
			}
			return c.scale(c.Op("Pow", a, c.scalar(v[0]-1)), v[0])
		}
	}
	if c.facts.typ(b) != c.typ {
		b = c.cast(b, c.typ)
	}
	return c.mul(b, c.Op("Pow", a, c.shift(b, -1)))
}

// extreme is Max and Min of several inputs.
func extreme(c *call) error {
	if len(c.node.Inputs()) == 1 {
		c.give(0, c.g())
		return nil
	}
	hits := make([]string, len(c.node.Inputs()))
	var count string
	for i, x := range c.node.Inputs() {
		hits[i] = c.mask(c.equal(x, c.y()))
		if count == "" {
			count = hits[i]
		} else {
			count = c.add(count, hits[i])
		}
	}
	share := c.div(c.g(), count)
	for i := range hits {
		c.wantFrom(i, func() string { return c.mul(share, hits[i]) })
	}
	return nil
}

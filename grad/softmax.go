package grad

func softmaxRules() []Rule {
	return []Rule{
		{Op: "Softmax", Formula: "dx = y·(g - Σ g·y)", inputs: first, need: 1, vjp: func(c *call) error {
			axes, err := softmaxAxes(c)
			if err != nil {
				return err
			}
			gy := c.mul(c.g(), c.y())
			c.give(0, c.sub(gy, c.mul(c.y(), c.sum(gy, axes, true))))
			return nil
		}},
		{Op: "LogSoftmax", Formula: "dx = g - exp(y)·Σ g", inputs: first, need: 1, vjp: func(c *call) error {
			axes, err := softmaxAxes(c)
			if err != nil {
				return err
			}
			c.give(0, c.sub(c.g(), c.mul(c.Op("Exp", c.y()), c.sum(c.g(), axes, true))))
			return nil
		}},
	}
}

// softmaxAxes returns the axes that are normalised together: one, and before operator
// set 13 that one with all behind it.
func softmaxAxes(c *call) ([]int, error) {
	rank := len(c.shape(0))
	if c.Opset >= 13 {
		a, err := c.axis("axis", -1, rank)
		return []int{a}, err
	}
	if !c.node.Has("axis") && rank == 1 {
		return nil, errShape
	}
	a, err := c.axis("axis", 1, rank)
	return span(a, rank), err
}

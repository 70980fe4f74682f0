package grad

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// call is a rule at work on one node: what it may ask, and where its results go.
type call struct {
	*emitter
	facts *facts
	node  graph.Node
	rule  Rule
	// grads holds the cotangent of each output, "" where nothing reads it.
	grads []string
	// wants says which inputs need a gradient.
	wants []bool
	parts map[string][]string
}

// newCall prepares the rule of a step; the cotangents are added up when it runs.
func newCall(p *route, s *step) *call {
	c := &call{
		emitter: p.emitter, facts: p.facts, node: s.node, rule: s.rule, parts: p.parts,
		wants: make([]bool, len(s.node.Inputs())),
	}
	for _, i := range s.edges {
		c.wants[i] = p.active[s.node.Input(i)]
	}
	if !slices.Contains(c.wants, true) {
		return c
	}
	p.emitter.begin(s.node.Label()+"/grad", p.facts.typ(s.node.Output(0)))
	for _, out := range s.node.Outputs() {
		g := ""
		if out != "" {
			g = p.total(out)
		}
		c.grads = append(c.grads, g)
	}
	return c
}

// run lets the rule emit its nodes. The error says what is not supported.
func (c *call) run() error {
	if !slices.ContainsFunc(c.grads, func(g string) bool { return g != "" }) {
		return nil
	}
	if c.Err != nil {
		return c.Err
	}
	for i, g := range c.grads {
		if i > 0 && g != "" && !c.rule.outputs {
			return fmt.Errorf("the rule has no gradient from output %d", i)
		}
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.rule.vjp(c); err != nil {
		return err
	}
	err := c.Err
	c.Err = nil
	return err
}

// check reports whether rules know what they rely on: the type and shape of every input
// and output that carries a gradient, the inputs that the operator requires, and no
// empty tensor among those that a gradient goes through.
func (c *call) check() error {
	for i := range c.rule.need {
		if c.x(i) == "" {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	for _, out := range c.node.Outputs() {
		if err := c.checkValue(out); err != nil {
			return err
		}
	}
	for i, in := range c.node.Inputs() {
		empty := !c.wants[i] && slices.Contains(c.facts.shape(in), 0) // such as the past that a present is joined to
		if c.rule.carries(i) && !empty {
			if err := c.checkValue(in); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkValue is check for one input or output.
func (c *call) checkValue(name string) error {
	if name == "" || !carries(c.facts.typ(name)) {
		return nil
	}
	if c.facts.typ(name) == tensor.Undefined {
		return fmt.Errorf("the type of %q is not known", name)
	}
	shape := c.facts.shape(name)
	if shape == nil {
		return fmt.Errorf("the shape of %q is not known", name)
	}
	if n, err := tensor.Elements(shape); err != nil || n == 0 {
		return fmt.Errorf("%q has the shape %v", name, shape)
	}
	return nil
}

// g is the cotangent of output 0.
func (c *call) g() string { return c.grads[0] }

// x is an input, "" where it is left out.
func (c *call) x(i int) string { return c.node.Input(i) }

// y is output 0.
func (c *call) y() string { return c.node.Output(0) }

// shape is the shape of an input.
func (c *call) shape(i int) []int { return c.facts.shape(c.x(i)) }

// shapeOut is the shape of an output.
func (c *call) shapeOut(i int) []int { return c.facts.shape(c.node.Output(i)) }

func (c *call) wanted(i int) bool { return i < len(c.wants) && c.wants[i] }

// give adds to the gradient of an input; g has the input's shape.
func (c *call) give(i int, g string) {
	c.want(i, func() string { return g })
}

// want is give where g costs nodes, which are made only if the input needs a gradient.
func (c *call) want(i int, g func() string) {
	if c.wanted(i) {
		c.parts[c.x(i)] = append(c.parts[c.x(i)], g())
	}
}

// giveFrom adds to the gradient of an input that was broadcast to the shape of output 0, which g has.
func (c *call) giveFrom(i int, g string) {
	c.wantFrom(i, func() string { return g })
}

// wantFrom is to giveFrom as want is to give.
func (c *call) wantFrom(i int, g func() string) {
	c.want(i, func() string { return c.reduceTo(g(), c.shapeOut(0), c.shape(i)) })
}

func (c *call) float(name string, absent float64) float64 {
	return float64(c.node.Float(name, float32(absent)))
}

// numbers returns the elements of an input that the rule reads, or those of the attribute
// of integers that older operator sets have in its place; nil where neither is given.
func (c *call) numbers(i int, attribute string) ([]int, error) {
	if attribute != "" && c.node.Has(attribute) {
		return orEmpty(c.node.Ints(attribute)), nil
	}
	if i < 0 || c.x(i) == "" {
		return nil, nil
	}
	v, ok := c.facts.numbers(c.x(i))
	if !ok {
		return nil, fmt.Errorf("the numbers of input %d, %q, are not known", i, c.x(i))
	}
	return integers(v), nil
}

// axes returns the axes that an input or attribute names, ascending and counted from the
// front; nil where none are given.
func (c *call) axes(i int, attribute string, rank int) ([]int, error) {
	list, err := c.numbers(i, attribute)
	if list == nil || err != nil {
		return nil, err
	}
	out, err := graph.Axes(list, rank)
	slices.Sort(out)
	return out, err
}

// axis returns the axis that an attribute names, counted from the front.
func (c *call) axis(attribute string, absent, rank int) (int, error) {
	return graph.Axis(c.node.Int(attribute, absent), rank)
}

// errShape is a node whose inputs do not fit its operator, which the runtime refuses too.
var errShape = errors.New("the shapes do not fit the operator")

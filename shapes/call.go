package shapes

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// rule infers the outputs of one operator. The first min inputs are present; all
// inputs that are present are known, unless the rule is partial.
type rule struct {
	min     int
	infer   func(*call) error
	partial bool
}

// call is one application of a rule to a node.
type call struct {
	*walker
	node  graph.Node
	opset int
	in    []*value // nil for an absent input
	out   []*value // nil until set
}

// set gives output i a shape.
func (c *call) set(i int, shape []int) { c.put(i, &value{shape: shape}) }

// put gives output i a shape and perhaps numbers; outputs that the node does not have are dropped.
func (c *call) put(i int, v *value) {
	if i < len(c.out) {
		c.out[i] = v
	}
}

// shape returns the shape of input i, which must be present.
func (c *call) shape(i int) []int { return c.in[i].shape }

// has tells whether input i is present and known.
func (c *call) has(i int) bool { return i >= 0 && i < len(c.in) && c.in[i] != nil }

// given tells whether the node names input i.
func (c *call) given(i int) bool { return c.node.Input(i) != "" }

// data returns the numbers of input i, nil where they are not known.
func (c *call) data(i int) *numbers {
	if !c.has(i) {
		return nil
	}
	return c.in[i].data
}

// ints returns the numbers of an integer input whose values decide the shape.
func (c *call) ints(i int) ([]int, error) {
	if !c.has(i) && c.given(i) {
		return nil, blocked{c.node.Input(i)}
	}
	v, ok := c.data(i).ints()
	if !ok {
		return nil, fmt.Errorf("the shape depends on the numbers of input %q, which are not known in advance", c.node.Input(i))
	}
	return toInts(v), nil
}

// scalar returns the only number of integer input i, or of an absent input the default.
func (c *call) scalar(i, def int) (int, error) {
	if !c.given(i) {
		return def, nil
	}
	v, err := c.ints(i)
	if err != nil {
		return 0, err
	}
	if len(v) != 1 {
		return 0, fmt.Errorf("input %d has %d elements, one is wanted", i, len(v))
	}
	return v[0], nil
}

// list returns an operand that is an attribute in old opsets and input i in new
// ones; nil without error where it is absent.
func (c *call) list(attr string, i int) ([]int, error) {
	if c.given(i) {
		return c.ints(i)
	}
	return c.node.Ints(attr), nil
}

func (c *call) attr(name string, def int) int { return c.node.Int(name, def) }

// maxSize bounds single sizes, so that arithmetic on them cannot overflow.
const maxSize = 1 << 40

// check refuses output shapes that no tensor can have.
func (c *call) check() error {
	for _, v := range c.out {
		if v == nil {
			continue
		}
		if v.shape == nil {
			v.shape = []int{}
		}
		if !valid(v.shape) {
			return fmt.Errorf("the output shape %v is not possible", v.shape)
		}
		if v.data != nil && (!foldable(v.data.typ) || !small(v.shape) || v.data.len() != tensor.Product(v.shape)) {
			v.data = nil
		}
	}
	return nil
}

// upTo lists the first axes, which are those meant where none are named.
func upTo(rank int) []int {
	list := make([]int, rank)
	for i := range list {
		list[i] = i
	}
	return list
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

// Broadcast returns the shape that shapes broadcast to, as NumPy does.
func Broadcast(list ...[]int) ([]int, error) {
	rank := 0
	for _, s := range list {
		rank = max(rank, len(s))
	}
	out := ones(rank)
	for _, s := range list {
		lead := len(out) - len(s)
		for i, d := range s {
			switch o := &out[lead+i]; {
			case *o == 1:
				*o = d
			case d != 1 && d != *o:
				return nil, fmt.Errorf("shapes %v do not broadcast together", list)
			}
		}
	}
	return out, nil
}

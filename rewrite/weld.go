package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// weld gives a recurrent operator the weights of the product in front of it again, where that product is another than it was:
// the last factor of a chain, or a narrower one. What its body stands for otherwise, numbers passed on by a unit matrix, is no
// way to write a model, so that it is an error where the product cannot be found.
func (c *collapser) weld(x expanded) error {
	core, ok := c.makers[first(x.node.Outputs())]
	if !ok || core.Op() != x.node.Op() {
		return nil // nothing reads what it made
	}
	product := c.makers[core.Input(0)]
	if product.IsZero() || product.Op() != "MatMul" || c.uses[product.Output(0)] != 1 {
		return fmt.Errorf("node %q (%s): the product in front of it is gone; please report this", x.node.Label(), x.node.Op())
	}
	gone := append([]graph.Node{core, product}, c.alone(core.Input(1))...)
	name := product.Input(1)
	if turn := c.makers[name]; !turn.IsZero() && turn.Op() == "Transpose" {
		gone, name = append(gone, turn), turn.Input(0)
	}
	t, ok := c.stored[name]
	d, err := t.Dense()
	if !ok || err != nil || len(d.Shape) != 2 {
		return fmt.Errorf("node %q (%s): the weight %q in front of it is no matrix; please report this", x.node.Label(), x.node.Op(), name)
	}
	if name == product.Input(1) {
		d = rearranged(d, []int{1, 0}, nil)
	}
	directions := 1
	if core.String("direction", "forward") == "bidirectional" {
		directions = 2
	}
	weights := tensor.Dense{Type: d.Type, Shape: []int{directions, d.Shape[0] / directions, d.Shape[1]}, Data: d.Data}
	s := x.node.Spec()
	s.Inputs = slices.Clone(core.Inputs())
	s.Inputs[0], s.Inputs[1] = product.Input(0), name
	c.free[name] = true
	c.welded = append(c.welded, onnxio.DenseTensor(name, weights))
	node := s.Node()
	for _, n := range gone {
		c.gone[n] = true
		c.note(n, -1)
	}
	c.note(node, 1)
	c.place[core] = append(c.place[core], node)
	return nil
}

// alone returns the nodes that make a value and nothing else.
func (c *collapser) alone(value string) []graph.Node {
	n := c.makers[value]
	if n.IsZero() || c.uses[value] != 1 {
		return nil
	}
	out := []graph.Node{n}
	for _, v := range n.Inputs() {
		out = append(out, c.alone(v)...)
	}
	return out
}

func first(outputs []string) string {
	for _, o := range outputs {
		if o != "" {
			return o
		}
	}
	return ""
}

// welds tells whether a node's body must not stay as it is.
func welds(x expanded) bool { return compound.Recurrent(x.node.Op()) }

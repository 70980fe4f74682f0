package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// weights finds weights that nodes compute from constants, and puts what comes out in their places. It returns the nodes that
// nothing needs then.
func (e *expander) weights() map[graph.Node]bool {
	done, gone := map[string]bool{}, map[graph.Node]bool{}
	for _, n := range e.graph.Nodes() {
		if e.calls(n) || !multiplies(n.Op()) && n.Op() != "Gather" {
			continue
		}
		for slot, v := range n.Inputs() {
			if done[v] || n.Op() == "Gather" && slot > 0 {
				continue
			}
			done[v] = true
			if x, ok := e.behind(v); ok {
				e.list = append(e.list, x)
				gone[x.node] = true
			}
		}
	}
	for _, x := range e.list {
		for _, n := range slices.Backward(x.cone) {
			gone[n] = gone[n] || !slices.ContainsFunc(n.Outputs(), func(v string) bool { return e.needed(v, gone) })
		}
	}
	return gone
}

// needed tells whether anything but nodes that are gone reads a value.
func (e *expander) needed(value string, gone map[graph.Node]bool) bool {
	return e.graph.IsOutput(value) || slices.ContainsFunc(e.graph.Uses(value), func(u graph.Use) bool { return u.Nested || !gone[u.Node] })
}

// maxCone bounds how many nodes stand behind each other between constants and a weight.
const maxCone = 16

// behind returns a weight that is no constant, and that its makers compute from constants.
func (e *expander) behind(value string) (expanded, bool) {
	if _, ok := e.stored(value); ok || !e.alone(value) || e.graph.IsOutput(value) {
		return expanded{}, false
	}
	x := expanded{}
	d, ok := e.calculate(value, &x, map[string]tensor.Dense{}, 0)
	if !ok || !factorable(d.Type) || len(d.Shape) < 2 {
		return expanded{}, false
	}
	x.node, _ = e.graph.Producer(value)
	x.constants = []onnxio.Tensor{onnxio.DenseTensor(value, d)}
	return x, true
}

// calculate works out a value from constants, and notes the nodes on the way.
func (e *expander) calculate(value string, x *expanded, known map[string]tensor.Dense, depth int) (tensor.Dense, bool) {
	if d, ok := known[value]; ok {
		return d, true
	}
	c, constant := e.graph.Constant(value)
	if constant && c.Overridable {
		return tensor.Dense{}, false
	}
	if constant {
		if !c.Node.IsZero() && !slices.Contains(x.cone, c.Node) {
			x.cone = append(x.cone, c.Node)
		}
		d, err := c.Tensor.Dense()
		return d, err == nil
	}
	n, ok := e.graph.Producer(value)
	if !ok || !e.main(n) || len(n.Outputs()) != 1 || depth == maxCone || !evaluates(n.Op()) {
		return tensor.Dense{}, false
	}
	var in []tensor.Dense
	for _, v := range n.Inputs() {
		d, ok := e.calculate(v, x, known, depth+1)
		if !ok {
			return tensor.Dense{}, false
		}
		in = append(in, d)
	}
	d, ok := evaluate(n, in)
	if e.budget -= len(d.Data); e.budget < 0 {
		return tensor.Dense{}, false
	}
	if !slices.Contains(x.cone, n) {
		x.cone = append(x.cone, n)
	}
	known[value] = d
	return d, ok
}

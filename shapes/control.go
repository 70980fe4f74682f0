package shapes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
)

// inner returns a walker for the nodes of a subgraph, which sees what is around it, or of a local function, which does not.
// It keeps its values to itself.
func (w *walker) inner(outer *walker) *walker {
	return &walker{
		model: w.model, rules: w.rules, bodies: w.bodies, opset: w.opset, depth: w.depth + 1, limits: w.limits, outer: outer,
		values: map[string]*value{}, why: map[string]string{}, stored: map[string][]int{},
	}
}

// ifElse follows If: the branch that a known condition takes, or both where they agree.
func ifElse(c *call) error {
	branches := []string{"then_branch", "else_branch"}
	if d, ok := c.data(0).ints(); ok && len(d) == 1 {
		if d[0] != 0 {
			branches = branches[:1]
		} else {
			branches = branches[1:]
		}
	}
	var first []*value
	for k, name := range branches {
		g, ok := c.node.Graph(c.model, name)
		if !ok || len(g.Outputs()) != len(c.out) {
			return fmt.Errorf("a branch is missing or has another number of outputs")
		}
		inner := c.inner(c.walker)
		inner.graph(g)
		out := make([]*value, len(c.out))
		for i, o := range g.Outputs() {
			if out[i] = inner.value(o.Name()); out[i] == nil {
				return fmt.Errorf("output %q of a branch: %s", o.Name(), inner.reasonFor(o.Name()))
			}
		}
		if k == 0 {
			first = out
			continue
		}
		for i, v := range out {
			if !slices.Equal(v.shape, first[i].shape) {
				return fmt.Errorf("the branches give shapes %v and %v", first[i].shape, v.shape)
			}
			first[i] = &value{shape: v.shape}
		}
	}
	copy(c.out, first)
	return nil
}

// maxDepth bounds the nesting of calls of local functions, which may not recurse.
const maxDepth = 64

// callFunction follows the nodes of a local function with the values of a call.
func (w *walker) callFunction(n graph.Node, f graph.Function) ([]*value, error) {
	if w.depth >= maxDepth {
		return nil, errors.New("local functions call each other too deeply")
	}
	inner := w.inner(nil)
	for _, o := range f.Opsets() {
		if o.Domain == "" {
			inner.opset = o.Version
		}
	}
	for i, name := range f.Inputs() {
		given := n.Input(i)
		if given == "" {
			continue
		}
		if v := w.value(given); v != nil {
			inner.values[name] = v
		} else {
			inner.why[name] = w.reasonFor(given)
		}
	}
	inner.nodes(f.Expand(n))
	out := make([]*value, len(n.Outputs()))
	for i, name := range f.Outputs() {
		if n.Output(i) == "" {
			continue
		}
		if out[i] = inner.values[name]; out[i] == nil {
			return nil, fmt.Errorf("output %q of the local function: %s", name, inner.why[name])
		}
	}
	return out, nil
}

// bodies are those of compound operators.
type bodies struct {
	table compound.Table
	names *graph.NameSet // of the model and of the bodies so far; nil until there is one
}

// callBody follows the nodes that a compound operator is made of.
func (w *walker) callBody(n graph.Node) ([]*value, error) {
	if w.depth >= maxDepth {
		return nil, errors.New("compound operators and functions lie too deeply in each other")
	}
	for _, name := range n.Inputs() {
		if name != "" && w.value(name) == nil {
			return nil, blocked{name}
		}
	}
	if w.bodies.names == nil {
		w.bodies.names = graph.NewNameSet(w.model)
	}
	nodes, err := w.bodies.table.Body(n, compound.Known{
		Opset: w.opset,
		Shape: func(value string) ([]int, bool) {
			if v := w.value(value); v != nil {
				return v.shape, true
			}
			return nil, false
		},
	}, w.bodies.names)
	if err != nil {
		return nil, err
	}
	inner := w.inner(w)
	inner.nodes(nodes)
	out := make([]*value, len(n.Outputs()))
	for i, name := range n.Outputs() {
		if name == "" {
			continue
		}
		if out[i] = inner.values[name]; out[i] == nil {
			return nil, errors.New(inner.reasonFor(name))
		}
	}
	return out, nil
}

package shapes

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// inner returns a walker for a subgraph, which sees the values around it but
// keeps its own to itself.
func (w *walker) inner() *walker {
	return &walker{
		model: w.model, rules: w.rules, opset: w.opset, depth: w.depth + 1,
		values: maps.Clone(w.values), why: maps.Clone(w.why), stored: map[string][]int{},
	}
}

// ifElse follows If: the branch that a known condition takes, or both where they agree.
func ifElse(c *call) error {
	branches := []*onnxpb.GraphProto{onnxio.Attr(c.node, "then_branch").GetG(), onnxio.Attr(c.node, "else_branch").GetG()}
	if d, ok := c.data(0).ints(); ok && len(d) == 1 {
		if d[0] != 0 {
			branches = branches[:1]
		} else {
			branches = branches[1:]
		}
	}
	var first []*value
	for k, g := range branches {
		if g == nil || len(g.GetOutput()) != len(c.out) {
			return fmt.Errorf("a branch is missing or has another number of outputs")
		}
		inner := c.inner()
		inner.graph(g)
		out := make([]*value, len(c.out))
		for i, o := range g.GetOutput() {
			if out[i] = inner.values[o.GetName()]; out[i] == nil {
				return fmt.Errorf("output %q of a branch: %s", o.GetName(), inner.why[o.GetName()])
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

// function finds the local function that a node calls, nil where it calls none.
func (w *walker) function(n *onnxpb.NodeProto) *onnxpb.FunctionProto {
	for _, f := range w.model.Proto.GetFunctions() {
		if f.GetName() == n.GetOpType() && plain(f.GetDomain()) == plain(n.GetDomain()) && f.GetOverload() == n.GetOverload() {
			return f
		}
	}
	return nil
}

// plain returns the one spelling of a domain.
func plain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// callFunction follows the nodes of a local function with the values of a call.
func (w *walker) callFunction(n *onnxpb.NodeProto, f *onnxpb.FunctionProto) ([]*value, error) {
	if w.depth >= maxDepth {
		return nil, errors.New("local functions call each other too deeply")
	}
	inner := &walker{
		model: w.model, rules: w.rules, opset: w.opset, depth: w.depth + 1,
		values: map[string]*value{}, why: map[string]string{}, stored: map[string][]int{},
	}
	for _, o := range f.GetOpsetImport() {
		if plain(o.GetDomain()) == "" {
			inner.opset = o.GetVersion()
		}
	}
	for i, name := range f.GetInput() {
		if i >= len(n.GetInput()) || n.GetInput()[i] == "" {
			continue
		}
		if v := w.values[n.GetInput()[i]]; v != nil {
			inner.values[name] = v
		} else {
			inner.why[name] = w.why[n.GetInput()[i]]
		}
	}
	nodes := make([]*onnxpb.NodeProto, len(f.GetNode()))
	for i, node := range f.GetNode() {
		nodes[i] = bound(node, n, f)
	}
	inner.nodes(nodes)
	out := make([]*value, len(n.GetOutput()))
	for i, name := range f.GetOutput() {
		if i >= len(out) || n.GetOutput()[i] == "" {
			continue
		}
		if out[i] = inner.values[name]; out[i] == nil {
			return nil, fmt.Errorf("output %q of the local function: %s", name, inner.why[name])
		}
	}
	return out, nil
}

// bound returns a node of a function body with the attributes that it takes from the
// call in place, or from the function's defaults.
func bound(n, call *onnxpb.NodeProto, f *onnxpb.FunctionProto) *onnxpb.NodeProto {
	if !slices.ContainsFunc(n.GetAttribute(), func(a *onnxpb.AttributeProto) bool { return a.GetRefAttrName() != "" }) {
		return n
	}
	own := onnxio.Shallow(n)
	own.Attribute = nil
	for _, a := range n.GetAttribute() {
		given := a
		if ref := a.GetRefAttrName(); ref != "" {
			given = onnxio.Attr(call, ref)
			for _, d := range f.GetAttributeProto() {
				if given == nil && d.GetName() == ref {
					given = d
				}
			}
		}
		if given == nil {
			continue
		}
		if given != a {
			given = onnxio.Shallow(given)
			given.Name = a.Name
		}
		own.Attribute = append(own.Attribute, given)
	}
	return own
}

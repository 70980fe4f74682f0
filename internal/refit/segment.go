package refit

import (
	"cmp"
	"context"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// segment is a piece of one of the models, ready to run.
type segment struct {
	session *ort.Session // nil where there is nothing to run
	inputs  []string
	outputs []string
}

// piece is what a segment is made of.
type piece struct {
	nodes   []located
	weights map[string]onnxio.Tensor // constants that the original does not have
	wanted  []string
	// form tells the type and shape of a value that the piece reads and does not compute, with -1 for open sizes and nil
	// for an open number of axes.
	form func(value string) (tensor.Type, []int, error)
}

// located is a node with its place in the order of the graph.
type located struct {
	at, sub int
	node    graph.Node
}

// newSegment builds the model of a piece: with the constants that it needs, and the nodes that compute such, inside.
func (w *walk) newSegment(c piece) (*segment, error) {
	s := &segment{outputs: c.wanted}
	if len(c.nodes) == 0 {
		return s, nil
	}
	p, err := w.pieceParts(&c, s)
	if err != nil {
		return nil, err
	}
	m := p.Model()
	defer m.Close() // it shares the files of the model that is refitted, which stays open
	if s.session, err = w.host.NewSession(m); err != nil {
		return nil, err
	}
	return s, nil
}

// pieceParts puts the graph of a piece together, and notes its inputs in s.
func (w *walk) pieceParts(c *piece, s *segment) (graph.Parts, error) {
	g := graph.Of(w.model).Parts().Plain()
	g.IR, g.Name = max(g.IR, 4), "segment" // from IR version 4 on, initializers need not be inputs
	g.Inputs, g.Outputs, g.Values, g.Annotations = nil, nil, nil, nil
	g.Initializers, g.Sparse, g.Nodes = nil, nil, nil
	made, seen := map[string]bool{}, map[string]bool{}
	for _, n := range c.nodes {
		for _, v := range n.node.Outputs() {
			made[v] = true
		}
	}
	for k := 0; k < len(c.nodes); k++ { // grows by the nodes that compute constants
		for _, v := range c.nodes[k].node.Reads() {
			if made[v] || seen[v] {
				continue
			}
			seen[v] = true
			if i, computed := w.schedule.maker[v]; computed && w.schedule.constant[v] {
				c.nodes = append(c.nodes, located{i, 0, w.schedule.nodes[i]})
				for _, o := range w.schedule.nodes[i].Outputs() {
					made[o] = true
				}
				continue
			}
			if err := w.source(c, &g, s, v); err != nil {
				return g, err
			}
		}
	}
	slices.SortStableFunc(c.nodes, func(a, b located) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.sub, b.sub)) })
	for _, n := range c.nodes {
		g.Nodes = append(g.Nodes, n.node)
	}
	for _, v := range c.wanted {
		g.Outputs = append(g.Outputs, graph.NewValue(v, tensor.Undefined, nil))
	}
	return g, nil
}

// source adds to g what gives a piece a value that none of its nodes computes.
func (w *walk) source(c *piece, g *graph.Parts, s *segment, v string) error {
	if t, ok := c.weights[v]; ok {
		g.Initializers = append(g.Initializers, t)
		return nil
	}
	if t, ok := w.schedule.graph.Initializer(v); ok {
		g.Initializers = append(g.Initializers, t)
		return nil
	}
	if t, ok := w.schedule.sparse[v]; ok {
		g.Sparse = append(g.Sparse, t)
		return nil
	}
	t, shape, err := c.form(v)
	if err != nil {
		return err
	}
	s.inputs = append(s.inputs, v)
	g.Inputs = append(g.Inputs, graph.NewValue(v, t, graph.Sizes(shape)))
	return nil
}

// form returns the type and shape that the runtime infers for an output.
func (s *segment) form(value string) (tensor.Type, []int, bool) {
	if s.session == nil {
		return 0, nil, false
	}
	for _, o := range s.session.Outputs() {
		if o.Name != value {
			continue
		}
		if o.Unranked {
			return o.Type, nil, true
		}
		shape := make([]int, len(o.Shape))
		for i, n := range o.Shape {
			shape[i] = int(max(n, -1))
		}
		return o.Type, shape, true
	}
	return 0, nil, false
}

// run computes the outputs and adds them to values; the caller closes the results.
func (s *segment) run(ctx context.Context, input func(string) (tensor.Dense, error), values map[string]tensor.Dense) (*ort.Results, error) {
	if s.session == nil || len(s.outputs) == 0 {
		return nil, nil
	}
	in := map[string]tensor.Dense{}
	for _, v := range s.inputs {
		t, err := input(v)
		if err != nil {
			return nil, err
		}
		in[v] = t
	}
	r, err := s.session.Run(ctx, in, s.outputs)
	if err != nil {
		return nil, err
	}
	for i, v := range s.outputs {
		values[v] = r.Get(i)
	}
	return r, nil
}

func (s *segment) close() {
	if s != nil && s.session != nil {
		s.session.Close()
	}
}

package compress

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// laid is a model as it is tuned: with the nodes of its functions and branches in the main graph, where gradients pass them.
type laid struct {
	model  *onnxio.Model
	inside bodies
}

// lay opens a model along the branches that most of the samples take. One with loops stays as it is: their last iteration would be tuned
// apart from the others.
func lay(ctx context.Context, env *Environment, m *onnxio.Model, o TuneOptions) (laid, error) {
	with := Options{Source: o.Source, Seed: o.Descent.Seed}.WithDefaults()
	inputs, err := with.inputShapes(m)
	if err != nil {
		return laid{}, err
	}
	inside, err := opened(ctx, env, m, with, inputs)
	switch {
	case err != nil:
		return laid{}, err
	case inside.open == nil || inside.looped():
		return laid{model: m}, nil
	case inside.single:
		return laid{}, manyDecide(m)
	}
	return laid{inside.open.Model, inside}, nil
}

// manyDecide says why a model is not tuned whose branches depend on how many samples run at once.
func manyDecide(m *onnxio.Model) error {
	return &UsageError{Err: fmt.Errorf("%s: it cannot be tuned on several samples at once: how many run at once decides which branches of its Ifs are taken", m.Path)}
}

// among are the samples that take the branches that lie open, where not all do, else those that are given.
func (l *laid) among(indices []int) []int {
	if len(l.inside.takes) < l.inside.of {
		return l.inside.takes
	}
	return indices
}

// shut returns a tuned model with its nodes in the bodies that they came from. The caller closes both.
func (l *laid) shut(tuned *onnxio.Model) (*onnxio.Model, error) {
	if l.inside.open == nil {
		return tuned, nil
	}
	m := l.inside.open.Close(tuned)
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("putting nodes back into bodies: %w", err)
	}
	return m, nil
}

// withoutIdle returns a model without the nodes that no output depends on, and these nodes: such are what is left of Ifs that lie open, in
// whose branches names may be those of values around them, which runtimes refuse. The caller closes both models.
func withoutIdle(m *onnxio.Model) (*onnxio.Model, []graph.Node) {
	g := graph.Of(m)
	var outputs []string
	for _, v := range g.Outputs() {
		outputs = append(outputs, v.Name())
	}
	p := g.Parts()
	p.Nodes = graph.Needed(g.Nodes(), outputs)
	needed := map[graph.Node]bool{}
	for _, n := range p.Nodes {
		needed[n] = true
	}
	return p.Model(), slices.DeleteFunc(slices.Clone(g.Nodes()), func(n graph.Node) bool { return needed[n] })
}

// withIdle puts such nodes back, each right behind the last of those that make what it reads: a node that is put back into a body may
// read what they make. The caller closes both models.
func withIdle(m *onnxio.Model, idle []graph.Node) *onnxio.Model {
	p := graph.Of(m).Parts()
	behind := make([][]graph.Node, len(p.Nodes)+1)
	made := map[string]int{} // by value, how many nodes stand up to that which makes it
	for i, n := range p.Nodes {
		for _, v := range n.Outputs() {
			made[v] = i + 1
		}
	}
	for _, n := range idle {
		at := 0
		for _, v := range n.Reads() {
			at = max(at, made[v])
		}
		behind[at] = append(behind[at], n)
		for _, v := range n.Outputs() {
			made[v] = at
		}
	}
	nodes := behind[0]
	for i, n := range p.Nodes {
		nodes = append(append(nodes, n), behind[i+1]...)
	}
	p.Nodes = nodes
	return p.Model()
}

package rewrite

import (
	"errors"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Collapse takes a model that was made from x.Model to one in which every body that stands there as it was is again the one
// node that it was. Of what the body reads from around, something else may have come in its place: the node reads that then. The
// new model takes the place of m, which is closed where it is another.
func (x *Expansion) Collapse(m *onnxio.Model) (*onnxio.Model, error) {
	if len(x.list) == 0 {
		return m, nil
	}
	c := newCollapser(m)
	for _, e := range slices.Backward(x.list) {
		switch {
		case e.cone != nil:
			c.restore(e)
			continue
		case c.collapse(e) || !welds(e):
			continue
		}
		if err := c.weld(e); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	small := c.model(x.original)
	return small, errors.Join(small.Check(), m.Close())
}

// collapser puts nodes in the place of bodies.
type collapser struct {
	from   *onnxio.Model
	parts  graph.Parts
	makers map[string]graph.Node
	uses   map[string]int // how often nodes, and the graph by its outputs, read a value
	stored map[string]onnxio.Tensor
	gone   map[graph.Node]bool
	place  map[graph.Node][]graph.Node // what stands behind a node that is gone
	free   map[string]bool             // constants that nothing reads any more
	welded []onnxio.Tensor             // that have come
	front  []graph.Node                // nodes that make weights, and stand before all others
}

func newCollapser(m *onnxio.Model) *collapser {
	c := &collapser{
		from:  m,
		parts: graph.Of(m).Parts(), makers: map[string]graph.Node{}, uses: map[string]int{}, stored: map[string]onnxio.Tensor{},
		gone: map[graph.Node]bool{}, place: map[graph.Node][]graph.Node{}, free: map[string]bool{},
	}
	for _, n := range c.parts.Nodes {
		c.note(n, 1)
	}
	for _, o := range c.parts.Outputs {
		c.uses[o.Name()]++
	}
	for _, t := range c.parts.Initializers {
		c.stored[t.Name()] = t
	}
	return c
}

// note counts a node that comes or, with -1, goes.
func (c *collapser) note(n graph.Node, by int) {
	for _, v := range n.Inputs() {
		c.uses[v] += by
	}
	for _, v := range n.Reads() {
		if !slices.Contains(n.Inputs(), v) {
			c.uses[v] += by
		}
	}
	for _, v := range n.Outputs() {
		if v == "" {
			continue
		}
		if by > 0 {
			c.makers[v] = n
		} else {
			delete(c.makers, v)
		}
	}
}

// collapse puts a node in the place of its body, where all of that is there, and tells whether it is.
func (c *collapser) collapse(x expanded) bool {
	found, ok := c.found(x)
	if !ok {
		return false
	}
	swap, ok := c.swapped(x, found)
	if !ok || c.leaks(x, found) {
		return false
	}
	node := x.node
	if len(swap) > 0 || c.narrower(x, found) || c.fewer(x) {
		s := node.Spec()
		s.Attrs = c.scaled(x, found)
		for i, v := range s.Inputs {
			if to, ok := swap[v]; ok {
				s.Inputs[i] = to
			}
		}
		node = s.Node()
	}
	for _, n := range found {
		if !n.IsZero() {
			c.gone[n] = true
			c.note(n, -1)
		}
	}
	c.note(node, 1)
	last := found[len(found)-1]
	c.place[last] = append(c.place[last], node)
	for _, t := range x.constants {
		if c.uses[t.Name()] == 0 {
			c.free[t.Name()] = true
		}
	}
	for _, n := range found {
		if n.Op() != "Reshape" && n.Op() != "Slice" {
			continue
		}
		for _, v := range n.Inputs()[1:] {
			if c.uses[v] == 0 {
				c.free[v] = true // a shape, or bounds, that were made for a narrower body
			}
		}
	}
	return true
}

// found returns the nodes that make what a body's nodes made, in their order; none for the constant of a shape that others have
// taken the place of.
func (c *collapser) found(x expanded) ([]graph.Node, bool) {
	nodes := make([]graph.Node, len(x.body))
	for i, n := range x.body {
		for _, o := range n.Outputs() {
			if o != "" {
				nodes[i] = c.makers[o]
				break
			}
		}
		if nodes[i].IsZero() && c.sized(x, n, nodes[i]) {
			continue
		}
		if nodes[i].IsZero() || nodes[i].Op() != n.Op() || !slices.Equal(nodes[i].Outputs(), n.Outputs()) {
			return nil, false
		}
	}
	return nodes, len(nodes) > 0
}

// swapped tells whether nodes are those of a body but for what they read from around, and what has come in its place.
func (c *collapser) swapped(x expanded, found []graph.Node) (map[string]string, bool) {
	swap := map[string]string{}
	for i, n := range x.body {
		if found[i] == n || c.sized(x, n, found[i]) {
			continue
		}
		was, is := n.Spec(), found[i].Spec()
		if !slices.Equal(was.Attrs, is.Attrs) || len(was.Inputs) != len(is.Inputs) {
			return nil, false
		}
		for k, v := range was.Inputs {
			if v != is.Inputs[k] {
				if to, ok := swap[v]; ok && to != is.Inputs[k] || !slices.Contains(x.node.Inputs(), v) {
					return nil, false
				}
				swap[v] = is.Inputs[k]
			}
		}
	}
	// What one node of the body reads otherwise, all must.
	for _, n := range found {
		for _, v := range n.Inputs() {
			if _, ok := swap[v]; ok {
				return nil, false
			}
		}
	}
	for _, t := range x.constants {
		if now, ok := c.stored[t.Name()]; !ok || now.Proto() != t.Proto() {
			return nil, false
		}
	}
	return swap, true
}

// leaks tells whether anything outside of a body reads what is made inside of it and is no output of the node.
func (c *collapser) leaks(x expanded, found []graph.Node) bool {
	inside := map[string]int{}
	for _, n := range found {
		for _, v := range n.Inputs() {
			inside[v]++
		}
	}
	leaks := func(v string) bool {
		return v != "" && !slices.Contains(x.node.Outputs(), v) && c.uses[v] != inside[v]
	}
	for _, n := range found {
		if slices.ContainsFunc(n.Outputs(), leaks) {
			return true
		}
	}
	return false
}

// restore has a weight computed again that is as it was.
func (c *collapser) restore(x expanded) {
	t := x.constants[0]
	if now, ok := c.stored[t.Name()]; ok && now.Proto() != t.Proto() || c.uses[t.Name()] == 0 || !c.makers[t.Name()].IsZero() {
		return
	}
	c.free[t.Name()] = true
	for _, n := range x.cone {
		if c.makers[first(n.Outputs())].IsZero() {
			c.front = append(c.front, n)
			c.note(n, 1)
		}
	}
}

// ordered returns nodes in the order that they have in the original, where they are that one's; else in theirs, each behind what
// makes what it reads.
func (c *collapser) ordered(nodes []graph.Node, original *graph.Graph) []graph.Node {
	if slices.ContainsFunc(nodes, func(n graph.Node) bool { return original.Position(n) < 0 }) {
		return c.behindMakers(nodes)
	}
	slices.SortFunc(nodes, func(a, b graph.Node) int { return original.Position(a) - original.Position(b) })
	return nodes
}

// behindMakers returns nodes in their order, but for those that stand before what makes what they read.
func (c *collapser) behindMakers(nodes []graph.Node) []graph.Node {
	left := map[graph.Node]bool{}
	for _, n := range nodes {
		left[n] = true
	}
	out := make([]graph.Node, 0, len(nodes))
	var add func(n graph.Node)
	add = func(n graph.Node) {
		if !left[n] {
			return
		}
		delete(left, n)
		for _, v := range n.Reads() {
			add(c.makers[v])
		}
		out = append(out, n)
	}
	for _, n := range nodes {
		add(n)
	}
	return out
}

// model returns the model, with constants of the original that nodes read again.
func (c *collapser) model(original *onnxio.Model) *onnxio.Model {
	nodes := slices.Clone(c.front)
	var add func(n graph.Node)
	add = func(n graph.Node) {
		if !c.gone[n] {
			nodes = append(nodes, n)
		}
		for _, next := range c.place[n] {
			add(next)
		}
	}
	for _, n := range c.parts.Nodes {
		add(n)
	}
	c.parts.Nodes = c.ordered(nodes, graph.Of(original))
	c.parts.Initializers = slices.DeleteFunc(c.parts.Initializers, func(t onnxio.Tensor) bool { return c.free[t.Name()] })
	c.parts.Initializers = append(c.parts.Initializers, c.welded...)
	read := map[string]bool{}
	for _, n := range nodes {
		for _, v := range n.Inputs() {
			read[v] = true
		}
	}
	var list []onnxio.Tensor // first what the original has, in its order
	for _, t := range graph.Of(original).Initializers() {
		now, there := c.stored[t.Name()]
		switch {
		case there:
			list = append(list, now)
		case read[t.Name()]:
			list = append(list, t)
		}
		delete(c.stored, t.Name())
	}
	for _, t := range c.parts.Initializers {
		if _, new := c.stored[t.Name()]; new {
			list = append(list, t)
		}
	}
	c.parts.Initializers = list
	return c.parts.Model()
}

package graph

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Close returns a model in which what small, made from the open model, has changed stands where it came from: in the branches of an If, and in
// the place of a call, whose function's nodes then stand there themselves. Calls and Ifs of which nothing has changed are as they were, and
// functions that nothing calls any more go. New constants lie in the innermost graph around all that read them. The caller closes the model.
//
// New nodes belong where the value that they compute did, and those that compute a new value around all that read it.
func (o *Opened) Close(small *onnxio.Model) *onnxio.Model {
	c := &closer{
		o: o, g: Of(small), at: map[Node]*region{}, of: map[string]*region{}, seen: map[*region]int{}, changed: map[*region]bool{o.root: true},
		nodes: map[*region][]Node{}, tensors: map[*region][]onnxio.Tensor{}, done: map[*opening]bool{}, rests: map[*opening]Node{},
	}
	c.locate()
	c.compare()
	c.constants()
	c.emit()
	return c.model()
}

// closer is a call of Close on its way.
type closer struct {
	o       *Opened
	g       *Graph
	at      map[Node]*region   // of every node, but for the seams
	of      map[string]*region // of constants, the innermost region around all that read them
	seen    map[*region]int    // nodes that are still there
	changed map[*region]bool
	nodes   map[*region][]Node // by the region where they are to stand
	tensors map[*region][]onnxio.Tensor
	done    map[*opening]bool
	rests   map[*opening]Node // what is left of an If
}

// exit is the opening that a node passes an output of.
func (o *Opened) exit(n Node) *opening {
	if n.Op() != "Identity" {
		return nil
	}
	return o.exits[n.Output(0)]
}

// around returns the innermost region around two, of which nil is none.
func around(a, b *region) *region {
	if a == nil {
		return b
	}
	for a != b {
		if a.depth >= b.depth {
			a = a.from.parent
		} else {
			b = b.from.parent
		}
	}
	return a
}

// locate finds the region of every node and constant, from the last node on: readers come before what they read.
func (c *closer) locate() {
	for _, v := range c.g.Outputs() {
		c.of[v.Name()] = c.o.root
	}
	for _, n := range slices.Backward(c.g.Nodes()) {
		if op := c.o.rests[n.Output(0)]; op != nil {
			c.rests[op] = n
			for _, v := range n.Reads() {
				c.of[v] = around(c.of[v], op.parent)
			}
			continue
		}
		var r *region
		switch op := c.o.exit(n); {
		case op != nil:
			r = op.parent
		case c.o.of[n] != nil:
			r = c.o.of[n]
		default:
			for _, v := range n.Outputs() {
				if made := c.o.made[v]; made != nil {
					r = made
				} else if v != "" && r == nil {
					r = c.of[v]
				}
			}
		}
		if r == nil {
			r = c.o.root
		}
		c.at[n] = r
		if c.o.of[n] == r {
			c.seen[r]++
		} else if c.o.exit(n) == nil {
			c.changed[r] = true
		}
		for _, v := range n.Reads() {
			c.of[v] = around(c.of[v], r)
		}
	}
}

// compare finds the regions that have changed, with those around them.
func (c *closer) compare() {
	regions := map[*region]bool{}
	for _, r := range c.o.of {
		regions[r] = true
	}
	for _, op := range c.o.exits {
		for _, r := range op.branches {
			regions[r] = true
		}
	}
	for r := range regions {
		if c.seen[r] != r.nodes {
			c.changed[r] = true
		}
	}
	for name, h := range c.o.held {
		if t, ok := c.g.Initializer(name); !ok || t.Proto() != h.tensor {
			c.changed[h.in] = true
		}
	}
	for op, n := range c.rests {
		if n != op.rest {
			c.changed[op.parent] = true
		}
	}
	for r := range regions {
		if !c.changed[r] {
			continue
		}
		for ; r.from != nil; r = r.from.parent {
			c.changed[r] = true
		}
	}
}

// altered tells whether anything of an opening has changed.
func (c *closer) altered(op *opening) bool {
	left, ok := c.rests[op]
	return ok && left != op.rest || slices.ContainsFunc(op.branches, func(r *region) bool { return c.changed[r] })
}

// home is the region where what belongs to one stands, nil where nothing of it does since all is as it was.
func (c *closer) home(r *region) *region {
	for r.from != nil {
		if !c.changed[r] {
			return nil
		}
		if !r.from.always {
			return r
		}
		r = r.from.parent
	}
	return r
}

// constants deals out the initializers.
func (c *closer) constants() {
	for _, t := range c.g.Initializers() {
		r := c.of[t.Name()]
		if h, ok := c.o.held[t.Name()]; ok {
			r = h.in
		} else if _, ok := Of(c.o.whole).Initializer(t.Name()); ok || r == nil {
			r = c.o.root
		}
		if home := c.home(r); home != nil {
			c.tensors[home] = append(c.tensors[home], t)
		}
	}
}

// emit deals out the nodes.
func (c *closer) emit() {
	for _, n := range c.g.Nodes() {
		if c.o.rests[n.Output(0)] != nil {
			continue
		}
		if op := c.o.exit(n); op != nil {
			c.leave(n, op)
			continue
		}
		r := c.at[n]
		if home := c.home(r); home != nil {
			c.nodes[home] = append(c.nodes[home], n)
			continue
		}
		for r.from != nil && c.home(r.from.parent) == nil {
			r = r.from.parent
		}
		if r.attr == "" {
			c.put(r.from, r.from.node) // a call that is as it was, before all that reads what it makes
		}
	}
}

// leave puts an If in front of the first of its outputs, or only that output where its branch stands in the If's place.
func (c *closer) leave(n Node, op *opening) {
	switch {
	case c.home(op.parent) == nil:
		for r := op.parent; ; r = r.from.parent {
			if c.home(r.from.parent) != nil {
				if r.attr == "" {
					c.put(r.from, r.from.node)
				}
				return
			}
		}
	case !c.altered(op):
		c.put(op, op.node)
	case op.always:
		home := c.home(op.parent)
		c.nodes[home] = append(c.nodes[home], n)
	default:
		c.put(op, c.rebuilt(op))
	}
}

// put has a node of an opening stand behind what was put there before, once.
func (c *closer) put(op *opening, n Node) {
	if home := c.home(op.parent); !c.done[op] {
		c.done[op] = true
		c.nodes[home] = append(c.nodes[home], n)
	}
}

// rebuilt is an If with new branches, or a Loop or Scan with the body of the iterations before the last.
func (c *closer) rebuilt(op *opening) Node {
	s := op.node.Spec()
	if op.last {
		for i, a := range s.Attrs {
			if left, ok := c.rests[op].Attr(a.Name()); ok && a.Name() == "body" {
				s.Attrs[i] = with(a, left.p.G.GetNode())
			}
		}
		return s.Node()
	}
	for i, a := range s.Attrs {
		open := slices.ContainsFunc(op.branches, func(r *region) bool { return r.attr == a.Name() })
		if left, ok := c.rests[op].Attr(a.Name()); ok && !open && c.rests[op] != op.rest {
			s.Attrs[i] = c.other(a, left)
		}
	}
	for _, r := range op.branches {
		if !c.changed[r] {
			continue
		}
		body := onnxio.Shallow(r.body)
		body.Node = wrap(c.nodes[r], func(n Node) *onnxpb.NodeProto { return n.p })
		body.Initializer = wrap(c.tensors[r], onnxio.Tensor.Proto)
		body.ValueInfo = nil
		for _, v := range c.g.Values() {
			if c.declares(v) == r {
				body.ValueInfo = append(body.ValueInfo, v.p)
			}
		}
		i := slices.IndexFunc(s.Attrs, func(a Attr) bool { return a.Name() == r.attr })
		own := onnxio.Shallow(s.Attrs[i].p)
		own.G = body
		s.Attrs[i] = Attr{own}
	}
	return s.Node()
}

// other is a branch that does not lie open with the nodes that it has in what is left of the If, before those that it ends with there. Constants
// that nothing reads any more go.
func (c *closer) other(a, left Attr) Attr {
	nodes := left.p.G.GetNode()
	return with(a, nodes[:len(nodes)-1-len(a.p.G.GetOutput())])
}

// with is a body with other nodes, some of which may have other bodies. Constants that nothing reads any more go.
func with(a Attr, nodes []*onnxpb.NodeProto) Attr {
	own := onnxio.Shallow(a.p)
	own.G = onnxio.Shallow(a.p.G)
	before, after := readInside(a.p.G, a.p.G.GetNode()), readInside(a.p.G, nodes)
	idle := func(name string) bool { return before[name] && !after[name] }
	own.G.Node = slices.DeleteFunc(slices.Clone(nodes), func(n *onnxpb.NodeProto) bool { return n.GetOpType() == "Constant" && idle(n.GetOutput()[0]) })
	own.G.Initializer = slices.DeleteFunc(slices.Clone(a.p.G.GetInitializer()), func(t *onnxpb.TensorProto) bool { return idle(t.GetName()) })
	for i, n := range own.G.Node {
		k := slices.IndexFunc(a.p.G.GetNode(), func(was *onnxpb.NodeProto) bool { return slices.Equal(was.GetOutput(), n.GetOutput()) })
		if len(onnxio.Subgraphs(n)) > 0 && k >= 0 {
			own.G.Node[i] = cleared(a.p.G.GetNode()[k], n)
		}
	}
	return Attr{own}
}

// cleared is a node without those constants of its bodies that the node that it was read, and it does not.
func cleared(was, n *onnxpb.NodeProto) *onnxpb.NodeProto {
	own := n
	for i, a := range n.GetAttribute() {
		k := slices.IndexFunc(was.GetAttribute(), func(w *onnxpb.AttributeProto) bool { return w.GetName() == a.GetName() })
		if k < 0 || a.GetG() == nil || a.G == was.GetAttribute()[k].GetG() {
			continue
		}
		if own == n {
			own = onnxio.Shallow(n)
			own.Attribute = slices.Clone(n.GetAttribute())
		}
		own.Attribute[i] = with(Attr{was.GetAttribute()[k]}, a.G.GetNode()).p
	}
	return own
}

// readInside are the values that nodes read, their bodies included, and what the graph gives.
func readInside(g *onnxpb.GraphProto, nodes []*onnxpb.NodeProto) map[string]bool {
	read := map[string]bool{}
	for _, n := range nodes {
		for _, v := range (Node{n}).Reads() {
			read[v] = true
		}
	}
	for _, v := range g.GetOutput() {
		read[v.GetName()] = true
	}
	return read
}

// declares is the region where a value's type is to be declared, nil for none.
func (c *closer) declares(v Value) *region {
	if n, ok := c.g.Producer(v.Name()); ok && c.at[n] != nil {
		return c.home(c.at[n])
	}
	if h, ok := c.o.held[v.Name()]; ok {
		return c.home(h.in)
	}
	return c.o.root
}

// model puts the model together.
func (c *closer) model() *onnxio.Model {
	p := c.g.Parts()
	p.base, p.graph = c.o.whole, c.o.whole.Proto.GetGraph()
	p.Nodes = c.called(&p)
	p.Initializers = c.tensors[c.o.root]
	p.Values = slices.DeleteFunc(p.Values, func(v Value) bool { return c.declares(v) != c.o.root })
	p.Sparse = slices.DeleteFunc(p.Sparse, func(s Sparse) bool {
		r := c.o.made[s.Name()]
		return r != nil && c.home(r) != c.o.root
	})
	return p.Model()
}

// called are the main graph's nodes, without constants of functions that only calls would read. Functions that nothing calls any more leave p, and
// operator sets that only they need.
func (c *closer) called(p *Parts) []Node {
	nodes := c.nodes[c.o.root]
	read := map[string]bool{}
	for _, n := range nodes {
		for _, v := range n.Reads() {
			read[v] = true
		}
	}
	nodes = slices.DeleteFunc(nodes, func(n Node) bool { return c.o.shared[n] && !read[n.Output(0)] })
	p.Functions = Functions(c.o.whole)
	before, after := calls(p.Functions, Of(c.o.whole).Nodes()), calls(p.Functions, nodes)
	p.Functions = slices.DeleteFunc(p.Functions, func(f Function) bool { return before[f.p] && !after[f.p] })
	if !slices.ContainsFunc(nodes, func(n Node) bool { r := c.o.of[n]; return r != nil && r.from != nil && r.attr == "" }) {
		p.Opsets = p.Opsets[:len(c.o.whole.Proto.GetOpsetImport())]
	}
	return nodes
}

// calls are the functions that nodes call, themselves, in their bodies, or through functions.
func calls(functions []Function, nodes []Node) map[*onnxpb.FunctionProto]bool {
	known := map[[3]string]*onnxpb.FunctionProto{}
	for _, f := range functions {
		known[[3]string{onnxio.PlainDomain(f.p.GetDomain()), f.p.GetName(), f.p.GetOverload()}] = f.p
	}
	out := map[*onnxpb.FunctionProto]bool{}
	var visit func(list []*onnxpb.NodeProto)
	visit = func(list []*onnxpb.NodeProto) {
		for _, n := range list {
			if f := known[[3]string{onnxio.PlainDomain(n.GetDomain()), n.GetOpType(), n.GetOverload()}]; f != nil && !out[f] {
				out[f] = true
				visit(f.GetNode())
			}
			for _, g := range onnxio.Subgraphs(n) {
				visit(g.GetNode())
			}
		}
	}
	visit(wrap(nodes, func(n Node) *onnxpb.NodeProto { return n.p }))
	return out
}

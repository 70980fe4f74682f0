package rewrite

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// place finds where the new content of constant inputs goes: into the place of the old where everything that reads that has
// the same new content, else into new initializers.
func (c *changes) place() error {
	copies := map[string][]onnxio.Tensor{} // of one constant
	for _, at := range c.sorted() {
		d := c.inputs[at]
		value := at.node.Input(at.slot)
		h, ok := c.hold(value)
		if ok && c.agreed(h.root, at) {
			if err := c.inPlace(h, d); err != nil {
				return err
			}
			continue
		}
		root := value
		switch {
		case ok:
			root = h.root
		case value == "":
			root = clean(c.name(at.node)) + ".split"
		}
		i := slices.IndexFunc(copies[root], func(t onnxio.Tensor) bool { return same(t, d) })
		if i < 0 {
			i = len(copies[root])
			name := root
			if value != "" {
				name += ".narrow"
			}
			t := onnxio.DenseTensor(c.names.Fresh(name), d)
			copies[root] = append(copies[root], t)
			c.added = append(c.added, t)
		}
		s := c.spec(at.node)
		for len(s.Inputs) <= at.slot {
			s.Inputs = append(s.Inputs, "")
		}
		s.Inputs[at.slot] = copies[root][i].Name()
		if value != "" {
			c.freed = append(c.freed, value)
		}
	}
	return nil
}

func same(t onnxio.Tensor, d tensor.Dense) bool {
	old, err := t.Dense()
	return err == nil && equal(old, d)
}

func equal(a, b tensor.Dense) bool {
	return a.Type == b.Type && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Data, b.Data)
}

// agreed tells whether everything that reads a constant has the new content that one of its readers has.
func (c *changes) agreed(root string, reader input) bool {
	want, ok := c.stored(reader)
	return ok && c.eachReader(root, func(at input) bool {
		have, ok := c.stored(at)
		return ok && equal(have, want)
	})
}

// eachReader visits the inputs of nodes that read a constant, through whichever Identity and Transpose nodes, while visit
// says so. It is false where it ended early, or where something else than the graph's own nodes has the constant.
func (f *finder) eachReader(root string, visit func(input) bool) bool {
	seen, queue := map[string]bool{root: true}, []string{root}
	for len(queue) > 0 {
		value := queue[0]
		queue = queue[1:]
		if f.graph.IsOutput(value) {
			return false
		}
		for _, u := range f.graph.Uses(value) {
			if u.Nested || u.Node.IsZero() {
				return false
			}
			next := u.Node.Output(0)
			if op := u.Node.Op(); op == "Identity" || op == "Transpose" {
				if _, ok := f.hold(next); ok && !seen[next] {
					seen[next] = true
					queue = append(queue, next)
					continue
				}
			}
			if !visit(input{u.Node, u.Slot}) {
				return false
			}
		}
	}
	return true
}

// stored returns the new content of an input as its constant holds it.
func (c *changes) stored(at input) (tensor.Dense, bool) {
	d, ok := c.inputs[at]
	if !ok {
		return d, false
	}
	h, ok := c.hold(at.node.Input(at.slot))
	if !ok {
		return d, false
	}
	back := make([]int, len(h.perm))
	for i, p := range h.perm {
		back[p] = i
	}
	return rearranged(d, back, nil), true
}

// inPlace gives the initializer or Constant node that an input holds new content.
func (c *changes) inPlace(h held, d tensor.Dense) error {
	if _, done := c.placed[h.root]; done {
		return nil
	}
	back := make([]int, len(h.perm))
	for i, p := range h.perm {
		back[p] = i
	}
	d = rearranged(d, back, nil)
	if _, ok := c.graph.Initializer(h.root); ok {
		c.placed[h.root] = onnxio.DenseTensor(h.root, d)
	} else {
		n, ok := c.graph.Producer(h.root)
		if !ok {
			return fmt.Errorf("constant %q is not found", h.root)
		}
		c.placed[h.root] = onnxio.DenseTensor("", d)
		c.spec(n).Attrs = []graph.Attr{graph.Tensor("value", c.placed[h.root])}
	}
	queue := []string{h.root}
	for len(queue) > 0 {
		value := queue[0]
		queue = queue[1:]
		c.passed[value] = true
		for _, u := range c.graph.Uses(value) {
			if op := u.Node.Op(); (op == "Identity" || op == "Transpose") && !c.passed[u.Node.Output(0)] {
				queue = append(queue, u.Node.Output(0))
			}
		}
	}
	return nil
}

// assembled returns the model.
func (c *changes) assembled() *onnxio.Model {
	l := newLedger(c.model)
	nodes := map[graph.Node]graph.Node{}
	for n, spec := range c.specs {
		nodes[n] = spec.Node()
		l.remove(n)
		l.need(spec.Inputs...)
	}
	for _, v := range c.freed {
		l.release(v)
	}
	p := c.graph.Parts()
	gone := l.tensor
	p.Nodes = slices.DeleteFunc(p.Nodes, func(n graph.Node) bool { return l.gone[n] && c.specs[n] == nil })
	for i, n := range p.Nodes {
		if new, ok := nodes[n]; ok {
			p.Nodes[i] = new
		}
	}
	for _, n := range c.graph.Nodes() {
		if l.gone[n] && c.specs[n] == nil {
			for _, v := range n.Outputs() {
				gone[v] = true
			}
		}
	}
	c.constants(&p, gone)
	c.declared(&p, gone)
	return p.Model()
}

// constants puts the new constants into a graph's lists.
func (c *changes) constants(p *graph.Parts, gone map[string]bool) {
	for i, t := range p.Initializers {
		if new, ok := c.placed[t.Name()]; ok {
			p.Initializers[i] = new
		}
	}
	p.Initializers = slices.DeleteFunc(p.Initializers, func(t onnxio.Tensor) bool { return gone[t.Name()] })
	p.Initializers = append(p.Initializers, c.added...)
	p.Annotations = slices.DeleteFunc(p.Annotations, func(a graph.Annotation) bool { return gone[a.Tensor()] })
	var inputs []graph.Value
	for _, v := range p.Inputs {
		new, ok := c.placed[v.Name()]
		switch {
		case gone[v.Name()], ok && p.IR > 3: // a default no longer
		case ok:
			inputs = append(inputs, graph.NewValue(v.Name(), new.Type(), graph.Sizes(new.Shape())))
		default:
			inputs = append(inputs, v)
		}
	}
	for _, t := range c.added {
		if p.IR <= 3 { // where constants are declared as inputs too
			inputs = append(inputs, graph.NewValue(t.Name(), t.Type(), graph.Sizes(t.Shape())))
		}
	}
	p.Inputs = inputs
}

// declared corrects what a graph says of the shapes of its values.
func (c *changes) declared(p *graph.Parts, gone map[string]bool) {
	sizes := map[string]map[int]int{}
	for at, mask := range c.kept.values {
		if sizes[at.value] == nil {
			sizes[at.value] = map[int]int{}
		}
		sizes[at.value][at.axis], _ = c.kept.size(span{at, 0, len(mask), 1})
	}
	p.Values = slices.DeleteFunc(p.Values, func(v graph.Value) bool { return gone[v.Name()] || c.passed[v.Name()] })
	for i, v := range p.Values {
		dims := v.Dims()
		for axis, n := range sizes[v.Name()] {
			if axis < len(dims) && dims[axis].Size >= 0 {
				dims[axis].Size = n
				p.Values[i] = graph.NewValue(v.Name(), v.Type(), dims)
			}
		}
	}
}

package grad

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// route is one differentiation under way.
type route struct {
	facts   *facts
	rules   map[string]Rule
	outputs []string // values with a cotangent
	wanted  []string
	steps   []*step // one per node of the main graph, in order

	// active values depend on a wanted one; those that are constant do not.
	active     map[string]bool
	constant   map[string]bool
	emitter    *emitter
	forward    []graph.Node        // of the forward pass
	cotangents map[string]string   // output to input name
	parts      map[string][]string // contributions to the gradient of a value

	blocks []Block
	// tainted values have the blocks of these indices behind them, ascending.
	tainted map[string][]int
}

// step is a node with the edges on which gradients could travel.
type step struct {
	node graph.Node
	rule Rule
	// known is false where no rule exists.
	known bool
	// edges are the inputs that its rule differentiates with respect to.
	edges []int
	// foreign are floating-point values that the node reads in another way: through
	// an input that the rule takes for a constant, or in a subgraph.
	foreign []string
	// useful says that an output of the route depends on the node.
	useful bool
}

func newRoute(m *onnxio.Model, o Options) (*route, error) {
	opset := int(m.Opset(""))
	if opset < oldest {
		return nil, fmt.Errorf("the model uses operator set %d; gradients need %d or newer, so convert the model first", opset, oldest)
	}
	p := &route{
		facts: newFacts(m, o), rules: ruleTable(),
		active: map[string]bool{}, constant: map[string]bool{}, cotangents: map[string]string{}, parts: map[string][]string{}, tainted: map[string][]int{},
	}
	p.emitter = newEmitter(opset, graph.NewNameSet(m), &layout{block: o.Block, of: map[string]inBlocks{}})
	if err := p.choose(o); err != nil {
		return nil, err
	}
	for _, n := range p.facts.Nodes() {
		p.steps = append(p.steps, p.step(n))
	}
	p.mark()
	var err error
	if p.forward, err = p.relay(); err != nil {
		return nil, err
	}
	return p, nil
}

// choose checks the names that the caller gave.
func (p *route) choose(o Options) error {
	for _, name := range o.Feed {
		t, ok := p.facts.Initializer(name)
		if !ok {
			return fmt.Errorf("the value to feed %q is no initializer", name)
		}
		if !carries(t.Type()) {
			return fmt.Errorf("the initializer to feed %q is of type %s, wanted a floating-point type", name, t.Type())
		}
	}
	p.outputs = slices.Clone(o.Outputs)
	if o.Outputs == nil {
		for _, v := range p.facts.Outputs() {
			if t := p.facts.typ(v.Name()); t != tensor.Undefined && carries(t) {
				p.outputs = append(p.outputs, v.Name())
			}
		}
	}
	if len(p.outputs) == 0 {
		return errors.New("no output of a floating-point type to differentiate")
	}
	if len(o.Wanted) == 0 {
		return errors.New("no value to differentiate with respect to")
	}
	p.wanted = o.Wanted
	for _, name := range o.Constant {
		if !p.facts.exists(name) {
			return fmt.Errorf("the value %q, which is to count as a constant, is not in the main graph", name)
		}
		p.constant[name] = true
	}
	for _, name := range slices.Concat(p.outputs, p.wanted) {
		t := p.facts.typ(name)
		switch {
		case !p.facts.exists(name):
			return fmt.Errorf("value %q is not in the main graph", name)
		case t == tensor.Undefined:
			return fmt.Errorf("the type of value %q is not known: give it in Values, as Observe does", name)
		case !carries(t):
			return fmt.Errorf("value %q is of type %s, wanted a floating-point type", name, t)
		case p.facts.shape(name) == nil:
			return fmt.Errorf("the shape of value %q is not known: give it in Values, as Observe does", name)
		}
	}
	for _, name := range p.outputs {
		if p.cotangents[name] != "" {
			return fmt.Errorf("output %q is named twice", name)
		}
		p.cotangents[name] = p.emitter.Names.Fresh(name + "/cotangent")
		p.parts[name] = []string{p.cotangents[name]}
	}
	return nil
}

// step finds the edges of a node.
func (p *route) step(n graph.Node) *step {
	s := &step{node: n}
	s.rule, s.known = p.rules[n.Op()]
	if !slices.ContainsFunc(n.Outputs(), func(out string) bool { return out != "" && carries(p.facts.typ(out)) }) {
		return s
	}
	for i, in := range n.Inputs() {
		if in == "" || !carries(p.facts.typ(in)) {
			continue
		}
		switch {
		case s.known && s.rule.carries(i):
			s.edges = append(s.edges, i)
		case !s.known || s.rule.vjp != nil:
			s.foreign = append(s.foreign, in)
		}
	}
	for _, name := range n.Reads() { // what subgraphs read
		if !slices.Contains(n.Inputs(), name) && carries(p.facts.typ(name)) {
			s.foreign = append(s.foreign, name)
		}
	}
	return s
}

// mark finds the steps that outputs depend on and the values that depend on wanted ones.
func (p *route) mark() {
	used := map[string]bool{}
	for _, name := range p.outputs {
		used[name] = true
	}
	for _, s := range slices.Backward(p.steps) {
		s.useful = slices.ContainsFunc(s.node.Outputs(), func(out string) bool { return used[out] })
		if !s.useful {
			continue
		}
		for _, i := range s.edges {
			used[s.node.Input(i)] = true
		}
		for _, name := range s.foreign {
			used[name] = true
		}
	}
	for _, name := range p.wanted {
		p.active[name] = true
	}
	for _, s := range p.steps {
		on := slices.ContainsFunc(s.edges, func(i int) bool { return p.active[s.node.Input(i)] }) ||
			slices.ContainsFunc(s.foreign, func(name string) bool { return p.active[name] })
		if !on {
			continue
		}
		for _, out := range s.node.Outputs() {
			if out != "" && carries(p.facts.typ(out)) && !p.constant[out] {
				p.active[out] = true
			}
		}
	}
}

// reverse walks the nodes from the last to the first, and lets the rules of those between
// wanted values and outputs emit their products.
func (p *route) reverse() {
	for _, s := range slices.Backward(p.steps) {
		if !s.useful || !slices.ContainsFunc(s.node.Outputs(), func(out string) bool { return p.active[out] }) {
			continue
		}
		for _, name := range s.foreign {
			if p.active[name] {
				p.block(s, name, p.foreignReason(s, name))
			}
		}
		c := newCall(p, s)
		if !slices.Contains(c.wants, true) {
			continue
		}
		err := c.run()
		for _, i := range s.edges {
			if !c.wants[i] {
				continue
			}
			if err != nil {
				p.block(s, s.node.Input(i), err.Error())
			}
			p.taint(s, s.node.Input(i))
		}
	}
}

func (p *route) foreignReason(s *step, name string) string {
	if !s.known {
		return "the operator has no rule"
	}
	return fmt.Sprintf("the rule has no gradient with respect to %q", name)
}

// block records that a node stands behind a value.
func (p *route) block(s *step, name, reason string) {
	b := Block{Node: s.node.Label(), Op: s.node.Op(), Reason: reason}
	if n := len(p.blocks); n == 0 || p.blocks[n-1] != b {
		p.blocks = append(p.blocks, b)
	}
	p.merge(name, []int{len(p.blocks) - 1})
	p.taint(s, name)
}

// taint passes the blocks behind a node on to one of its inputs.
func (p *route) taint(s *step, name string) {
	for _, out := range s.node.Outputs() {
		if out != "" {
			p.merge(name, p.tainted[out])
		}
	}
}

func (p *route) merge(name string, blocks []int) {
	if len(blocks) == 0 {
		return
	}
	all := slices.Concat(p.tainted[name], blocks)
	slices.Sort(all)
	p.tainted[name] = slices.Compact(all)
}

// blocked lists the blocks behind each wanted value.
func (p *route) blocked() map[string][]Block {
	found := map[string][]Block{}
	for _, name := range p.wanted {
		var blocks []Block
		for _, i := range slices.Backward(p.tainted[name]) {
			blocks = append(blocks, p.blocks[i])
		}
		if blocks != nil {
			found[name] = blocks
		}
	}
	return found
}

// total returns the sum of the contributions to a value's gradient, or "" for none.
func (p *route) total(name string) string {
	parts := p.parts[name]
	if len(parts) == 0 {
		return ""
	}
	sum := parts[0]
	for _, part := range parts[1:] {
		sum = p.emitter.Op("Add", sum, part)
	}
	p.parts[name] = []string{sum}
	return sum
}

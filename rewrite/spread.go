package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// lie says how channels lie in a value: along which axis of the tensor, and which channel each entry there is of, -1 for
// none of those that are followed.
type lie struct {
	axis  int
	units []int
}

// operand is a constant input of a node, with one of its axes: right is how many axes are behind that, so that the place
// stays the same when a constant is broadcast to more axes.
type operand struct {
	node        graph.Node
	slot, right int
}

// position is an axis of a value.
type position struct {
	value string
	axis  int
}

// number is an integer that a node has in an input or, where attr names it, in an attribute: the one at a place of a list.
type number struct {
	node graph.Node
	slot int
	attr string
	at   int
}

// span is what a number counts: the entries from one up to another along an axis of a value, divided by per.
type span struct {
	position
	from, to, per int
}

// spread follows the output channels of one site through the graph. A channel is known by its number at that site;
// channels that turn out to hang together are joined in a union-find forest, of whose trees each is a unit.
type spread struct {
	*chart
	parent []int
	pinned []string // why a root's channels are fixed, "" for free
	free   int      // roots that are not pinned

	values    map[string]lie
	constants map[operand][]int
	producers map[*Site][]int
	readers   map[*Site][]int
	queue     []string     // values that channels were found in, to be looked at
	sums      []graph.Node // that add activations
	products  []graph.Node // that sum over channels of two activations

	counts     map[string]map[int]size // elements of integer values that are the sizes of axes
	countQueue []string
	numbers    map[number]span
	equal      []equality
	parts      []part
}

// equality is two axes that must keep the same size, since the graph computes one from the other.
type equality struct {
	a, b  position
	why   string
	alike bool // false where they cannot: the graph takes different parts of the two for one number
}

// part is a number of first entries along an axis, one in per of all, which the graph computes from the size of the axis.
type part struct {
	position
	to, per int
	why     string
}

// newSpread begins with the output channels of a site, which are those of their own numbers, -1 where one is on an axis
// already.
func newSpread(c *chart, origin []int) *spread {
	p := &spread{
		chart: c, parent: axes(len(origin)), pinned: make([]string, len(origin)), free: len(origin),
		values: map[string]lie{}, constants: map[operand][]int{}, producers: map[*Site][]int{}, readers: map[*Site][]int{},
		counts: map[string]map[int]size{}, numbers: map[number]span{},
	}
	for i, channel := range origin {
		if channel < 0 {
			p.pin([]int{i}, "is on another axis")
		}
	}
	return p
}

// find returns the root of a channel.
func (p *spread) find(c int) int {
	for p.parent[c] != c {
		p.parent[c] = p.parent[p.parent[c]]
		c = p.parent[c]
	}
	return c
}

// join makes two channels parts of one unit.
func (p *spread) join(a, b int) {
	a, b = p.find(a), p.find(b)
	if a == b {
		return
	}
	if b < a {
		a, b = b, a
	}
	p.parent[b] = a
	switch {
	case p.pinned[a] == "" && p.pinned[b] == "":
		p.free--
	case p.pinned[a] == "":
		p.free--
		p.pinned[a] = p.pinned[b]
	case p.pinned[b] == "":
		p.free--
	}
}

// pin fixes channels, for a reason.
func (p *spread) pin(units []int, reason string) {
	for _, c := range units {
		if c < 0 {
			continue
		}
		if root := p.find(c); p.pinned[root] == "" {
			p.pinned[root] = reason
			p.free--
		}
	}
}

// merge joins two lists of the channels of the same entries; changed tells whether the first did not know all of them.
func (p *spread) merge(old, more []int) (all []int, changed bool) {
	all = old
	for i, c := range more {
		switch {
		case c < 0:
		case all[i] >= 0:
			p.join(all[i], c)
		default:
			if !changed {
				all, changed = slices.Clone(all), true
			}
			all[i] = c
		}
	}
	return all, changed
}

// set notes that channels lie along an axis of a value, and looks at the value if that is news.
func (p *spread) set(value string, axis int, units []int) {
	old, ok := p.values[value]
	switch {
	case !ok:
		p.values[value] = lie{axis, units}
	case old.axis != axis || len(old.units) != len(units):
		why := fmt.Sprintf("its channels would lie along two axes of %q", value)
		p.pin(units, why)
		p.pin(old.units, why)
		return
	default:
		all, changed := p.merge(old.units, units)
		if !changed {
			return
		}
		p.values[value] = lie{axis, all}
	}
	p.queue = append(p.queue, value)
}

// cut notes that channels lie along an axis of a constant operand.
func (p *spread) cut(at operand, units []int) {
	if old, ok := p.constants[at]; ok {
		units, _ = p.merge(old, units)
	}
	p.constants[at] = units
}

// port notes the channels of a site that computes or reads them.
func (p *spread) port(list map[*Site][]int, s *Site, units []int) {
	if old, ok := list[s]; ok {
		units, _ = p.merge(old, units)
	}
	list[s] = units
}

// run follows the channels until nothing is news, or none is free.
func (p *spread) run() {
	for p.free > 0 {
		switch {
		case len(p.queue) > 0:
			value := p.queue[0]
			p.queue = p.queue[1:]
			p.look(value)
		case len(p.countQueue) > 0:
			value := p.countQueue[0]
			p.countQueue = p.countQueue[1:]
			p.lookCount(value)
		default:
			p.settle()
			return
		}
	}
}

// look follows the channels in a value to all nodes that have it.
func (p *spread) look(value string) {
	l := p.values[value]
	g := p.graph
	switch {
	case g.IsOutput(value):
		p.pin(l.units, fmt.Sprintf("they are the graph output %q", value))
	case g.IsInput(value):
		p.pin(l.units, fmt.Sprintf("they are coupled to the graph input %q", value))
	}
	if n, ok := g.Producer(value); ok {
		p.step(n, true, slices.Index(n.Outputs(), value), l)
	}
	for _, u := range g.Uses(value) {
		switch {
		case u.Node.IsZero():
			p.pin(l.units, fmt.Sprintf("the training information reads %q", value))
		case u.Nested:
			p.pin(l.units, fmt.Sprintf("%q is read inside a subgraph, by %s %q", value, u.Node.Op(), u.Node.Label()))
		default:
			p.step(u.Node, false, u.Slot, l)
		}
	}
}

// step follows channels through one node, of which one input or output has them.
func (p *spread) step(n graph.Node, out bool, slot int, l lie) {
	t := &step{spread: p, node: n, out: out, slot: slot, axis: l.axis, units: l.units}
	r, ok := p.rules[n.Op()]
	_, call := p.graph.Called(n)
	device, sharded := n.Sharded()
	switch {
	case sharded:
		t.refuse("is spread over devices by configuration %q", device)
	case ok && !call:
		r.follow(t)
	case out:
		t.refuse("computes them: what it does with channels is not known")
	default:
		t.refuse("reads them: what it does with channels is not known")
	}
}

// step is a node of which one input or output is known to have channels.
type step struct {
	*spread
	node  graph.Node
	out   bool // whether it is an output
	slot  int
	axis  int // of that input or output
	units []int
}

// refuse pins the step's channels: the reason is the node and what it does.
func (t *step) refuse(format string, args ...any) { t.refuseAll(t.units, format, args...) }

func (t *step) refuseAll(units []int, format string, args ...any) {
	t.pin(units, fmt.Sprintf("%s %q ", t.node.Op(), t.node.Label())+fmt.Sprintf(format, args...))
}

// shape returns the shape of a value, or fixes the channels.
func (t *step) shape(value string) ([]int, bool) {
	shape, ok := t.shapes.Of(value)
	if !ok {
		t.refuse("has %q, whose shape is not known: %s", value, t.shapes.Why(value))
	}
	return shape, ok
}

// ranks returns the shapes of input 0 and output 0, between which most operators move channels.
func (t *step) ends() (in, out []int, ok bool) {
	if in, ok = t.shape(t.node.Input(0)); !ok {
		return nil, nil, false
	}
	out, ok = t.shape(t.node.Output(0))
	return in, out, ok
}

// input and output note that channels lie along an axis of an input or output of the node. An input that is constant is
// to be cut.
func (t *step) input(slot, axis int, units []int) { t.lay(t.node.Input(slot), slot, axis, units) }

func (t *step) output(slot, axis int, units []int) { t.lay(t.node.Output(slot), -1, axis, units) }

func (t *step) lay(value string, slot, axis int, units []int) {
	if value == "" || !slices.ContainsFunc(units, func(c int) bool { return c >= 0 }) {
		return
	}
	shape, ok := t.shape(value)
	if !ok {
		return
	}
	if axis < 0 || axis >= len(shape) || shape[axis] != len(units) {
		t.refuse("would have %d channels along axis %d of %q, whose shape is %v", len(units), axis, value, shape)
		return
	}
	if slot >= 0 && t.constant(value, slot, len(shape)-1-axis, units) {
		return
	}
	t.set(value, axis, units)
}

// align notes that channels lie so many axes before the last of an operand that is broadcast: one that has no such axis,
// or a single entry along it, is the same for all channels. Of a constant that is noted too, since a shift of a site's
// output may give it an entry for each.
func (t *step) align(slot, right int, units []int) {
	value := t.node.Input(slot)
	if value == "" || t.constant(value, slot, right, units) {
		return
	}
	if shape, ok := t.shape(value); ok {
		if axis := len(shape) - 1 - right; axis >= 0 && shape[axis] != 1 {
			t.input(slot, axis, units)
		}
	}
}

// constant tells whether an operand is constant, and notes that it is to be cut.
func (t *step) constant(value string, slot, right int, units []int) bool {
	h, ok := t.hold(value)
	if !ok {
		return false
	}
	shape := h.shape()
	switch axis := len(shape) - 1 - right; {
	case axis >= 0 && shape[axis] != 1 && shape[axis] != len(units):
		t.refuse("has the constant %q of shape %v, which has not %d entries %d axes before the last", value, shape, len(units), right)
	case h.dtype().Size() == 0:
		t.refuse("has the constant %q of %v, which is not cut", value, h.dtype())
	default:
		t.cut(operand{t.node, slot, right}, units)
	}
	return true
}

package rewrite

import (
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Models compute sizes: Shape, Gather, Concat, and a Reshape by the result. An element of an integer value that is the size
// of an axis with channels is followed like these, forwards from Shape and backwards from where a target is wanted, until
// both ends agree: a constant is rewritten, the size of an axis that shrinks alike comes out right by itself, and channels
// whose number is needed in any other way are fixed.

// source is an element of an input of a node.
type source struct{ slot, at int }

// size is that of an axis, divided by per.
type size struct {
	position
	per int
}

// sizeOf is the size of an axis.
func sizeOf(value string, axis int) size { return size{position{value, axis}, 1} }

// count notes that an element of an input is the size of an axis.
func (t *step) count(slot, at int, of size) {
	value := t.node.Input(slot)
	if !t.settled(value) {
		t.known(value, at, of)
		return
	}
	if list, ok := t.integers(value); !ok || at < 0 || at >= len(list) {
		t.refuse("has the constant %q, which names no size of theirs", value)
		return
	}
	whole := span{of.position, 0, len(t.values[of.value].units), of.per}
	key := number{node: t.node, slot: slot, at: at}
	if old, ok := t.numbers[key]; ok {
		t.equalize(size{old.position, old.per}, of, "names one size for two axes")
		return
	}
	t.numbers[key] = whole
}

// known notes that an element of a value is the size of an axis.
func (t *step) known(value string, at int, of size) {
	if old, ok := t.counts[value][at]; ok {
		t.equalize(old, of, "names one size for two axes")
		return
	}
	if t.counts[value] == nil {
		t.counts[value] = map[int]size{}
	}
	t.counts[value][at] = of
	t.countQueue = append(t.countQueue, value)
}

// equalize notes that two axes must keep one size, or the same part of it.
func (t *step) equalize(a, b size, why string) {
	if a != b {
		why = fmt.Sprintf("%s %q %s", t.node.Op(), t.node.Label(), why)
		t.equal = append(t.equal, equality{a.position, b.position, why, a.per == b.per})
	}
}

// bounds notes that a number is that of the first entries along an axis, a part of all: computed with the size of the axis, as halves
// are, it stays right where every unit has that part of its entries among them.
func (t *step) bounds(slot, at, to int, of position, all int) {
	if to < 1 || all%to != 0 {
		t.refuse("takes a part of them that is computed")
		return
	}
	t.parts = append(t.parts, part{of, to, all / to, fmt.Sprintf("%s %q takes a part of them that is computed", t.node.Op(), t.node.Label())})
	t.known(t.node.Input(slot), at, size{of, all / to})
}

// shapeOf follows Shape, forwards: an element of it is the size of the channels' axis.
func shapeOf(t *step) {
	if t.out {
		t.refuse("makes a shape")
		return
	}
	first, last := t.shaped()
	if t.axis >= first && t.axis < last {
		t.known(t.node.Output(0), t.axis-first, sizeOf(t.node.Input(0), t.axis))
	}
}

// shaped returns the axes that a Shape tells, from first up to last.
func (t *step) shaped() (first, last int) {
	in, ok := t.shapes.Of(t.node.Input(0))
	if !ok {
		return 0, 0
	}
	limit := func(v int) int { return min(max(counted(v, len(in)), 0), len(in)) }
	return limit(t.node.Int("start", 0)), limit(t.node.Int("end", len(in)))
}

// lookCount follows the elements of an integer value that are sizes.
func (p *spread) lookCount(value string) {
	list := p.counts[value]
	elements := slices.Sorted(maps.Keys(list))
	if p.graph.IsOutput(value) {
		p.pinCounts(list, elements, fmt.Sprintf("their number is in the graph output %q", value))
	}
	n, ok := p.graph.Producer(value)
	if !ok {
		p.pinCounts(list, elements, fmt.Sprintf("their number is in %q, which nothing computes", value))
		return
	}
	p.countedBy(n, value, list, elements)
	for _, u := range p.graph.Uses(value) {
		if u.Node.IsZero() || u.Nested {
			p.pinCounts(list, elements, fmt.Sprintf("their number is read in %q outside the graph's own nodes", value))
			continue
		}
		p.countUsed(u, list, elements)
	}
}

func (p *spread) pinCounts(list map[int]size, elements []int, reason string) {
	for _, e := range elements {
		p.pin(p.values[list[e].value].units, reason)
	}
}

// countedBy follows sizes backwards through the node that computes them.
func (p *spread) countedBy(n graph.Node, value string, list map[int]size, elements []int) {
	t := &step{spread: p, node: n, out: true}
	if n.Op() == "Shape" {
		first, _ := t.shaped()
		for _, e := range elements {
			t.equalize(sizeOf(n.Input(0), first+e), list[e], "tells the size of another axis")
		}
		return
	}
	from, by := p.sources(t), p.divisor(n)
	for _, e := range elements {
		if e >= len(from) || n.Output(0) != value || by == 0 || list[e].per%by != 0 {
			p.pinCounts(list, []int{e}, fmt.Sprintf("%s %q computes their number", n.Op(), n.Label()))
			continue
		}
		t.units = p.values[list[e].value].units
		t.count(from[e].slot, from[e].at, size{list[e].position, list[e].per / by})
	}
}

// divisor is what a node divides integers by, 1 for a node that only moves them.
func (f *finder) divisor(n graph.Node) int {
	if n.Op() != "Div" {
		return 1
	}
	if by, ok := f.integers(n.Input(1)); ok && len(by) == 1 && by[0] > 0 {
		return by[0]
	}
	return 0
}

// countUsed follows sizes forwards through a node that reads them.
func (p *spread) countUsed(u graph.Use, list map[int]size, elements []int) {
	n := u.Node
	t := &step{spread: p, node: n, slot: u.Slot}
	rule := p.rules[n.Op()]
	if slices.Contains(rule.targets, u.Slot) {
		for _, e := range elements {
			t.equalize(sizeOf(n.Output(0), t.target(e)), list[e], "makes another axis of their number")
		}
		return
	}
	from, by := p.sources(t), p.divisor(n)
	switch {
	case n.Op() == "Shape", n.Op() == "Equal" && p.negative(n.Input(1-u.Slot)):
		return // which tells how many sizes there are, or that they are no such number
	case n.Op() == "Slice" && u.Slot > 0:
		p.bound(t, list, elements)
		return
	case from == nil || by == 0 || u.Slot > 0 && n.Op() != "Concat" && n.Op() != "Where":
		p.pinCounts(list, elements, fmt.Sprintf("%s %q computes with their number", n.Op(), n.Label()))
		return
	}
	for to, s := range from {
		if of, ok := list[s.at]; ok && s.slot == u.Slot {
			t.known(n.Output(0), to, size{of.position, of.per * by})
		}
	}
}

// bound follows sizes into the bounds of a Slice, whose input has to have channels there too.
func (p *spread) bound(t *step, list map[int]size, elements []int) {
	in, ok := p.shapes.Of(t.node.Input(0))
	along := axes(len(elements))
	if given := t.node.Input(3); given != "" && ok {
		along, ok = p.integers(given)
		along = countedAll(along, len(in))
	}
	for _, e := range elements {
		if !ok || e >= len(along) {
			p.pinCounts(list, []int{e}, fmt.Sprintf("%s %q computes with their number", t.node.Op(), t.node.Label()))
			continue
		}
		t.equalize(size{position{t.node.Input(0), along[e]}, list[e].per}, list[e], "takes a part by the size of another axis")
	}
}

// negative tells whether a value is known to be of negative integers, which no size is.
func (f *finder) negative(value string) bool {
	list, ok := f.integers(value)
	return ok && !slices.ContainsFunc(list, func(v int) bool { return v >= 0 })
}

// target is the axis of a node's output whose size an element of its target is.
func (t *step) target(at int) int {
	if list := t.node.Ints("axes"); t.node.Op() == "Resize" && at < len(list) {
		in, _ := t.shapes.Of(t.node.Input(0))
		return counted(list[at], len(in))
	}
	return at
}

// sources says where a node that moves integers has each element of output 0 from, nil where it is no such node.
func (p *spread) sources(t *step) []source {
	rule, ok := p.rules[t.node.Op()]
	if _, call := p.graph.Called(t.node); !ok || call || rule.elements == nil {
		return nil
	}
	return rule.elements(p.finder, t.node)
}

// maxMoved bounds how many integers a node may move to be followed: targets are as long as shapes.
const maxMoved = 64

// sameElements is for operators that keep their input's elements in order.
func sameElements(f *finder, n graph.Node) []source {
	shape, ok := f.shapes.Of(n.Input(0))
	if !ok || tensor.Product(shape) > maxMoved {
		return nil
	}
	var out []source
	for i := range tensor.Product(shape) {
		out = append(out, source{0, i})
	}
	return out
}

// divElements is for a Div by one number.
func divElements(f *finder, n graph.Node) []source {
	if f.divisor(n) < 1 {
		return nil
	}
	return sameElements(f, n)
}

// whereElements is for a Where that only gives sizes that are -1, "as it is", another value, as exporters write Expand.
func whereElements(f *finder, n graph.Node) []source {
	same, ok := f.graph.Producer(n.Input(0))
	list, known := f.integers(n.Input(2))
	out, _ := f.shapes.Of(n.Output(0))
	if !ok || !known || same.Op() != "Equal" || len(out) != 1 || out[0] != len(list) || len(list) > maxMoved {
		return nil
	}
	slot := slices.Index(same.Inputs(), n.Input(2))
	if slot < 0 || !f.negative(same.Input(1-slot)) {
		return nil
	}
	from := make([]source, len(list))
	for i, v := range list {
		if from[i] = (source{2, i}); v < 0 {
			from[i].slot = 1
		}
	}
	return from
}

func concatElements(f *finder, n graph.Node) []source {
	var out []source
	for slot, v := range n.Inputs() {
		shape, ok := f.shapes.Of(v)
		if !ok || len(shape) != 1 || len(out)+shape[0] > maxMoved {
			return nil
		}
		for i := range shape[0] {
			out = append(out, source{slot, i})
		}
	}
	return out
}

func gatherElements(f *finder, n graph.Node) []source {
	shape, ok := f.shapes.Of(n.Input(0))
	if !ok || len(shape) != 1 {
		return nil
	}
	list, ok := f.integers(n.Input(1))
	list = countedAll(list, shape[0])
	if !ok || len(list) > maxMoved || slices.ContainsFunc(list, func(i int) bool { return i < 0 || i >= shape[0] }) {
		return nil
	}
	var out []source
	for _, i := range list {
		out = append(out, source{0, i})
	}
	return out
}

func sliceElements(f *finder, n graph.Node) []source {
	shape, ok := f.shapes.Of(n.Input(0))
	if !ok || len(shape) != 1 {
		return nil
	}
	p, some, ok := f.picks(n, shape, 0)
	if !ok || shape[0] > maxMoved {
		return nil
	}
	if !some {
		return sameElements(f, n)
	}
	var out []source
	for i := range p.count {
		out = append(out, source{0, p.start + i*p.step})
	}
	return out
}

// settle fixes the channels of axes that must keep one size but would not.
func (p *spread) settle() {
	for _, e := range p.equal {
		a, aok := p.at(e.a)
		b, bok := p.at(e.b)
		if aok && bok && e.alike && p.alike(a, b) {
			continue
		}
		p.pin(a, e.why)
		p.pin(b, e.why)
	}
	for _, s := range p.parts {
		if units, ok := p.at(s.position); ok && !p.even(units, s.to, s.per) {
			p.pin(units, s.why)
		}
	}
}

// even tells whether of every unit's entries one in so many is among the first.
func (p *spread) even(units []int, to, per int) bool {
	over := map[int]int{}
	for i, c := range units {
		over[p.root(c)]--
		if i < to {
			over[p.root(c)] += per
		}
	}
	for _, n := range over {
		if n != 0 {
			return false
		}
	}
	return true
}

// at returns the channels along an axis of a value.
func (p *spread) at(where position) ([]int, bool) {
	l, ok := p.values[where.value]
	if !ok || l.axis != where.axis {
		return nil, false
	}
	return l.units, true
}

// alike tells whether two axes have as many entries of every unit.
func (p *spread) alike(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	entries := map[int]int{}
	for i := range a {
		entries[p.root(a[i])]++
		entries[p.root(b[i])]--
	}
	for _, n := range entries {
		if n != 0 {
			return false
		}
	}
	return true
}

// root is find for entries that may be of no channel.
func (p *spread) root(c int) int {
	if c < 0 {
		return -1
	}
	return p.find(c)
}

package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// picked is what a Slice takes along one axis: count entries from start on, step apart.
type picked struct {
	start, step, count int
	fixed              [2]bool // whether the node says where to start and to end in constants, which can be rewritten
	at                 int     // where the axis stands in the node's lists
}

// picks returns what a Slice takes along an axis of its input; false where it takes all.
func (f *finder) picks(n graph.Node, in []int, axis int) (p picked, some, ok bool) {
	list := func(name string, slot int) ([]int, bool, bool) {
		if v := n.Input(slot); v != "" {
			numbers, ok := f.integers(v)
			return numbers, f.settled(v), ok
		}
		return n.Ints(name), true, true
	}
	starts, fixed, ok := list("starts", 1)
	ends, fixedEnds, okEnds := list("ends", 2)
	given, _, okAxes := list("axes", 3)
	steps, _, okSteps := list("steps", 4)
	if !ok || !okEnds || !okAxes || !okSteps || len(starts) != len(ends) {
		return p, false, false
	}
	if given == nil {
		given = axes(len(starts))
	}
	p.at = slices.Index(countedAll(given, len(in)), axis)
	if p.at < 0 {
		return p, false, true
	}
	p.step = 1
	if steps != nil {
		if p.at >= len(steps) {
			return p, false, false
		}
		p.step = steps[p.at]
	}
	if p.at >= len(starts) || p.step == 0 {
		return p, false, false
	}
	size := in[axis]
	limit := func(v, low, high int) int { return min(max(counted(v, size), low), high) }
	if p.step > 0 {
		p.start = limit(starts[p.at], 0, size)
		p.count = max(0, (limit(ends[p.at], 0, size)-p.start+p.step-1)/p.step)
	} else {
		p.start = limit(starts[p.at], 0, size-1)
		p.count = max(0, (p.start-limit(ends[p.at], -1, size-1)-p.step-1)/-p.step)
	}
	p.fixed = [2]bool{fixed, fixedEnds}
	return p, p.count != size || p.step != 1, true
}

// slice follows Slice: one that takes some of the channels has those, if it takes them one after another.
func slice(t *step) {
	in, out, ok := t.ends()
	if !ok || t.other() {
		return
	}
	if t.axis >= len(in) || len(in) != len(out) {
		t.refuse("does not fit the shapes %v and %v", in, out)
		return
	}
	p, some, ok := t.picks(t.node, in, t.axis)
	switch {
	case !ok:
		t.refuse("takes a part of them that is not known")
	case !some && t.opset >= 10 && p.fixed != [2]bool{true, true} && p.count > 0:
		t.refuse("takes as many of them as is computed")
	case !some:
		t.through(t.axis, t.axis)
	case p.step < 1 || p.count != out[t.axis] || p.step > 1 && (p.start >= p.step || p.count*p.step > in[t.axis]):
		t.refuse("takes a part of them that is not in order")
	default:
		t.take(p, in[t.axis])
	}
}

// take follows channels through a Slice that takes some of n entries. Where it takes one in so many, these are one unit, as neighbours
// are that are turned together.
func (t *step) take(p picked, n int) {
	whole, end := position{t.node.Input(0), t.axis}, p.start+p.count
	if p.step > 1 {
		end = p.count * p.step
	}
	for i, to := range []int{p.start, end} {
		switch {
		case i == 0 && p.step > 1:
		case p.fixed[i]:
			t.numbers[t.listed([]string{"starts", "ends"}[i], 1+i, 10, p.at)] = span{whole, 0, to, 1}
		case t.opset < 10:
			t.refuse("takes a part of them that is computed")
		default:
			t.bounds(1+i, p.at, to, whole, n)
		}
	}
	if p.step > 1 && !p.fixed[0] {
		t.refuse("takes a part of them that is computed")
	}
	first := p.start
	if p.step > 1 {
		first = 0
	}
	if !t.out {
		taken := make([]int, p.count)
		for i := range taken {
			block := t.units[first+i*p.step:][:p.step]
			taken[i] = block[0]
			if !t.unite(block) {
				t.refuse("takes some that are not followed with others")
				return
			}
		}
		t.output(0, t.axis, taken)
	} else if list, ok := t.none(n); ok {
		for i, c := range t.units {
			for k := range p.step {
				list[first+i*p.step+k] = c
			}
		}
		t.input(0, t.axis, list)
	}
}

// unite makes channels one unit, false where only some of the entries are of any.
func (t *step) unite(entries []int) bool {
	for _, c := range entries {
		if (c < 0) != (entries[0] < 0) {
			return false
		}
		if c >= 0 {
			t.join(entries[0], c)
		}
	}
	return true
}

// gather follows Gather: what it looks up along the channels' axis by constant indices has the channels of these. Behind
// that axis, whose place the indices' axes take, others are shifted.
func gather(t *step) {
	in, out, ok := t.ends()
	if !ok || t.other() {
		return
	}
	axis, indexed := counted(t.node.Int("axis", 0), len(in)), len(out)-len(in)+1
	switch {
	case t.axis < axis:
		t.through(t.axis, t.axis)
	case t.out && t.axis >= axis+indexed:
		t.through(t.axis-indexed+1, t.axis)
		t.shared(len(out) - 1 - t.axis)
	case !t.out && t.axis > axis:
		t.through(t.axis, t.axis+indexed-1)
	case axis < 0 || axis >= len(in):
		t.refuse("has no axis %d", axis)
	default:
		t.lookUp(in[axis], axis, indexed)
	}
}

// shared follows channels that lie so many axes before the last of a constant table into all that is looked up in it, as layers do that
// turn queries and keys by the same table of angles.
func (t *step) shared(right int) {
	h, ok := t.hold(t.node.Input(0))
	if !ok {
		return
	}
	t.eachReader(h.root, func(at input) bool {
		if v := at.node.Output(0); at.slot == 0 && at.node != t.node && at.node.Op() == t.node.Op() {
			if out, ok := t.shape(v); ok && right < len(out) {
				t.lay(v, -1, len(out)-1-right, t.units)
			}
		}
		return true
	})
}

// lookUp follows channels along the axis that a Gather looks them up along.
func (t *step) lookUp(size, axis, indexed int) {
	indices, ok := t.indices(t.node, size)
	if !ok || indexed > 1 || len(indices) == 0 {
		t.refuse("looks them up by indices that are computed, or in a table")
		return
	}
	for i, from := range indices {
		t.numbers[number{node: t.node, slot: 1, at: i}] = span{position{t.node.Input(0), axis}, 0, from, 1}
	}
	if indexed == 0 {
		if t.out {
			t.refuse("picks single ones")
		} else {
			t.refuseAll(t.units[indices[0]:indices[0]+1], "picks single ones")
		}
		return
	}
	if !t.out {
		list := make([]int, len(indices))
		for i, from := range indices {
			list[i] = t.units[from]
		}
		t.output(0, axis, list)
		t.cut(operand{t.node, 1, 0}, list)
		return
	}
	t.cut(operand{t.node, 1, 0}, t.units)
	list, ok := t.none(size)
	for i, from := range indices {
		switch c := t.units[i]; {
		case !ok || c < 0:
		case list[from] < 0:
			list[from] = c
		default:
			t.join(list[from], c)
		}
	}
	t.input(0, axis, list)
}

// indices returns the constant indices of a Gather along an axis of the given size, counted from the front.
func (f *finder) indices(n graph.Node, size int) ([]int, bool) {
	if _, constant := f.hold(n.Input(1)); !constant {
		return nil, false
	}
	list, ok := f.integers(n.Input(1))
	list = countedAll(list, size)
	return list, ok && !slices.ContainsFunc(list, func(i int) bool { return i < 0 || i >= size })
}

// depthToSpace follows DepthToSpace, [N, b·b·C, H, W] to [N, C, H·b, W·b]: the channels that one is made of are a unit.
func depthToSpace(t *step) {
	b := t.node.Int("blocksize", 1)
	if t.axis != 1 || t.other() || b < 1 {
		t.refuse("moves them to positions")
		return
	}
	in, out, ok := t.ends()
	if !ok || len(in) < 2 || len(out) < 2 || out[1] <= 0 || in[1] != out[1]*b*b {
		t.refuse("does not fit the shapes %v and %v", in, out)
		return
	}
	columnFirst := t.node.String("mode", "DCR") == "CRD"
	t.fold(in[1], out[1], func(i int) int {
		if columnFirst {
			return i / (b * b)
		}
		return i % out[1]
	}, t.out)
}

// spaceToDepth follows SpaceToDepth, [N, C, H, W] to [N, b·b·C, H/b, W/b].
func spaceToDepth(t *step) {
	if t.axis != 1 || t.other() {
		t.refuse("moves them to positions")
		return
	}
	in, out, ok := t.ends()
	if !ok || len(in) < 2 || len(out) < 2 || in[1] <= 0 || out[1]%in[1] != 0 {
		t.refuse("does not fit the shapes %v and %v", in, out)
		return
	}
	t.fold(out[1], in[1], func(i int) int { return i % in[1] }, !t.out)
}

// fold notes that along axis 1 entry i of many at one side is of the channel that entry of(i) of few has at the other;
// fromFew tells which side is known.
func (t *step) fold(many, few int, of func(int) int, fromFew bool) {
	n := few
	if fromFew {
		n = many
	}
	list, ok := t.none(n)
	if !ok {
		return
	}
	for i := range many {
		switch at := of(i); {
		case fromFew:
			list[i] = t.units[at]
		case t.units[i] < 0:
		case list[at] < 0:
			list[at] = t.units[i]
		default:
			t.join(list[at], t.units[i])
		}
	}
	if t.out {
		t.input(0, 1, list)
	} else {
		t.output(0, 1, list)
	}
}

// padding is what a Pad adds along one axis.
type padding struct {
	begin, end int
	constant   bool // the node says so in a constant, which can be rewritten
	at, axes   int  // where the axis stands in the node's list, and how many axes that has
}

// pads returns what a Pad adds along an axis of an input of the given rank; false where that is not known.
func (f *finder) pads(n graph.Node, rank, axis int) (p padding, ok bool) {
	list, ok := n.Ints("pads"), true
	p.constant = true
	if v := n.Input(1); v != "" {
		list, ok = f.integers(v)
		p.constant = f.settled(v)
	}
	padded := axes(rank)
	if given := n.Input(3); given != "" && ok {
		padded, ok = f.integers(given)
		padded = countedAll(padded, rank)
	}
	p.at, p.axes = slices.Index(padded, axis), len(padded)
	if !ok || len(list) != 2*p.axes {
		return p, false
	}
	if p.at >= 0 {
		p.begin, p.end = list[p.at], list[p.at+p.axes]
	}
	return p, true
}

// pad follows Pad, which puts entries that are of none of the channels around them: zeros, to which others may be added.
func pad(t *step) {
	in, out, ok := t.ends()
	if !ok || t.other() {
		return
	}
	p, ok := t.pads(t.node, len(in), t.axis)
	switch {
	case !ok || len(in) != len(out) || t.axis >= len(in):
		t.refuse("has pads that are not known")
	case p.begin == 0 && p.end == 0:
		t.through(t.axis, t.axis)
	case !p.constant || p.begin < 0 || p.end < 0 || t.node.String("mode", "constant") != "constant":
		t.refuse("pads them")
	case p.begin+in[t.axis]+p.end != out[t.axis]:
		t.refuse("does not fit the shapes %v and %v", in, out)
	default:
		whole, last := position{t.node.Output(0), t.axis}, p.begin+in[t.axis]
		t.numbers[t.listed("pads", 1, 11, p.at)] = span{whole, 0, p.begin, 1}
		t.numbers[t.listed("pads", 1, 11, p.at+p.axes)] = span{whole, last, last + p.end, 1}
		if t.out {
			t.input(0, t.axis, t.units[p.begin:last])
		} else if list, ok := t.none(out[t.axis]); ok {
			copy(list[p.begin:], t.units)
			t.output(0, t.axis, list)
		}
	}
}

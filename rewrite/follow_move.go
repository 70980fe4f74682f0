package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// maxEntries bounds how many entries along an axis are followed one by one.
const maxEntries = 1 << 22

// none lists entries that are of no channel, false where there are too many.
func (t *step) none(n int) ([]int, bool) {
	if n < 0 || n > maxEntries {
		t.refuse("has %d entries along one axis, too many to follow", n)
		return nil, false
	}
	return slices.Repeat([]int{-1}, n), true
}

// transposed follows Transpose.
func transposed(t *step) {
	in, out, ok := t.ends()
	if !ok {
		return
	}
	perm := turned(axes(len(in)), t.node.Ints("perm"))
	switch {
	case len(perm) != len(in) || len(out) != len(in) || t.axis >= len(in):
		t.refuse("does not fit the shape %v", in)
	case t.out:
		t.through(perm[t.axis], t.axis)
	default:
		t.through(t.axis, slices.Index(perm, t.axis))
	}
}

// reshape follows Reshape, whose target may name the size of the channels' axis.
func reshape(t *step) {
	if t.node.Input(1) == "" {
		t.refuse("has its target as an attribute, as before operator set 5, which is not followed")
		return
	}
	if t.other() {
		return
	}
	in, out, ok := t.ends()
	target, known := t.integers(t.node.Input(1))
	copied := t.node.Int("allowzero", 0) == 0
	here := t.axis // of the input
	if known, ok := t.values[t.node.Input(0)]; ok && t.out {
		here = known.axis
	}
	switch axis, moved := t.regroup(in, out, ok); {
	case !moved:
	case copied && here != axis && here < len(target) && target[here] == 0:
		t.refuse("gives another axis the size of theirs")
	case !known || len(target) != len(out):
		t.refuse("has a target that is not known")
	case target[axis] == -1:
	case target[axis] == 0 && copied:
		t.equalize(sizeOf(t.node.Input(0), axis), sizeOf(t.node.Output(0), axis), "keeps the size of another axis")
	default:
		t.count(1, axis, sizeOf(t.node.Output(0), axis))
	}
}

// regroup follows Flatten, Squeeze and Unsqueeze: a Reshape without a target.
func regroup(t *step) {
	if t.other() {
		return
	}
	in, out, ok := t.ends()
	t.regroup(in, out, ok)
}

// regroup follows channels where axes are merged, or taken apart again, and returns the axis of the output that they lie
// along. Where an axis has merged the channels' with b positions behind it, its entry i is of channel (i / b) modulo their
// number. Where the channels are split, as into heads, they lie along the innermost axis, and those that have the same place
// there are one unit.
func (t *step) regroup(in, out []int, ok bool) (axis int, moved bool) {
	if !ok {
		return 0, false
	}
	here, there := in, out
	if t.out {
		here, there = out, in
	}
	if t.axis >= len(here) || tensor.Product(in) != tensor.Product(out) || tensor.Product(in) <= 0 {
		t.refuse("does not fit the shapes %v and %v", in, out)
		return 0, false
	}
	n := here[t.axis]
	before, behind := tensor.Product(here[:t.axis]), tensor.Product(here[t.axis+1:])
	for a, m := range there {
		lead, rest := tensor.Product(there[:a]), tensor.Product(there[a+1:])
		switch {
		case behind%rest == 0 && before%lead == 0 && m == before/lead*n*(behind/rest):
			return t.wider(a, m, behind/rest)
		case t.flattened(a, there) && rest%behind == 0 && lead%before == 0 && n == lead/before*m*(rest/behind):
			return t.tighter(a, m, rest/behind)
		}
	}
	for a, m := range slices.Backward(there) {
		lead, rest := tensor.Product(there[:a]), tensor.Product(there[a+1:])
		if !t.out && m > 1 && rest == behind && lead%before == 0 && n == lead/before*m {
			return t.tighter(a, m, 1)
		}
	}
	t.refuse("splits them into axes of the shape %v, none of which they lie along", there)
	return 0, false
}

// flattened tells whether the channels that were found in the output are those along an axis of the input that the output
// has merged with others: where they were found already, else axis 1 of [N, C, ...].
func (t *step) flattened(axis int, in []int) bool {
	if !t.out {
		return false
	}
	if known, ok := t.values[t.node.Input(0)]; ok {
		return known.axis == axis
	}
	return axis == 1 && t.axis == 1 && len(in) > 2
}

// wider notes that the channels lie along an axis of m entries at the other side, b of each channel side by side.
func (t *step) wider(axis, m, b int) (int, bool) {
	list, ok := t.none(m)
	if !ok {
		return 0, false
	}
	for i := range list {
		list[i] = t.units[i/b%len(t.units)]
	}
	return t.across(axis, list)
}

// tighter notes that the channels lie along an axis of m entries at the other side: what that merges into one entry is one
// unit.
func (t *step) tighter(axis, m, b int) (int, bool) {
	list, ok := t.none(m)
	if !ok {
		return 0, false
	}
	for i, c := range t.units {
		switch at := i / b % m; {
		case c < 0:
		case list[at] < 0:
			list[at] = c
		default:
			t.join(list[at], c)
		}
	}
	return t.across(axis, list)
}

// across notes where the channels lie at the other side, and returns their axis in the output.
func (t *step) across(axis int, units []int) (int, bool) {
	if t.out {
		t.input(0, axis, units)
		return t.axis, true
	}
	t.output(0, axis, units)
	return axis, true
}

// concat follows Concat: along its axis every input has a block of the output's entries.
func concat(t *step) {
	out, ok := t.shape(t.node.Output(0))
	if !ok {
		return
	}
	axis := counted(t.node.Int("axis", 1), len(out))
	if t.axis != axis {
		for slot := range t.node.Inputs() {
			t.input(slot, t.axis, t.units)
		}
		t.output(0, t.axis, t.units)
		return
	}
	at := 0
	for slot, v := range t.node.Inputs() {
		shape, ok := t.shape(v)
		if !ok {
			return
		}
		if axis >= len(shape) {
			t.refuse("does not fit the shape %v", shape)
			return
		}
		n := shape[axis]
		switch {
		case t.out && at+n <= len(t.units):
			t.input(slot, axis, t.units[at:at+n])
		case !t.out && slot == t.slot:
			t.block(out, axis, at)
		}
		at += n
	}
}

// block notes that the channels are a block of the entries of output 0.
func (t *step) block(out []int, axis, at int) {
	if axis >= len(out) || at+len(t.units) > out[axis] {
		t.refuse("does not fit the shape %v", out)
		return
	}
	if list, ok := t.none(out[axis]); ok {
		copy(list[at:], t.units)
		t.output(0, axis, list)
	}
}

// split follows Split: along its axis every output has a block of the input's entries.
func split(t *step) {
	in, ok := t.shape(t.node.Input(0))
	if !ok || t.other() {
		return
	}
	axis := counted(t.node.Int("axis", 0), len(in))
	if t.axis != axis {
		t.through(t.axis, t.axis)
		return
	}
	if given := t.node.Input(1); given != "" && !t.settled(given) {
		t.refuse("has sizes that are not constant")
		return
	}
	at := 0
	for slot, v := range t.node.Outputs() {
		shape, ok := t.shape(v)
		if !ok {
			return
		}
		if axis >= len(shape) || axis >= len(in) || at+shape[axis] > in[axis] {
			t.refuse("does not fit the shapes %v and %v", in, shape)
			return
		}
		n := shape[axis]
		t.numbers[t.listed("split", 1, 13, slot)] = span{position{t.node.Input(0), axis}, at, at + n, 1}
		switch {
		case !t.out:
			t.output(slot, axis, t.units[at:at+n])
		case slot == t.slot:
			if list, ok := t.none(in[axis]); ok {
				copy(list[at:], t.units)
				t.input(0, axis, list)
			}
		}
		at += n
	}
}

// listed is a number of what was an attribute and became an input with an operator set.
func (t *step) listed(attr string, slot int, opset int64, at int) number {
	if t.opset < opset {
		return number{node: t.node, attr: attr, at: at}
	}
	return number{node: t.node, slot: slot, at: at}
}

// expand follows Expand, which repeats axes of one entry.
func expand(t *step) {
	out, ok := t.shape(t.node.Output(0))
	if !ok || t.other() {
		return
	}
	right := len(out) - 1 - t.axis
	if !t.out {
		in, _ := t.shapes.Of(t.node.Input(0))
		right = len(in) - 1 - t.axis
	}
	t.align(0, right, t.units)
	axis := len(out) - 1 - right
	t.output(0, axis, t.units)
	target, ok := t.integers(t.node.Input(1))
	switch at := len(target) - 1 - right; {
	case !ok:
		t.refuse("has a target that is not known")
	case at >= 0 && target[at] != 1:
		t.count(1, at, sizeOf(t.node.Output(0), axis))
	}
}

// filled follows ConstantOfShape.
func filled(t *step) {
	if t.out {
		t.count(0, t.axis, sizeOf(t.node.Output(0), t.axis))
		return
	}
	t.refuse("makes a shape of them")
}

// tile follows Tile along axes that it does not repeat.
func tile(t *step) { t.unchanged("repeats them") }

// unchanged follows channels along an axis whose size the node does not change.
func (t *step) unchanged(verb string) bool {
	in, out, ok := t.ends()
	switch {
	case !ok || t.other():
	case len(in) != len(out) || t.axis >= len(in) || in[t.axis] != out[t.axis]:
		t.refuse("%s", verb)
	default:
		t.through(t.axis, t.axis)
		return true
	}
	return false
}

// resize follows Resize and Upsample, whose target sizes may name that of the channels.
func resize(t *step) {
	if !t.unchanged("resizes them") || t.node.Op() != "Resize" || t.node.Input(3) == "" {
		return
	}
	target, ok := t.integers(t.node.Input(3))
	at := t.axis
	if list := t.node.Ints("axes"); list != nil {
		in, _ := t.shapes.Of(t.node.Input(0))
		if at = slices.Index(countedAll(list, len(in)), t.axis); at < 0 {
			return
		}
	}
	if !ok || at >= len(target) {
		t.refuse("has a target that is not known")
		return
	}
	t.count(3, at, sizeOf(t.node.Output(0), t.axis))
}

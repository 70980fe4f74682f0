package rewrite

import (
	"slices"
	"strings"
)

// pointwise is the rule of operators that work number by number, with operands that are broadcast (since operator set 7).
func pointwise(t *step) {
	value := t.node.Input(t.slot)
	if t.out {
		value = t.node.Output(t.slot)
	}
	shape, ok := t.shape(value)
	if !ok {
		return
	}
	right := len(shape) - 1 - t.axis
	if t.opset < 7 && !t.uniform(shape) {
		t.refuse("broadcasts as before operator set 7, which is not followed")
		return
	}
	for slot := range t.node.Inputs() {
		t.align(slot, right, t.units)
	}
	for slot, v := range t.node.Outputs() {
		if out, ok := t.shapes.Of(v); ok {
			t.output(slot, len(out)-1-right, t.units)
		} else if v != "" {
			t.shape(v) // which says why
		}
	}
}

// uniform tells whether all operands of a node have one shape, or a single number.
func (t *step) uniform(shape []int) bool {
	return !slices.ContainsFunc(t.node.Inputs(), func(v string) bool {
		other, ok := t.shapes.Of(v)
		return v != "" && (!ok || len(other) > 0 && !slices.Equal(other, shape))
	})
}

// sum is pointwise for operators that add their operands: values of different producers are coupled there.
func sum(t *step) {
	if !slices.Contains(t.sums, t.node) {
		t.sums = append(t.sums, t.node)
	}
	pointwise(t)
}

// alone is pointwise for operators of which only the first input has numbers of its own.
func alone(t *step) {
	if t.other() {
		return
	}
	t.through(t.axis, t.axis)
}

// other refuses channels in an input that is not the first, which means something else to the operator.
func (t *step) other() bool {
	if t.out || t.slot == 0 {
		return false
	}
	t.refuse("takes them as its input %d", t.slot)
	return true
}

// through notes that channels lie along an axis of input 0 and along one of all outputs.
func (t *step) through(in, out int) {
	t.input(0, in, t.units)
	for slot := range t.node.Outputs() {
		t.output(slot, out, t.units)
	}
}

// blocked is the rule of operators that no channels pass.
func blocked(why string) func(*step) {
	return func(t *step) { t.refuse("%s", why) }
}

// perChannel is the rule of operators that treat each channel, along axis 1 of [N, C, ...], by itself, with parameters [C]
// in the given inputs.
func perChannel(verb string, parameters ...int) func(*step) {
	return func(t *step) {
		switch {
		case t.other():
		case t.axis > 1:
			t.refuse("%s", verb)
		default:
			t.through(t.axis, t.axis)
			for _, slot := range parameters {
				if t.axis == 1 {
					t.align(slot, 0, t.units)
				}
			}
		}
	}
}

// batchNormalization follows BatchNormalization in inference.
func batchNormalization(t *step) {
	if !t.inference(t.node) {
		t.refuse("is in training, or no such of [N, C, ...]")
		return
	}
	perChannel("has them as positions", 1, 2, 3, 4)(t)
}

// maxPool follows MaxPool, whose second output numbers positions through all channels.
func maxPool(t *step) {
	if t.node.Output(1) != "" {
		t.refuse("tells the positions of the largest, which count channels")
		return
	}
	perChannel("pools over them")(t)
}

// pRelu follows PRelu, whose slopes are broadcast, before operator set 7 along axis 1.
func pRelu(t *step) {
	slopes, ok := t.shapes.Of(t.node.Input(1))
	switch {
	case t.opset >= 7 || !ok || len(slopes) == 0:
		pointwise(t)
	case t.axis == 1 && !t.other():
		t.through(1, 1)
		t.align(1, 0, t.units)
	default:
		t.refuse("broadcasts as before operator set 7, which is not followed")
	}
}

// keeps is the rule of operators that work along some axes and leave the shape as it is.
func keeps(verb string, list func(*step, int) ([]int, bool)) func(*step) {
	return func(t *step) {
		if in, ok := t.shape(t.node.Input(0)); ok && !t.other() && !t.among(verb, list, len(in)) {
			t.through(t.axis, t.axis)
		}
	}
}

// reduces is the rule of operators that work along some axes, which have one entry then or, without keepdims, go.
func reduces(verb string, list func(*step, int) ([]int, bool)) func(*step) {
	return func(t *step) {
		in, ok := t.shape(t.node.Input(0))
		if !ok || t.other() {
			return
		}
		reduced, ok := list(t, len(in))
		if !ok {
			t.refuse("works along axes that are not constant")
			return
		}
		left := slices.DeleteFunc(axes(len(in)), func(a int) bool { return slices.Contains(reduced, a) })
		at := slices.Index(left, t.axis)
		switch keep := t.node.Int("keepdims", 1) != 0; {
		case !keep && t.out && t.axis < len(left):
			t.through(left[t.axis], t.axis)
		case at < 0:
			t.refuse("%s", verb)
		case keep:
			t.through(t.axis, t.axis)
		default:
			t.through(t.axis, at)
		}
	}
}

// among refuses channels along one of the axes that an operator works along.
func (t *step) among(verb string, list func(*step, int) ([]int, bool), rank int) bool {
	switch worked, ok := list(t, rank); {
	case !ok:
		t.refuse("works along axes that are not constant")
	case slices.Contains(worked, t.axis):
		t.refuse("%s", verb)
	default:
		return false
	}
	return true
}

// oneAxis reads the attribute axis.
func oneAxis(absent int) func(*step, int) ([]int, bool) {
	return func(t *step, rank int) ([]int, bool) { return []int{counted(t.node.Int("axis", absent), rank)}, true }
}

// secondAxis is that of the channels.
func secondAxis(*step, int) ([]int, bool) { return []int{1}, true }

// lastAxes are those from the attribute axis on.
func lastAxes(t *step, rank int) ([]int, bool) {
	return from(counted(t.node.Int("axis", -1), rank), rank), true
}

// softmaxAxes is the attribute axis; before operator set 13 all from there on.
func softmaxAxes(t *step, rank int) ([]int, bool) {
	if t.opset < 13 {
		return from(counted(t.node.Int("axis", 1), rank), rank), true
	}
	return oneAxis(-1)(t, rank)
}

// inputAxis is the constant second input.
func inputAxis(t *step, rank int) ([]int, bool) {
	list, ok := t.integers(t.node.Input(1))
	return countedAll(list, rank), ok
}

// meanVarianceAxes are the attribute axes.
func meanVarianceAxes(t *step, rank int) ([]int, bool) {
	if list := t.node.Ints("axes"); list != nil {
		return countedAll(list, rank), true
	}
	return []int{0, 2, 3}, true
}

// listedAxes are an attribute or, in newer operator sets, an input; all axes where they are left out.
func listedAxes(t *step, rank int) ([]int, bool) {
	list := t.node.Ints("axes")
	if given := t.node.Input(1); given != "" {
		var ok bool
		if list, ok = t.integers(given); !ok {
			return nil, false
		}
	}
	if len(list) == 0 {
		if t.node.Int("noop_with_empty_axes", 0) != 0 {
			return nil, true
		}
		return axes(rank), true
	}
	return countedAll(list, rank), true
}

// counted counts an axis from the front.
func counted(axis, rank int) int {
	if axis < 0 {
		return axis + rank
	}
	return axis
}

func countedAll(list []int, rank int) []int {
	out := slices.Clone(list)
	for i := range out {
		out[i] = counted(out[i], rank)
	}
	return out
}

// from lists the axes from one on.
func from(axis, rank int) []int {
	return slices.DeleteFunc(axes(rank), func(a int) bool { return a < axis })
}

// integers returns the numbers of an integer value that is known.
func (f *finder) integers(value string) ([]int, bool) {
	list, ok := f.shapes.Ints(value)
	if !ok {
		h, held := f.hold(value)
		if !held || !slices.IsSorted(h.perm) {
			return nil, false
		}
		d, err := h.tensor.Dense()
		if err != nil {
			return nil, false
		}
		if list, err = d.Int64s(); err != nil {
			return nil, false
		}
	}
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = int(v)
	}
	return out, true
}

// maxSettled bounds how many nodes are walked to see that a value is computed from constants alone.
const maxSettled = 1000

// settled tells whether a value is constant, or computed from constants alone, as exporters leave shapes and pads.
func (f *finder) settled(value string) bool {
	if _, ok := f.hold(value); ok {
		return true
	}
	seen, queue := map[string]bool{}, []string{value}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		if _, ok := f.hold(v); ok || v == "" || seen[v] {
			continue
		}
		seen[v] = true
		n, ok := f.graph.Producer(v)
		if !ok || len(seen) > maxSettled || !f.main(n) || strings.HasPrefix(n.Op(), "Random") {
			return false
		}
		queue = append(queue, n.Reads()...)
	}
	return true
}

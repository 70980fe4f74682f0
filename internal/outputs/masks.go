package outputs

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// masked says what makes the numbers of a mask, and so how they lie.
type masked struct {
	// named says that they are classes, which an ArgMax names.
	named bool
	// own says that each map is a mask of its own, behind a sigmoid.
	own bool
	// axis is that of the scores of classes, the samples' included; 0 where nothing tells.
	axis int
}

// masked looks for what makes the numbers of a mask.
func (w *walk) masked(v graph.Value) masked {
	switch {
	case w.made(v.Name(), "ArgMax"):
		return masked{named: true}
	case w.made(v.Name(), "Sigmoid", "HardSigmoid"):
		return masked{own: true}
	}
	return masked{axis: w.summing(v.Name(), len(v.Dims()))}
}

// summing is the axis of a value, of so many, along which a softmax makes the numbers add up to 1; 0 where nothing tells.
func (w *walk) summing(value string, axes int) int {
	at := make([]int, axes) // where the axes of value lie
	for i := range at {
		at[i] = i
	}
	for range deepest {
		n, ok := w.g.Producer(value)
		if !ok {
			return 0
		}
		switch n.Op() {
		case "Softmax", "LogSoftmax":
			axis := n.Int("axis", axes-1)
			if axis < 0 {
				axis += axes
			}
			return max(slices.Index(at, axis), 0)
		case "Identity", "Cast":
		case "Transpose":
			perm := n.Ints("perm")
			if len(perm) != axes {
				return 0
			}
			for i, k := range at {
				at[i] = perm[k]
			}
		default:
			return 0
		}
		value = n.Input(0)
	}
	return 0
}

// Outside is the class of a place that belongs to none.
const Outside = -1

// What numbers of a mask of its own mean: places above one half are inside, or above 0 where the numbers are logits; and those between a tenth
// and nine tenths are undecided.
const (
	inside, insideLogit = 0.5, 0.
	unsure, unsureLogit = 0.4, 2.1972245773362196 // the logit of nine tenths
)

// Labels has the class of every place of a mask.
type Labels struct {
	Of []int32
	// Undecided is how many of the places are nearly as much inside as outside.
	Undecided int
	// logits says that the numbers are.
	logits bool
}

// Labels reads what a mask has for one sample: the class of each place by the largest score along the axis of classes, or Outside or the number of the
// map where each map is a mask of its own. A place counts once for each of these. Nothing is read where the numbers cannot be classes or scores of any.
// Those of another model mean what the first's mean, which is nil for the first.
func (o Output) Labels(shape []int, values []float32, first *Labels) (Labels, bool) {
	if len(shape) < 2 || len(shape) > 3 || len(values) == 0 {
		return Labels{}, false
	}
	axis := o.masked.axis - 1
	if axis < 0 || axis >= len(shape) {
		axis = 0
	}
	switch {
	case o.masked.named || o.Type != 0 && !o.Type.IsFloat():
		return named(values)
	case o.masked.own || len(shape) == 2 || shape[axis] == 1:
		return inMaps(shape, values, first), true
	}
	return byLargest(shape, axis, values), true
}

// mostClasses bounds the classes that numbers name.
const mostClasses = 1 << 16

// named are classes that the numbers themselves are.
func named(values []float32) (Labels, bool) {
	out := Labels{Of: make([]int32, len(values))}
	for i, v := range values {
		if v != float32(int32(v)) || v < 0 || v >= mostClasses {
			return Labels{}, false
		}
		out.Of[i] = int32(v)
	}
	return out, true
}

// inMaps are the numbers of the maps where places are inside. Maps lie along the shorter of the outer axes.
func inMaps(shape []int, values []float32, first *Labels) Labels {
	out := Labels{Of: make([]int32, len(values))}
	if first != nil {
		out.logits = first.logits
	} else {
		out.logits = slices.ContainsFunc(values, func(v float32) bool { return v < 0 || v > 1 })
	}
	least, near, inner, count := float32(inside), float32(unsure), len(values), 1
	if out.logits {
		least, near = insideLogit, unsureLogit
	}
	switch {
	case len(shape) == 3 && shape[2] < shape[0]:
		inner, count = 1, shape[2]
	case len(shape) == 3:
		inner, count = len(values)/shape[0], shape[0]
	}
	for i, v := range values {
		if out.Of[i] = Outside; v > least {
			out.Of[i] = int32(i / inner % count)
		}
		if v > least-near && v < least+near {
			out.Undecided++
		}
	}
	return out
}

// byLargest are the classes of the largest scores along an axis.
func byLargest(shape []int, axis int, values []float32) Labels {
	inner := 1
	for _, n := range shape[axis+1:] {
		inner *= n
	}
	classes := shape[axis]
	out := Labels{Of: make([]int32, len(values)/classes)}
	for i := range out.Of {
		at := i/inner*classes*inner + i%inner
		best := values[at]
		for c := 1; c < classes; c++ {
			if v := values[at+c*inner]; v > best {
				best, out.Of[i] = v, int32(c)
			}
		}
	}
	return out
}

package outputs

import (
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// sides is how many numbers make a box: two corners, or a middle and two lengths.
const sides = 4

// detects tells whether a value has the boxes of a detector: beside probabilities, as [samples, 4+classes, places] or with the last two
// axes turned; or alone, four numbers for each of the places that another output has scores of. A name that says so is believed.
func (w *walk) detects(v graph.Value) bool {
	dims := v.Dims()
	if v.Type() != tensor.Undefined && !v.Type().IsFloat() || strings.Contains(strings.ToLower(v.Name()), "embed") {
		return false
	}
	switch len(dims) {
	case 0:
		return dims == nil && boxed(v.Name())
	case 1:
		return false
	}
	last := dims[len(dims)-1].Size
	four := last == sides || len(dims) == 3 && dims[1].Size == sides
	return boxed(v.Name()) && (four || last <= 0) || len(dims) == 3 && w.joined(v.Name()) || last == sides && w.scoredBeside(v)
}

// most is how many numbers a found box has with its score, its class, and which image it is of.
const most = 7

// corners tells of what a non-maximum suppression leaves whether it has the boxes, alone or with what goes with them.
func (w *walk) corners(v graph.Value) bool {
	dims := v.Dims()
	switch {
	case boxed(v.Name()):
		return true
	case v.Type() != tensor.Undefined && !v.Type().IsFloat():
		return false
	case dims == nil:
		return !slices.ContainsFunc(nameWords(v.Name()), func(word string) bool {
			return slices.Contains([]string{"score", "scores", "label", "labels", "class", "classes", "num", "indices"}, word)
		})
	}
	return len(dims) > 1 && dims[len(dims)-1].Size >= sides && dims[len(dims)-1].Size <= most
}

// boxed tells whether a name says that it is boxes.
func boxed(name string) bool {
	return slices.ContainsFunc(nameWords(name), func(word string) bool {
		word = strings.TrimRight(word, "0123456789")
		return slices.Contains([]string{"box", "boxes", "bbox", "bboxes"}, word)
	})
}

// joined tells whether a value is a Concat of probabilities with other numbers, or of several such, as of the scales of a detector.
func (w *walk) joined(value string) bool {
	for range deepest {
		n, ok := w.g.Producer(value)
		if !ok {
			return false
		}
		switch n.Op() {
		case "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose":
			value = n.Input(0)
		case "Concat":
			fed := w.operands(n)
			chances := 0
			for _, in := range fed {
				if w.chance(in) {
					chances++
				}
			}
			if chances > 0 && chances < len(fed) {
				return true
			}
			if chances > 0 || len(fed) == 0 {
				return false
			}
			value = fed[0]
		default:
			return false
		}
	}
	return false
}

// chance tells whether all of a value is probabilities, or a part of them.
func (w *walk) chance(value string) bool {
	for range deepest {
		n, ok := w.g.Producer(value)
		if !ok {
			return false
		}
		switch n.Op() {
		case "Sigmoid", "HardSigmoid", "Softmax":
			return true
		case "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Split", "Slice", "Gather":
			value = n.Input(0)
		default:
			return false
		}
	}
	return false
}

// scoredBeside tells whether another output has something for each of a value's places: scores, or classes. Places are no samples: two
// heads of a classifier have samples in common.
func (w *walk) scoredBeside(v graph.Value) bool {
	dims := v.Dims()
	places := dims[:len(dims)-1]
	if len(places) == 1 && (w.axis(v) == 0 || places[0].Name != "" && w.batch[places[0].Name]) {
		return false
	}
	return slices.ContainsFunc(w.g.Outputs(), func(other graph.Value) bool {
		o := other.Dims()
		if other.Name() == v.Name() || len(o) != len(dims) && len(o) != len(places) {
			return false
		}
		if len(places) == 1 && len(o) != 1 { // which may as well be another head
			return false
		}
		for i, d := range places {
			if d.Size != o[i].Size && d.Size > 0 && o[i].Size > 0 || d.Size <= 0 && o[i].Size <= 0 && d.Name != o[i].Name {
				return false
			}
		}
		return len(places) == 1 || places[1].Size != 1
	})
}

// side tells whether scores are four numbers that no softmax makes, which may as well be a box.
func (w *walk) side(v graph.Value) bool {
	dims := v.Dims()
	return len(dims) > 1 && dims[1].Size == sides && !w.made(v.Name(), "Softmax", "LogSoftmax")
}

package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// evaluates tells whether evaluate knows an operator.
func evaluates(op string) bool {
	switch op {
	case "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Concat", "Slice", "Mul", "Add", "Sub", "Div":
		return true
	}
	return false
}

// evaluate computes a node that moves numbers, or multiplies them one by one, on constants; false for any other.
func evaluate(n graph.Node, in []tensor.Dense) (tensor.Dense, bool) {
	for _, d := range in {
		if d.Type.Size() == 0 || d.Check() != nil {
			return tensor.Dense{}, false
		}
	}
	if len(in) == 0 {
		return tensor.Dense{}, false
	}
	switch n.Op() {
	case "Identity":
		return in[0], true
	case "Transpose":
		if perm := turned(axes(len(in[0].Shape)), n.Ints("perm")); perm != nil {
			return rearranged(in[0], perm, nil), true
		}
	case "Reshape":
		return reshaped(in)
	case "Squeeze", "Unsqueeze":
		return squeezed(n, in)
	case "Concat":
		return concatenated(n, in)
	case "Slice":
		return sliced(n, in)
	case "Mul", "Add", "Sub", "Div":
		if len(in) == 2 {
			return combined(n.Op(), in[0], in[1])
		}
	}
	return tensor.Dense{}, false
}

// reshaped is a Reshape.
func reshaped(in []tensor.Dense) (tensor.Dense, bool) {
	if len(in) != 2 {
		return tensor.Dense{}, false
	}
	to, err := in[1].Int64s()
	if err != nil {
		return tensor.Dense{}, false
	}
	x, known, open := in[0], 1, -1
	shape := make([]int, len(to))
	for i, v := range to {
		switch {
		case v == 0 && i < len(x.Shape):
			shape[i] = x.Shape[i]
		case v == -1 && open < 0:
			open = i
			continue
		case v > 0:
			shape[i] = int(v)
		default:
			return tensor.Dense{}, false
		}
		known *= shape[i]
	}
	if open >= 0 && known > 0 {
		shape[open] = x.Len() / known
	}
	if tensor.Product(shape) != x.Len() {
		return tensor.Dense{}, false
	}
	return tensor.Dense{Type: x.Type, Shape: shape, Data: x.Data}, true
}

// squeezed is a Squeeze or an Unsqueeze along given axes.
func squeezed(n graph.Node, in []tensor.Dense) (tensor.Dense, bool) {
	x, list := in[0], n.Ints("axes")
	if len(in) > 1 {
		v, err := in[1].Int64s()
		if err != nil {
			return tensor.Dense{}, false
		}
		for _, a := range v {
			list = append(list, int(a))
		}
	}
	rank := len(x.Shape)
	if n.Op() == "Unsqueeze" {
		rank += len(list)
	}
	at, err := graph.Axes(list, rank)
	if err != nil || len(list) == 0 {
		return tensor.Dense{}, false
	}
	shape, k := []int{}, 0
	for a := range rank {
		named := slices.Contains(at, a)
		switch {
		case n.Op() == "Unsqueeze" && named:
			shape = append(shape, 1)
			continue
		case named && x.Shape[k] != 1:
			return tensor.Dense{}, false
		case !named:
			shape = append(shape, x.Shape[k])
		}
		k++
	}
	return tensor.Dense{Type: x.Type, Shape: shape, Data: x.Data}, true
}

// concatenated is a Concat.
func concatenated(n graph.Node, in []tensor.Dense) (tensor.Dense, bool) {
	axis, err := graph.Axis(n.Int("axis", 0), len(in[0].Shape))
	if err != nil {
		return tensor.Dense{}, false
	}
	shape := slices.Clone(in[0].Shape)
	shape[axis] = 0
	for _, d := range in {
		if d.Type != in[0].Type || len(d.Shape) != len(shape) {
			return tensor.Dense{}, false
		}
		for a, size := range d.Shape {
			if a != axis && size != shape[a] {
				return tensor.Dense{}, false
			}
		}
		shape[axis] += d.Shape[axis]
	}
	out := tensor.Dense{Type: in[0].Type, Shape: shape}
	for o := range tensor.Product(shape[:axis]) {
		for _, d := range in {
			block := tensor.Product(d.Shape[axis:]) * d.Type.Size()
			out.Data = append(out.Data, d.Data[o*block:][:block]...)
		}
	}
	return out, true
}

// sliced is a Slice along one axis.
func sliced(n graph.Node, in []tensor.Dense) (tensor.Dense, bool) {
	operand := func(i int, attribute string, absent int) (int, bool) {
		list := n.Ints(attribute)
		if i < len(in) {
			v, err := in[i].Int64s()
			if err != nil {
				return 0, false
			}
			list = nil
			for _, x := range v {
				list = append(list, int(x))
			}
		}
		switch len(list) {
		case 0:
			return absent, true
		case 1:
			return list[0], true
		}
		return 0, false
	}
	x := in[0]
	begin, ok1 := operand(1, "starts", 0)
	end, ok2 := operand(2, "ends", math.MaxInt32)
	at, ok3 := operand(3, "axes", 0)
	step, ok4 := operand(4, "", 1)
	axis, err := graph.Axis(at, len(x.Shape))
	if err != nil || !ok1 || !ok2 || !ok3 || !ok4 || step < 1 {
		return tensor.Dense{}, false
	}
	size := x.Shape[axis]
	bounded := func(v int) int {
		if v < 0 {
			v += size
		}
		return min(max(v, 0), size)
	}
	var keep []int
	for i := bounded(begin); i < bounded(end); i += step {
		keep = append(keep, i)
	}
	out := slices.Clone(x.Shape)
	out[axis] = len(keep)
	if tensor.Product(out) == 0 {
		return tensor.Dense{}, false
	}
	inner := tensor.Product(x.Shape[axis+1:]) * x.Type.Size()
	d := tensor.Dense{Type: x.Type, Shape: out, Data: make([]byte, 0, tensor.Product(out)*x.Type.Size())}
	for o := range tensor.Product(x.Shape[:axis]) {
		for _, i := range keep {
			d.Data = append(d.Data, x.Data[(o*size+i)*inner:][:inner]...)
		}
	}
	return d, true
}

// combined works number by number on two tensors of a floating-point type, of which one is broadcast to the other.
func combined(op string, a, b tensor.Dense) (tensor.Dense, bool) {
	shape, err := shapes.Broadcast(a.Shape, b.Shape)
	if err != nil || a.Type != b.Type || !a.Type.IsFloat() || tensor.Product(shape) > max(a.Len(), b.Len()) {
		return tensor.Dense{}, false
	}
	x, errX := a.Float64s()
	y, errY := b.Float64s()
	if errX != nil || errY != nil {
		return tensor.Dense{}, false
	}
	out := make([]float64, tensor.Product(shape))
	first, second := broadcasting(a.Shape, shape), broadcasting(b.Shape, shape)
	for i := range out {
		p, q := x[first(i)], y[second(i)]
		switch op {
		case "Mul":
			out[i] = p * q
		case "Add":
			out[i] = p + q
		case "Sub":
			out[i] = p - q
		case "Div":
			out[i] = p / q
		}
	}
	raw, err := tensor.Encode(a.Type, out)
	return tensor.Dense{Type: a.Type, Shape: shape, Data: raw}, err == nil
}

// broadcasting returns which element of a tensor stands at each element of one that it is broadcast to.
func broadcasting(from, to []int) func(i int) int {
	switch {
	case tensor.Product(from) == 1:
		return func(int) int { return 0 }
	case slices.Equal(from, to):
		return func(i int) int { return i }
	}
	return func(i int) int {
		at, k := tensor.Coordinates(i, to), 0
		for a, n := range from {
			k *= n
			if n > 1 {
				k += at[len(at)-len(from)+a]
			}
		}
		return k
	}
}

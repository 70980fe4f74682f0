package shapes

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// maxFold bounds the number of elements of a value that is folded. Shapes,
// indices and axes are far smaller; position tables of transformers still fit.
const maxFold = 4096

// value is what is known of one value: always its shape, sometimes its numbers.
type value struct {
	shape []int
	data  *numbers // nil when the numbers are not known
}

// numbers holds the elements of a small constant value, row-major: i for integer
// and boolean types, f for float32 and float64. Other types are not folded, since
// their rounding would have to be followed too.
type numbers struct {
	typ tensor.Type
	i   []int64
	f   []float64
}

func foldable(t tensor.Type) bool {
	return isInteger(t) || isReal(t)
}

func isInteger(t tensor.Type) bool {
	return t == tensor.Int64 || t == tensor.Int32 || t == tensor.Bool
}

func isReal(t tensor.Type) bool {
	return t == tensor.Float32 || t == tensor.Float64
}

func fromInts(t tensor.Type, v ...int64) *numbers { return &numbers{typ: t, i: v} }

func (n *numbers) len() int {
	if isInteger(n.typ) {
		return len(n.i)
	}
	return len(n.f)
}

// ints returns the elements where they are integers.
func (n *numbers) ints() ([]int64, bool) {
	if n == nil || !isInteger(n.typ) {
		return nil, false
	}
	return n.i, true
}

// real returns element k as a float64.
func (n *numbers) real(k int) float64 {
	if isInteger(n.typ) {
		return float64(n.i[k])
	}
	return n.f[k]
}

// pick returns the elements at the given flat indices.
func (n *numbers) pick(at []int) *numbers {
	out := &numbers{typ: n.typ}
	if isInteger(n.typ) {
		out.i = make([]int64, len(at))
		for k, a := range at {
			out.i[k] = n.i[a]
		}
		return out
	}
	out.f = make([]float64, len(at))
	for k, a := range at {
		out.f[k] = n.f[a]
	}
	return out
}

// join appends the elements of several values of one type; nil when they differ.
func join(parts []*numbers) *numbers {
	out := &numbers{}
	for k, p := range parts {
		if p == nil || k > 0 && p.typ != out.typ {
			return nil
		}
		out.typ = p.typ
		out.i = append(out.i, p.i...)
		out.f = append(out.f, p.f...)
	}
	return out
}

// cast converts as the operator Cast does, nil for types that are not folded or
// numbers that the target cannot hold.
func (n *numbers) cast(to tensor.Type) *numbers {
	if n == nil || !foldable(to) {
		return nil
	}
	out := &numbers{typ: to}
	for k := range n.len() {
		x := n.real(k)
		switch {
		case to == tensor.Bool:
			out.i = append(out.i, truth(x != 0))
		case isInteger(to) && isInteger(n.typ):
			v := n.i[k]
			if to == tensor.Int32 {
				v = int64(int32(v))
			}
			out.i = append(out.i, v)
		case isInteger(to):
			if !(math.Abs(x) < math.MaxInt32) {
				return nil
			}
			out.i = append(out.i, int64(x))
		default:
			out.f = append(out.f, round(to, x))
		}
	}
	return out
}

// round rounds to the precision of a float type, so that folding follows the
// runtime's own arithmetic.
func round(t tensor.Type, x float64) float64 {
	if t == tensor.Float32 {
		return float64(float32(x))
	}
	return x
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// strides returns the row-major strides of a shape.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for k := len(shape) - 1; k >= 0; k-- {
		s[k] = n
		n *= shape[k]
	}
	return s
}

// indices returns, for every coordinate of shape, the flat index that source gives.
func indices(shape []int, source func(at []int) int) []int {
	out := make([]int, tensor.Product(shape))
	at := make([]int, len(shape))
	for i := range out {
		out[i] = source(at)
		for a := len(at) - 1; a >= 0; a-- {
			if at[a]++; at[a] < shape[a] {
				break
			}
			at[a] = 0
		}
	}
	return out
}

// spread returns the flat indices that broadcast a value of shape from to shape to.
func spread(from, to []int) []int {
	st := strides(from)
	lead := len(to) - len(from)
	return indices(to, func(at []int) int {
		k := 0
		for a, n := range from {
			if n != 1 {
				k += at[lead+a] * st[a]
			}
		}
		return k
	})
}

// small tells whether a shape has few enough elements to be folded.
func small(shape []int) bool {
	if slices.Contains(shape, 0) {
		return true
	}
	n := 1
	for _, d := range shape {
		if n *= d; d > maxFold || n > maxFold {
			return false
		}
	}
	return true
}

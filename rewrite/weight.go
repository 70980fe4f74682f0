package rewrite

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// weight says where the numbers of a site's kernel stand and how they are laid out.
type weight struct {
	tensor onnxio.Tensor
	perm   []int   // axes of the tensor in the order in which the node sees them
	slot   int     // input of the node that the weight feeds
	swap   bool    // the last two axes are [In, Out] rather than [Out, In]
	lead   int     // leading axes of size 1 (MatMul)
	stack  []int   // axes behind those, along which the matrices lie (MatMul)
	alpha  float64 // factor that the node applies to the product (Gemm)
}

// held is a constant operand with its origin.
type held struct {
	tensor      onnxio.Tensor
	root        string // initializer, or output of the Constant node
	perm        []int
	cast        tensor.Type // what a Cast makes of the elements, Undefined without one
	overridable bool
}

// shape returns the shape that the node sees.
func (h held) shape() []int {
	out, stored := make([]int, len(h.perm)), h.tensor.Shape()
	for i, p := range h.perm {
		out[i] = stored[p]
	}
	return out
}

// dtype is the type that the node sees.
func (h held) dtype() tensor.Type {
	if h.cast != tensor.Undefined {
		return h.cast
	}
	return h.tensor.Type()
}

// hold resolves a value to a constant: an initializer, the output of a Constant
// node, or one of these behind Identity and Transpose nodes. Each value is resolved once, however long the way.
func (f *finder) hold(value string) (held, bool) { return f.resolve(value, f.held, false) }

// stored is hold where the elements may be stored in another type of floating-point numbers, behind a Cast.
func (f *finder) stored(value string) (held, bool) { return f.resolve(value, f.casts, true) }

// passes tells whether a node only turns a constant, or stores it in another type.
func (f *finder) passes(n graph.Node, casts bool) bool {
	if !f.main(n) || len(n.Inputs()) != 1 {
		return false
	}
	return n.Op() == "Transpose" || casts && n.Op() == "Cast" && factorable(tensor.Type(n.Int("to", 0)))
}

// resolve is hold, or stored where casts says so, with what is known of values in found.
func (f *finder) resolve(value string, found map[string]held, casts bool) (held, bool) {
	var turns []graph.Node // from the value to its constant
	var h held
	var ok bool
	for {
		value = f.graph.Origin(value)
		if h, ok = found[value]; ok {
			break
		}
		if c, constant := f.graph.Constant(value); constant {
			h, ok = held{tensor: c.Tensor, root: value, overridable: c.Overridable, perm: axes(len(c.Tensor.Shape()))}, true
			break
		}
		n, made := f.graph.Producer(value)
		if !made || !f.passes(n, casts) {
			break
		}
		found[value] = held{} // for all that goes in circles
		turns, value = append(turns, n), n.Input(0)
	}
	for _, n := range slices.Backward(turns) {
		switch ok = ok && h.perm != nil; {
		case !ok:
		case n.Op() == "Transpose":
			h.perm = turned(h.perm, n.Ints("perm"))
		case factorable(h.tensor.Type()):
			h.cast = tensor.Type(n.Int("to", 0))
		default:
			h.perm = nil
		}
		if !ok || h.perm == nil {
			h = held{}
		}
		found[n.Output(0)] = h
	}
	return h, ok && h.perm != nil
}

// axes lists the axes of a rank in order.
func axes(rank int) []int {
	out := make([]int, rank)
	for i := range out {
		out[i] = i
	}
	return out
}

// turned returns the permutation behind a Transpose node, nil where it is none of that rank. Without one it reverses the axes.
func turned(perm, turn []int) []int {
	next := slices.Clone(perm)
	switch {
	case turn == nil:
		slices.Reverse(next)
	case !slices.Equal(slices.Sorted(slices.Values(turn)), axes(len(perm))):
		return nil
	default:
		for i, p := range turn {
			next[i] = perm[p]
		}
	}
	return next
}

// NotFiniteError says which element of a weight is NaN or infinite. Infinite ones may be meant, as those of a mask that is looked up
// or added; no chain of factors can hold them.
type NotFiniteError struct {
	Weight, Node string
	At           []int
	Value        float64
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("weight %q of node %q: element %v is %v; mend the model, or leave the node alone", e.Weight, e.Node, e.At, e.Value)
}

// Load reads the weight of the site as a float64 kernel, [Out, In/Groups,
// Window...] row-major, with the transposition and the alpha of a Gemm folded in.
// NaN and infinite numbers are a *NotFiniteError.
func (s *Site) Load() (decomp.Kernel, error) {
	shape := s.weight.tensor.Shape()
	v, err := s.weight.tensor.Float64s()
	if err != nil {
		return decomp.Kernel{}, fmt.Errorf("weight %q of node %q: %w", s.Weight, s.Name, err)
	}
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return decomp.Kernel{}, &NotFiniteError{Weight: s.Weight, Node: s.Name, At: tensor.Coordinates(i, shape), Value: x}
		}
	}
	v = permute(v, shape, s.weight.order())
	if k := s.Kernel; s.View.Transposed {
		v = transpose(v, k.Groups, k.In/k.Groups, k.Rows())
	}
	if s.weight.alpha != 1 {
		for i, x := range v {
			v[i] = x * s.weight.alpha
			if math.IsNaN(v[i]) || math.IsInf(v[i], 0) {
				return decomp.Kernel{}, fmt.Errorf("weight %q of node %q: alpha %v times %v is %v", s.Weight, s.Name, s.weight.alpha, x, v[i])
			}
		}
	}
	if int64(len(v)) != s.Kernel.Params() {
		return decomp.Kernel{}, fmt.Errorf("weight %q of node %q has %d elements, its shape %v wants %d", s.Weight, s.Name, len(v), s.Kernel, s.Kernel.Params())
	}
	return decomp.Kernel{Shape: s.Kernel, Weights: v}, nil
}

// transpose takes numbers [groups·a, b, window...] to [groups·b, a, window...] with the window's taps in reverse order:
// the weight of a ConvTranspose to the kernel of the convolution that it is over its input with zeros inserted, and
// back.
func transpose(v []float64, groups, a, b int) []float64 {
	out := make([]float64, len(v))
	taps := len(v) / max(groups*a*b, 1)
	for g := range groups {
		for i := range a {
			for j := range b {
				from, to := v[((g*a+i)*b+j)*taps:][:taps], out[((g*b+j)*a+i)*taps:][:taps]
				for t, x := range from {
					to[taps-1-t] = x
				}
			}
		}
	}
	return out
}

// order returns the axes of the tensor in the order of the kernel.
func (w weight) order() []int {
	order := append([]int(nil), w.perm...)
	if n := len(order); w.swap {
		order[n-2], order[n-1] = order[n-1], order[n-2]
	}
	return order
}

// permute returns v, of the given row-major shape, with its axes in a new order.
func permute[T any](v []T, shape, order []int) []T {
	sorted := true
	for i, p := range order {
		sorted = sorted && p == i
	}
	if sorted {
		return v
	}
	n := len(shape)
	strides, size := make([]int, n), make([]int, n)
	step := 1
	for i := n - 1; i >= 0; i-- {
		strides[i] = step
		step *= shape[i]
	}
	move := make([]int, n)
	for i, p := range order {
		size[i], move[i] = shape[p], strides[p]
	}
	out := make([]T, len(v))
	at := make([]int, n)
	from := 0
	for k := range out {
		out[k] = v[from]
		for i := n - 1; i >= 0; i-- {
			from += move[i]
			if at[i]++; at[i] < size[i] {
				break
			}
			from -= at[i] * move[i]
			at[i] = 0
		}
	}
	return out
}

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

func (h held) dtype() tensor.Type { return h.tensor.Type() }

// hold resolves a value to a constant: an initializer, the output of a Constant
// node, or one of these behind Identity and Transpose nodes.
func (f *finder) hold(value string) (held, bool) {
	var turns [][]int
	for range len(f.graph.Nodes()) + 1 {
		if c, ok := f.graph.Constant(value); ok {
			return f.transposed(value, c, turns)
		}
		n, ok := f.graph.Producer(value)
		if !ok || !f.main(n) || len(n.Inputs()) != 1 {
			return held{}, false
		}
		switch n.Op() {
		case "Identity":
		case "Transpose":
			turns = append(turns, n.Ints("perm"))
		default:
			return held{}, false
		}
		value = n.Input(0)
	}
	return held{}, false
}

// transposed applies the permutations met on the way from a node to its constant, the
// one nearest to the constant last in turns.
func (f *finder) transposed(value string, c graph.Constant, turns [][]int) (held, bool) {
	rank := len(c.Tensor.Shape())
	h := held{tensor: c.Tensor, root: f.root(value), overridable: c.Overridable, perm: make([]int, rank)}
	for i := range h.perm {
		h.perm[i] = i
	}
	sorted := slices.Clone(h.perm)
	for _, turn := range slices.Backward(turns) {
		next := slices.Clone(h.perm)
		switch {
		case turn == nil:
			slices.Reverse(next)
		case !slices.Equal(slices.Sorted(slices.Values(turn)), sorted):
			return held{}, false
		default:
			for i, p := range turn {
				next[i] = h.perm[p]
			}
		}
		h.perm = next
	}
	return h, true
}

// root follows Identity nodes to the name that holds a constant.
func (f *finder) root(value string) string {
	for range f.graph.Nodes() {
		n, ok := f.graph.Producer(value)
		if !ok || n.Op() != "Identity" {
			break
		}
		value = n.Input(0)
	}
	return value
}

// Load reads the weight of the site as a float64 kernel, [Out, In/Groups,
// Window...] row-major, with the transposition and the alpha of a Gemm folded in.
// It refuses NaN and infinite numbers, naming the tensor and the element.
func (s *Site) Load() (decomp.Kernel, error) {
	shape := s.weight.tensor.Shape()
	v, err := s.weight.tensor.Float64s()
	if err != nil {
		return decomp.Kernel{}, fmt.Errorf("weight %q of node %q: %w", s.Weight, s.Name, err)
	}
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return decomp.Kernel{}, fmt.Errorf("weight %q of node %q: element %v is %v; mend the model, or leave the node alone", s.Weight, s.Name, tensor.Coordinates(i, shape), x)
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
func permute(v []float64, shape, order []int) []float64 {
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
	out := make([]float64, len(v))
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

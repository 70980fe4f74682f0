package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// sides resolves the two operands of a product and picks the constant one. It
// notes why neither or both cannot be it.
func (f *finder) sides(i int, n graph.Node) (h held, slot int, ok bool) {
	a, aok := f.stored(n.Input(0))
	b, bok := f.stored(n.Input(1))
	switch {
	case aok && bok:
		f.skip(i, n, SkipBothConst, int64(a.tensor.Len())+int64(b.tensor.Len()), "both operands are constant: fold the product into one constant instead")
		return held{}, 0, false
	case aok:
		return a, 0, f.usable(i, n, a)
	case bok:
		return b, 1, f.usable(i, n, b)
	}
	left, right := n.Input(0), n.Input(1)
	leftKind, leftIs := f.computed(left)
	rightKind, rightIs := f.computed(right)
	switch {
	case rightKind != SkipNoWeight:
		f.skip(i, n, rightKind, 0, "operand %q %s", right, rightIs)
	case leftKind != SkipNoWeight:
		f.skip(i, n, leftKind, 0, "operand %q %s", left, leftIs)
	default:
		f.skip(i, n, SkipNoWeight, 0, "no operand is constant: %q %s, %q %s", left, leftIs, right, rightIs)
	}
	return held{}, 0, false
}

// gemm classifies a Gemm (opset 1, 6, 7, 9, 11, 13): Y = alpha·op(A)·op(B) + beta·C.
func (f *finder) gemm(i int, n graph.Node) {
	h, slot, ok := f.sides(i, n)
	if !ok {
		return
	}
	shape := h.shape()
	if len(shape) != 2 {
		f.skip(i, n, SkipMalformed, int64(h.tensor.Len()), "weight %q of shape %v is no matrix", h.root, shape)
		return
	}
	transA, transB := n.Int("transA", 0) != 0, n.Int("transB", 0) != 0
	w := weight{slot: slot, alpha: float64(n.Float("alpha", 1))}
	view := View{Kind: LastAxis, Groups: 1}
	if slot == 1 {
		// Y = X·op(B): the kernel is op(B) transposed.
		w.swap = !transB
		if transA {
			view.Kind = FirstAxis
		}
	} else {
		// Y = op(A)·X, the columns of op(B) are the inputs.
		w.swap = transA
		if !transB {
			view.Kind = FirstAxis
		}
	}
	s := f.matrixSite(i, n, h, w, shape)
	s.View = view
	if out, ok := f.located(&s, 2); ok {
		s.locateRows(int64(out[1-slot]))
	}
	if slot == 1 {
		s.OutputScale = f.outputScale(&s)
	}
	f.sites = append(f.sites, s)
}

// matMul classifies a MatMul (opset 1, 9, 13), which multiplies as NumPy does.
func (f *finder) matMul(i int, n graph.Node) {
	h, slot, ok := f.sides(i, n)
	if !ok {
		return
	}
	shape := h.shape()
	if len(shape) < 2 {
		f.skip(i, n, SkipRank, int64(h.tensor.Len()), "weight %q of shape %v is a vector, which has no rank to reduce", h.root, shape)
		return
	}
	lead, batch := 0, len(shape)-2
	for lead < batch && shape[lead] == 1 {
		lead++
	}
	stack := shape[lead:batch]
	if why := f.unmatched(n.Input(1-slot), stack); why != "" {
		f.skip(i, n, SkipBatched, int64(h.tensor.Len()), "weight %q of shape %v is a stack of matrices, and %s", h.root, shape, why)
		return
	}
	s := f.matrixSite(i, n, h, weight{slot: slot, alpha: 1, swap: slot == 1, lead: lead, stack: stack}, shape[batch:])
	s.View = View{Kind: LastAxis, Groups: s.Kernel.Groups, Stack: len(stack)}
	if slot == 0 {
		s.View.Kind = SecondLastAxis
		// The factors of [1, M, K] times a vector would meet a matrix [1, r] half way.
		if in, ok := f.shapes.Of(s.Input); lead > 0 && (!ok || len(in) < 2) {
			f.skip(i, n, SkipBatched, int64(h.tensor.Len()), "weight %q of shape %v is a stack of one matrix, and %q is not known to have two axes or more", h.root, shape, s.Input)
			return
		}
	}
	if out, ok := f.located(&s, 0); ok {
		s.locateRows(int64(tensor.Product(out) / max(s.Kernel.Out, 1)))
	}
	if slot == 1 {
		s.OutputScale = f.outputScale(&s)
	}
	f.sites = append(f.sites, s)
}

// unmatched says why a value cannot be what a stack of matrices multiplies: each of them needs columns of its own.
func (f *finder) unmatched(value string, stack []int) string {
	if len(stack) == 0 {
		return ""
	}
	in, ok := f.shapes.Of(value)
	if !ok {
		return fmt.Sprintf("it is not known whether %q has one for each of them: %s", value, f.shapes.Why(value))
	}
	if at := len(in) - 2 - len(stack); at < 0 || !slices.Equal(in[at:len(in)-2], stack) {
		return fmt.Sprintf("%q of shape %v has not one for each of them: they meet the same columns, as one wider matrix would", value, in)
	}
	return ""
}

// matrixSite describes the site of a plain matrix, or a stack of them, whose last two axes are shape.
func (f *finder) matrixSite(i int, n graph.Node, h held, w weight, shape []int) Site {
	s := f.site(i, n, h, w)
	s.Kernel = decomp.Shape{Out: shape[0], In: shape[1], Groups: 1}
	if w.swap {
		s.Kernel.Out, s.Kernel.In = shape[1], shape[0]
	}
	if n := tensor.Product(w.stack); n > 1 {
		s.Kernel.Out, s.Kernel.In, s.Kernel.Groups = n*s.Kernel.Out, n*s.Kernel.In, n
	}
	s.Input = n.Input(1 - w.slot)
	return s
}

// located returns the output shape of a matrix site, of the given rank unless that
// is 0, or notes why it is not known.
func (f *finder) located(s *Site, rank int) ([]int, bool) {
	out, ok := f.shapes.Of(s.Output)
	if !ok {
		s.Why = f.shapes.Why(s.Output)
		return nil, false
	}
	if rank != 0 && len(out) != rank {
		s.Why = fmt.Sprintf("output %q has the shape %v, a matrix is wanted", s.Output, out)
		return nil, false
	}
	return out, true
}

// locateRows places a matrix that meets so many vectors in one run.
func (s *Site) locateRows(rows int64) {
	s.Located, s.Batch = true, 1
	s.Geometry = decomp.Geometry{In: []int{int(rows)}, Out: []int{int(rows)}}
}

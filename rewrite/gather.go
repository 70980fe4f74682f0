package rewrite

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// gather classifies a Gather (opset 1, 11, 13) of rows of a constant table [In, Out], an embedding: its
// kernel has the table's transpose, and its columns x_t are one-hot. Other uses of Gather are no layers, and are
// listed only where a table of floating-point numbers is looked up in another way.
func (f *finder) gather(i int, n graph.Node) {
	h, ok := f.stored(n.Input(0))
	if !ok || !h.dtype().IsFloat() || len(h.perm) < 2 {
		return
	}
	shape, params := h.shape(), int64(h.tensor.Len())
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += len(shape)
	}
	switch _, constant := f.hold(n.Input(1)); {
	case constant:
		f.skip(i, n, SkipBothConst, params, "table and indices are constant: fold the rows into one constant instead")
		return
	case len(shape) != 2:
		f.skip(i, n, SkipRank, params, "table %q of shape %v is no matrix", h.root, shape)
		return
	case axis != 0:
		f.skip(i, n, SkipUnsupported, params, "it looks up along axis %d of table %q; only rows, along axis 0, are factored", axis, h.root)
		return
	}
	if !f.usable(i, n, h) {
		return
	}
	s := f.matrixSite(i, n, h, weight{slot: 0, alpha: 1, swap: true}, shape)
	s.View = View{Kind: TableRows, Groups: 1}
	if indices, ok := f.shapes.Of(s.Input); ok {
		s.locateRows(int64(tensor.Product(indices)))
	} else {
		s.Why = f.shapes.Why(s.Input)
	}
	f.sites = append(f.sites, s)
}

// gather makes the node of factor i of an embedding: a Gather from the narrower table, and a MatMul behind it.
func (b *builder) gather(n *graph.Spec, i int, data, kernel string) error {
	if i == 0 {
		n.Inputs, n.Attrs = []string{kernel, data}, b.site.Node.Attrs()
	} else {
		n.Inputs, n.Op = []string{data, kernel}, "MatMul"
	}
	return b.matrix(kernel, b.chain[i].Kernel, true, 0)
}

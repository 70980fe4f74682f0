package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
)

// conv classifies a Conv (opset 1, 11, 22): X [N, C, in...], W [M, C/group, window...], B [M].
func (f *finder) conv(i int, n graph.Node) {
	h, view, ok := f.windowed(i, n, convView)
	if !ok {
		return
	}
	shape := h.shape()
	f.addConv(i, n, h, view, decomp.Shape{Out: shape[0], In: shape[1] * view.Groups, Window: view.Window, Groups: view.Groups})
}

// convTranspose classifies a ConvTranspose (opset 1, 11, 22): X [N, C, in...], W [C, M/group, window...], B [M].
func (f *finder) convTranspose(i int, n graph.Node) {
	h, view, ok := f.windowed(i, n, convTransposeView)
	if !ok {
		return
	}
	if len(view.Window) > 1 && view.OutputShape != nil && !f.fixed() {
		f.skip(i, n, SkipUnsupported, int64(h.tensor.Len()), "output_shape %v fixes the pads by the size of an input that is open; give the pads instead", view.OutputShape)
		return
	}
	shape := h.shape()
	f.addConv(i, n, h, view, decomp.Shape{Out: shape[1] * view.Groups, In: shape[0], Window: view.Window, Groups: view.Groups})
}

// windowed returns the weight of a node that slides a window, and its attributes as read by a function of the node and
// the weight's shape; false where the node is skipped.
func (f *finder) windowed(i int, n graph.Node, read func(graph.Node, []int) (View, error)) (held, View, bool) {
	h, ok := f.operand(i, n, 1)
	if !ok {
		return held{}, View{}, false
	}
	shape := h.shape()
	if len(shape) < 3 {
		f.skip(i, n, SkipMalformed, int64(h.tensor.Len()), "weight %q of shape %v has no window axes", h.root, shape)
		return held{}, View{}, false
	}
	view, err := read(n, shape)
	if err != nil {
		f.skip(i, n, SkipMalformed, int64(h.tensor.Len()), "%v", err)
		return held{}, View{}, false
	}
	return h, view, true
}

// addConv makes a site of a Conv or ConvTranspose.
func (f *finder) addConv(i int, n graph.Node, h held, view View, kernel decomp.Shape) {
	s := f.site(i, n, h, weight{slot: 1, alpha: 1})
	s.Kernel, s.Input, s.View = kernel, n.Input(0), view
	f.locateConv(&s)
	s.OutputScale = f.outputScale(&s)
	f.sites = append(f.sites, s)
}

// fixed tells whether all that is open in the shapes of the model's inputs is their first axis.
func (f *finder) fixed() bool {
	for _, v := range f.graph.Feeds() {
		dims := v.Dims()
		if dims == nil || slices.ContainsFunc(dims[min(1, len(dims)):], func(d graph.Dim) bool { return d.Size <= 0 }) {
			return false
		}
	}
	return true
}

// site fills in what all kinds of sites have in common.
func (f *finder) site(i int, n graph.Node, h held, w weight) Site {
	w.tensor, w.perm = h.tensor, h.perm
	return Site{
		Node: n, Index: i, Name: f.name(n), Op: n.Op(), Output: n.Output(0), Weight: h.root,
		Dtype: h.tensor.Type(), Cast: h.cast, Note: f.note(h), model: f.model, weight: w,
	}
}

// convView reads the attributes of a Conv.
func convView(n graph.Node, shape []int) (View, error) {
	group := n.Int("group", 1)
	if group < 1 || shape[0]%group != 0 {
		return View{}, fmt.Errorf("%d groups do not divide %d output channels", group, shape[0])
	}
	return windowView(n, shape[2:], group)
}

// convTransposeView reads the attributes of a ConvTranspose.
func convTransposeView(n graph.Node, shape []int) (View, error) {
	group := n.Int("group", 1)
	if group < 1 || shape[0]%group != 0 {
		return View{}, fmt.Errorf("%d groups do not divide %d input channels", group, shape[0])
	}
	v, err := windowView(n, shape[2:], group)
	if err != nil {
		return v, err
	}
	v.Transposed, v.OutputPadding = true, make([]int, len(v.Window))
	for _, list := range []struct {
		name string
		to   *[]int
	}{{"output_padding", &v.OutputPadding}, {"output_shape", &v.OutputShape}} {
		given := n.Ints(list.name)
		if given == nil {
			continue
		}
		*list.to = given
		if len(given) != len(v.Window) {
			return v, fmt.Errorf("%s %v for %d spatial axes", list.name, given, len(v.Window))
		}
		if outside(given) {
			return v, fmt.Errorf("%s %v", list.name, given)
		}
	}
	return v, nil
}

// windowView reads the attributes that Conv and ConvTranspose share.
func windowView(n graph.Node, window []int, groups int) (View, error) {
	rank := len(window)
	v := View{Kind: ConvPatches, Window: slices.Clone(window), Groups: groups}
	size, err := n.Spatial("kernel_shape", rank)
	if err != nil {
		return v, err
	}
	if n.Has("kernel_shape") && !slices.Equal(size, v.Window) {
		return v, fmt.Errorf("kernel_shape %v differs from the weight's window %v", size, v.Window)
	}
	w, err := n.Window(rank)
	if err != nil {
		return v, err
	}
	if pads := slices.Concat(w.Begin, w.End); outside(pads) {
		return v, fmt.Errorf("pads %v", pads)
	}
	v.Strides, v.Dilations, v.PadBegin, v.PadEnd, v.AutoPad = w.Strides, w.Dilations, w.Begin, w.End, w.Auto
	return v, nil
}

// outside tells whether any of the sizes is negative, or too large for sums and products of them.
func outside(list []int) bool {
	return slices.ContainsFunc(list, func(v int) bool { return v < 0 || v > 1<<31 })
}

// locateConv finds the spatial sizes before and after a Conv or ConvTranspose.
func (f *finder) locateConv(s *Site) {
	known, why, ok := f.known(s.Input, s.Output)
	if !ok {
		s.Why = why
		return
	}
	in, out := known[0], known[1]
	if rank := len(s.Kernel.Window); len(in) != rank+2 || len(out) != rank+2 {
		s.Why = fmt.Sprintf("input of shape %v and output of shape %v do not fit a weight with %d spatial axes", in, out, rank)
		return
	}
	s.Located, s.Batch = true, in[0]
	s.Geometry = decomp.Geometry{In: slices.Clone(in[2:]), Out: slices.Clone(out[2:]), Transposed: s.View.Transposed}
}

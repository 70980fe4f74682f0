package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// conv classifies a Conv (opset 1, 11, 22): X [N, C, in...], W [M, C/group, window...], B [M].
func (f *finder) conv(i int, n *onnxpb.NodeProto) {
	h, view, ok := f.windowed(i, n, convView)
	if !ok {
		return
	}
	shape := h.shape()
	f.addConv(i, n, h, view, decomp.Shape{Out: shape[0], In: shape[1] * view.Groups, Window: view.Window, Groups: view.Groups})
}

// convTranspose classifies a ConvTranspose (opset 1, 11, 22): X [N, C, in...], W [C, M/group, window...], B [M].
func (f *finder) convTranspose(i int, n *onnxpb.NodeProto) {
	h, view, ok := f.windowed(i, n, convTransposeView)
	if !ok {
		return
	}
	if len(view.Window) > 1 && view.OutputShape != nil && !f.fixed() {
		f.skip(i, n, SkipUnsupported, elements(h.tensor), "output_shape %v fixes the pads by the size of an input that is open; give the pads instead", view.OutputShape)
		return
	}
	shape := h.shape()
	f.addConv(i, n, h, view, decomp.Shape{Out: shape[1] * view.Groups, In: shape[0], Window: view.Window, Groups: view.Groups})
}

// windowed returns the weight of a node that slides a window, and its attributes as read by a function of the node and
// the weight's shape; false where the node is skipped.
func (f *finder) windowed(i int, n *onnxpb.NodeProto, read func(*onnxpb.NodeProto, []int) (View, error)) (held, View, bool) {
	h, ok := f.operand(i, n, 1)
	if !ok {
		return held{}, View{}, false
	}
	shape := h.shape()
	if len(shape) < 3 {
		f.skip(i, n, SkipMalformed, elements(h.tensor), "weight %q of shape %v has no window axes", h.root, shape)
		return held{}, View{}, false
	}
	view, err := read(n, shape)
	if err != nil {
		f.skip(i, n, SkipMalformed, elements(h.tensor), "%v", err)
		return held{}, View{}, false
	}
	return h, view, true
}

// addConv makes a site of a Conv or ConvTranspose.
func (f *finder) addConv(i int, n *onnxpb.NodeProto, h held, view View, kernel decomp.Shape) {
	s := f.site(i, n, h, weight{slot: 1, alpha: 1})
	s.Kernel, s.Input, s.View = kernel, input(n, 0), view
	f.locateConv(&s)
	s.OutputScale = f.outputScale(&s)
	f.sites = append(f.sites, s)
}

// fixed tells whether all that is open in the shapes of the model's inputs is their first axis.
func (f *finder) fixed() bool {
	for _, v := range shapes.Inputs(f.model) {
		t := v.GetType().GetTensorType()
		if t.GetShape() == nil {
			return false
		}
		for i, d := range t.GetShape().GetDim() {
			if i > 0 && d.GetDimValue() <= 0 {
				return false
			}
		}
	}
	return true
}

// site fills in what all kinds of sites have in common.
func (f *finder) site(i int, n *onnxpb.NodeProto, h held, w weight) Site {
	w.tensor, w.perm = h.tensor, h.perm
	return Site{
		Node: n, Index: i, Name: f.name(n), Op: n.GetOpType(), Output: n.GetOutput()[0], Weight: h.root,
		Dtype: h.dtype(), Note: f.note(h), model: f.model, weight: w,
	}
}

// convView reads the attributes of a Conv.
func convView(n *onnxpb.NodeProto, shape []int) (View, error) {
	group := onnxio.AttrInt(n, "group", 1)
	if group < 1 || int64(shape[0])%group != 0 {
		return View{}, fmt.Errorf("%d groups do not divide %d output channels", group, shape[0])
	}
	return windowView(n, shape[2:], int(group))
}

// convTransposeView reads the attributes of a ConvTranspose.
func convTransposeView(n *onnxpb.NodeProto, shape []int) (View, error) {
	group := onnxio.AttrInt(n, "group", 1)
	if group < 1 || int64(shape[0])%group != 0 {
		return View{}, fmt.Errorf("%d groups do not divide %d input channels", group, shape[0])
	}
	v, err := windowView(n, shape[2:], int(group))
	if err != nil {
		return v, err
	}
	v.Transposed, v.OutputPadding = true, make([]int, len(v.Window))
	for _, list := range []struct {
		name string
		to   *[]int
	}{{"output_padding", &v.OutputPadding}, {"output_shape", &v.OutputShape}} {
		given := onnxio.AttrInts(n, list.name)
		if given == nil {
			continue
		}
		*list.to = make([]int, len(v.Window))
		if len(given) != len(v.Window) {
			return v, fmt.Errorf("%s %v for %d spatial axes", list.name, given, len(v.Window))
		}
		for i, d := range given {
			if d < 0 || d > maxSize {
				return v, fmt.Errorf("%s %v", list.name, given)
			}
			(*list.to)[i] = int(d)
		}
	}
	return v, nil
}

// windowView reads the attributes that Conv and ConvTranspose share.
func windowView(n *onnxpb.NodeProto, window []int, groups int) (View, error) {
	rank := len(window)
	v := View{Kind: ConvPatches, Window: slices.Clone(window), PadBegin: make([]int, rank), PadEnd: make([]int, rank), Groups: groups}
	var err error
	if v.Strides, err = spatial(n, "strides", rank); err != nil {
		return v, err
	}
	if v.Dilations, err = spatial(n, "dilations", rank); err != nil {
		return v, err
	}
	size, err := spatial(n, "kernel_shape", rank)
	if err != nil {
		return v, err
	}
	if onnxio.HasAttr(n, "kernel_shape") && !slices.Equal(size, v.Window) {
		return v, fmt.Errorf("kernel_shape %v differs from the weight's window %v", size, v.Window)
	}
	switch auto := onnxio.AttrString(n, "auto_pad", "NOTSET"); auto {
	case "SAME_UPPER", "SAME_LOWER":
		v.AutoPad = auto
		return v, nil
	case "VALID":
		return v, nil
	case "NOTSET", "":
	default:
		return v, fmt.Errorf("auto_pad %q is not defined", auto)
	}
	return v, v.explicit(onnxio.AttrInts(n, "pads"))
}

// explicit takes the pads of a node.
func (v View) explicit(pads []int64) error {
	if pads == nil {
		return nil
	}
	rank := len(v.Window)
	if len(pads) != 2*rank {
		return fmt.Errorf("pads %v for %d spatial axes", pads, rank)
	}
	for k := range rank {
		if min(pads[k], pads[k+rank]) < 0 || max(pads[k], pads[k+rank]) > maxSize {
			return fmt.Errorf("pads %v", pads)
		}
		v.PadBegin[k], v.PadEnd[k] = int(pads[k]), int(pads[k+rank])
	}
	return nil
}

// maxSize bounds sizes in attributes, so that sums and products of them stay in range.
const maxSize = 1 << 31

// spatial returns a list attribute with one positive entry per spatial axis, ones where it is absent.
func spatial(n *onnxpb.NodeProto, name string, rank int) ([]int, error) {
	list := onnxio.AttrInts(n, name)
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	if list == nil {
		return out, nil
	}
	if len(list) != rank {
		return nil, fmt.Errorf("%s %v for %d spatial axes", name, list, rank)
	}
	for i, v := range list {
		if v < 1 || v > maxSize {
			return nil, fmt.Errorf("%s %v", name, list)
		}
		out[i] = int(v)
	}
	return out, nil
}

// locateConv finds the spatial sizes before and after a Conv or ConvTranspose.
func (f *finder) locateConv(s *Site) {
	in, ok := f.shapes.Of(s.Input)
	if !ok {
		s.Why = f.shapes.Why(s.Input)
		return
	}
	out, ok := f.shapes.Of(s.Output)
	if !ok {
		s.Why = f.shapes.Why(s.Output)
		return
	}
	if rank := len(s.Kernel.Window); len(in) != rank+2 || len(out) != rank+2 {
		s.Why = fmt.Sprintf("input of shape %v and output of shape %v do not fit a weight with %d spatial axes", in, out, rank)
		return
	}
	s.Located, s.Batch = true, in[0]
	s.Geometry = decomp.Geometry{In: slices.Clone(in[2:]), Out: slices.Clone(out[2:]), Transposed: s.View.Transposed}
}

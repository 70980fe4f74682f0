package rewrite

// View says how the input tensor of a site is cut into the columns x_t that the
// kernel multiplies. All but Kind, Groups and Stack are meant for ConvPatches and have
// one entry per spatial axis.
//
// A ConvTranspose is seen as a convolution with stride 1 over its input with zeros
// inserted: Strides−1 of them between two neighbours. The taps of its kernel are those
// of the node in reverse order.
type View struct {
	Kind      ViewKind
	Window    []int // kernel size
	Strides   []int
	Dilations []int
	PadBegin  []int  // explicit pads of the node; all zero where AutoPad is set
	PadEnd    []int  //
	AutoPad   string // "", "SAME_UPPER" or "SAME_LOWER"
	Groups    int
	// Stack is how many axes, before the last two of the input and of the output, tell the
	// matrices of a stack apart, each of them a group; 0 for a single matrix.
	Stack int

	Transposed    bool  // a ConvTranspose; what follows is nil otherwise
	OutputPadding []int // entries added to the end of each axis of the output
	OutputShape   []int // the output's sizes, from which the pads follow; nil where the node does not give them
}

// Pads returns the node's pads at the begin and end of each spatial axis for the given
// spatial input sizes (auto_pad and output_shape make them depend on these). Those of a
// ConvTranspose are taken off its output.
func (v View) Pads(in []int) (begin, end []int) {
	if v.AutoPad == "" && v.OutputShape == nil {
		return v.PadBegin, v.PadEnd
	}
	begin, end = make([]int, len(in)), make([]int, len(in))
	for i, n := range in {
		var total int
		switch {
		case v.OutputShape != nil:
			total = v.whole(i, n) - v.OutputShape[i]
		case v.Transposed:
			total = v.whole(i, n) - n*v.Strides[i]
		default:
			out := (n + v.Strides[i] - 1) / v.Strides[i]
			total = (out-1)*v.Strides[i] + v.reach(i) - n
		}
		total = max(0, total)
		begin[i], end[i] = total/2, total-total/2
		if v.AutoPad == "SAME_LOWER" || v.Transposed && v.AutoPad != "SAME_UPPER" {
			begin[i], end[i] = end[i], begin[i]
		}
	}
	return begin, end
}

// reach is the extent of the window along an axis, gaps included.
func (v View) reach(axis int) int { return (v.Window[axis]-1)*v.Dilations[axis] + 1 }

// whole is the extent of a ConvTranspose's output of n input entries along an axis before its pads are taken off.
func (v View) whole(axis, n int) int {
	return (n-1)*v.Strides[axis] + v.reach(axis) + v.OutputPadding[axis]
}

// Lead returns how far before the first entry of the input, or of the input with zeros
// inserted, the first window begins along each spatial axis. Transposed, it may be
// negative.
func (v View) Lead(in []int) []int {
	begin, _ := v.Pads(in)
	if !v.Transposed {
		return begin
	}
	lead := make([]int, len(in))
	for i := range in {
		lead[i] = v.reach(i) - 1 - begin[i]
	}
	return lead
}

// Output returns the spatial output sizes for the given spatial input sizes, 0
// where the window does not fit.
func (v View) Output(in []int) []int {
	if v.OutputShape != nil {
		return v.OutputShape
	}
	begin, end := v.Pads(in)
	out := make([]int, len(in))
	for i, n := range in {
		if v.Transposed {
			out[i] = max(0, v.whole(i, n)-begin[i]-end[i])
		} else if room := n + begin[i] + end[i] - v.reach(i); room >= 0 {
			out[i] = room/v.Strides[i] + 1
		}
	}
	return out
}

// still tells whether a node leaves an axis along which it has one tap as it is, whatever the input's size.
func (v View) still(axis int) bool {
	if v.Window[axis] != 1 || v.Strides[axis] != 1 || v.PadBegin[axis] != 0 || v.PadEnd[axis] != 0 || v.OutputShape != nil {
		return false
	}
	return !v.Transposed || v.OutputPadding[axis] == 0
}

package rewrite

import (
	"errors"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// BiasPlace says whether the model can take a shift of a site's output channels.
type BiasPlace int

// The places for a shift, worst first.
const (
	BiasNone  BiasPlace = iota // none: nothing adds a constant to the output, or it is computed
	BiasGrows                  // there is one, at the price of new parameters: an input that the node leaves out, or a constant that others use too
	BiasFree                   // a constant of as many numbers as before
)

// Bias finds where a constant per output channel can be added to what the site computes:
// the B of a Conv or ConvTranspose, the C of a Gemm (any that broadcasts), or, for a node without either, the
// constant operand of the one Add behind it, or the mean of the one BatchNormalization
// behind it.
func (s *Site) Bias() BiasPlace { return s.findBias().place }

// Addend returns the constants that are added to the output channels where Bias finds a place for a shift, nil for none, and whether
// there is such a place, or nothing is added and so none is wanted. It is false too where what is added differs between positions.
func (s *Site) Addend() (channels []float64, ok bool) {
	b := s.findBias()
	switch {
	case b.place == BiasNone:
		return nil, s.Node.Input(2) == ""
	case b.old.root == "":
		return nil, true
	case tensor.Product(b.dims) != s.Kernel.Out || b.sign < 0:
		return nil, false
	}
	none := builder{site: s, bias: b}
	channels, err := none.shifted(make([]float64, s.Kernel.Out))
	return channels, err == nil
}

// ShiftParams counts the elements by which a shift of the site's output lets the model
// grow: those of the constant that Replace makes for it, less those of the one that goes.
func (s *Site) ShiftParams() int64 {
	b := s.findBias()
	if b.place == BiasNone {
		return 0
	}
	n := int64(tensor.Product(b.dims))
	if b.alone {
		n -= int64(b.old.tensor.Len())
	}
	return n
}

// bias is a constant that takes a shift.
type bias struct {
	place BiasPlace
	alone bool  // whether nothing else reads what is there
	old   held  // what is there; its root is empty for none
	dims  []int // shape of the new constant
	right int   // how many axes stand behind that of the channels
	scale float64
	sign  float64
	swap  *Swap // the node behind that holds it, nil where it is the site's own; New is the same node
	slot  int   // of that node
}

func (s *Site) findBias() *bias {
	f := newFinder(s.model, nil)
	b := &bias{scale: 1, sign: 1, slot: 2}
	switch {
	case s.View.Kind == ConvPatches:
		b.dims = []int{s.Kernel.Out}
		f.ownBias(s, b)
	case s.Op == "Gemm":
		b.right = 1 - s.weight.slot
		b.dims = s.channelShape(b.right)
		b.scale = float64(s.Node.Float("beta", 1))
		f.ownBias(s, b)
		if f.opset < 7 && !f.legacyGemm(s, b) {
			b.place = BiasNone
		}
	}
	if b.place != BiasFree && s.Node.Input(2) == "" {
		if next := f.nextBias(s); next.place != BiasNone {
			return next
		}
	}
	return b
}

// channelShape is the shape of a constant per channel with so many axes behind.
func (s *Site) channelShape(right int) []int {
	dims := []int{s.Kernel.Out}
	for range right {
		dims = append(dims, 1)
	}
	return dims
}

// ownBias fills in the third input of a Conv, a ConvTranspose or a Gemm.
func (f *finder) ownBias(s *Site, b *bias) {
	value := s.Node.Input(2)
	if value == "" {
		b.place = BiasGrows
		return
	}
	f.settleBias(value, b)
}

// settleBias decides on a constant that is there; b.dims holds the shape per channel.
func (f *finder) settleBias(value string, b *bias) {
	h, ok := f.stored(value)
	if !ok || h.overridable || !factorable(h.dtype()) || !slices.IsSorted(h.perm) {
		return
	}
	dims, err := shapes.Broadcast(h.shape(), b.dims)
	if err != nil {
		return
	}
	b.old, b.dims, b.place = h, dims, BiasGrows
	b.alone = len(f.graph.Uses(value)) == 1 && len(f.graph.Uses(h.root)) == 1 && !f.graph.IsOutput(value) && !f.graph.IsOutput(h.root)
	if b.alone && tensor.Product(dims) == h.tensor.Len() {
		b.place = BiasFree
	}
}

// legacyGemm tells whether the C of a Gemm before opset 7 can take a shift: it has the
// shape of the result, or that of its last axes with broadcast set.
func (f *finder) legacyGemm(s *Site, b *bias) bool {
	broadcasts := s.Node.Int("broadcast", 0) != 0
	switch {
	case b.old.root == "" || b.right != 0:
		return false
	case broadcasts:
		return len(b.dims) == 1
	}
	return len(b.dims) == 2
}

// nextBias finds the constant of the only node behind a site.
func (f *finder) nextBias(s *Site) *bias {
	b := &bias{scale: 1, sign: 1}
	use, ok := f.graph.Reader(s.Output)
	if !ok {
		return b
	}
	n := use.Node
	switch {
	case !f.main(n):
		return b
	case n.Op() == "BatchNormalization" && s.OutputScale != nil:
		b.sign, b.slot, b.dims = -1, 3, []int{s.Kernel.Out}
	case n.Op() == "Add" && f.opset >= 7 && s.View.Stack == 0 && (s.View.Kind == ConvPatches || s.weight.slot == 1):
		b.slot, b.right = 1-use.Slot, len(s.Kernel.Window)
		b.dims = s.channelShape(b.right)
	default:
		return b
	}
	f.settleBias(n.Input(b.slot), b)
	b.swap = &Swap{Old: n, Index: f.graph.Position(n), New: n}
	return b
}

// addend returns the name of what the last factor adds to its product: the node's own
// third input, or, where a shift changes that, a new constant.
func (b *builder) addend(base string, shift []float64) (string, error) {
	own := b.site.Node.Input(2)
	if shift == nil {
		return own, nil
	}
	t := b.site.Computes()
	if b.bias.old.root != "" {
		t = b.bias.old.dtype()
	}
	v, err := b.shifted(shift)
	if err != nil {
		return "", err
	}
	name := b.names.Fresh(base + ".bias")
	constant, err := onnxio.NewTensor(name, t, b.bias.dims, v)
	if err != nil {
		return "", err
	}
	b.patch.Weights = append(b.patch.Weights, constant)
	swap := b.bias.swap
	if swap == nil {
		if own != "" {
			b.patch.Freed = append(b.patch.Freed, own)
		}
		return name, nil
	}
	b.patch.Freed = append(b.patch.Freed, swap.Old.Input(b.bias.slot))
	next := swap.Old.Spec()
	next.Inputs[b.bias.slot] = name
	swap.New = next.Node()
	b.patch.Next = swap
	return own, nil
}

// shifted returns the numbers of the new constant: scale·old + sign·shift, broadcast.
func (b *builder) shifted(shift []float64) ([]float64, error) {
	dims := b.bias.dims
	out := make([]float64, tensor.Product(dims))
	channel := len(dims) - 1 - b.bias.right
	var old []float64
	var shape []int
	if b.bias.old.root != "" {
		var err error
		if old, err = b.bias.old.tensor.Float64s(); err != nil {
			return nil, err
		}
		shape = b.bias.old.tensor.Shape()
	}
	for i := range out {
		at := tensor.Coordinates(i, dims)
		out[i] = b.bias.sign * shift[at[channel]]
		if old != nil {
			out[i] += b.bias.scale * old[offset(at, shape)]
		}
	}
	if slices.ContainsFunc(out, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		return nil, errors.New("the shifted bias is not finite")
	}
	return out, nil
}

// offset is where an element of a broadcast tensor stands in the tensor of the given shape.
func offset(at, shape []int) int {
	k := 0
	for i, n := range shape {
		c := at[len(at)-len(shape)+i]
		if n == 1 {
			c = 0
		}
		k = k*n + c
	}
	return k
}

// swapped tells whether the new node of a swap differs from the old one in inputs alone.
func swapped(a, b graph.Node) bool {
	return a.Op() == b.Op() && a.Name() == b.Name() && slices.Equal(a.Outputs(), b.Outputs()) && len(a.Inputs()) == len(b.Inputs())
}

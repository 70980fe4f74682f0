package samples

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// pixels turns the bytes of an image into a model's input.
type pixels struct {
	input                   InputSpec
	shape                   []int // of a sample, with -1 for what the model leaves open
	channels, height, width int   // of a sample; -1 where the model leaves them open
	last                    bool  // channels are the last axis
	order                   Order
	table                   [][256]float32 // the value of every byte, per channel
}

// newPixels finds out how the model wants its images. The model must have one input,
// of one of the shapes [N,C,H,W], [N,H,W,C], [N,H,W] (gray), [C,H,W] and [H,W,C], or,
// where flat is allowed, [N,D].
func newPixels(what string, o SourceOptions, inputs []InputSpec, flat bool) (*pixels, error) {
	if len(inputs) != 1 {
		return nil, fmt.Errorf("%s can feed one input, but the model has %d (%s); give a .npz file with an array per input", what, len(inputs), inputsText(inputs))
	}
	in := inputs[0]
	p := &pixels{input: in, order: o.Order}
	if p.order == "" {
		p.order = RGB
	}
	if !slices.Contains([]tensor.Type{tensor.Float32, tensor.Float16, tensor.BFloat16, tensor.Float64, tensor.Uint8}, in.Type) {
		return nil, fmt.Errorf("the model's input is %s; %s can feed floating-point and uint8 inputs", in, what)
	}
	if err := p.place(o.Layout, in, flat); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if in.Type == tensor.Uint8 && (o.Scale != 0 && o.Scale != 1 || o.Mean != nil || o.Std != nil) {
		return nil, fmt.Errorf("the model's input is %s, so pixels go in as they are; leave out scale, mean and std", in)
	}
	if p.channels > maxChannels {
		return nil, fmt.Errorf("the model's input is %s; %s can have %d channels at most (if the layout was mistaken, name it)", in, what, maxChannels)
	}
	return p, p.tabulate(o)
}

// place finds the axes of channels, height and width.
func (p *pixels) place(layout Layout, in InputSpec, flat bool) error {
	small := func(n int) bool { return n == 1 || n == 3 }
	shape := in.Shape
	switch {
	case shape == nil:
		shape = []int{-1, -1, -1} // anything goes
	case len(shape) == 4:
		shape = shape[1:]
	case len(shape) == 3 && shape[0] < 0: // gray images without an axis for it
		p.shape, p.channels, p.height, p.width = shape[1:], 1, shape[1], shape[2]
		return nil
	case len(shape) == 2 && flat && shape[1] > 0:
		p.shape, p.channels, p.height, p.width = shape[1:], 1, 1, shape[1]
		return nil
	case len(shape) != 3:
		return fmt.Errorf("the model's input is %s, which is not the shape of an image batch; give arrays (.npy, .npz) instead", in)
	}
	p.shape = shape
	p.last = layout == NHWC || layout == AutoLayout && !small(shape[0]) && small(shape[2])
	if p.last {
		p.height, p.width, p.channels = shape[0], shape[1], shape[2]
	} else {
		p.channels, p.height, p.width = shape[0], shape[1], shape[2]
	}
	return nil
}

// tabulate computes what every byte of every channel becomes.
func (p *pixels) tabulate(o SourceOptions) error {
	channels := max(p.channels, 1)
	if p.channels < 0 {
		channels = max(len(o.Mean), len(o.Std), 3)
	}
	f, err := newScaling(o, channels, true)
	if err != nil {
		return err
	}
	p.table = make([][256]float32, channels)
	for c := range p.table {
		for v := range p.table[c] {
			p.table[c][v] = float32(f.apply(c, float64(v)))
		}
	}
	return nil
}

// tensor turns the bytes at(c, y, x), channels in the order of the model, into an input.
func (p *pixels) tensor(channels, height, width int, at func(c, y, x int) byte) (tensor.Dense, error) {
	shape := p.sampleShape(channels, height, width)
	plane, step := height*width, 1
	if p.last {
		plane, step = 1, channels
	}
	n := channels * height * width
	if p.input.Type == tensor.Uint8 {
		out := tensor.New(tensor.Uint8, shape...)
		if len(out.Data) != n {
			return tensor.Dense{}, fmt.Errorf("%d pixels do not fit the shape %s", n, tensor.ShapeText(shape))
		}
		for c := range channels {
			for i := range height * width {
				out.Data[c*plane+i*step] = at(c, i/width, i%width)
			}
		}
		return out, nil
	}
	values := make([]float32, n)
	for c := range channels {
		table := &p.table[c]
		for y := range height {
			for x := range width {
				values[c*plane+(y*width+x)*step] = table[at(c, y, x)]
			}
		}
	}
	return tensor.FromFloat32(shape, values).Convert(p.input.Type)
}

// sampleShape is the shape of a sample of the given size.
func (p *pixels) sampleShape(channels, height, width int) []int {
	switch {
	case len(p.shape) == 1:
		return []int{channels * height * width}
	case len(p.shape) == 2:
		return []int{height, width}
	case p.last:
		return []int{height, width, channels}
	}
	return []int{channels, height, width}
}

// scaling is the formula (v·scale − mean) / std.
type scaling struct {
	scale     float64
	mean, std []float64 // one per channel
}

// newScaling resolves the options for a number of channels; bytes says whether the
// data is bytes, whose default scale is 1/255.
func newScaling(o SourceOptions, channels int, bytes bool) (scaling, error) {
	s := scaling{scale: o.Scale}
	if s.scale == 0 {
		if s.scale = 1; bytes {
			s.scale = 1. / 255
		}
	}
	spread := func(name string, v []float64, fallback float64) ([]float64, error) {
		switch len(v) {
		case channels:
			return v, nil
		case 0:
			return slices.Repeat([]float64{fallback}, channels), nil
		case 1:
			return slices.Repeat(v, channels), nil
		}
		return nil, fmt.Errorf("%s has %d numbers, the data has %d channels; give one number, or one per channel", name, len(v), channels)
	}
	var err error
	if s.mean, err = spread("mean", o.Mean, 0); err != nil {
		return s, err
	}
	s.std, err = spread("std", o.Std, 1)
	return s, err
}

func (s scaling) apply(channel int, v float64) float64 {
	return (v*s.scale - s.mean[channel]) / s.std[channel]
}

// describe tells how values are scaled; empty where they are not.
func (o SourceOptions) describe(bytes bool) string {
	var parts []string
	switch {
	case o.Scale != 0 && o.Scale != 1 && o.Scale != 1./255:
		parts = append(parts, fmt.Sprintf("scale %g", o.Scale))
	case o.Scale == 1./255 || o.Scale == 0 && bytes:
		parts = append(parts, "scale 1/255")
	}
	if o.Mean != nil {
		parts = append(parts, "mean "+numbersText(o.Mean))
	}
	if o.Std != nil {
		parts = append(parts, "std "+numbersText(o.Std))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

func numbersText(v []float64) string {
	return strings.Trim(fmt.Sprintf("%g", v), "[]")
}

package samples

import (
	"image"
	"maps"
	"math"
	"slices"

	"golang.org/x/image/draw"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// smallest and largest side of what is shown of a sample, in pixels.
const (
	smallest = 8
	largest  = 96
)

// Picture shows the first input of a sample that looks like a picture, as the model sees it: of 1 or 3 channels, [C, H, W] or [H, W, C], the
// least of its numbers black and the largest white, and no larger than 96 pixels. It is nil where no input looks like one.
func Picture(s Sample) image.Image {
	for _, name := range slices.Sorted(maps.Keys(s.Inputs)) {
		if p := pictured(s.Inputs[name]); p != nil {
			return p
		}
	}
	return nil
}

func pictured(d tensor.Dense) image.Image {
	shape := d.Shape
	if len(shape) == 4 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) == 2 {
		shape = []int{1, shape[0], shape[1]}
	}
	if len(shape) != 3 {
		return nil
	}
	channels, height, width := shape[0], shape[1], shape[2]
	last := channels != 1 && channels != 3
	if last {
		height, width, channels = shape[0], shape[1], shape[2]
	}
	v, err := d.Float64s()
	if channels != 1 && channels != 3 || height < smallest || width < smallest || height > 64*width || width > 64*height || err != nil {
		return nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		low, high = min(low, x), max(high, x)
	}
	span := max(high-low, math.SmallestNonzeroFloat64)
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range height * width {
		for c := range 3 {
			from := min(c, channels-1)
			at := from*height*width + i
			if last {
				at = i*channels + from
			}
			out.Pix[4*i+c] = uint8(math.Round(255 * (v[at] - low) / span))
		}
		out.Pix[4*i+3] = 255
	}
	return shrunk(out)
}

// shrunk is a picture no larger than what is shown.
func shrunk(p *image.NRGBA) image.Image {
	b := p.Bounds()
	most := max(b.Dx(), b.Dy())
	if most <= largest {
		return p
	}
	out := image.NewNRGBA(image.Rect(0, 0, max(1, b.Dx()*largest/most), max(1, b.Dy()*largest/most)))
	draw.CatmullRom.Scale(out, out.Bounds(), p, b, draw.Src, nil)
	return out
}

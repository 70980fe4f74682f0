package samples

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestPicture: what looks like a picture is shown from black to white, whichever axis has the channels and however large it is; nothing else.
func TestPicture(t *testing.T) {
	ramp := func(shape ...int) tensor.Dense {
		n := tensor.Product(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i)/float32(n-1)*4 - 2
		}
		return tensor.FromFloat32(shape, v)
	}
	for _, c := range []struct {
		name  string
		d     tensor.Dense
		size  image.Point
		first color.NRGBA // of the pixel at the left top
		last  color.NRGBA // and at the right bottom
	}{
		{"channels first", ramp(3, 8, 16), image.Pt(16, 8), color.NRGBA{0, 85, 170, 255}, color.NRGBA{85, 170, 255, 255}},
		{"channels last", ramp(8, 16, 3), image.Pt(16, 8), color.NRGBA{0, 1, 1, 255}, color.NRGBA{254, 254, 255, 255}},
		{"gray", ramp(1, 8, 8), image.Pt(8, 8), color.NRGBA{0, 0, 0, 255}, color.NRGBA{255, 255, 255, 255}},
		{"no channels", ramp(9, 9), image.Pt(9, 9), color.NRGBA{0, 0, 0, 255}, color.NRGBA{255, 255, 255, 255}},
		{"a batch of one", ramp(1, 3, 8, 8), image.Pt(8, 8), color.NRGBA{0, 85, 171, 255}, color.NRGBA{84, 170, 255, 255}},
	} {
		p := Picture(Sample{Inputs: map[string]tensor.Dense{"x": c.d}})
		if p == nil || p.Bounds().Size() != c.size {
			t.Errorf("%s: %v", c.name, p)
			continue
		}
		if first, last := p.At(0, 0), p.At(c.size.X-1, c.size.Y-1); first != c.first || last != c.last {
			t.Errorf("%s: from %v to %v", c.name, first, last)
		}
	}
	if p := Picture(Sample{Inputs: map[string]tensor.Dense{"x": ramp(3, 300, 600)}}); p.Bounds().Size() != image.Pt(96, 48) {
		t.Errorf("a large one is %v", p.Bounds())
	}
	if p := Picture(Sample{Inputs: map[string]tensor.Dense{"a": ramp(7), "b": ramp(3, 8, 8)}}); p == nil {
		t.Error("the second input is not seen")
	}
	broken := ramp(1, 8, 8)
	copy(broken.Data, tensor.FromFloat32([]int{1}, []float32{float32(math.NaN())}).Data)
	for name, d := range map[string]tensor.Dense{"a row": ramp(64), "few pixels": ramp(3, 4, 4), "a strip": ramp(3, 8, 900), "many channels": ramp(64, 8, 8), "not a number": broken, "nothing": ramp(0, 8, 8)} {
		if p := Picture(Sample{Inputs: map[string]tensor.Dense{"x": d}}); p != nil {
			t.Errorf("%s is a picture of %v", name, p.Bounds())
		}
	}
}

package samples

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// numbered is an image whose pixel (c, y, x) is 100c + 10y + x + 1, in either layout.
func numbered(channels, height, width int, last bool) Sample {
	shape := []int{channels, height, width}
	if last {
		shape = []int{height, width, channels}
	}
	d := tensor.New(tensor.Float32, shape...)
	for c := range channels {
		for y := range height {
			for x := range width {
				at := (c*height+y)*width + x
				if last {
					at = (y*width+x)*channels + c
				}
				d.Float32s()[at] = float32(100*c + 10*y + x + 1)
			}
		}
	}
	return Sample{Name: "ramp", Inputs: map[string]tensor.Dense{"x": d}}
}

// Every image is the original one moved by at most the crop and perhaps mirrored, with black where nothing was; all
// moves occur, and both layouts get the same ones.
func TestAugmentMoves(t *testing.T) {
	const height, width, most = 5, 6, 2
	o := SourceOptions{Scale: 1, Mean: []float64{3, 4, 5}, Std: []float64{2}}
	first, err := NewAugmenter(Augment{Flip: true, Crop: most}, o, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 3, height, width}}}, 7)
	if err != nil {
		t.Fatal(err)
	}
	last, err := NewAugmenter(Augment{Flip: true, Crop: most}, o, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, height, width, 3}}}, 7)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i := range 500 {
		a, err := first.Apply(numbered(3, height, width, false), i%5, i)
		if err != nil {
			t.Fatal(err)
		}
		b, err := last.Apply(numbered(3, height, width, true), i%5, i)
		if err != nil {
			t.Fatal(err)
		}
		x, y := a.Inputs["x"].Float32s(), b.Inputs["x"].Float32s()
		at := func(c, row, column int) float32 { return x[(c*height+row)*width+column] }
		move := ""
		for dy := -most; dy <= most; dy++ {
			for dx := -most; dx <= most; dx++ {
				for _, mirror := range []bool{false, true} {
					if isMoved(at, height, width, dy, dx, mirror) {
						move = fmt.Sprint(dy, dx, mirror)
					}
				}
			}
		}
		if move == "" {
			t.Fatalf("image %d is no move of the original: %v", i, x)
		}
		seen[move]++
		for c := range 3 {
			for k := range height * width {
				if x[c*height*width+k] != y[k*3+c] {
					t.Fatalf("image %d differs between layouts", i)
				}
			}
		}
	}
	if len(seen) != 2*(2*most+1)*(2*most+1) {
		t.Errorf("%d different moves, want 50", len(seen))
	}
}

func isMoved(at func(c, y, x int) float32, height, width, dy, dx int, mirror bool) bool {
	for c := range 3 {
		for y := range height {
			for x := range width {
				fy, fx := y-dy, x-dx
				want := float32((0 - float64(3+c)) / 2)
				if fy >= 0 && fy < height && fx >= 0 && fx < width {
					if mirror {
						fx = width - 1 - fx
					}
					want = float32(100*c + 10*fy + fx + 1)
				}
				if math.Abs(float64(at(c, y, x)-want)) > 1e-6 {
					return false
				}
			}
		}
	}
	return true
}

// The same seed, epoch and index give the same image, another of them another one; the source's own sample stays.
func TestAugmentSeeds(t *testing.T) {
	inputs := []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 1, 9, 9}}}
	draw := func(seed uint64, epoch int) []float32 {
		a, err := NewAugmenter(Augment{Flip: true, Crop: 4}, SourceOptions{}, inputs, seed)
		if err != nil {
			t.Fatal(err)
		}
		var all []float32
		for i := range 8 {
			s := numbered(1, 9, 9, false)
			before := slices.Clone(s.Inputs["x"].Float32s())
			out, err := a.Apply(s, epoch, i)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(before, s.Inputs["x"].Float32s()) {
				t.Fatal("the sample itself was changed")
			}
			all = append(all, out.Inputs["x"].Float32s()...)
		}
		return all
	}
	one := draw(1, 1)
	if !slices.Equal(one, draw(1, 1)) {
		t.Error("the same draw gives other images")
	}
	if slices.Equal(one, draw(2, 1)) || slices.Equal(one, draw(1, 2)) {
		t.Error("seed or epoch makes no difference")
	}
}

// flat is an image of one number.
func flat(t tensor.Type, label int, v float64) Sample {
	d, err := tensor.FromFloat64([]int{1, 2, 2}, []float64{v, v, v, v}).Convert(t)
	if err != nil {
		panic(err)
	}
	return Sample{Name: fmt.Sprint("flat ", label), Label: label, Inputs: map[string]tensor.Dense{"x": d}}
}

// Blends lie between their two images as their shares say, which spread evenly from nothing to a half; partners come
// from the given samples alone, and all of these occur.
func TestAugmentMixes(t *testing.T) {
	for _, typ := range []tensor.Type{tensor.Float32, tensor.Uint8} {
		a, err := NewAugmenter(Augment{Mix: true}, SourceOptions{Scale: 1}, []InputSpec{{Name: "x", Type: typ, Shape: []int{-1, 1, 2, 2}}}, 3)
		if err != nil {
			t.Fatal(err)
		}
		var src memory
		for i := range 20 {
			src = append(src, flat(typ, i, float64(10*i)))
		}
		met, shares := map[int]bool{}, []float64{}
		for epoch := range 50 {
			of := Augmented{Source: src, By: a, Among: []int{2, 3, 5, 7}, Epoch: epoch}
			for i := range src.Len() {
				s, err := of.Sample(i)
				if err != nil {
					t.Fatal(err)
				}
				if again, err := of.Sample(i); err != nil || !slices.Equal(again.Inputs["x"].Data, s.Inputs["x"].Data) || again.Share != s.Share {
					t.Fatalf("epoch %d, sample %d: another blend the second time, or %v", epoch, i, err)
				}
				met[s.Other] = true
				shares = append(shares, s.Share)
				got, err := s.Inputs["x"].Float64s()
				if err != nil {
					t.Fatal(err)
				}
				want, near := (1-s.Share)*float64(10*i)+s.Share*float64(10*s.Other), 1e-4
				if typ == tensor.Uint8 {
					near = 0.5
				}
				if s.Label != i || math.Abs(got[3]-want) > near {
					t.Errorf("%s: sample %d blended with %d at %.3f is %g, want %g", typ, i, s.Other, s.Share, got[3], want)
				}
			}
		}
		if len(met) != 4 || !met[2] || !met[3] || !met[5] || !met[7] {
			t.Errorf("blended with %v, want 2, 3, 5 and 7", met)
		}
		slices.Sort(shares)
		for i, v := range shares {
			if even := 0.5 * float64(i) / float64(len(shares)); math.Abs(v-even) > 0.04 {
				t.Fatalf("share %d of %d is %.3f, want about %.3f", i, len(shares), v, even)
			}
		}
	}
}

// Images of two sizes cannot be blended.
func TestAugmentMixSizes(t *testing.T) {
	a, err := NewAugmenter(Augment{Mix: true}, SourceOptions{}, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 1, -1, -1}}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	src := memory{numbered(1, 3, 3, false), numbered(1, 4, 3, false)}
	if _, err := (Augmented{Source: src, By: a, Among: []int{1}}).Sample(0); err == nil {
		t.Error("blended")
	}
}

// Mirrored images have their columns in the opposite order, alone and stacked, in either layout; other inputs stay.
func TestMirrored(t *testing.T) {
	const height, width = 2, 3
	for name, c := range map[string]struct {
		spec  []int
		image tensor.Dense
		at    func(c, y, x int) int
	}{
		"channels first": {[]int{-1, 3, height, width}, numbered(3, height, width, false).Inputs["x"], func(c, y, x int) int { return (c*height+y)*width + x }},
		"channels last":  {[]int{-1, height, width, 3}, numbered(3, height, width, true).Inputs["x"], func(c, y, x int) int { return (y*width+x)*3 + c }},
	} {
		a, err := NewAugmenter(Augment{Mirror: true}, SourceOptions{}, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: c.spec}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		one, other := c.image.Float32s(), tensor.FromFloat32([]int{2}, []float32{7, 8})
		stacked := tensor.FromFloat32(append([]int{2}, c.image.Shape...), slices.Concat(one, one))
		for batch, d := range map[int]tensor.Dense{0: c.image, 2: stacked} {
			got, err := a.Mirrored(map[string]tensor.Dense{"x": d, "y": other}, batch > 0)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got["y"].Data, other.Data) {
				t.Errorf("%s: the other input is %v", name, got["y"].Float32s())
			}
			v := got["x"].Float32s()
			for i := range v {
				if k := i % len(one); k == 0 && !slices.Equal(v[i:i+len(one)], v[:len(one)]) {
					t.Fatalf("%s: image %d of the stack is another one", name, i/len(one))
				}
			}
			for ch := range 3 {
				for y := range height {
					for x := range width {
						if got, want := v[c.at(ch, y, x)], one[c.at(ch, y, width-1-x)]; got != want {
							t.Errorf("%s: pixel %d, %d, %d is %g, want %g", name, ch, y, x, got, want)
						}
					}
				}
			}
		}
		if _, err := a.Mirrored(map[string]tensor.Dense{"y": c.image}, false); err == nil {
			t.Errorf("%s: another input is mirrored", name)
		}
	}
}

func TestAugmentNothing(t *testing.T) {
	inputs := []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 1, 3, 3}}}
	a, err := NewAugmenter(Augment{}, SourceOptions{}, inputs, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		s := numbered(1, 3, 3, false)
		out, err := a.Apply(s, 1, i)
		if err != nil || !slices.Equal(out.Inputs["x"].Float32s(), s.Inputs["x"].Float32s()) {
			t.Errorf("sample %d: changed, or %v", i, err)
		}
	}
}

func TestParseAugment(t *testing.T) {
	for word, want := range map[string]Augment{"": {}, "flip": {Flip: true}, "crop=4": {Crop: 4}, "flip,crop=2": {Flip: true, Crop: 2}, "crop=3,mix": {Crop: 3, Mix: true}, "mirror,crop=1": {Flip: true, Mirror: true, Crop: 1}} {
		got, err := ParseAugment(word)
		if err != nil || got != want || got.String() != word {
			t.Errorf("%q: %+v, %v, written %q", word, got, err, got)
		}
	}
	for _, word := range []string{"flop", "crop", "crop=0", "crop=-1", "crop=x", "flip=1", "flip,", "mix=1", "mirror=1"} {
		if _, err := ParseAugment(word); err == nil {
			t.Errorf("%q is taken", word)
		}
	}
}

// What is no single image is refused.
func TestAugmentRefuses(t *testing.T) {
	if _, err := NewAugmenter(Augment{Flip: true}, SourceOptions{}, []InputSpec{{Name: "ids", Type: tensor.Int64, Shape: []int{-1, 7}}}, 1); err == nil {
		t.Error("token numbers are taken for images")
	}
	a, err := NewAugmenter(Augment{Flip: true, Crop: 3}, SourceOptions{}, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 1, 4, 4}}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	whole := numbered(1, 4, 4, false)
	whole.Whole = true
	refused := 0
	for i := range 10 {
		if _, err := a.Apply(whole, 1, i); err != nil {
			refused++
		}
	}
	if refused < 8 {
		t.Errorf("only %d of 10 ready-made batches refused", refused)
	}
}

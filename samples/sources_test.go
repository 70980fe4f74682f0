package samples

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/seeds"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// picture saves an image whose pixels are made by at.
func picture(t *testing.T, path string, height, width int, at func(y, x int) color.Color) {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, at(y, x))
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if filepath.Ext(path) == ".png" {
		err = png.Encode(f, img)
	} else {
		err = jpeg.Encode(f, img, &jpeg.Options{Quality: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, path string, o SourceOptions, inputs ...InputSpec) Source {
	t.Helper()
	s, err := Open(path, o, inputs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSample(t *testing.T, s Source, i int) Sample {
	t.Helper()
	out, err := s.Sample(i)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ramp is an opaque colour that tells where a pixel was and which channel it is.
func ramp(y, x int) color.Color { return color.NRGBA{uint8(10*y + x), uint8(100 + 10*y + x), 200, 255} }

func TestImages(t *testing.T) {
	dir := t.TempDir()
	picture(t, filepath.Join(dir, "b.png"), 2, 3, ramp)
	picture(t, filepath.Join(dir, "sub", "a.png"), 2, 3, func(y, x int) color.Color { return color.NRGBA{1, 2, 3, 0} })
	if err := os.WriteFile(filepath.Join(dir, "labels.tsv"), []byte("b.png\t7\nother.png\t3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(dir, "labels.tsv")
	red, green, blue := []float32{0, 1, 2, 10, 11, 12}, []float32{100, 101, 102, 110, 111, 112}, []float32{200, 200, 200, 200, 200, 200}
	planar := slices.Concat(red, green, blue)
	var packed []float32
	for i := range red {
		packed = append(packed, red[i], green[i], blue[i])
	}
	scaled := func(v []float32, f func(c int, v float64) float64) []float32 {
		out := slices.Clone(v)
		for i := range out {
			out[i] = float32(f(i/6, float64(v[i])))
		}
		return out
	}
	for _, c := range []struct {
		name  string
		o     SourceOptions
		input InputSpec
		shape []int
		want  []float32
	}{
		{"raw", SourceOptions{Scale: 1}, spec("x", -1, 3, 2, 3), []int{3, 2, 3}, planar},
		{"default", SourceOptions{}, spec("x", -1, 3, -1, -1), []int{3, 2, 3}, scaled(planar, func(_ int, v float64) float64 { return v * (1. / 255) })},
		{
			"normalized",
			SourceOptions{Scale: 1, Mean: []float64{1, 2, 3}, Std: []float64{2, 4, 8}},
			spec("x", -1, 3, -1, -1),
			[]int{3, 2, 3},
			scaled(planar, func(c int, v float64) float64 { return (v - float64(c+1)) / float64(int(2)<<c) }),
		},
		{
			"one mean",
			SourceOptions{Scale: 1, Mean: []float64{127}, Std: []float64{128}},
			spec("x", -1, 3, -1, -1),
			[]int{3, 2, 3},
			scaled(planar, func(_ int, v float64) float64 { return (v - 127) / 128 }),
		},
		{"bgr", SourceOptions{Scale: 1, Order: BGR}, spec("x", 4, 3, 2, 3), []int{3, 2, 3}, slices.Concat(blue, green, red)},
		{"nhwc", SourceOptions{Scale: 1}, spec("x", -1, 2, -1, 3), []int{2, 3, 3}, packed},
		{"nhwc by option", SourceOptions{Scale: 1, Layout: NHWC}, spec("x", -1, -1, -1, -1), []int{2, 3, 3}, packed},
		{"no batch axis", SourceOptions{Scale: 1}, spec("x", 3, 2, 3), []int{3, 2, 3}, planar},
		{"unknown rank", SourceOptions{Scale: 1}, InputSpec{Name: "x", Type: tensor.Float32, Shape: nil}, []int{3, 2, 3}, planar},
		{"gray", SourceOptions{Scale: 1}, spec("x", -1, 1, 2, 3), []int{1, 2, 3}, []float32{82, 82, 83, 90, 91, 92}},
		{"gray without an axis", SourceOptions{Scale: 1}, spec("x", -1, 2, 3), []int{2, 3}, []float32{82, 82, 83, 90, 91, 92}},
		{"crop", SourceOptions{Scale: 1, Crop: Size{1, 1}}, spec("x", -1, 3, -1, -1), []int{3, 1, 1}, []float32{1, 101, 200}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Labels = labels
			s := mustOpen(t, dir, c.o, c.input)
			if s.Len() != 2 {
				t.Fatalf("%d images, want 2", s.Len())
			}
			got := mustSample(t, s, 0)
			x := got.Inputs["x"]
			if got.Name != "b.png" || got.Label != 7 || !slices.Equal(x.Shape, c.shape) || !slices.Equal(x.Float32s(), c.want) {
				t.Errorf("%s, label %d: %v %v, want %v %v", got.Name, got.Label, x.Shape, x.Float32s(), c.shape, c.want)
			}
			if err := got.Check([]InputSpec{c.input}); err != nil {
				t.Error(err)
			}
			if other := mustSample(t, s, 1); other.Name != "sub/a.png" || other.Label != -1 {
				t.Errorf("%s, label %d, want sub/a.png and none", other.Name, other.Label)
			}
		})
	}
	bytes := mustSample(t, mustOpen(t, dir, SourceOptions{}, InputSpec{Name: "x", Type: tensor.Uint8, Shape: []int{-1, 3, 2, 3}}), 0).Inputs["x"]
	if bytes.Type != tensor.Uint8 || bytes.Data[17] != 200 || bytes.Data[1] != 1 {
		t.Errorf("bytes %v of type %s, want the pixels as they are", bytes.Data, bytes.Type)
	}
	transparent := mustSample(t, mustOpen(t, dir, SourceOptions{Scale: 1}, spec("x", -1, 3, 2, 3)), 1).Inputs["x"]
	if v := transparent.Float32s(); v[0] != 1 || v[6] != 2 || v[12] != 3 {
		t.Errorf("a transparent pixel has the colours %v, want 1, 2, 3", []float32{v[0], v[6], v[12]})
	}
	half := mustSample(t, mustOpen(t, dir, SourceOptions{Scale: 1}, InputSpec{Name: "x", Type: tensor.Float16, Shape: []int{-1, 3, 2, 3}}), 0).Inputs["x"]
	if half.Type != tensor.Float16 || !slices.Equal(half.Float32s(), planar) {
		t.Errorf("float16: %v", half.Float32s())
	}
}

// Resampling is bilinear, with the tent widened when shrinking.
func TestResize(t *testing.T) {
	dir := t.TempDir()
	// Columns of 0 and 240: a shrink by two weighs the columns at distance ½ and 1½
	// with 3 : 1 on each side, so between the borders every value is their mean.
	picture(t, filepath.Join(dir, "x.png"), 16, 16, func(y, x int) color.Color { return color.Gray{uint8(240 * (x % 2))} })
	s := mustOpen(t, dir, SourceOptions{Scale: 1, Resize: Resize{Exact: Size{8, 8}}}, spec("x", -1, 3, 8, 8))
	for i, v := range mustSample(t, s, 0).Inputs["x"].Float32s() {
		if x := i % 8; x > 0 && x < 7 && v != 120 {
			t.Fatalf("pixel %d is %v, want the mean, 120", i, v)
		}
	}
	picture(t, filepath.Join(dir, "x.png"), 10, 25, ramp)
	for _, c := range []struct {
		o             SourceOptions
		height, width int
	}{
		{SourceOptions{Resize: Resize{Short: 7}}, 7, 17}, // 17.5, rounded down
		{SourceOptions{Resize: Resize{Short: 7}, Crop: Size{7, 7}}, 7, 7},
		{SourceOptions{Resize: Resize{Exact: Size{3, 4}}}, 3, 4},
		{SourceOptions{Resize: Resize{Short: 10}}, 10, 25},
		{SourceOptions{Crop: Size{10, 1}}, 10, 1},
	} {
		x := mustSample(t, mustOpen(t, dir, c.o, spec("x", -1, 3, -1, -1)), 0).Inputs["x"]
		if want := []int{3, c.height, c.width}; !slices.Equal(x.Shape, want) {
			t.Errorf("%+v gives %v, want %v", c.o, x.Shape, want)
		}
	}
	if middle(1) != 0 || middle(3) != 2 || middle(4) != 2 || middle(5) != 2 {
		t.Errorf("margins of 1, 3, 4, 5 are halved to %d, %d, %d, %d, want 0, 2, 2, 2", middle(1), middle(3), middle(4), middle(5))
	}
}

func TestJPEG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jpg")
	picture(t, path, 8, 8, func(y, x int) color.Color { return color.NRGBA{200, 100, 50, 255} })
	x := mustSample(t, mustOpen(t, path, SourceOptions{Scale: 1}, spec("x", -1, 3, 8, 8)), 0).Inputs["x"].Float32s()
	for i, want := range []float32{200, 100, 50} {
		if math.Abs(float64(x[64*i]-want)) > 2 {
			t.Errorf("channel %d is %v, want about %v", i, x[64*i], want)
		}
	}
}

// records are two CIFAR-like records of 3×2×2.
func someRecords() []byte {
	var out []byte
	for r := range 2 {
		out = append(out, byte(5+r))
		for i := range 12 {
			out = append(out, byte(10*r+i))
		}
	}
	return out
}

func TestRecords(t *testing.T) {
	path := write(t, "data.bin", someRecords())
	s := mustOpen(t, path, SourceOptions{Scale: 1}, spec("x", -1, 3, 2, 2))
	got := mustSample(t, s, 1)
	if s.Len() != 2 || got.Label != 6 || got.Name != "data.bin#1" {
		t.Errorf("%d records, the second is %s with label %d", s.Len(), got.Name, got.Label)
	}
	if want := []float32{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}; !slices.Equal(got.Inputs["x"].Float32s(), want) {
		t.Errorf("pixels %v, want %v", got.Inputs["x"].Float32s(), want)
	}
	bgr := mustSample(t, mustOpen(t, path, SourceOptions{Scale: 1, Order: BGR}, spec("x", -1, 2, 2, 3)), 0).Inputs["x"]
	if want := []float32{8, 4, 0, 9, 5, 1, 10, 6, 2, 11, 7, 3}; !slices.Equal(bgr.Float32s(), want) {
		t.Errorf("BGR, channels last: %v, want %v", bgr.Float32s(), want)
	}
	flat := mustSample(t, mustOpen(t, path, SourceOptions{Scale: 1}, spec("x", -1, 12)), 0).Inputs["x"]
	if !slices.Equal(flat.Shape, []int{12}) || flat.Float32s()[11] != 11 {
		t.Errorf("flat: %v %v", flat.Shape, flat.Float32s())
	}
}

func TestTestData(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{10, 9} {
		set := filepath.Join(dir, fmt.Sprint("test_data_set_", n))
		if err := os.Mkdir(set, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"b", "a"} {
			p, err := onnxio.NewTensor(name, tensor.Float32, []int{2, 3}, slices.Repeat([]float64{float64(n + i)}, 6))
			if err != nil {
				t.Fatal(err)
			}
			data, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(set, fmt.Sprintf("input_%d.pb", i)), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := mustOpen(t, dir, SourceOptions{}, spec("a", -1, 3), spec("b", -1, 3))
	first := mustSample(t, s, 0)
	if s.Len() != 2 || first.Name != "test_data_set_9" || !first.Whole {
		t.Errorf("%d sets, the first is %s", s.Len(), first.Name)
	}
	if a, b := first.Inputs["a"].Float32s()[0], first.Inputs["b"].Float32s()[0]; a != 10 || b != 9 {
		t.Errorf("by name a is %v and b is %v, want 10 and 9", a, b)
	}
	other := mustSample(t, mustOpen(t, filepath.Join(dir, "test_data_set_10"), SourceOptions{}, spec("p", -1, 3), spec("q", -1, 3)), 0)
	if p, q := other.Inputs["p"].Float32s()[0], other.Inputs["q"].Float32s()[0]; p != 10 || q != 11 {
		t.Errorf("by order the inputs are %v and %v, want 10 and 11", p, q)
	}
	_, err := mustOpen(t, dir, SourceOptions{}, spec("a", -1, 3), spec("b", -1, 3), spec("c", -1)).Sample(0)
	testkit.WantError(t, err, "input_2.pb", "c: float32[?]")
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string { return write(t, name, []byte(text)) }
	image := spec("x", -1, 3, 2, 2)
	bin := write(t, "x.bin", someRecords())
	shots := filepath.Join(dir, "shots")
	picture(t, filepath.Join(shots, "x.png"), 2, 3, ramp)
	for _, c := range []struct {
		name   string
		path   string
		o      SourceOptions
		inputs []InputSpec
		words  []string
	}{
		{"nothing there", filepath.Join(dir, "gone"), SourceOptions{}, []InputSpec{image}, []string{"gone"}},
		{"empty folder", t.TempDir(), SourceOptions{}, []InputSpec{image}, []string{"neither JPEG, PNG or WebP"}},
		{"no inputs", shots, SourceOptions{}, nil, []string{"no inputs"}},
		{"two inputs", shots, SourceOptions{}, []InputSpec{image, spec("y", 1)}, []string{"x: float32[?,3,2,2]; y: float32[1]", ".npz"}},
		{"integers", shots, SourceOptions{}, []InputSpec{{Name: "x", Type: tensor.Int64, Shape: []int{-1, 3, 2, 2}}}, []string{"int64", "uint8"}},
		{"five axes", shots, SourceOptions{}, []InputSpec{spec("x", 1, 1, 3, 2, 2)}, []string{"not the shape of an image"}},
		{"seven channels", shots, SourceOptions{}, []InputSpec{spec("x", -1, 7, 2, 2)}, []string{"7 channels", "layout"}},
		{"means", shots, SourceOptions{Mean: []float64{1, 2}}, []InputSpec{image}, []string{"mean has 2 numbers", "3 channels"}},
		{"std", shots, SourceOptions{Std: []float64{0}}, []InputSpec{image}, []string{"other than 0"}},
		{"scaled bytes", shots, SourceOptions{Mean: []float64{1}}, []InputSpec{{Name: "x", Type: tensor.Uint8, Shape: []int{-1, 3, 2, 2}}}, []string{"as they are"}},
		{"two resizes", shots, SourceOptions{Resize: Resize{Short: 3, Exact: Size{2, 2}}}, []InputSpec{image}, []string{"choose one"}},
		{"crop", shots, SourceOptions{Crop: Size{0, 3}}, []InputSpec{image}, []string{"0x3"}},
		{"layout", shots, SourceOptions{Layout: "chw"}, []InputSpec{image}, []string{"chw", "nchw"}},
		{"order", shots, SourceOptions{Order: "rbg"}, []InputSpec{image}, []string{"rbg"}},
		{"record size", bin, SourceOptions{}, []InputSpec{spec("x", -1, 3, 2, 3)}, []string{"26 bytes", "multiple of 19"}},
		{"empty file", file("e.bin", ""), SourceOptions{}, []InputSpec{image}, []string{"empty"}},
		{"open size", bin, SourceOptions{}, []InputSpec{spec("x", -1, 3, -1, -1)}, []string{"size of a record"}},
		{"record labels", bin, SourceOptions{Labels: "y"}, []InputSpec{image}, []string{"labels in them"}},
		{"record crop", bin, SourceOptions{Crop: Size{1, 1}}, []InputSpec{image}, []string{"folders of images"}},
		{"no npy", file("x.npy", "hello, world"), SourceOptions{}, []InputSpec{image}, []string{"signature"}},
		{"no npz", file("x.npz", "hello, world"), SourceOptions{}, []InputSpec{image}, []string{"no .npz file"}},
		{"labels missing", shots, SourceOptions{Labels: "gone"}, []InputSpec{image}, []string{"labels", "gone"}},
		{"labels count", shots, SourceOptions{Labels: file("l", "1\n2\n")}, []InputSpec{image}, []string{"2 labels for 1 samples"}},
		{"labels of others", shots, SourceOptions{Labels: file("l", "y.png\t2\n")}, []InputSpec{image}, []string{"none of its 1 names", "x.png"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.path, c.o, c.inputs)
			testkit.WantError(t, err, append(c.words, "samples: ")...)
		})
	}
	_, err := mustOpen(t, shots, SourceOptions{}, image).Sample(0)
	testkit.WantError(t, err, "x.png", "it is 2x3", "the model wants 2x2", "resize or crop", "--resize 2 --crop 2", "--resize 2x2")
	_, err = mustOpen(t, shots, SourceOptions{}, spec("x", -1, 3, 4, 2)).Sample(0)
	testkit.WantError(t, err, "the model wants 4x2; resize or crop the images, as they were for training (--resize 4x2)")
	_, err = mustOpen(t, shots, SourceOptions{Crop: Size{9, 1}}, spec("x", -1, 3, -1, -1)).Sample(0)
	testkit.WantError(t, err, "x.png", "9x1", "resize it first (--resize ")
	broken := file("b.jpg", "no picture")
	_, err = mustOpen(t, broken, SourceOptions{}, image).Sample(0)
	testkit.WantError(t, err, broken, "cannot be decoded")
	set := filepath.Join(t.TempDir(), "test_data_set_0")
	if err := os.Mkdir(set, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(set, "input_0.pb"), []byte("\xff\xff"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = mustOpen(t, set, SourceOptions{}, image).Sample(0)
	testkit.WantError(t, err, "input_0.pb", "no serialized tensor")
	_, err = Open(set, SourceOptions{Scale: 2}, []InputSpec{image})
	testkit.WantError(t, err, "as they are")
}

func TestParseOptions(t *testing.T) {
	size, err := ParseSize("224")
	if err != nil || size != (Size{224, 224}) {
		t.Errorf("224 is %v (%v)", size, err)
	}
	if size, err = ParseSize("240X320"); err != nil || size != (Size{240, 320}) || size.String() != "240x320" {
		t.Errorf("240X320 is %v (%v)", size, err)
	}
	if r, err := ParseResize("256"); err != nil || r != (Resize{Short: 256}) {
		t.Errorf("256 is %+v (%v)", r, err)
	}
	if r, err := ParseResize("48x320"); err != nil || r != (Resize{Exact: Size{48, 320}}) {
		t.Errorf("48x320 is %+v (%v)", r, err)
	}
	if v, err := ParseNumbers("0.5, 1,-2e3"); err != nil || !slices.Equal(v, []float64{0.5, 1, -2000}) {
		t.Errorf("numbers %v (%v)", v, err)
	}
	for _, bad := range []string{"", "x", "0", "-3", "3x", "x3", "3x4x5", "99999999"} {
		_, err := ParseSize(bad)
		testkit.WantError(t, err, bad, "HEIGHTxWIDTH")
		_, err = ParseResize(bad)
		testkit.WantError(t, err, bad)
	}
	for _, bad := range []string{"", "1,", "a", "NaN", "1,Inf"} {
		_, err := ParseNumbers(bad)
		testkit.WantError(t, err, "list of numbers")
	}
	_, err = ParseLayout("hwc")
	testkit.WantError(t, err, "hwc", "nchw, nhwc")
	_, err = ParseOrder("")
	testkit.WantError(t, err, "rgb, bgr")
	for _, n := range Normalizations() {
		var o SourceOptions
		if err := o.Normalize(n.Name); err != nil || o.Scale != n.Scale || o.check() != nil || n.Doc == "" {
			t.Errorf("%s: %+v (%v)", n.Name, o, err)
		}
	}
	var o SourceOptions
	testkit.WantError(t, o.Normalize("imagnet"), "imagnet", "imagenet, cifar10")
}

func TestInputs(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8).Place(testmodels.Overridable)
	b.Linear(b.Input("x", tensor.Float32, "N", 6), 6, 4, true)
	b.Output(b.Rename("y"), tensor.Float32, "N", 4)
	in, err := Inputs(testkit.Built(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if len(in) != 1 || in[0].String() != "x: float32[?,6]" {
		t.Errorf("inputs %v, want x alone: the others have defaults", in)
	}
	m := onnxio.New(nil)
	defer m.Close()
	if in, err := Inputs(m); err != nil || len(in) != 0 {
		t.Errorf("no model: inputs %v (%v)", in, err)
	}
}

func FuzzParseTensor(f *testing.F) {
	p, err := onnxio.NewTensor("x", tensor.Float32, []int{2}, []float64{1, 2})
	if err != nil {
		f.Fatal(err)
	}
	data, err := p.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(binary.LittleEndian.AppendUint64(data, 7))
	seeds.Add(f, "tensors", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, _, err := parseTensor(data); err == nil && d.Check() != nil {
			t.Errorf("a tensor that does not pass its own check: %v", d.Check())
		}
	})
}

// TestDoors: texts and sound are refused with the command that makes samples of them.
func TestDoors(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"texts.txt", "a.wav", "b.mp3", "recordings/a.wav", "lines/a.jsonl", "photos/a.bmp", "photos/labels.txt"} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	inputs := []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 16}}}
	for name, want := range map[string]string{
		"texts.txt":  "python -m onnx_compress.texts " + filepath.Join(folder, "texts.txt") + " --tokenizer tokenizer.json --model MODEL.onnx -o calib.npz",
		"a.wav":      "python -m onnx_compress.waves " + filepath.Join(folder, "a.wav") + " --model MODEL.onnx --rate 16000 -o calib.npz",
		"b.mp3":      "made WAV by ffmpeg or sox",
		"recordings": "python -m onnx_compress.waves " + filepath.Join(folder, "recordings") + " --model",
		"lines":      "python -m onnx_compress.texts " + filepath.Join(folder, "lines", "TEXTS.jsonl") + " --tokenizer",
		"photos":     "convert them to PNG",
	} {
		_, err := Open(filepath.Join(folder, name), SourceOptions{}, inputs)
		testkit.WantError(t, err, want)
	}
}

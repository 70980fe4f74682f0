package samples

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// pictures are small files of every kind of picture that Go writes.
func pictures(t testing.TB) [][]byte {
	t.Helper()
	box := image.Rect(0, 0, 9, 7)
	palette := color.Palette{color.Black, color.White, color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 9, 9}}
	var out [][]byte
	for _, img := range []interface {
		image.Image
		Set(x, y int, c color.Color)
	}{
		image.NewGray(box), image.NewGray16(box), image.NewRGBA(box), image.NewNRGBA(box), image.NewNRGBA64(box), image.NewPaletted(box, palette), image.NewCMYK(box),
	} {
		for i := range 9 * 7 {
			img.Set(i%9, i/9, color.NRGBA{byte(i * 7), byte(i * 31), byte(i), byte(255 - i)})
		}
		var p, j bytes.Buffer
		if err := png.Encode(&p, img); err != nil {
			t.Fatal(err)
		}
		if err := jpeg.Encode(&j, img, &jpeg.Options{Quality: 50}); err != nil {
			t.Fatal(err)
		}
		out = append(out, p.Bytes(), j.Bytes())
	}
	return out
}

// FuzzImage: whatever is taken for a picture becomes a sample of the input's size with finite numbers, or is refused.
func FuzzImage(f *testing.F) {
	for _, data := range pictures(f) {
		f.Add(data, uint8(5), uint8(3))
		f.Add(data[:len(data)-9], uint8(0), uint8(0))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, resize, crop uint8) {
		if c, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && c.Width*c.Height > 1<<16 {
			return // right, and slow
		}
		path := filepath.Join(dir, "a.png")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		o := SourceOptions{Resize: Resize{Short: int(resize % 16)}, Crop: Size{int(crop % 16), int(crop % 16)}}
		in := []InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 3, -1, -1}}}
		s, err := Open(path, o, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Sample(0)
		if err != nil {
			return
		}
		if err := got.Check(in); err != nil {
			t.Error(err)
		}
	})
}

// FuzzRecords: a file of records is as many samples as it has, for every input and whatever its bytes.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x07abcdef\x03ghijkl"), 3, 1, 2, uint8(0))
	f.Add([]byte("\x07a"), 1, 1, 1, uint8(1))
	f.Add([]byte(""), 1, 1<<40, 1<<40, uint8(2))
	f.Add([]byte("\x07abc"), -1, 0, 3, uint8(3))
	f.Add([]byte(""), 1<<40, 19, 3, uint8(1))
	f.Add([]byte(""), 1<<40, 19, 3, uint8(0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, channels, height, width int, how uint8) {
		path := filepath.Join(dir, "a.bin")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		shape := [][]int{{-1, channels, height, width}, {-1, height, width, channels}, {-1, height, width}, {-1, width}}[how%4]
		in := []InputSpec{{Name: "x", Type: []tensor.Type{tensor.Float32, tensor.Uint8, tensor.Float16}[how%3], Shape: shape}}
		s, err := Open(path, SourceOptions{}, in)
		if err != nil {
			return
		}
		for i := range s.Len() {
			got, err := s.Sample(i)
			if err == nil {
				err = got.Check(in)
			}
			if err != nil {
				t.Errorf("record %d of %d of %v: %v", i, s.Len(), in, err)
			}
		}
	})
}

package samples

import (
	"image"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
)

// ImageSizes are the sizes, height and width in pixels, of the first images of a folder, at most so many, as their headers tell. Those that
// cannot be read are passed over.
func ImageSizes(folder string, most int) ([]Size, error) {
	files, err := findImages(folder)
	if err != nil {
		return nil, err
	}
	s := images{root: folder}
	var out []Size
	for _, name := range files[:min(most, len(files))] {
		if size, err := imageSize(s.path(name)); err == nil {
			out = append(out, size)
		}
	}
	return out, nil
}

func imageSize(path string) (Size, error) {
	f, _, err := bounded.Open(path)
	if err != nil {
		return Size{}, err
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	return Size{Height: c.Height, Width: c.Width}, err
}

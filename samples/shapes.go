package samples

import (
	"cmp"
	"slices"
)

// shaped is a source that knows the shapes of a sample's inputs before it reads the sample.
type shaped interface {
	// shapes tells them, if it does.
	shapes(i int) (map[string][]int, bool)
}

// Shapes returns the shapes of the inputs of sample i. It reads no more than it has to: of an image the header. One that turns out to be
// damaged later may have another shape, since the next one takes its place.
func Shapes(src Source, i int) (map[string][]int, error) {
	if s, ok := src.(shaped); ok {
		if out, ok := s.shapes(i); ok {
			return out, nil
		}
	}
	s, err := src.Sample(i)
	if err != nil {
		return nil, err
	}
	out := map[string][]int{}
	for name, t := range s.Inputs {
		out[name] = t.Shape
	}
	return out, nil
}

// shapes are those of the arrays, where no other inputs are made of these.
func (s *arrays) shapes(int) (map[string][]int, bool) {
	if s.made != nil {
		return nil, false
	}
	out := map[string][]int{}
	for i := range s.columns {
		out[s.columns[i].input.Name] = slices.Clone(s.columns[i].header.shape[1:])
	}
	return out, true
}

// shapes follow from the size that the header tells.
func (s *images) shapes(i int) (map[string][]int, bool) {
	size := cmp.Or(s.opts.Crop, s.opts.Resize.Exact)
	if size == (Size{}) {
		var err error
		if size, err = imageSize(s.path(s.files[i])); err == nil {
			size, err = s.resized(size)
		}
		if err != nil {
			return nil, false
		}
	}
	return map[string][]int{s.pixels.input.Name: s.pixels.sampleShape(s.pixels.channels, size.Height, size.Width)}, true
}

package samples

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/filekind"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// records is a file of records as CIFAR-10 is published: a byte with the label, then
// the pixels channel by channel, row by row.
type records struct {
	path     string
	n        int
	channels int
	height   int
	width    int
	opts     SourceOptions
	pixels   *pixels
}

func openRecords(path string, size int64, o SourceOptions, inputs []InputSpec) (Source, error) {
	// Records begin with any bytes, but in a file of another ending those of another format are no accident.
	ext := strings.ToLower(filepath.Ext(path))
	if k := filekind.At(path); k != nil && (k.Sure || ext != ".bin" && ext != "") {
		return nil, fmt.Errorf("%s: %s", path, k)
	}
	if o.Labels != "" {
		return nil, errors.New("binary records have their labels in them; leave out the labels file")
	}
	if (o.Resize != Resize{}) || (o.Crop != Size{}) {
		return nil, errors.New("resize and crop apply to folders of images, not to binary records")
	}
	p, err := newPixels("a file of binary records", o, inputs, true)
	if err != nil {
		return nil, err
	}
	if p.channels < 1 || p.height < 1 || p.width < 1 {
		return nil, fmt.Errorf("%s: the size of a record follows from the model's input, but that is %s; give a .npy file instead", path, p.input)
	}
	s := &records{path: path, channels: p.channels, height: p.height, width: p.width, opts: o, pixels: p}
	if p.order == BGR && p.channels != 3 {
		return nil, fmt.Errorf("%s: BGR is an order of 3 channels, the model's input %s has %d", path, p.input, p.channels)
	}
	if err := checkSize(tensor.Uint8, []int{p.channels, p.height, p.width}); err != nil {
		return nil, fmt.Errorf("%s: a record of the input %s: %w", path, s.pixels.input, err)
	}
	if err := checkCount(path, int(size)/s.length()); err != nil {
		return nil, err
	}
	switch length := int64(s.length()); {
	case size == 0:
		return nil, fmt.Errorf("%s: the file is empty", path)
	case size%length != 0:
		return nil, explained(path, fmt.Errorf("%s: its %d bytes are no multiple of %d, the size of a record (a label byte and %d×%d×%d pixels, as the input %s has it); other kinds of samples are .npy and .npz files and folders of images or test_data_set_*", path, size, length, s.channels, s.height, s.width, p.input))
	default:
		s.n = int(size / length)
	}
	return s, nil
}

func (s *records) length() int { return 1 + s.channels*s.height*s.width }

func (s *records) Len() int { return s.n }

func (s *records) Describe() string {
	text := fmt.Sprintf("%d records of %d×%d×%d in %s", s.n, s.channels, s.height, s.width, s.path)
	if s.pixels.order == BGR {
		text += ", BGR"
	}
	return text + s.opts.describe(true)
}

func (s *records) Sample(i int) (Sample, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return Sample{}, err
	}
	defer f.Close()
	record := make([]byte, s.length())
	if _, err := f.ReadAt(record, int64(i)*int64(len(record))); err != nil {
		return Sample{}, fmt.Errorf("%s: record %d: %w", s.path, i, err)
	}
	planes := record[1:]
	if s.pixels.order == BGR {
		n := s.height * s.width
		planes = slices.Concat(planes[2*n:], planes[n:2*n], planes[:n])
	}
	t, err := s.pixels.tensor(s.channels, s.height, s.width, func(c, y, x int) byte {
		return planes[(c*s.height+y)*s.width+x]
	})
	if err != nil {
		return Sample{}, fmt.Errorf("%s: record %d: %w", s.path, i, err)
	}
	name := fmt.Sprintf("%s#%d", filepath.Base(s.path), i)
	return newSample(name, []int{int(record[0])}, 0, s.pixels.input.Name, t), nil
}

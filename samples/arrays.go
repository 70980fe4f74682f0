package samples

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	slashpath "path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// arrays are the arrays of a .npy or .npz file, one per input; the first axis of each
// numbers the samples.
type arrays struct {
	path    string
	n       int
	opts    SourceOptions
	columns []column
	made    *made // the inputs that follow from the columns; nil where all have one
	labels  []int
}

// column is the array of one input.
type column struct {
	input  InputSpec
	name   string // of the array, for messages
	header npyHeader
	offset int64  // of the data in the file
	memory []byte // the data itself, where the file has it compressed
	scale  *scaling
	axis   int // of the channels in a sample, -1 where all share one mean and deviation
}

func openNPY(path string, o SourceOptions, inputs []InputSpec) (Source, error) {
	own, missing := apart(inputs)
	if len(own) != 1 {
		return nil, fmt.Errorf("%s has one array, but the model has %d inputs (%s); give a .npz file with an array per input", path, len(inputs), inputsText(inputs))
	}
	f, info, err := bounded.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := readNPYHeader(f)
	if err != nil {
		return nil, explained(path, fmt.Errorf("%s: %w", path, err))
	}
	if got := info.Size() - h.offset; got < h.size() {
		return nil, fmt.Errorf("%s: the array %s%s needs %d bytes, the file has %d; it is cut off", path, h.typ, tensor.ShapeText(h.shape), h.size(), got)
	}
	c := column{input: own[0], name: path, header: h, offset: h.offset}
	if err := c.turn(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newArrays(path, o, []column{c}, missing)
}

func openNPZ(path string, o SourceOptions, inputs []InputSpec) (Source, error) {
	archive, info, err := bounded.Open(path)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	z, err := zip.NewReader(archive, info.Size())
	if err != nil {
		return nil, explained(path, fmt.Errorf("%s: it is no .npz file, or a damaged one: %w", path, err))
	}
	entries := map[string]*zip.File{}
	var names []string
	for _, f := range z.File {
		if name, ok := strings.CutSuffix(f.Name, ".npy"); ok && !hidden(slashpath.Base(name)) {
			entries[name] = f
			names = append(names, name)
		}
	}
	var columns []column
	var missing []InputSpec
	own, _ := apart(inputs)
	for _, in := range inputs {
		f, ok := entries[in.Name]
		if !ok && len(own) == 1 && own[0].Name == in.Name && len(names) == 1 {
			f, ok = entries[names[0]], true
		}
		if !ok && canBeMade(in, inputs) {
			missing = append(missing, in)
			continue
		}
		if !ok {
			return nil, fmt.Errorf("%s: no array for the input %s%s; its arrays are %s, so save them by the names of the inputs%s", path, in, suggest.Phrase(in.Name, names), strings.Join(names, ", "), notMade(inputs))
		}
		c := column{input: in, name: path + ":" + f.Name}
		err := c.readEntry(f)
		if err == nil && c.memory == nil && c.header.size() > info.Size()-c.offset {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			err = c.turn(archive)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		columns = append(columns, c)
	}
	return newArrays(path, o, columns, missing)
}

// apart parts the inputs from those that can be made of others; one alone is its own.
func apart(inputs []InputSpec) (own, made []InputSpec) {
	for _, in := range inputs {
		if canBeMade(in, inputs) {
			made = append(made, in)
		} else {
			own = append(own, in)
		}
	}
	return own, made
}

// readEntry reads the header of an array in a .npz file, and its data where that is
// compressed; otherwise samples are read from the file when they are asked for.
func (c *column) readEntry(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if c.header, err = readNPYHeader(r); err != nil {
		return err
	}
	h := c.header
	if f.UncompressedSize64 != uint64(h.offset+h.size()) {
		return fmt.Errorf("the array %s%s needs %d bytes, the entry has %d", h.typ, tensor.ShapeText(h.shape), h.offset+h.size(), f.UncompressedSize64)
	}
	if f.Method == zip.Store {
		if f.CompressedSize64 != f.UncompressedSize64 {
			return fmt.Errorf("the stored entry claims %d bytes and holds %d", f.UncompressedSize64, f.CompressedSize64)
		}
		start, err := f.DataOffset()
		c.offset = start + h.offset
		return err
	}
	if err := bounded.Packed(int64(f.CompressedSize64), h.size()); err != nil {
		return fmt.Errorf("%w; save it with numpy.savez, unpacked", err)
	}
	// The sizes are only claims: let the buffer grow with what really comes.
	var data bytes.Buffer
	if n, err := io.Copy(&data, io.LimitReader(r, h.size())); err != nil || n < h.size() {
		return fmt.Errorf("the array %s%s is cut off: %w", h.typ, tensor.ShapeText(h.shape), errors.Join(err, io.ErrUnexpectedEOF))
	}
	c.memory = data.Bytes()
	return nil
}

// turn reads an array that is stored column by column into memory, sample by sample.
func (c *column) turn(file io.ReaderAt) error {
	h := c.header
	if !h.column {
		return nil
	}
	if h.size() > maxColumns {
		return fmt.Errorf("the array %s%s is stored column by column (fortran_order), and too large to be turned; save numpy.ascontiguousarray of it", h.typ, tensor.ShapeText(h.shape))
	}
	if c.memory == nil {
		c.memory = make([]byte, h.size())
		if _, err := file.ReadAt(c.memory, c.offset); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	c.memory, c.offset = h.rows(c.memory), 0
	return nil
}

func newArrays(path string, o SourceOptions, columns []column, missing []InputSpec) (Source, error) {
	if (o.Resize != Resize{}) || (o.Crop != Size{}) || o.Order == BGR {
		return nil, fmt.Errorf("%s: resize, crop and BGR apply to images, not to arrays", path)
	}
	s := &arrays{path: path, opts: o, columns: columns, n: -1}
	for i := range columns {
		c := &columns[i]
		shape := c.header.shape
		if len(shape) == 0 {
			return nil, fmt.Errorf("%s: the array is a single number; want an array whose first axis numbers the samples", c.name)
		}
		if s.n >= 0 && shape[0] != s.n {
			return nil, fmt.Errorf("%s: it has %d samples, %s has %d; every array needs as many", c.name, shape[0], columns[0].name, s.n)
		}
		if err := checkCount(c.name, shape[0]); err != nil {
			return nil, err
		}
		if s.n = shape[0]; s.n == 0 {
			return nil, fmt.Errorf("%s: it has no samples, its shape is %s", c.name, tensor.ShapeText(shape))
		}
		if err := checkSize(c.header.typ, shape[1:]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if err := c.prepare(o); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	var err error
	if len(missing) > 0 {
		if s.made, err = madeFrom(columns, missing); err == nil {
			s.made.pad, err = s.padding()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: no array for the input %s: %w", path, missing[0], err)
		}
		if err := s.made.fits(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if o.Labels == NextToken {
		return s, s.hasTokens()
	}
	s.labels, _, err = readLabels(o.Labels, s.n, nil)
	return s, err
}

// hasTokens refuses labels that are the next tokens where no array can have tokens.
func (s *arrays) hasTokens() error {
	if slices.ContainsFunc(s.columns, func(c column) bool { return !c.input.Type.IsFloat() }) {
		return nil
	}
	return fmt.Errorf("%s: the labels %q are the tokens after each, and no input of the model takes the ids of tokens; its inputs are of floating-point numbers", s.path, NextToken)
}

// padding finds what the texts are filled up with.
func (s *arrays) padding() (padding, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return padding{}, err
	}
	defer f.Close()
	ids := s.columns[slices.IndexFunc(s.columns, func(c column) bool { return c.input.Name == s.made.ids })]
	texts := make([][]int64, s.n)
	for i := range texts {
		t, err := ids.sample(f, i)
		if err == nil {
			texts[i], err = t.Int64s()
		}
		if err != nil {
			return padding{}, err
		}
	}
	return findPadding(texts), nil
}

// prepare decides how the array's numbers are scaled. The options apply to every array
// that feeds a floating-point input; where they are unset, bytes are scaled by 1/255.
func (c *column) prepare(o SourceOptions) error {
	set := o.Scale != 0 || o.Mean != nil || o.Std != nil
	isBytes := c.header.typ == tensor.Uint8
	if c.axis = -1; !c.input.Type.IsFloat() || !set && !isBytes {
		return nil
	}
	shape, channels := c.header.shape[1:], 1
	if n := max(len(o.Mean), len(o.Std)); n > 1 {
		if c.axis = channelAxis(o.Layout, shape, n); c.axis < 0 {
			return fmt.Errorf("mean and std have %d numbers, but a sample has the shape %s, without an axis of %d channels", n, tensor.ShapeText(shape), n)
		}
		channels = n
	}
	f, err := newScaling(o, channels, isBytes)
	c.scale = &f
	return err
}

// channelAxis finds the axis of n channels in the shape of a sample: the first or the
// last, as the layout says, or the one of that size.
func channelAxis(layout Layout, shape []int, n int) int {
	axes := []int{0, len(shape) - 1}
	switch layout {
	case NCHW:
		axes = axes[:1]
	case NHWC:
		axes = axes[1:]
	}
	for _, a := range axes {
		if len(shape) > 0 && shape[a] == n {
			return a
		}
	}
	return -1
}

func (s *arrays) Len() int { return s.n }

func (s *arrays) Describe() string {
	isBytes := slices.ContainsFunc(s.columns, func(c column) bool { return c.scale != nil && c.header.typ == tensor.Uint8 })
	return fmt.Sprintf("%d samples of %s", s.n, s.path) + s.opts.describe(isBytes) + s.made.describe()
}

func (s *arrays) Sample(i int) (Sample, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return Sample{}, err
	}
	defer f.Close()
	out := Sample{Name: fmt.Sprintf("%s#%d", filepath.Base(s.path), i), Label: -1, Inputs: map[string]tensor.Dense{}}
	if s.labels != nil {
		out.Label = s.labels[i]
	}
	for _, c := range s.columns {
		t, err := c.sample(f, i)
		if err != nil {
			return Sample{}, fmt.Errorf("%s: sample %d: %w", c.name, i, err)
		}
		out.Inputs[c.input.Name] = t
	}
	if err := s.made.add(&out); err != nil {
		return Sample{}, fmt.Errorf("%s: sample %d: %w", s.path, i, err)
	}
	return out, nil
}

// sample reads, scales and converts one sample of the array.
func (c *column) sample(file io.ReaderAt, i int) (tensor.Dense, error) {
	r := file
	if c.memory != nil {
		r = bytes.NewReader(c.memory)
	}
	t, err := c.header.row(r, c.offset, i)
	if err != nil {
		return t, err
	}
	if c.scale == nil {
		return t.Convert(c.input.Type)
	}
	v, err := t.Float64s()
	if err != nil {
		return t, err
	}
	inner := 1
	if c.axis >= 0 {
		for _, n := range t.Shape[c.axis+1:] {
			inner *= n
		}
	}
	for k := range v {
		v[k] = c.scale.apply(k/inner%len(c.scale.mean), v[k])
	}
	return tensor.FromFloat64(t.Shape, v).Convert(c.input.Type)
}

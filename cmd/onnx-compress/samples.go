package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// sampleFlags say how samples are prepared.
type sampleFlags struct {
	labels, resize, crop, normalize, mean, std, layout, order string
	scale                                                     float64
}

func (s *sampleFlags) declare(f *flagSet) {
	f.StringVar(&s.labels, "labels", "", "`FILE` classes: one integer a line, or for images NAME,CLASS or NAME CLASS, or NAME<TAB>CLASS for some; names of classes count in sorted order; the word next: each token after the one before it")
	f.StringVar(&s.resize, "resize", "", "`SIZE` images: length of the short side, or HEIGHTxWIDTH")
	f.StringVar(&s.crop, "crop", "", "`SIZE` images: cut out the middle, SIDE or HEIGHTxWIDTH")
	f.StringVar(&s.normalize, "normalize", "", "`NAME` imagenet, cifar10, cifar100, half ([-1, 1]) or raw")
	f.StringVar(&s.mean, "mean", "", "`A,B,C` per channel, in scaled units (0)")
	f.StringVar(&s.std, "std", "", "`A,B,C` per channel, in scaled units (1)")
	f.Float64Var(&s.scale, "scale", 0, "`X` what pixels are multiplied with (1/255)")
	f.StringVar(&s.layout, "layout", "", "`NAME` nchw or nhwc (what the model's input shows)")
	f.StringVar(&s.order, "order", "", "`NAME` rgb or bgr (rgb)")
	f.completeWith("normalize", words("imagenet", "cifar10", "cifar100", "half", "raw"))
	f.completeWith("layout", words("nchw", "nhwc"))
	f.completeWith("order", words("rgb", "bgr"))
}

// asForCompress is the text of these flags where another command has them, too.
const asForCompress = "how samples are prepared, as for compress"

// needs refuses flags about samples where the flag that names them is absent.
func (s *sampleFlags) needs(f *pflag.FlagSet, source, value string) error {
	for _, name := range []string{"labels", "resize", "crop", "normalize", "mean", "std", "scale", "layout", "order"} {
		if value == "" && f.Changed(name) {
			return usagef("--%s says how samples are prepared, but there are none; name them with --%s", name, source)
		}
	}
	return nil
}

// options reads the flags' words.
func (s *sampleFlags) options() (samples.SourceOptions, error) {
	o := samples.SourceOptions{Labels: s.labels}
	if s.normalize != "" {
		if err := o.Normalize(s.normalize); err != nil {
			return o, usagef("--normalize: %w", err)
		}
	}
	if math.IsNaN(s.scale) || math.IsInf(s.scale, 0) {
		return o, usagef("--scale %v: want a finite number", s.scale)
	}
	if s.scale != 0 {
		o.Scale = s.scale
	}
	for _, p := range []struct {
		flag, word string
		read       func(string) error
	}{
		{"resize", s.resize, func(w string) (err error) { o.Resize, err = samples.ParseResize(w); return }},
		{"crop", s.crop, func(w string) (err error) { o.Crop, err = samples.ParseSize(w); return }},
		{"mean", s.mean, func(w string) (err error) { o.Mean, err = samples.ParseNumbers(w); return }},
		{"std", s.std, func(w string) (err error) { o.Std, err = samples.ParseNumbers(w); return }},
		{"layout", s.layout, func(w string) (err error) { o.Layout, err = samples.ParseLayout(w); return }},
		{"order", s.order, func(w string) (err error) { o.Order, err = samples.ParseOrder(w); return }},
	} {
		if p.word == "" {
			continue
		}
		if err := p.read(p.word); err != nil {
			return o, usagef("--%s: %w", p.flag, err)
		}
	}
	return o, nil
}

// opened reads a model, and opens the samples for it that a path names, none where it is empty.
func opened(path, data string, flags *sampleFlags) (*onnxio.Model, samples.Source, error) {
	m, err := onnxio.Read(path)
	if err != nil || data == "" {
		return m, nil, mistyped(path, err)
	}
	source, err := openSamples(m, data, flags)
	if err != nil {
		defer m.Close()
		return nil, nil, elsewhere(m, data, mistyped(data, err))
	}
	return m, source, nil
}

// openedThrough is opened, with the model that the first one is judged through where a path names one; its samples are for both then. The caller
// closes both.
func openedThrough(path, through, data string, flags *sampleFlags) (m, behind *onnxio.Model, source samples.Source, err error) {
	if through == "" {
		m, source, err = opened(path, data, flags)
		return m, nil, source, err
	}
	if m, _, err = opened(path, "", nil); err != nil {
		return nil, nil, nil, err
	}
	if behind, _, err = opened(through, "", nil); err == nil && data != "" {
		var whole *onnxio.Model
		if whole, err = compress.Joined(m, behind); err == nil {
			source, err = openSamples(whole, data, flags)
			err = mistyped(data, err)
		}
	}
	if err != nil {
		closeAll(m, behind)
		return nil, nil, nil, err
	}
	return m, behind, source, nil
}

// closeAll closes models, nil for none.
func closeAll(list ...*onnxio.Model) {
	for _, m := range list {
		if m != nil {
			m.Close()
		}
	}
}

// throughFlag declares the model that another one is judged through.
func throughFlag(f *flagSet, path *string, text string) {
	f.StringVar(path, "through", "", "`MODEL` "+text)
	f.completeWith("through", ending("onnx"))
}

// mistyped adds to the error of a file that is not there which one beside it may have been meant.
func mistyped(path string, err error) error {
	if _, there := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || !errors.Is(there, fs.ErrNotExist) {
		return err
	}
	entries, _ := os.ReadDir(filepath.Dir(path)) // without it there is nothing to suggest
	near := suggest.Phrase(filepath.Base(path), each(entries, fs.DirEntry.Name))
	if near == "" {
		return err
	}
	return fmt.Errorf("%w%s", err, near)
}

// elsewhere adds to the error of images for a model that takes texts or sound how samples are made of these.
func elsewhere(m *onnxio.Model, data string, err error) error {
	if sizes, failed := samples.ImageSizes(data, 1); failed != nil || len(sizes) == 0 {
		return err
	}
	about, failed := subjectOf(m)
	if failed != nil {
		return err
	}
	d, ok := about.door()
	if !ok || d.made == "" {
		return err
	}
	return fmt.Errorf("%w\n%s\nand then %s", err, d, d.flags)
}

// openSamples opens the samples at path for the model.
func openSamples(m *onnxio.Model, path string, flags *sampleFlags) (samples.Source, error) {
	o, err := flags.options()
	if err != nil {
		return nil, err
	}
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	return samples.Open(path, o, inputs)
}

package main

import (
	"math"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/samples"
)

// sampleFlags say how samples are prepared; compress and verify share them.
type sampleFlags struct {
	labels, resize, crop, normalize, mean, std, layout, order string
	scale                                                     float64
}

func (s *sampleFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.labels, "labels", "", "")
	f.StringVar(&s.resize, "resize", "", "")
	f.StringVar(&s.crop, "crop", "", "")
	f.StringVar(&s.normalize, "normalize", "", "")
	f.StringVar(&s.mean, "mean", "", "")
	f.StringVar(&s.std, "std", "", "")
	f.Float64Var(&s.scale, "scale", 0, "")
	f.StringVar(&s.layout, "layout", "", "")
	f.StringVar(&s.order, "order", "", "")
}

// needs refuses flags about samples where the flag that names them is absent.
func (s *sampleFlags) needs(f *pflag.FlagSet, source, value string) error {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(sampleFlags).add(own)
	var err error
	f.Visit(func(flag *pflag.Flag) {
		if own.Lookup(flag.Name) != nil && value == "" && err == nil {
			err = usagef("--%s says how samples are prepared, but there are none; name them with --%s", flag.Name, source)
		}
	})
	return err
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

package main

import (
	"context"
	"io"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// inspectFlags are the words of `onnx-compress inspect`.
type inspectFlags struct {
	opts    compress.Options
	env     compress.EnvironmentOptions
	samples sampleFlags
	out     outputFlags

	spectra       bool
	shapes        []string
	calib, memory string
}

func (c *inspectFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&c.shapes, "input-shape", nil, "")
	f.StringArrayVar(&c.opts.Select.Only, "only", nil, "")
	f.StringArrayVar(&c.opts.Select.Keep, "keep", nil, "")
	f.BoolVar(&c.spectra, "spectra", false, "")
	f.StringSliceVar(&c.opts.Methods, "methods", nil, "")
	f.StringVar(&c.calib, "calib", "", "")
	f.IntVar(&c.opts.CalibSamples, "calib-samples", 0, "")
	f.IntVar(&c.opts.Probes, "probes", 1, "")
	c.samples.add(f)
	f.Uint64Var(&c.opts.Seed, "seed", 0, "")
	f.IntVar(&c.env.Threads, "threads", 0, "")
	f.StringVar(&c.memory, "memory", "2GiB", "")
	f.StringVar(&c.env.Runtime, "ort", "", "")
	c.out.add(f, "quiet", "verbose")
}

// read turns the words into options.
func (c *inspectFlags) read(f *pflag.FlagSet) (err error) {
	if !c.spectra {
		for _, name := range []string{"methods", "calib", "calib-samples", "probes", "seed", "threads", "memory", "ort"} {
			if f.Changed(name) {
				return usagef("--%s is about the factorizations that --spectra asks for; want both", name)
			}
		}
	}
	if err := atLeastOne(f, "calib-samples", "threads"); err != nil {
		return err
	}
	if err := c.samples.needs(f, "calib", c.calib); err != nil {
		return err
	}
	if c.opts.Probes, err = probes(c.opts.Probes); err != nil {
		return err
	}
	if c.opts.Memory, err = byteSize(c.memory); err != nil {
		return err
	}
	c.opts.InputShapes, err = inputShapes(c.shapes)
	return err
}

func runInspect(ctx context.Context, args []string, s streams) error {
	var c inspectFlags
	f := newFlags("inspect")
	c.add(f)
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	path, err := oneModel(rest, &c.out)
	if err != nil {
		return err
	}
	if err := c.read(f); err != nil {
		return err
	}
	if err := c.out.check(path, c.calib, c.samples.labels); err != nil {
		return err
	}
	m, err := onnxio.Read(path)
	if err != nil {
		return err
	}
	defer m.Close()
	inspection, err := c.inspect(ctx, m, s)
	if err != nil {
		return err
	}
	return c.out.write(s.out, inspection, func(w io.Writer) error { return report.Inspection(w, inspection, c.out.verbose) })
}

func (c *inspectFlags) inspect(ctx context.Context, m *onnxio.Model, s streams) (*compress.Inspection, error) {
	if !c.spectra {
		return compress.Inspect(m, c.opts.InputShapes, c.opts.Select)
	}
	if c.calib != "" {
		var err error
		if c.opts.Source, err = openSamples(m, c.calib, &c.samples); err != nil {
			return nil, err
		}
	}
	env, end, err := s.open(c.env, c.out.quiet)
	if err != nil {
		return nil, err
	}
	defer end()
	return compress.InspectSpectra(ctx, env, m, c.opts)
}

func runMethods(_ context.Context, args []string, s streams) error {
	var out outputFlags
	f := newFlags("methods")
	out.add(f)
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if err := out.check(); err != nil {
		return err
	}
	methods := compress.MethodTexts()
	text := func(w io.Writer) error { return report.Methods(w, methods.Methods) }
	switch len(rest) {
	case 0:
	case 1:
		m, err := compress.MethodTextNamed(rest[0])
		if err != nil {
			return err
		}
		methods.Methods = []compress.MethodText{m}
		text = func(w io.Writer) error { return report.Method(w, &m) }
	default:
		return usagef("%d methods were named; want one, or none for the list", len(rest))
	}
	return out.write(s.out, methods, text)
}

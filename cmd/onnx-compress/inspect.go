package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

type inspectCommand struct {
	streams
	opts    compress.Options
	env     compress.EnvironmentOptions
	samples sampleFlags
	out     outputFlags

	spectra       bool
	shapes        []string
	calib, memory string
}

func newInspect(s streams) *cobra.Command {
	c := &inspectCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "inspect MODEL [flags]",
		Short: "list what can be compressed, what cannot, and why",
		Long: `Lists the nodes that can be compressed with their shape, parameters, MACs and
break-even rank (the largest at which two factors are smaller than the weight),
and every other node with weights, with the reason why it is left alone.
Weights are not read: large models take no longer.

With --spectra the weights are read and factored: for every node and every
decomposition, the largest rank that saves something, and what is lost at it and
at smaller ones, as a share of the variance of the node's output.`,
		Example: `
  onnx-compress inspect model.onnx
  onnx-compress inspect ocr.onnx --input-shape x=1x3x48x320 --json
  onnx-compress inspect model.onnx --spectra --calib images/ --only '*/conv2'`,
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, c.declare, configFlags)
}

func (c *inspectCommand) declare(f *flagSet) {
	shapeFlag(f, &c.shapes, "the shape of an input that the model leaves open")
	f.StringArrayVar(&c.opts.Select.Only, "only", nil, "`PATTERN` list only nodes whose name matches; may be repeated")
	f.StringArrayVar(&c.opts.Select.Keep, "keep", nil, "`PATTERN` leave nodes out whose name matches; may be repeated")
	f.BoolVar(&c.spectra, "spectra", false, "factor the nodes, and say what is lost at which rank")
	c.out.declare(f, "as JSON", "no text", "all nodes that are left alone, not the first of a kind; all ranks of --spectra")
	f.group("With --spectra")
	methodsFlag(f, &c.opts.Methods, "decompositions, by comma (all of them)")
	f.StringVar(&c.calib, "calib", "", "`PATH` samples to measure errors on, as for compress; without it errors are those of the weights alone")
	f.IntVar(&c.opts.CalibSamples, "calib-samples", 0, "`N` how many of them (1024, but at most nine tenths)")
	f.IntVar(&c.opts.Probes, "probes", 1, "`N` random directions in the outputs of every sample, whose sensitivities weigh the errors (1; 0 for none)")
	f.row(asForCompress, c.samples.declare)
	f.row("as for compress", func(f *flagSet) {
		seedFlag(f, &c.opts.Seed, "decides which samples go where (0)")
		threadsFlag(f, &c.env.Threads, "nodes worked on side by side (all cores)")
		memoryFlag(f, &c.memory)
		runtimeFlag(f, &c.env.Runtime)
	})
}

// read turns the words into options.
func (c *inspectCommand) read(f *pflag.FlagSet) error {
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
	return readSizes(&c.opts, &c.env, c.memory, c.shapes)
}

func (c *inspectCommand) run(cmd *cobra.Command, args []string) error {
	path, err := oneModel(cmd, args, &c.out)
	if err != nil {
		return err
	}
	if err := c.read(cmd.Flags()); err != nil {
		return err
	}
	if err := writable(cmd.Flags(), []string{path, c.calib, c.samples.labels}, "json"); err != nil {
		return err
	}
	m, source, err := opened(path, c.calib, &c.samples)
	if err != nil {
		return err
	}
	defer m.Close()
	c.opts.Source = source
	inspection, err := c.inspect(cmd.Context(), m)
	if err != nil {
		return err
	}
	return c.out.write(c.streams.out, inspection, func(w io.Writer) error { return report.Inspection(w, inspection, c.out.verbose) })
}

func (c *inspectCommand) inspect(ctx context.Context, m *onnxio.Model) (*compress.Inspection, error) {
	if !c.spectra {
		return compress.Inspect(m, c.opts.InputShapes, c.opts.Select)
	}
	return working(c.streams, c.env, c.out.quiet, func(env *compress.Environment) (*compress.Inspection, error) {
		return compress.InspectSpectra(ctx, env, m, c.opts)
	})
}

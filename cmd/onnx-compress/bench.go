package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

type benchCommand struct {
	streams
	opts    compress.BenchOptions
	env     compress.EnvironmentOptions
	samples sampleFlags
	out     outputFlags
	data    string
	shapes  []string
}

func newBench(s streams) *cobra.Command {
	c := &benchCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "bench MODEL OTHER... [flags]",
		Short: "time models side by side",
		Long: `Runs the models in ONNX Runtime on the same inputs, by turns, so that what else
the machine does meets all of them alike: medians and quartiles, how many times
as fast as the first model each is, samples a second, and peak memory. Further
runs with the runtime's profiler say what each operator takes in each model.
Without --data the inputs are random.`,
		Example: `
  onnx-compress bench model.onnx small.onnx
  onnx-compress bench model.onnx small.onnx int8.onnx --batch 8 --threads 2
  onnx-compress bench bert.onnx small.onnx --input-shape ids=1x128 --json`,
		ValidArgsFunction: ending("onnx").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.Flags(), args) },
	}, c.declare, configFlags)
}

func (c *benchCommand) declare(f *flagSet) {
	f.IntVar(&c.opts.Batch, "batch", 0, "`N` samples at once where the model's batch is free (1)")
	threadsFlag(f, &c.opts.Threads, "threads that the runtime computes a node on (1)")
	shapeFlag(f, &c.shapes, "the shape of a random input that the model leaves open")
	f.StringVar(&c.data, "data", "", "`PATH` samples, in the forms that compress --calib takes; the first --batch of them run")
	f.row(asForCompress, c.samples.declare)
	seedFlag(f, &c.opts.Seed, "draws random inputs (0)")
	runtimeFlag(f, &c.env.Runtime)
	c.out.declare(f, "as JSON", "no text, no progress", "all operators, not the dearest alone")
}

// read turns the words into options.
func (c *benchCommand) read(f *pflag.FlagSet, models []string) (err error) {
	if len(models) < 2 {
		return usagef("want two models or more, which are timed beside the first; got %d", len(models))
	}
	if c.opts.InputShapes, err = inputShapes(c.shapes); err != nil {
		return err
	}
	if err := atLeastOne(f, "batch", "threads"); err != nil {
		return err
	}
	if err := c.samples.needs(f, "data", c.data); err != nil {
		return err
	}
	return writable(f, append([]string{c.data, c.samples.labels}, models...), "json")
}

func (c *benchCommand) run(ctx context.Context, f *pflag.FlagSet, models []string) error {
	if err := c.read(f, models); err != nil {
		return err
	}
	m, source, err := opened(models[0], c.data, &c.samples)
	if err != nil {
		return err
	}
	defer m.Close()
	c.opts.Source = source
	b, err := working(c.streams, c.env, c.out.quiet, func(env *compress.Environment) (*compress.Benchmark, error) {
		return compress.Bench(ctx, env, m, models[1:], c.opts)
	})
	if err != nil {
		return err
	}
	return c.out.write(c.streams.out, b, func(w io.Writer) error { return report.Benchmark(w, b, c.out.verbose) })
}

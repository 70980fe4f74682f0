package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

type timeCommand struct {
	streams
	opts   compress.CostOptions
	env    compress.EnvironmentOptions
	output string
	quiet  bool
	shapes []string
}

func newTime(s streams) *cobra.Command {
	c := &timeCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "time MODEL -o COSTS.json [flags]",
		Short: "measure on this machine what ranks cost in time",
		Long: `Measures in ONNX Runtime what some ranks of every decomposition take at the
nodes that may change, each behind a node as in the model and with the
activation that the runtime fuses with it, and fits what lies between. The table
of costs is a JSON file: make it on the machine that will run the model.`,
		Example: `
  onnx-compress time model.onnx -o costs.json
  onnx-compress time model.onnx -o pi5.json --batch 8 --threads 4`,
		ValidArgsFunction: ending("onnx"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.Flags(), args) },
	}, c.declare, configFlags)
}

func (c *timeCommand) declare(f *flagSet) {
	f.StringVarP(&c.output, "output", "o", "", "`FILE` where the table goes; what is there is replaced")
	f.IntVar(&c.opts.Batch, "batch", 0, "`N` samples at once where the model's batch is free (1)")
	threadsFlag(f, &c.opts.Threads, "threads that the runtime computes a node on (1)")
	shapeFlag(f, &c.shapes, "the shape of an input that the model leaves open")
	methodsFlag(f, &c.opts.Methods, "decompositions, by comma (all of them)")
	f.IntVar(&c.opts.RankMultiple, "rank-multiple", 0, "`N` ranks are multiples of N, as for compress")
	runtimeFlag(f, &c.env.Runtime)
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
}

// read turns the words into options.
func (c *timeCommand) read(f *pflag.FlagSet, models []string) (err error) {
	if len(models) != 1 {
		return usagef("want one model, got %d", len(models))
	}
	if c.output == "" {
		return usagef("name the file for the table with -o")
	}
	if c.opts.InputShapes, err = inputShapes(c.shapes); err != nil {
		return err
	}
	if err := atLeastOne(f, "batch", "threads", "rank-multiple"); err != nil {
		return err
	}
	return writable(f, models, "output")
}

func (c *timeCommand) run(ctx context.Context, f *pflag.FlagSet, models []string) error {
	if err := c.read(f, models); err != nil {
		return err
	}
	m, _, err := opened(models[0], "", nil)
	if err != nil {
		return err
	}
	defer m.Close()
	t, err := working(c.streams, c.env, c.quiet, func(env *compress.Environment) (*costs.Table, error) {
		return compress.MeasureTimes(ctx, env, m, c.opts)
	})
	if err != nil {
		return err
	}
	if err := writeNamed("output", c.output, t.Write); err != nil || c.quiet {
		return err
	}
	return inFlags(func(w io.Writer) error { return report.Costs(w, t) })(c.streams.out)
}

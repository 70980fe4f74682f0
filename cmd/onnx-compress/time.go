package main

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

type timeCommand struct {
	streams
	opts   compress.CostOptions
	env    compress.EnvironmentOptions
	output string
	quiet  bool
	shapes []string

	profiles, layers []string
}

func newTime(s streams) *cobra.Command {
	c := &timeCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "time MODEL... -o COSTS.json [flags]",
		Short: "measure on this machine what ranks cost in time",
		Long: `Measures in ONNX Runtime what some ranks of every decomposition take at the
nodes that may change, each behind a node as in the model and with the
activation that the runtime fuses with it, and fits what lies between. The table
of costs is a JSON file: make it on the machine that will run the model.

For another engine, the table is made of what that says: of --profile, which
trtexec exports (exportProfile), or anybody writes in the small format that
docs/json.md explains. Give the profiles of some compressed models too, so that
the table knows chains.`,
		Example: `
  onnx-compress time model.onnx -o costs.json
  onnx-compress time model.onnx -o pi5.json --batch 8 --threads 4
  onnx-compress time model.onnx small.onnx -o trt.json \
      --profile model.prof.json --profile small.prof.json`,
		ValidArgsFunction: ending("onnx").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.Flags(), args) },
	}, c.declare, configFlags)
}

func (c *timeCommand) declare(f *flagSet) {
	f.StringVarP(&c.output, "output", "o", "", "`FILE` where the table goes; what is there is replaced")
	f.IntVar(&c.opts.Batch, "batch", 0, "`N` samples at once where the model's batch is free (1)")
	threadsFlag(f, &c.opts.Threads, "threads that the runtime computes a node on (1)")
	shapeFlag(f, &c.shapes, "the shape of an input that the model leaves open")
	methodsFlag(f, &c.opts.Methods, "decompositions, by comma, and width, for narrower layers (all decompositions)")
	f.IntVar(&c.opts.RankMultiple, "rank-multiple", 0, "`N` ranks are multiples of N, as for compress")
	f.StringVar((*string)(&c.opts.For), "for", "", "`PURPOSE` what models are for that the table is used for, as for compress: methods and multiples are as that sets them, and for cpu-int8 it is int8 models that are timed")
	f.completeWith("for", words(each(compress.Purposes(), func(p compress.Purpose) string { return string(p) })...))
	runtimeFlag(f, &c.env.Runtime)
	f.StringArrayVar(&c.profiles, "profile", nil, "`FILE` measure nothing, but read what an engine took for the layers of a model: one for each model, in their order")
	f.StringArrayVar(&c.layers, "layers", nil, "`FILE` the layers of that engine, as trtexec exports them (exportLayerInfo), which name the nodes of fused ones; as many as profiles")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
}

// read turns the words into options.
func (c *timeCommand) read(f *pflag.FlagSet, models []string) (err error) {
	switch {
	case len(c.profiles) == 0 && len(models) != 1:
		return usagef("want one model, got %d", len(models))
	case len(c.profiles) == 0 && len(c.layers) > 0:
		return usagef("--layers names the nodes in a profile; want --profile too")
	case len(c.profiles) > 0 && len(c.profiles) != len(models):
		return usagef("%d models and %d profiles; want a --profile for each model", len(models), len(c.profiles))
	case len(c.profiles) > 0 && c.opts.For != "":
		return usagef("--for says what is measured, and with --profile nothing is; leave one of them out")
	case len(c.layers) > 0 && len(c.layers) != len(c.profiles):
		return usagef("%d profiles and %d files of layers; want --layers for each --profile", len(c.profiles), len(c.layers))
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
	return writable(f, slices.Concat(models, c.profiles, c.layers), "output")
}

// table measures a table of costs, or reads one from profiles.
func (c *timeCommand) table(ctx context.Context, models []string) (*costs.Table, error) {
	if len(c.profiles) == 0 {
		m, _, err := opened(models[0], "", nil)
		if err != nil {
			return nil, err
		}
		defer m.Close()
		return working(c.streams, c.env, c.quiet, func(env *compress.Environment) (*costs.Table, error) {
			return compress.MeasureTimes(ctx, env, m, c.opts)
		})
	}
	var list []compress.Profiled
	for i, path := range models {
		p, err := c.profile(i)
		if err != nil {
			return nil, err
		}
		m, _, err := opened(path, "", nil)
		if err != nil {
			return nil, err
		}
		defer m.Close()
		list = append(list, compress.Profiled{Model: m, Profile: p})
	}
	return compress.ReadTimes(ctx, list, c.opts)
}

// profile reads one of the profiles, with its layers where there are some.
func (c *timeCommand) profile(i int) (*costs.Profile, error) {
	data, err := bounded.ReadFile(c.profiles[i], maxCosts)
	if err != nil {
		return nil, usagef("--profile: %w", err)
	}
	var layers []byte
	if len(c.layers) > 0 {
		if layers, err = bounded.ReadFile(c.layers[i], maxCosts); err != nil {
			return nil, usagef("--layers: %w", err)
		}
	}
	p, err := costs.ParseProfile(data, layers)
	if err != nil {
		return nil, usagef("--profile %s: %w", c.profiles[i], err)
	}
	return p, nil
}

func (c *timeCommand) run(ctx context.Context, f *pflag.FlagSet, models []string) error {
	if err := c.read(f, models); err != nil {
		return err
	}
	t, err := c.table(ctx, models)
	if err != nil {
		return err
	}
	if err := writeNamed("output", c.output, t.Write); err != nil || c.quiet {
		return err
	}
	return inFlags(func(w io.Writer) error { return report.Costs(w, t) })(c.streams.out)
}

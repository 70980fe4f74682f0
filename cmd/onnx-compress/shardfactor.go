package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

func newShardFactor(s streams) *cobra.Command {
	c := &shardUnit{streams: s}
	return declare(&cobra.Command{
		Use:   "factor MODEL --stats FILE --part K/N -o FILE [flags]",
		Short: "factor one part of the nodes",
		Long: `Factors one of N parts of the nodes under the statistics of all samples, and
writes what their ranks would lose, with the factors that are worth keeping.
Nodes are dealt out by the arithmetic that they take. Every part is given the
same samples and options: those that compress will have. No sample is run.`,
		Example: `
  onnx-compress shard factor model.onnx --calib images/ --target macs=0.5 \
      --stats stats.ocs --part 3/16 -o offers-3.oco`,
		ValidArgsFunction: ending("onnx").asked,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), cmd, args, compress.FactorPart, func(p compress.ShardPart, done compress.Sharded) string {
				switch {
				case done.Found:
					return fmt.Sprintf("part %s of this factoring is there already", p)
				case done.Sites == 0:
					return fmt.Sprintf("part %s has no nodes, there are too few for so many parts", p)
				}
				return fmt.Sprintf("part %s, %d nodes", p, done.Sites)
			})
		},
	}, func(f *flagSet) {
		c.declarePart(f, "nodes")
		c.declareStats(f)
		c.declare(f, "where the offers go; an older part that is there is replaced")
	}, configFlags)
}

type shardChoose struct{ shardUnit }

func newShardChoose(s streams) *cobra.Command {
	c := &shardChoose{shardUnit{streams: s}}
	return declare(&cobra.Command{
		Use:   "choose MODEL OFFERS.oco... --stats FILE -o PLAN [flags]",
		Short: "choose among what the parts offer",
		Long: `Chooses a method and a rank for every node among what all parts of a factoring
offer, and writes the plan: that of compress with --no-refit and --plan. The
largest losses are held against what the model does on some samples, as there.`,
		Example: `
  onnx-compress shard choose model.onnx offers-*.oco --calib images/ \
      --target macs=0.5 --stats stats.ocs -o plan.json`,
		ValidArgsFunction: ending("onnx", "oco").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.choose(cmd.Context(), cmd, args) },
	}, func(f *flagSet) {
		c.declareStats(f)
		c.declare(f, "where the plan goes, as JSON")
		f.row("as `onnx-compress help compress` explains them", c.how.timed)
	}, configFlags)
}

func (c *shardChoose) choose(ctx context.Context, cmd *cobra.Command, args []string) (err error) {
	path, err := oneModel(cmd, args[:min(len(args), 1)], &c.how.out)
	if err != nil {
		return err
	}
	c.how.opts.Offers = args[1:]
	if err := c.read(cmd.Flags(), append(args, c.how.costs)...); err != nil {
		return err
	}
	if c.how.opts.Costs, err = readCosts(c.how.costs); err != nil {
		return err
	}
	m, err := c.open(path)
	if err != nil {
		return err
	}
	defer m.Close()
	c.how.opts.Output = defaultPattern.of(path)
	plan, err := working(c.streams, c.how.env, c.quiet, func(env *compress.Environment) (compress.Plan, error) {
		return compress.ChooseParts(ctx, env, m, c.how.opts, filepath.Dir(c.output))
	})
	if err == nil {
		err = writeNamed("output", c.output, func(w io.Writer) error { return report.JSON(w, plan) })
	}
	if err != nil || c.quiet {
		return err
	}
	changed := 0
	for _, s := range plan.Sites {
		if s.Method != compress.Dense {
			changed++
		}
	}
	_, err = fmt.Fprintf(c.streams.out, "%s: %d of %d nodes by factors, %d axes narrower\n", quote.Name(c.output), changed, len(plan.Sites), len(plan.Axes))
	return err
}

func newShardWrite(s streams) *cobra.Command {
	c := &compressCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "write MODEL OFFERS.oco... --stats FILE [flags]",
		Short: "compress with what the parts have factored",
		Long: `Does what compress does with the same flags, to the same bytes, and takes from
all parts of a factoring what these found, in place of finding it again. With
--from-plan the plan is followed whose factors the parts have.`,
		Example: `
  onnx-compress shard write model.onnx offers-*.oco --calib images/ \
      --target macs=0.5 --stats stats.ocs -o small.onnx`,
		ValidArgsFunction: ending("onnx", "oco").asked,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				c.opts.Offers = args[1:]
			}
			if len(c.opts.Offers) == 0 && len(args) > 0 {
				return usagef("which parts? name the files that `onnx-compress shard factor` wrote")
			}
			return c.run(cmd, args[:min(len(args), 1)])
		},
	}, c.declare, configFlags)
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

func newShard(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shard calibrate|merge",
		Short: "calibrate in parts, on as many machines as there are",
		Long: `Cuts the calibration of a model into parts that any engine runs, retries and
merges: each is a command with files in and one file out. The statistics are the
same bytes for any number of parts, and so is the model that is made with them.

A file is written beside its place and moved there when it is whole; where it is
there already, of the same model, samples, options and program, nothing is done.
So a command may run again, or twice at once. See docs/shards.md.`,
		Example: `
  onnx-compress shard calibrate model.onnx --calib images/ --part 1/2 -o 1.ocs
  onnx-compress shard calibrate model.onnx --calib images/ --part 2/2 -o 2.ocs
  onnx-compress shard merge 1.ocs 2.ocs -o stats.ocs
  onnx-compress model.onnx --calib images/ --stats stats.ocs`,
		Annotations: map[string]string{orderOf: "calibrate merge"},
	}
	cmd.AddCommand(newShardCalibrate(s), newShardMerge(s))
	names := each(cmd.Commands(), (*cobra.Command).Name)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		word := strings.Join(args, " ")
		return usagef("shard %s: want one of %s%s", word, strings.Join(names, ", "), suggest.Phrase(word, names))
	}
	return cmd
}

type shardCalibrate struct {
	streams
	how    compressCommand // whose flags say what is calibrated
	part   string
	output string
	quiet  bool
}

func newShardCalibrate(s streams) *cobra.Command {
	c := &shardCalibrate{streams: s}
	return declare(&cobra.Command{
		Use:   "calibrate MODEL --calib SAMPLES --part K/N -o FILE [flags]",
		Short: "sum what one part of the samples shows",
		Long: `Runs the model on one of N parts of the samples that calibrate it, and writes
the sums. Every part is given the same samples, all of them, and the same
options: those that compress will have. There are at most 16 to 64 parts that
have samples, as many as there are chunks of these; others are empty.`,
		Example: `
  onnx-compress shard calibrate model.onnx --calib images/ \
      --target macs=0.5 --part 3/16 -o stats-3.ocs`,
		ValidArgsFunction: ending("onnx"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd, args) },
	}, c.declare)
}

func (c *shardCalibrate) declare(f *flagSet) {
	f.StringVar(&c.part, "part", "", "`K/N` which part of the samples, 1/N to N/N")
	f.StringVarP(&c.output, "output", "o", "", "`FILE` where the sums go; an older part that is there is replaced")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
	f.group("What is compressed, and how")
	f.row("as `onnx-compress help compress` explains them", c.how.target, c.how.drawn, c.how.samples.declare, c.how.judge.declare, c.how.choice, c.how.work)
	f.describe("calib", "samples to calibrate on: all of them, whatever the part")
}

// read turns the words into options.
func (c *shardCalibrate) read(f *pflag.FlagSet, model string) (p compress.ShardPart, err error) {
	if p, err = parsePart(c.part); err != nil {
		return p, err
	}
	if c.how.calib == "" {
		return p, usagef("there is nothing to calibrate on; name the samples with --calib")
	}
	if c.output == "" {
		return p, usagef("name the file for the sums with -o")
	}
	for _, word := range c.how.targets {
		if err := c.how.opts.AddTarget(word); err != nil {
			return p, usagef("--target: %w", err)
		}
	}
	if err := c.how.readMeans(f); err != nil {
		return p, err
	}
	if err := c.how.prepared(); err != nil {
		return p, err
	}
	return p, writable(f, []string{model, c.how.calib, c.how.samples.labels}, "output")
}

// parsePart reads 3/16.
func parsePart(word string) (p compress.ShardPart, err error) {
	index, of, ok := strings.Cut(word, "/")
	p.Index, err = strconv.Atoi(index)
	if ok && err == nil {
		p.Of, err = strconv.Atoi(of)
	}
	if !ok || err != nil || p.Index < 1 || p.Index > p.Of {
		return p, usagef("--part %q: want a part such as 3/16, from 1/16 to 16/16", word)
	}
	return p, nil
}

func (c *shardCalibrate) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	path, err := oneModel(cmd, args, &c.how.out)
	if err != nil {
		return err
	}
	p, err := c.read(cmd.Flags(), path)
	if err != nil {
		return err
	}
	m, source, err := opened(path, c.how.calib, &c.how.samples)
	if err != nil {
		return err
	}
	defer m.Close()
	c.how.opts.Source = source
	done, err := working(c.streams, c.how.env, c.quiet, func(env *compress.Environment) (compress.Sharded, error) {
		return compress.CalibratePart(ctx, env, m, c.how.opts.Options, p, c.output)
	})
	switch {
	case err != nil || c.quiet:
		return err
	case done.Found:
		_, err = fmt.Fprintf(c.streams.out, "%s: part %s of this calibration is there already\n", quote.Name(c.output), p)
	case done.Samples == 0:
		_, err = fmt.Fprintf(c.streams.out, "%s: part %s has no samples, there are too few for so many parts\n", quote.Name(c.output), p)
	default:
		_, err = fmt.Fprintf(c.streams.out, "%s: part %s, %d samples\n", quote.Name(c.output), p, done.Samples)
	}
	return err
}

type shardMerge struct {
	streams
	output string
	quiet  bool
	env    compress.EnvironmentOptions
}

func newShardMerge(s streams) *cobra.Command {
	c := &shardMerge{streams: s}
	return declare(&cobra.Command{
		Use:   "merge PART.ocs... -o STATS.ocs [flags]",
		Short: "make the statistics of all samples from those of the parts",
		Long: `Adds the sums of all parts, in whatever order they are named, and writes the
statistics that compress reads with --stats. Parts that are missing, there
twice, or of another model, other samples, options or versions of the program
are named. What the parts hold is added piece by piece, in little memory.`,
		Example:           "  onnx-compress shard merge stats-*.ocs -o stats.ocs",
		Annotations:       map[string]string{workerOf: "it computes with a library"},
		ValidArgsFunction: ending("ocs"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.Flags(), args) },
	}, c.declare)
}

func (c *shardMerge) declare(f *flagSet) {
	f.StringVarP(&c.output, "output", "o", "", "`FILE` where the statistics go; what is there is replaced, if it holds statistics")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
}

func (c *shardMerge) run(ctx context.Context, f *pflag.FlagSet, args []string) error {
	if len(args) == 0 {
		return usagef("which parts? name the files that `onnx-compress shard calibrate` wrote")
	}
	if c.output == "" {
		return usagef("name the file for the statistics with -o")
	}
	if err := writable(f, args, "output"); err != nil {
		return err
	}
	done, err := working(c.streams, c.env, c.quiet, func(env *compress.Environment) (compress.Sharded, error) {
		return compress.MergeParts(ctx, env, args, c.output)
	})
	switch {
	case err != nil || c.quiet:
		return err
	case done.Found:
		_, err = fmt.Fprintf(c.streams.out, "%s: the statistics of these parts are there already\n", quote.Name(c.output))
	default:
		_, err = fmt.Fprintf(c.streams.out, "%s: merged from %d parts\n", quote.Name(c.output), len(args))
	}
	return err
}

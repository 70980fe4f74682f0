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
	"github.com/onnx-compress/onnx-compress/onnxio"
)

func newShard(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shard calibrate|merge|factor|choose|write",
		Short: "compress in parts, on as many machines as there are",
		Long: `Cuts the compression of a model into units that any engine runs, retries and
merges: each is a command with files in and one file out. Calibration is cut by
samples, factoring by nodes. What comes of it is the same bytes for any number
of parts, and so is the model: that of one command.

A file is written beside its place and moved there when it is whole; where it is
there already, of the same model, samples, options and program, nothing is done.
So a command may run again, or twice at once. All take the same options, those
that compress would have. See docs/shards.md.`,
		Example: `
  onnx-compress shard calibrate model.onnx --calib images/ --part 1/2 -o 1.ocs
  onnx-compress shard calibrate model.onnx --calib images/ --part 2/2 -o 2.ocs
  onnx-compress shard merge 1.ocs 2.ocs -o stats.ocs
  onnx-compress shard factor model.onnx --calib images/ --stats stats.ocs \
      --part 1/2 -o 1.oco
  onnx-compress shard factor model.onnx --calib images/ --stats stats.ocs \
      --part 2/2 -o 2.oco
  onnx-compress shard write model.onnx 1.oco 2.oco --calib images/ \
      --stats stats.ocs -o small.onnx`,
		Annotations: map[string]string{orderOf: "calibrate merge factor choose write"},
	}
	cmd.AddCommand(newShardCalibrate(s), newShardMerge(s), newShardFactor(s), newShardChoose(s), newShardWrite(s))
	cmd.RunE = wantsOneOf(each(cmd.Commands(), (*cobra.Command).Name))
	return cmd
}

// shardUnit is a unit of a model's compression. Its flags are those of compress, as far as they decide on what it does.
type shardUnit struct {
	streams
	how    compressCommand
	part   string
	output string
	quiet  bool
}

// declare declares the flags that all units have. where says where the result goes.
func (c *shardUnit) declare(f *flagSet, where string) {
	f.StringVarP(&c.output, "output", "o", "", "`FILE` "+where)
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
	c.logFlag(f)
	f.group("What is compressed, and how")
	f.row("as `onnx-compress help compress` explains them", c.how.target, c.how.drawn, c.how.samples.declare, c.how.judge.declare, c.how.choice, c.how.work)
	f.describe("calib", "samples to calibrate on: all of them, whatever the part")
}

// declarePart declares which part it is.
func (c *shardUnit) declarePart(f *flagSet, of string) {
	f.StringVar(&c.part, "part", "", "`K/N` which part of the "+of+", 1/N to N/N")
}

// declareStats declares by which statistics it works.
func (c *shardUnit) declareStats(f *flagSet) {
	f.StringVar(&c.how.opts.Stats, "stats", "", "`FILE` the statistics that `onnx-compress shard merge` wrote")
}

// read turns the words into options; files are those that are read beside the samples.
func (c *shardUnit) read(f *pflag.FlagSet, files ...string) error {
	if c.how.calib == "" {
		return usagef("there is nothing to calibrate on; name the samples with --calib")
	}
	if c.output == "" {
		return usagef("name the file for the result with -o")
	}
	for _, word := range c.how.targets {
		if err := c.how.opts.AddTarget(word); err != nil {
			return usagef("--target: %w", err)
		}
	}
	if err := c.how.readMeans(f); err != nil {
		return err
	}
	if err := c.how.prepared(); err != nil {
		return err
	}
	return writable(f, append(files, c.how.calib, c.how.samples.labels, c.how.opts.Stats), "output")
}

// open opens the model and the samples.
func (c *shardUnit) open(path string) (*onnxio.Model, error) {
	m, source, err := opened(path, c.how.calib, &c.how.samples)
	c.how.opts.Source = source
	return m, err
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

// run does the work of a part, and says what came of it.
func (c *shardUnit) run(ctx context.Context, cmd *cobra.Command, args []string,
	work func(context.Context, *compress.Environment, *onnxio.Model, compress.Options, compress.ShardPart, string) (compress.Sharded, error),
	said func(p compress.ShardPart, done compress.Sharded) string,
) error {
	path, err := oneModel(cmd, args, &c.how.out)
	if err != nil {
		return err
	}
	p, err := parsePart(c.part)
	if err != nil {
		return err
	}
	if err := c.read(cmd.Flags(), path); err != nil {
		return err
	}
	m, err := c.open(path)
	if err != nil {
		return err
	}
	defer m.Close()
	done, err := working(c.streams, c.how.env, c.quiet, func(env *compress.Environment) (compress.Sharded, error) {
		return work(ctx, env, m, c.how.opts.Options, p, c.output)
	})
	if err == nil && !c.quiet {
		_, err = fmt.Fprintf(c.streams.out, "%s: %s\n", quote.Name(c.output), said(p, done))
	}
	return err
}

func newShardCalibrate(s streams) *cobra.Command {
	c := &shardUnit{streams: s}
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
		ValidArgsFunction: ending("onnx").asked,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), cmd, args, compress.CalibratePart, func(p compress.ShardPart, done compress.Sharded) string {
				switch {
				case done.Found:
					return fmt.Sprintf("part %s of this calibration is there already", p)
				case done.Samples == 0:
					return fmt.Sprintf("part %s has no samples, there are too few for so many parts", p)
				}
				return fmt.Sprintf("part %s, %d samples", p, done.Samples)
			})
		},
	}, func(f *flagSet) {
		c.declarePart(f, "samples")
		c.declare(f, "where the sums go; an older part that is there is replaced")
	}, configFlags)
}

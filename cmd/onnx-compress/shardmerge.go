package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
)

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
		ValidArgsFunction: ending("ocs").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.Flags(), args) },
	}, c.declare)
}

func (c *shardMerge) declare(f *flagSet) {
	f.StringVarP(&c.output, "output", "o", "", "`FILE` where the statistics go; what is there is replaced, if it holds statistics")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
	c.logFlag(f)
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

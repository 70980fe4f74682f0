package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

type tuneCommand struct {
	streams
	opts    compress.TuneOptions
	env     compress.EnvironmentOptions
	tuning  tuneFlags
	samples sampleFlags
	judge   judgeFlags
	out     outputFlags
	report  string
	data    string
	memory  string
}

func newTune(s streams) *cobra.Command {
	c := &tuneCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "tune ORIGINAL COMPRESSED -o OUTPUT --data PATH [flags]",
		Short: "win accuracy back: learn from the original by gradient descent",
		Long: `Changes the weights of a compressed model by gradient descent, so that its
outputs come closer to the original's on the samples. No labels are needed.
Some samples are held out; the best state on them is written, the last one where
no other is surely better, and where none is better than the start, the start.
SIGINT ends the tuning early: the best state so far is written. A second SIGINT
ends at once.
An OUTPUT that --force was to replace stays then, and what there is goes beside
it, to NAME.interrupted.onnx.`,
		Example: `
  onnx-compress tune model.onnx small.onnx -o tuned.onnx --data images/ \
      --augment flip,crop=4 --epochs 40
  onnx-compress tune bert.onnx small.onnx -o tuned.onnx --data tokens.npz \
      --loss cosine --only factors
  onnx-compress tune net.onnx small.onnx -o tuned.onnx --data train.bin \
      --supervised --lambda 5 --optimizer sgd --lr 0.01`,
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, c.declare, configFlags)
}

func (c *tuneCommand) declare(f *flagSet) {
	o := &c.tuning.options
	f.group("Files")
	f.StringVarP(&c.opts.Output, "output", "o", "", "`FILE` where the tuned model goes")
	f.BoolVar(&c.opts.Overwrite, "force", false, "replace OUTPUT if it exists")
	f.StringVar(&c.data, "data", "", "`PATH` samples, in the forms that compress --calib takes")
	f.IntVar(&c.opts.Samples, "samples", 0, "`N` use only N of them, drawn by --seed (all)")
	f.row(asForCompress, c.samples.declare)
	c.tuning.images(f, "change images while learning, by comma: flip, left to right; mirror, flip, and learn the mean of the class scores that the original gives "+
		"an image and its mirror image; crop=N, move by up to N pixels; mix, blend each with another one, or have a text go on where another one has begun")
	f.group("What to learn")
	c.tuning.losing(f, "")
	c.judge.declare(f)
	f.group("How to learn")
	c.tuning.stepping(f, "")
	f.IntVar(&o.Batch, "batch", 64, "`N` samples of a step (64)")
	seedFlag(f, &o.Seed, "decides on order, held-out samples and augmentation (0)")
	threadsFlag(f, &o.Threads, "parts of a step worked on side by side (all cores); the written bytes do not depend on it")
	memoryFlag(f, &c.memory)
	runtimeFlag(f, &c.env.Runtime)
	f.group("Long runs")
	c.tuning.states(f)
	f.group("What to say")
	reportFlag(f, &c.report, "a page for people")
	c.out.declare(f, "the result as JSON", "no text, no progress", "the whole curve, and how long each stage took")
	c.logFlag(f)
}

// read turns the words into options; models are the two files named.
func (c *tuneCommand) read(f *pflag.FlagSet, models []string) error {
	switch {
	case len(models) != 2:
		return usagef("want two models, the original and the compressed one; got %d", len(models))
	case c.data == "":
		return usagef("which samples to learn from? name them with --data")
	case c.opts.Output == "":
		return usagef("where does the tuned model go? name its file with -o")
	}
	if err := atLeastOne(f, "samples", "batch", "threads"); err != nil {
		return err
	}
	if err := c.tuning.read(f); err != nil {
		return err
	}
	o := &c.tuning.options
	o.Classes = c.judge.classes
	var err error
	if o.Memory, err = memoryLimit(c.memory); err != nil {
		return err
	}
	c.env.Memory = o.Memory
	if o.Weights, o.Kinds, err = c.judge.read(); err != nil {
		return err
	}
	files := []string{models[0], models[1], c.opts.Output, c.data, c.samples.labels}
	return writable(f, files, "json", "report", "checkpoint")
}

func (c *tuneCommand) run(cmd *cobra.Command, args []string) error {
	if err := c.read(cmd.Flags(), args); err != nil {
		return err
	}
	original, source, err := opened(args[0], c.data, &c.samples)
	if err != nil {
		return err
	}
	defer original.Close()
	small, err := onnxio.Read(args[1])
	if err != nil {
		return err
	}
	defer small.Close()
	c.opts.Source, c.opts.Data = source, c.data
	if c.tuning.options.Augment, err = c.tuning.augmenter(original, &c.samples); err != nil {
		return err
	}
	c.opts.Descent = c.tuning.options
	r, err := working(c.streams, c.env, c.out.quiet, func(env *compress.Environment) (*compress.TuneResult, error) {
		return compress.Tune(cmd.Context(), env, original, small, c.opts)
	})
	if err != nil {
		return err
	}
	return errors.Join(
		butNot(r.Output.Path, "the page about it", writeNamed("report", c.report, inFlags(func(w io.Writer) error { return page.Tuning(w, r, page.PicturesOf(source, r.Verification)) }))),
		butNot(r.Output.Path, "what there is to say about it",
			c.out.write(c.streams.out, r, func(w io.Writer) error { return report.Tuning(w, r, c.out.verbose) })),
		brokenOff(r.Tuning, r.Output.Path),
		displaced(cmd.Flags(), r.Output),
	)
}

// brokenOff is the error of a tuning that was interrupted, after its best state was written.
func brokenOff(t *compress.Tuning, output string) error {
	if t == nil || t.End != tune.Interrupted {
		return nil
	}
	if t.Improved {
		return &verdict{exitInterrupted, fmt.Sprintf("interrupted; the best state so far, of epoch %d, is written to %s", t.Best, output)}
	}
	return &verdict{exitInterrupted, fmt.Sprintf("interrupted; nothing was better than the start yet, and that is what %s is", output)}
}

package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
)

type verifyCommand struct {
	streams
	opts    compress.VerifyOptions
	env     compress.EnvironmentOptions
	samples sampleFlags
	judge   judgeFlags
	out     outputFlags
	gate    gateFlags
	data    string
	shapes  []string
	int8    string
	through string
}

func newVerify(s streams) *cobra.Command {
	c := &verifyCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "verify ORIGINAL COMPRESSED [flags]",
		Short: "compare two models on the same samples",
		Long: `Runs both files on the same samples: largest and mean error, cosine, signal to
noise ratio, agreement of the top class, boxes of detectors that match; with
labels the accuracy before and after, overall and per class; and the samples
that moved most. Without --data the inputs are random, which shows that a model
runs, not how good it is.

With --int8 ONNX Runtime's quantizer, a Python package, makes int8 models of
both, and all four are held against the original, with their sizes and times.`,
		Example: `
  onnx-compress verify model.onnx small.onnx --data test.bin --normalize cifar10
  onnx-compress verify model.onnx small.onnx --data val/ --labels val.tsv \
      --resize 256 --crop 224 --normalize imagenet --json=report.json
  onnx-compress verify model.onnx small.onnx --data val/ --int8
  onnx-compress verify model.onnx small.onnx --data val/ --labels val.tsv \
      --require agree=99% --require class-drop=2% --junit report.xml`,
		Annotations: map[string]string{notesOf: `
Exit codes: 0 done, 1 failed, 2 usage, 5 a bound does not hold; it is named,
with the class or the samples to look at.`},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.Flags(), args) },
	}, c.declare, configFlags)
}

func (c *verifyCommand) declare(f *flagSet) {
	f.StringVar(&c.data, "data", "", "`PATH` samples, in the forms that compress --calib takes")
	f.IntVar(&c.opts.Samples, "samples", 0, "`N` run only N of them, drawn by --seed (all)")
	f.row(asForCompress, c.samples.declare)
	c.judge.declare(f)
	throughFlag(f, &c.through, "one that reads what both give, as a decoder does of its encoder: its outputs are compared, and --data has the inputs of both")
	f.StringVar(&c.int8, "int8", "", "`[=PYTHON]` quantize both models too; in the Python that has onnxruntime and onnx (python3)")
	f.Lookup("int8").NoOptDefVal = anyPython
	shapeFlag(f, &c.shapes, "the shape of a random input that the model leaves open")
	seedFlag(f, &c.opts.Seed, "draws samples, or random inputs (0)")
	batchFlag(f, &c.opts.Batch)
	threadsFlag(f, &c.env.Threads, "batches worked on side by side (all cores)")
	runtimeFlag(f, &c.env.Runtime)
	c.gate.declare(f)
	c.out.declare(f, "as JSON", "no text, no progress", "")
	c.logFlag(f)
}

// anyPython is the value of a bare --int8.
const anyPython = "python3"

// read turns the words into options.
func (c *verifyCommand) read(f *pflag.FlagSet, models []string) (err error) {
	if len(models) != 2 {
		return usagef("want two models, the original and the compressed one; got %d", len(models))
	}
	if c.opts.InputShapes, err = inputShapes(c.shapes); err != nil {
		return err
	}
	if err := atLeastOne(f, "samples", "batch", "threads"); err != nil {
		return err
	}
	if err := c.samples.needs(f, "data", c.data); err != nil {
		return err
	}
	switch {
	case c.int8 == "":
	case c.data == "":
		return usagef("--int8 wants samples (--data): the ranges of what lies between layers are theirs")
	case c.int8 == anyPython:
		c.opts.Int8 = &compress.Int8Options{}
	default:
		c.opts.Int8 = &compress.Int8Options{Python: c.int8}
	}
	c.opts.Classes = c.judge.classes
	if c.opts.Weights, c.opts.Kinds, err = c.judge.read(); err != nil {
		return err
	}
	if err := c.gate.read(); err != nil {
		return err
	}
	return writable(f, []string{models[0], models[1], c.data, c.samples.labels, c.through}, "json", "junit", "markdown")
}

func (c *verifyCommand) run(ctx context.Context, f *pflag.FlagSet, models []string) error {
	if err := c.read(f, models); err != nil {
		return err
	}
	m, behind, source, err := openedThrough(models[0], c.through, c.data, &c.samples)
	if err != nil {
		return err
	}
	defer closeAll(m, behind)
	c.opts.Source, c.opts.Through = source, behind
	r, err := working(c.streams, c.env, c.out.quiet, func(env *compress.Environment) (*compress.Verification, error) {
		return compress.Verify(ctx, env, m, models[1], c.opts)
	})
	if err != nil {
		return err
	}
	return c.gate.judge(r, c.streams, &c.out)
}

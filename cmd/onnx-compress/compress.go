package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
	"github.com/onnx-compress/onnx-compress/search"
)

// compressCommand has the flags of compress; other commands take some of them.
type compressCommand struct {
	streams
	opts    compress.RunOptions
	env     compress.EnvironmentOptions
	samples sampleFlags
	judge   judgeFlags
	out     outputFlags

	targets, shapes []string
	calib, memory   string
	costs           string
	plan            planFlags
	tuning          tuneFlags
	tune            bool
	tuneData        string
	report          string
	also            []string
	through         string
}

func newCompress(s streams) *cobra.Command {
	c := &compressCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "compress MODEL [--calib SAMPLES] [--target KIND=VALUE] [flags]",
		Short: "compress a model (the default: the word may be left out)",
		Long: `Replaces nodes with constant weights (Conv, ConvTranspose, Gemm, MatMul, Gather)
by chains of smaller ones. Decompositions and ranks are chosen for all nodes at
once, so that the least is lost within the targets. With samples and without a
target the model becomes as small as it can with next to nothing lost on samples
that were not used: the same top class for 99 % of them, a cosine of 0.99 for
embeddings, 30 dB for all else. The output is written only when it meets every
target and has been verified. The word compress may be left out.`,
		Example: `
  onnx-compress model.onnx --calib images/
  onnx-compress model.onnx -o small.onnx --calib images/ --target macs=0.5
  onnx-compress model.onnx -o small.onnx --target params=60%
  onnx-compress net.onnx -o net2.onnx --calib train.bin --normalize cifar10 \
      --target macs=0.6 --target params=0.7 --keep '*/conv1' --json=result.json`,
		Annotations: map[string]string{notesOf: `
Exit codes: 0 done, 1 failed, 2 usage, 3 a target cannot be met, 6 random inputs
show that a result is destroyed which no samples judged (--accept-damage), 8
interrupted. Nothing is written unless it is 0.`},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, c.declare, configFlags)
}

func (c *compressCommand) declare(f *flagSet) {
	f.group("What to reach")
	f.StringVarP(&c.opts.Output, "output", "o", "", "`FILE` where the compressed model goes (MODEL.small.onnx, beside MODEL)")
	f.StringArrayVar(&c.also, "also", nil, "`MODEL` another one that holds the same weights, as the decoder that goes on with a cache: its nodes with weights of this model's get the same factors, "+
		"and it goes to MODEL.small.onnx beside OUTPUT; may be repeated")
	f.completeWith("also", ending("onnx"))
	throughFlag(f, &c.through, "one that reads what this one gives, as a decoder does of its encoder: what becomes of its outputs is what counts, judges and is verified; "+
		"--calib then has the inputs of both")
	c.target(f)
	c.plan.declare(f)
	c.timed(f)
	f.BoolVar(&c.opts.AcceptDamage, "accept-damage", false, "without samples: write the result also where random inputs show that it does not do what the original does")
	f.BoolVar(&c.opts.Overwrite, "force", false, "replace OUTPUT if it exists")
	f.group("Samples (without --calib the run is data-free, and less accurate)")
	c.calibration(f)
	f.group("What may change")
	c.choice(f)
	f.group("Gradient descent after that (see `onnx-compress help tune`)")
	f.BoolVar(&c.tune, "tune", false, "tune the weights of the result, so that it comes closer to the original on the samples of --calib that do not verify it; "+
		"SIGINT meanwhile writes the best state so far")
	f.StringVar(&c.tuneData, "tune-data", "", "`PATH` learn from these samples instead")
	c.tuning.images(f, "flip, mirror, crop=N, mix: change images meanwhile")
	f.row("as the flags of tune without \"tune-\"; --batch is that of a step too where it is given (else 64)", func(f *flagSet) {
		c.tuning.declare(f, "tune-")
	})
	f.group("How to work")
	c.work(f)
	f.StringVar(&c.opts.Checkpoint, "checkpoint", "", "`FOLDER` keep in it what is done; after a kill the same command goes on from there, to the same bytes")
	c.tuning.often(f)
	f.group("What to say")
	reportFlag(f, &c.report, "a page for people: what was saved, what it costs, on what evidence; the models are timed for it")
	f.BoolVar(&c.opts.Time, "time", false, "time both models in ONNX Runtime, by turns, on one sample")
	c.out.declare(f, "the result as JSON", "no text, no progress", "every node: its rank and loss, or why it was left alone; and how long each stage took")
	c.logFlag(f)
}

// target declares what to reach.
func (c *compressCommand) target(f *flagSet) {
	f.StringArrayVar(&c.targets, "target", nil, "`KIND=VALUE` an upper bound; may be repeated, all of them hold\n"+
		"  macs    multiply-adds of one inference\n"+
		"  params  elements of all constant tensors\n"+
		"  bytes   size of the written files\n"+
		"  latency time of one run, by a table (see --costs)\n"+
		"VALUE is a fraction of the original (0.5, 50%) or a count above 1 (20M, 1.5G; 2MiB for bytes; 12ms for latency); k, M, G, T are powers of 1000, "+
		"KiB, MiB, GiB, TiB of 1024. Or a bound on the damage, for which models are built and run until the smallest is found that keeps it:\n"+
		"  agree=99%   the same top class, of the samples\n"+
		"  drop=0.5%   top-1 accuracy that may be lost\n"+
		"  kl=0.05     KL divergence of the token, in nats\n"+
		"  ppl=+5%     increase of perplexity (--labels next)\n"+
		"  boxes=98%   a detector's boxes that match\n"+
		"  cer=1%      letters that are read in another way\n"+
		"  iou=97%     overlap of masks\n"+
		"  cosine=0.99 of the outputs\n"+
		"  snr=30dB    of the outputs\n"+
		"smallest in MACs, or in what the first target bounds that stands beside it")
	f.completeWith("target", kinds(targetWords()...))
}

// timed declares what ranks cost in time.
func (c *compressCommand) timed(f *flagSet) {
	f.StringVar(&c.costs, "costs", "", "`FILE` what ranks cost in time, for a latency target, as `onnx-compress time` measures it (measured on this machine, one sample on one thread)")
}

// calibration declares what is measured on samples.
func (c *compressCommand) calibration(f *flagSet) {
	c.drawn(f)
	f.BoolVar(&c.opts.NoRefit, "no-refit", false, "do not solve the nodes anew, in order, on what the compressed model really feeds them (on by default with --calib)")
	f.StringVar(&c.opts.Stats, "stats", "", "`FILE` keep what calibration finds in this file; it is read instead of calibrating when the same model, samples and options come again, "+
		"and written anew otherwise, unless it was merged from parts (see `onnx-compress help shard`)")
	c.samples.declare(f)
	c.judge.declare(f)
}

// drawn declares which samples are drawn, and what is measured on them.
func (c *compressCommand) drawn(f *flagSet) {
	f.StringVar(&c.calib, "calib", "", "`PATH` a folder of JPEG, PNG or WebP images; a .npy file, or .npz with one array per input, for language models input_ids alone; a folder of test_data_set_*; "+
		"or binary records, a label byte and the pixels, as CIFAR-10 has them")
	f.IntVar(&c.opts.CalibSamples, "calib-samples", 0, "`N` how many samples calibration draws (1024, but at most nine tenths, with a bound on the damage down to half, and without a target half: the others judge and verify the result)")
	f.IntVar(&c.opts.VerifySamples, "verify-samples", 0, "`N` how many of the others verify the result (1024)")
	f.IntVar(&c.opts.Probes, "probes", 1, "`N` random directions in the outputs of every sample to estimate from how much each node matters (1); "+
		"0 weighs the nodes by their own outputs instead")
}

// choice declares what there is to choose from.
func (c *compressCommand) choice(f *flagSet) {
	methodsFlag(f, &c.opts.Methods, "decompositions on offer, by comma, and width, which makes layers narrower (all decompositions, and with --calib and no bound on latency width around depthwise convolutions and in transformers; `onnx-compress methods` lists and explains them)")
	f.StringArrayVar(&c.opts.Select.Only, "only", nil, "`PATTERN` change only nodes whose name matches; may be repeated")
	f.StringArrayVar(&c.opts.Select.Keep, "keep", nil, "`PATTERN` leave nodes alone whose name matches; may be repeated (in patterns * stands for any characters, ? for one)")
	f.StringVar(&c.opts.Search, "search", "", "`NAME` how ranks are chosen: composite, continuous in stages, with losses corrected by what sites really do to the outputs (default); "+
		"lagrange, exact to its stated gap; rene, the search of arXiv 2409.03555")
	f.completeWith("search", words(each(search.Methods(), func(m search.Method) string { return m.Name })...))
	f.StringVar((*string)(&c.opts.Effort), "effort", "", "`EFFORT` arithmetic that decompositions may spend on each rank, which changes the written bytes: quick, a quarter; normal (default); thorough, four times as much")
	f.completeWith("effort", words(each(decomp.Efforts(), func(e decomp.Effort) string { return string(e) })...))
	f.StringVar((*string)(&c.opts.For), "for", "", "`PURPOSE` what the model is made for; it sets what no other flag sets, and prints what that is:\n"+
		"  cpu       its blocks, widths too, never slower\n"+
		"  cpu-int8  int8 afterwards, and never slower then\n"+
		"  tensorrt  multiples of 8, no single channels\n"+
		"  size      the file, whatever that takes in time")
	f.completeWith("for", words(each(compress.Purposes(), func(p compress.Purpose) string { return string(p) })...))
	f.IntVar(&c.opts.RankMultiple, "rank-multiple", 0, "`N` only ranks all of whose numbers are multiples of N; 1 for the fewest multiply-adds at a given error "+
		"(default: at convolutions that write 16 channels and more 16, which suits the blocks that runtimes compute in, as long as the targets can be met so, and 1 elsewhere)")
	shapeFlag(f, &c.shapes, "the shape of an input that the model leaves open")
}

// work declares how to work.
func (c *compressCommand) work(f *flagSet) {
	seedFlag(f, &c.opts.Seed, "decides which samples go where (0)")
	batchFlag(f, &c.opts.Batch)
	threadsFlag(f, &c.env.Threads, "batches and nodes worked on side by side (all cores); the written bytes do not depend on it")
	memoryFlag(f, &c.memory)
	runtimeFlag(f, &c.env.Runtime)
}

// read turns the words into options.
func (c *compressCommand) read(f *pflag.FlagSet) error {
	if err := c.plan.alone(f); err != nil {
		return err
	}
	if c.aimless() && c.calib == "" {
		return usagef("no --target, and no samples (--calib) to find one by: say how small the model should become, for example\n" +
			"  --target macs=0.5      half the multiply-adds\n" +
			"  --target params=2M     at most two million parameters\n" +
			"  --target bytes=2MiB    a file of at most two mebibytes\n" +
			"  --target agree=99%%     as small as it can be with the same top class for 99%% of the samples")
	}
	for _, word := range c.targets {
		if err := c.opts.AddTarget(word); err != nil {
			return usagef("--target: %w", err)
		}
	}
	if err := c.readMeans(f); err != nil {
		return err
	}
	return c.readTuning(f)
}

// readMeans turns the words about means into options.
func (c *compressCommand) readMeans(f *pflag.FlagSet) error {
	if err := atLeastOne(f, "calib-samples", "verify-samples", "rank-multiple", "batch", "threads"); err != nil {
		return err
	}
	if f.Changed("stats") && (c.calib == "" || c.opts.Stats == "") {
		return usagef("--stats names a file for what calibration finds in the samples of --calib; want both")
	}
	if err := c.samples.needs(f, "calib", c.calib); err != nil {
		return err
	}
	var err error
	c.opts.Classes = c.judge.classes
	if c.opts.Weights, c.opts.Kinds, err = c.judge.read(); err != nil {
		return err
	}
	return readSizes(&c.opts.Options, &c.env, c.memory, c.shapes)
}

// readSizes turns the words about probes, memory and input shapes into options.
func readSizes(o *compress.Options, env *compress.EnvironmentOptions, memory string, shapes []string) (err error) {
	if o.Probes, err = probes(o.Probes); err != nil {
		return err
	}
	if o.Memory, err = memoryLimit(memory); err != nil {
		return err
	}
	env.Memory = o.Memory
	o.InputShapes, err = inputShapes(shapes)
	return err
}

// prepared completes the options with where the samples lie and how they are prepared.
func (c *compressCommand) prepared() (err error) {
	c.opts.Data.Path = c.calib
	if c.tune {
		c.opts.Data.Tune = c.tuneData
	}
	if c.calib != "" || c.opts.Data.Tune != "" {
		c.opts.Data.Preparation, err = c.samples.options()
	}
	return err
}

func (c *compressCommand) run(cmd *cobra.Command, args []string) error {
	f := cmd.Flags()
	path, err := oneModel(cmd, args, &c.out)
	if err != nil {
		return err
	}
	if c.aimless() && c.calib == "" && c.plan.alone(f) == nil {
		return c.ways(path)
	}
	if err := c.read(f); err != nil {
		return err
	}
	if c.opts.Output == "" {
		c.opts.Output = defaultPattern.of(path)
	}
	files := slices.Concat([]string{path, c.opts.Output, c.calib, c.samples.labels, c.tuneData, c.plan.from, c.costs, c.through}, c.also)
	if err := writable(f, files, "json", "plan", "report", "stats"); err != nil {
		return err
	}
	if info, err := os.Stat(c.opts.Checkpoint); f.Changed("checkpoint") && (c.opts.Checkpoint == "" || err == nil && !info.IsDir()) {
		return usagef("--checkpoint %s: want a folder, which is made where there is none", c.opts.Checkpoint)
	}
	if c.opts.FromPlan, err = c.plan.read(); err != nil {
		return err
	}
	if c.opts.Costs, err = readCosts(c.costs); err != nil {
		return err
	}
	if err := c.prepared(); err != nil {
		return err
	}
	c.opts.Time = c.opts.Time || c.report != "" || c.aimless()
	m, behind, source, err := openedThrough(path, c.through, c.calib, &c.samples)
	if err != nil {
		return err
	}
	defer closeAll(m, behind)
	c.opts.Source, c.opts.Through = source, behind
	for _, name := range c.also {
		other, _, err := opened(name, "", nil)
		if err != nil {
			return err
		}
		defer other.Close()
		c.opts.Also = append(c.opts.Also, compress.Also{Model: other, Output: filepath.Join(filepath.Dir(c.opts.Output), filepath.Base(defaultPattern.of(name)))})
	}
	if err := c.learn(m); err != nil {
		return err
	}
	result, err := working(c.streams, c.env, c.out.quiet, func(env *compress.Environment) (*compress.Result, error) {
		return compress.Run(cmd.Context(), env, m, c.opts)
	})
	if errors.Is(err, context.Canceled) && c.opts.Checkpoint != "" {
		return &verdict{exitInterrupted, "interrupted; what is done is kept in " + c.opts.Checkpoint + ", from where the same command goes on"}
	}
	if err != nil {
		return err
	}
	result.Command, result.Verdict = commandLine(cmd.CommandPath(), f, slices.Concat(args, c.opts.Offers)), report.Verdict(result, c.asked(f, path, m))
	return errors.Join(
		butNot(result.Output.Path, "its plan", writeNamed("plan", c.plan.to, func(w io.Writer) error { return report.JSON(w, compress.PlanOf(result)) })),
		butNot(result.Output.Path, "the page about it", writeNamed("report", c.report, inFlags(func(w io.Writer) error { return page.Result(w, result, page.PicturesOf(source, result.Verification)) }))),
		butNot(result.Output.Path, "what there is to say about it",
			c.out.write(c.streams.out, result, func(w io.Writer) error { return report.Result(w, result, c.out.verbose) })),
		brokenOff(result.Tuning, result.Output.Path),
		displaced(f, result.Output),
	)
}

// maxCosts is the most that is read of a table of costs.
const maxCosts = 64 << 20

// readCosts reads the table of costs that a path names, nil where it names none.
func readCosts(path string) (*costs.Table, error) {
	if path == "" {
		return nil, nil
	}
	data, err := bounded.ReadFile(path, maxCosts)
	if err != nil {
		return nil, usagef("--costs: %w", err)
	}
	t, err := costs.Parse(data)
	if err != nil {
		return nil, usagef("--costs %s: %w", path, err)
	}
	return t, nil
}

// oneModel wants exactly one argument.
func oneModel(cmd *cobra.Command, args []string, out *outputFlags) (string, error) {
	switch {
	case len(args) == 0:
		return "", usagef("which model? for example: onnx-compress model.onnx -o small.onnx --calib images/ --target macs=0.5")
	case len(args) > 1 && out.json == toStdout && strings.HasSuffix(args[len(args)-1], ".json"):
		return "", usagef("%d models were named (%q); want one: to write JSON to a file, join the two as --json=%s", len(args), args, args[len(args)-1])
	case len(args) > 1:
		return "", usagef("%d models were named (%q); want one%s", len(args), args, meant(cmd.Root(), args[0]))
	}
	if _, err := os.Stat(args[0]); errors.Is(err, os.ErrNotExist) {
		if hint := meant(cmd.Root(), args[0]); hint != "" {
			return "", usagef("%q is neither a file nor a command%s", args[0], hint)
		}
	}
	return args[0], nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// compressFlags are the words of `onnx-compress compress`.
type compressFlags struct {
	opts    compress.RunOptions
	env     compress.EnvironmentOptions
	samples sampleFlags
	out     outputFlags

	targets, shapes []string
	calib, memory   string
	plan            planFlags
	tuning          tuneFlags
	tune            bool
	lessons         string
	page            pageFlags
}

func runCompress(ctx context.Context, args []string, s streams) error {
	var c compressFlags
	f := newFlags("compress")
	c.add(f)
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	path, err := oneModel(rest, &c.out)
	if err != nil {
		return err
	}
	if err := c.read(f); err != nil {
		return err
	}
	files := []string{path, c.opts.Output, c.calib, c.samples.labels}
	if err := c.out.check(append(files, c.plan.to, c.plan.from)...); err != nil {
		return err
	}
	if err := c.plan.check(files...); err != nil {
		return err
	}
	if err := c.page.check(f, append(files, c.plan.to, c.plan.from, string(c.out.json), c.opts.Stats)...); err != nil {
		return err
	}
	if c.opts.Stats != "" {
		others := []string{c.plan.to, c.plan.from, string(c.out.json)}
		if err := canWrite("--stats "+c.opts.Stats, c.opts.Stats, append(files, others...)...); err != nil {
			return err
		}
	}
	if c.opts.FromPlan, err = c.plan.read(); err != nil {
		return err
	}
	if err := c.prepared(); err != nil {
		return err
	}
	c.opts.Time = c.opts.Time || c.page.path != ""
	m, err := onnxio.Read(path)
	if err != nil {
		return err
	}
	defer m.Close()
	if c.calib != "" {
		if c.opts.Source, err = openSamples(m, c.calib, &c.samples); err != nil {
			return err
		}
	}
	if err := c.learn(m); err != nil {
		return err
	}
	env, end, err := s.open(c.env, c.out.quiet)
	if err != nil {
		return err
	}
	result, err := compress.Run(ctx, env, m, c.opts)
	end()
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (--force)", err)
	}
	if err != nil {
		return err
	}
	result.Command = commandLine(f, rest)
	if err := c.plan.write(result); err != nil {
		return fmt.Errorf("%s is written, but not its plan: %w", c.opts.Output, err)
	}
	if err := c.page.write(func(w io.Writer) error { return page.Result(w, result) }); err != nil {
		return fmt.Errorf("%s is written, but not the page about it: %w", c.opts.Output, err)
	}
	err = c.out.write(s.out, result, func(w io.Writer) error { return report.Result(w, result, c.out.verbose) })
	if err != nil {
		return fmt.Errorf("%s is written, but not what there is to say about it: %w", c.opts.Output, err)
	}
	return brokenOff(result.Tuning, c.opts.Output)
}

func (c *compressFlags) add(f *pflag.FlagSet) {
	f.StringVarP(&c.opts.Output, "output", "o", "", "")
	f.StringArrayVar(&c.targets, "target", nil, "")
	c.plan.add(f)
	f.BoolVar(&c.opts.Time, "time", false, "")
	c.page.add(f)
	c.addMeans(f)
	f.BoolVar(&c.tune, "tune", false, "")
	f.StringVar(&c.lessons, "tune-data", "", "")
	c.tuning.add(f, "tune-")
	f.BoolVar(&c.opts.Overwrite, "force", false, "")
	c.out.add(f, "quiet", "verbose")
}

// addMeans adds the flags that say by what means a model is compressed, whatever it is to
// reach.
func (c *compressFlags) addMeans(f *pflag.FlagSet) {
	f.StringVar(&c.calib, "calib", "", "")
	f.IntVar(&c.opts.CalibSamples, "calib-samples", 0, "")
	f.IntVar(&c.opts.VerifySamples, "verify-samples", 0, "")
	f.StringVar(&c.opts.Stats, "stats", "", "")
	f.IntVar(&c.opts.Probes, "probes", 1, "")
	f.BoolVar(&c.opts.NoRefit, "no-refit", false, "")
	c.samples.add(f)
	f.StringSliceVar(&c.opts.Methods, "methods", nil, "")
	f.StringArrayVar(&c.opts.Select.Only, "only", nil, "")
	f.StringArrayVar(&c.opts.Select.Keep, "keep", nil, "")
	f.StringVar(&c.opts.Search, "search", "", "")
	f.IntVar(&c.opts.RankMultiple, "rank-multiple", 0, "")
	f.StringArrayVar(&c.shapes, "input-shape", nil, "")
	f.Uint64Var(&c.opts.Seed, "seed", 0, "")
	f.IntVar(&c.opts.Batch, "batch", 32, "")
	f.IntVar(&c.env.Threads, "threads", 0, "")
	f.StringVar(&c.memory, "memory", "2GiB", "")
	f.StringVar(&c.env.Runtime, "ort", "", "")
}

// read turns the words into options.
func (c *compressFlags) read(f *pflag.FlagSet) error {
	if err := c.plan.alone(f); err != nil {
		return err
	}
	if len(c.targets) == 0 && c.plan.from == "" {
		return usagef("no --target: say how small the model should become, for example\n" +
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

// readMeans turns the words of addMeans into options.
func (c *compressFlags) readMeans(f *pflag.FlagSet) error {
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
	if c.opts.Probes, err = probes(c.opts.Probes); err != nil {
		return err
	}
	if c.opts.Memory, err = byteSize(c.memory); err != nil {
		return err
	}
	c.opts.InputShapes, err = inputShapes(c.shapes)
	return err
}

// probes turns the number of --probes, where 0 asks for none, into that of the options.
func probes(n int) (int, error) {
	switch {
	case n < 0:
		return 0, usagef("--probes %d: want a number, 0 for none", n)
	case n == 0:
		return -1, nil
	}
	return n, nil
}

// prepared completes the options with where the samples lie and how they are prepared.
func (c *compressFlags) prepared() (err error) {
	c.opts.Data.Path = c.calib
	if c.tune {
		c.opts.Data.Lessons = c.lessons
	}
	if c.calib != "" || c.opts.Data.Lessons != "" {
		c.opts.Data.Preparation, err = c.samples.options()
	}
	return err
}

// oneModel wants exactly one argument.
func oneModel(args []string, out *outputFlags) (string, error) {
	switch {
	case len(args) == 0:
		return "", usagef("which model? for example: onnx-compress model.onnx -o small.onnx --calib images/ --target macs=0.5")
	case len(args) > 1 && out.json == toStdout && strings.HasSuffix(args[len(args)-1], ".json"):
		return "", usagef("%d models were named (%q); want one: to write JSON to a file, join the two as --json=%s", len(args), args, args[len(args)-1])
	case len(args) > 1:
		return "", usagef("%d models were named (%q); want one%s", len(args), args, commandWord(args[0]))
	}
	if _, err := os.Stat(args[0]); errors.Is(err, os.ErrNotExist) {
		if hint := commandWord(args[0]); hint != "" {
			return "", usagef("%q is neither a file nor a command%s", args[0], hint)
		}
	}
	return args[0], nil
}

// openSamples opens the samples at path for the model.
func openSamples(m *onnxio.Model, path string, flags *sampleFlags) (samples.Source, error) {
	o, err := flags.options()
	if err != nil {
		return nil, err
	}
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	return samples.Open(path, o, inputs)
}

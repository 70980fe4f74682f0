package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// tuneFlags say how weights are tuned. They are words of their own for `tune`, and begin
// with "tune-" for `compress`.
type tuneFlags struct {
	prefix  string
	options tune.Options

	losses, weights                         []string
	optimizer, only, augment, average, clip string
	supervised                              bool
}

// learning are the names without their prefix.
func (t *tuneFlags) learning() []string {
	return []string{
		"epochs", "lr", "loss", "weight", "optimizer", "only", "warm-up", "clip", "decay", "average", "temperature", "features", "supervised", "lambda",
		"patience",
	}
}

func (t *tuneFlags) add(f *pflag.FlagSet, prefix string) {
	t.prefix = prefix
	o := &t.options
	f.IntVar(&o.Epochs, prefix+"epochs", 20, "")
	f.Float64Var(&o.Rate, prefix+"lr", 0, "")
	f.StringArrayVar(&t.losses, prefix+"loss", nil, "")
	f.StringArrayVar(&t.weights, prefix+"weight", nil, "")
	f.StringVar(&t.optimizer, prefix+"optimizer", string(tune.SOAP), "")
	f.StringVar(&t.only, prefix+"only", string(tune.AllParameters), "")
	f.Float64Var(&o.WarmUp, prefix+"warm-up", 0, "")
	f.StringVar(&t.clip, prefix+"clip", "5", "")
	f.Float64Var(&o.Decay, prefix+"decay", 0, "")
	f.StringVar(&t.average, prefix+"average", "0.99", "")
	f.Float64Var(&o.Temperature, prefix+"temperature", 2, "")
	f.Float64Var(&o.Features, prefix+"features", 0, "")
	f.BoolVar(&t.supervised, prefix+"supervised", false, "")
	f.Float64Var(&o.Lambda, prefix+"lambda", 10, "")
	f.IntVar(&o.Patience, prefix+"patience", 0, "")
	f.StringVar(&t.augment, "augment", "", "")
	f.StringVar(&o.Checkpoint, "checkpoint", "", "")
	f.IntVar(&o.CheckpointSteps, "checkpoint-every", 0, "")
	f.BoolVar(&o.Resume, "resume", false, "")
}

// given names a flag that says how to tune, where there is one.
func (t *tuneFlags) given(f *pflag.FlagSet) (string, bool) {
	names := []string{"augment", "checkpoint", "checkpoint-every", "resume"}
	for _, name := range t.learning() {
		names = append(names, t.prefix+name)
	}
	for _, name := range names {
		if f.Changed(name) {
			return name, true
		}
	}
	return "", false
}

// read turns the words into options.
func (t *tuneFlags) read(f *pflag.FlagSet) error {
	o := &t.options
	if err := atLeastOne(f, t.prefix+"epochs", "checkpoint-every"); err != nil {
		return err
	}
	for _, n := range []struct {
		name       string
		value, max float64
	}{
		{"lr", o.Rate, math.MaxFloat32},
		{"warm-up", o.WarmUp, 1},
		{"decay", o.Decay, math.MaxFloat32},
		{"temperature", o.Temperature, 1e6},
		{"features", o.Features, 1e12},
		{"lambda", o.Lambda, 1e12},
	} {
		if !(n.value >= 0 && n.value <= n.max) || n.value == 0 && f.Changed(t.prefix+n.name) && (n.name == "lr" || n.name == "temperature") {
			return usagef("--%s%s %g: want a positive number of at most %g", t.prefix, n.name, n.value, n.max)
		}
	}
	if o.Patience < 0 {
		return usagef("--%spatience %d: want a number of epochs", t.prefix, o.Patience)
	}
	if o.Lambda == 0 {
		o.Lambda = -1 // which is none; 0 is the default
	}
	var err error
	if o.Clip, err = t.orNone("clip", t.clip, math.MaxFloat32); err != nil {
		return err
	}
	if o.Average, err = t.orNone("average", t.average, 0.999999); err != nil {
		return err
	}
	if o.Optimizer, err = tune.ParseOptimizer(t.optimizer); err != nil {
		return usagef("--%soptimizer: %w", t.prefix, err)
	}
	if o.Part, err = tune.ParsePart(t.only); err != nil {
		return usagef("--%sonly: %w", t.prefix, err)
	}
	if o.Labels = t.supervised; !o.Labels && f.Changed(t.prefix+"lambda") {
		return usagef("--%slambda weighs the distance from the original against labels; want --%ssupervised with it", t.prefix, t.prefix)
	}
	if o.Resume && o.Checkpoint == "" || f.Changed("checkpoint-every") && o.Checkpoint == "" {
		return usagef("which checkpoint? name its file with --checkpoint")
	}
	return t.outputs()
}

// orNone reads a positive number, or "none".
func (t *tuneFlags) orNone(name, word string, most float64) (float64, error) {
	if word == "none" {
		return -1, nil
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || !(v > 0 && v <= most) {
		return 0, usagef("--%s%s %s: want a number above 0 and up to %g, or none", t.prefix, name, word, most)
	}
	return v, nil
}

// outputs reads the losses and weights of outputs.
func (t *tuneFlags) outputs() error {
	o := &t.options
	for _, word := range t.losses {
		output, name, one := cutLast(word)
		loss, err := tune.ParseLoss(name)
		if err != nil {
			return usagef("--%sloss %s: %w", t.prefix, word, err)
		}
		if !one {
			o.Loss = loss
			continue
		}
		if o.Losses == nil {
			o.Losses = map[string]tune.Loss{}
		}
		o.Losses[output] = loss
	}
	for _, word := range t.weights {
		output, number, one := cutLast(word)
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !one || !(v >= 0 && v <= 1e12) {
			return usagef("--%sweight %s: want OUTPUT=NUMBER with a number from 0", t.prefix, word)
		}
		if o.Weights == nil {
			o.Weights = map[string]float64{}
		}
		o.Weights[output] = v
	}
	return nil
}

// cutLast cuts NAME=VALUE at its last sign; a word without one is a value.
func cutLast(word string) (name, value string, both bool) {
	if at := strings.LastIndex(word, "="); at > 0 {
		return word[:at], word[at+1:], true
	}
	return "", word, false
}

// augmenter reads --augment, nil where it is not given.
func (t *tuneFlags) augmenter(m *onnxio.Model, flags *sampleFlags) (*samples.Augmenter, error) {
	a, err := samples.ParseAugment(t.augment)
	if err != nil {
		return nil, usagef("--augment: %w", err)
	}
	if a == (samples.Augment{}) {
		return nil, nil
	}
	o, err := flags.options()
	if err != nil {
		return nil, err
	}
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	return samples.NewAugmenter(a, o, inputs, t.options.Seed)
}

// readTuning turns the words about tuning into options.
func (c *compressFlags) readTuning(f *pflag.FlagSet) error {
	if name, ok := c.tuning.given(f); !c.tune && (ok || c.lessons != "") {
		if !ok {
			name = "tune-data"
		}
		return usagef("--%s is about tuning; want --tune with it", name)
	}
	if !c.tune {
		return nil
	}
	if c.calib == "" && c.lessons == "" {
		return usagef("--tune learns from samples; name them with --calib or --tune-data")
	}
	if err := c.tuning.read(f); err != nil {
		return err
	}
	o := &c.tuning.options
	o.Seed, o.Threads = c.opts.Seed, c.env.Threads
	if f.Changed("batch") {
		o.Batch = c.opts.Batch
	}
	if path := o.Checkpoint; path != "" {
		return canWrite("--checkpoint "+path, path, c.calib, c.lessons, c.opts.Output, string(c.out.json), c.plan.to, c.plan.from, c.opts.Stats)
	}
	return nil
}

// learn opens what the tuning of a model learns from.
func (c *compressFlags) learn(m *onnxio.Model) (err error) {
	if !c.tune {
		return nil
	}
	if c.lessons != "" {
		if c.opts.Lessons, err = openSamples(m, c.lessons, &c.samples); err != nil {
			return err
		}
	}
	if c.tuning.options.Augment, err = c.tuning.augmenter(m, &c.samples); err != nil {
		return err
	}
	c.opts.Learning = &c.tuning.options
	return nil
}

// interruptedError says that the work was broken off, and what came of it.
type interruptedError struct{ said string }

func (e *interruptedError) Error() string { return "interrupted; " + e.said }

// lesson are the words of `onnx-compress tune`.
type lesson struct {
	opts    compress.TuneOptions
	env     compress.EnvironmentOptions
	tuning  tuneFlags
	samples sampleFlags
	out     outputFlags
	page    pageFlags
	data    string
}

func (l *lesson) add(f *pflag.FlagSet) {
	f.StringVarP(&l.opts.Output, "output", "o", "", "")
	f.StringVar(&l.data, "data", "", "")
	f.IntVar(&l.opts.Samples, "samples", 0, "")
	l.samples.add(f)
	l.tuning.add(f, "")
	f.Uint64Var(&l.tuning.options.Seed, "seed", 0, "")
	f.IntVar(&l.tuning.options.Batch, "batch", 64, "")
	f.IntVar(&l.tuning.options.Threads, "threads", 0, "")
	f.StringVar(&l.env.Runtime, "ort", "", "")
	f.BoolVar(&l.opts.Overwrite, "force", false, "")
	l.page.add(f)
	l.out.add(f, "quiet", "verbose")
}

// read turns the words into options; models are the two files named.
func (l *lesson) read(f *pflag.FlagSet, models []string) error {
	switch {
	case len(models) != 2:
		return usagef("want two models, the original and the compressed one; got %d", len(models))
	case l.data == "":
		return usagef("which samples to learn from? name them with --data")
	case l.opts.Output == "":
		return usagef("where does the tuned model go? name its file with -o")
	}
	if err := atLeastOne(f, "samples", "batch", "threads"); err != nil {
		return err
	}
	if err := l.tuning.read(f); err != nil {
		return err
	}
	files := []string{models[0], models[1], l.opts.Output, l.data, l.samples.labels}
	checkpoint := l.tuning.options.Checkpoint
	if err := l.out.check(append(files, checkpoint)...); err != nil {
		return err
	}
	if err := l.page.check(f, append(files, checkpoint, string(l.out.json))...); err != nil {
		return err
	}
	if checkpoint == "" {
		return nil
	}
	return canWrite("--checkpoint "+checkpoint, checkpoint, append(files, string(l.out.json))...)
}

func runTune(ctx context.Context, args []string, s streams) error {
	var l lesson
	f := newFlags("tune")
	l.add(f)
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if err := l.read(f, rest); err != nil {
		return err
	}
	original, small, err := bothModels(rest)
	if err != nil {
		return err
	}
	defer original.Close()
	defer small.Close()
	if l.opts.Source, err = openSamples(original, l.data, &l.samples); err != nil {
		return err
	}
	if l.tuning.options.Augment, err = l.tuning.augmenter(original, &l.samples); err != nil {
		return err
	}
	l.opts.Learning = l.tuning.options
	env, end, err := s.open(l.env, l.out.quiet)
	if err != nil {
		return err
	}
	r, err := compress.Tune(ctx, env, original, small, l.opts)
	end()
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (--force)", err)
	}
	if err != nil {
		return err
	}
	if err := l.page.write(func(w io.Writer) error { return page.Tuning(w, r) }); err != nil {
		return fmt.Errorf("%s is written, but not the page about it: %w", l.opts.Output, err)
	}
	if err := l.out.write(s.out, r, func(w io.Writer) error { return report.Tuning(w, r, l.out.verbose) }); err != nil {
		return fmt.Errorf("%s is written, but not what there is to say about it: %w", l.opts.Output, err)
	}
	return brokenOff(r.Tuning, l.opts.Output)
}

// brokenOff is the error of a tuning that was interrupted, after its best state was written.
func brokenOff(t *compress.Tuning, output string) error {
	if t == nil || t.End != tune.Interrupted {
		return nil
	}
	if t.Improved {
		return &interruptedError{fmt.Sprintf("the best state so far, of epoch %d, is written to %s", t.Best, output)}
	}
	return &interruptedError{fmt.Sprintf("nothing was better than the start yet, and that is what %s is", output)}
}

// bothModels reads the two models of a command line.
func bothModels(paths []string) (original, small *onnxio.Model, err error) {
	if original, err = onnxio.Read(paths[0]); err != nil {
		return nil, nil, err
	}
	if small, err = onnxio.Read(paths[1]); err != nil {
		original.Close()
		return nil, nil, err
	}
	return original, small, nil
}

// Package verify compares two models by running both on the same samples.
//
// [Compare] takes two files, samples of a samples.Source and the numbers of those to run, and gives a
// [Report]: distances by output, agreement of the top class, with labels the accuracy of both, and
// the samples that moved most. Package gate holds a Report against bounds.
package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/defaults"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Options control Compare.
type Options struct {
	// Batch is how many samples run at once where the models' first axis is free; default 32.
	Batch int
	// Threads is how many batches are worked on side by side; default 1. The report
	// does not depend on it.
	Threads int
	// Moved is how many of the samples that moved most are listed; default 10.
	Moved int
	// Progress, when set, is told after each run how many of the samples are done.
	Progress samples.Progress
}

func (o Options) withDefaults() Options {
	defaults.Runs(&o.Batch, &o.Threads, &o.Progress)
	if o.Moved < 1 {
		o.Moved = 10
	}
	return o
}

// OriginalError says that already the original model cannot be run.
type OriginalError struct{ Err error }

func (e *OriginalError) Error() string { return "original model: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OriginalError) Unwrap() error { return e.Err }

// Runtime is ONNX Runtime, loaded: compress.Environment has it.
type Runtime = ort.Runtime

// Compare runs the models in two files on the samples numbered by indices. The models
// must have the same inputs and outputs. Sums are taken in float64, sample by sample in
// order. In a last batch that samples do not fill, as a model with a fixed batch may
// get, the filler is left out; an output whose axis 0 is not the batch leaves out that
// whole run. Where the original does not run, the error is an *OriginalError.
func Compare(ctx context.Context, runtime Runtime, original, compressed string, src samples.Source, indices []int, o Options) (*Report, error) {
	if len(indices) == 0 {
		return nil, errors.New("there are no samples to compare the models on")
	}
	c, lib := &comparison{o: o.withDefaults()}, ort.Of(runtime)
	var err error
	if c.before, err = lib.NewSessionFile(original, ort.Options{}); err != nil {
		return nil, &OriginalError{err}
	}
	defer c.before.Close()
	if c.after, err = lib.NewSessionFile(compressed, ort.Options{}); err != nil {
		return nil, fmt.Errorf("compressed model: %w", err)
	}
	defer c.after.Close()
	if err := c.match(); err != nil {
		return nil, fmt.Errorf("%s and %s cannot be compared: %w", original, compressed, err)
	}
	runs, err := feed.New(src, indices, feed.SessionInputs(c.before), c.o.Batch, c.o.Threads)
	if err != nil {
		return nil, err
	}
	c.sums = newSums(len(c.outputs), c.o.Moved)
	if err := runs.Merge(ctx, c.o.Threads, c.o.Progress, c.work); err != nil {
		return nil, err
	}
	r := c.sums.report(c.outputs, c.classOutput)
	r.Original, r.Compressed, r.Data, r.Samples = original, compressed, samples.Account(src), len(indices)
	return r, nil
}

// comparison is the state of one call of Compare.
type comparison struct {
	o             Options
	before, after *ort.Session
	outputs       []string
	classOutput   int // the output that looks like class scores, -1 for none
	sums          *sums
}

// match checks that the models have the same inputs and outputs.
func (c *comparison) match() error {
	ins, outs := c.before.Inputs(), c.before.Outputs()
	others := map[string]ort.Info{}
	for _, in := range c.after.Inputs() {
		others[in.Name] = in
	}
	for _, in := range ins {
		other, ok := others[in.Name]
		if !ok || other.Type != in.Type {
			return fmt.Errorf("the first has the input %v, the second does not", in)
		}
	}
	if n := len(others); n != len(ins) {
		return fmt.Errorf("the first has %d inputs, the second %d", len(ins), n)
	}
	clear(others)
	for _, out := range c.after.Outputs() {
		others[out.Name] = out
	}
	c.classOutput = -1
	for i, out := range outs {
		if other, ok := others[out.Name]; !ok || other.Type != out.Type {
			return fmt.Errorf("the first has the output %v, the second does not", out)
		}
		if out.Kind != ort.KindTensor || out.Type == tensor.String {
			return fmt.Errorf("the output %v has no numbers to compare", out)
		}
		c.outputs = append(c.outputs, out.Name)
		if c.classOutput < 0 && out.Type.IsFloat() && len(out.Shape) == 2 && (out.Shape[1] >= 2 || out.Shape[1] < 0) {
			c.classOutput = i
		}
	}
	return nil
}

// work compares the models on one run, whose sums are brought in when those of all runs before it are.
func (c *comparison) work(ctx context.Context, r *feed.Run) (func(), error) {
	s, err := c.run(ctx, r)
	return func() { c.sums.add(s) }, err
}

// run feeds both models and compares what comes out.
func (c *comparison) run(ctx context.Context, r *feed.Run) (*runSums, error) {
	name := r.Samples[0].Name
	before, err := c.before.Run(ctx, r.Inputs, c.outputs)
	if err != nil {
		return nil, &OriginalError{fmt.Errorf("sample %s: %w", name, err)}
	}
	defer before.Close()
	after, err := c.after.Run(ctx, r.Inputs, c.outputs)
	if err != nil {
		return nil, fmt.Errorf("compressed model: sample %s: %w", name, err)
	}
	defer after.Close()
	s := newRunSums(r, len(c.outputs))
	for i, output := range c.outputs {
		if err := s.compare(i, before.Get(i), after.Get(i), i == c.classOutput); err != nil {
			return nil, fmt.Errorf("output %q on sample %s: %w", output, name, err)
		}
	}
	return s, nil
}

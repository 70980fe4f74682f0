// Package verify compares two models by running both on the same samples.
//
// [Compare] takes two files, samples of a samples.Source and the numbers of those to run, and gives a
// [Report]: distances by output, agreement of the top class, with labels the accuracy of both, and
// the samples that moved most. Package gate holds a Report against bounds.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/defaults"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
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
	// Classes names the output with class scores, or is "none"; empty means to look for one.
	Classes string
	// Weights say by name how much an output counts; default 1, and 0 for a state.
	Weights map[string]float64
	// Kinds say by name what outputs are, where it is known better than their shapes and the nodes that make them tell.
	Kinds map[string]Kind
	// Evidence says what the samples are to the compressed model.
	Evidence Evidence
	// Moved is how many of the samples that moved most are listed; default 10.
	Moved int
	// Memory bounds in bytes what the models take; 0 does not. Where their weights might take half of it, they are read from
	// their files while they run, which takes longer; and where what they compute is large, fewer samples run at once.
	Memory int64
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

// LabelError says that there are labels which no class of the model has.
type LabelError struct{ Err error }

func (e *LabelError) Error() string { return "labels: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LabelError) Unwrap() error { return e.Err }

// Compare runs the models in two files on the samples numbered by indices. The models
// must have the same inputs and outputs. Sums are taken in float64, sample by sample in
// order. In a last batch that samples do not fill, as a model with a fixed batch may
// get, the filler is left out; an output without an axis for the batch leaves out that
// whole run. Outputs without numbers, and those whose sizes the data makes differ, are named and not compared. Where the
// original does not run, the error is an *OriginalError, where labels lie beyond the classes a *LabelError.
func Compare(ctx context.Context, runtime Runtime, original, compressed string, src samples.Source, indices []int, o Options) (*Report, error) {
	if len(indices) == 0 {
		return nil, errors.New("there are no samples to compare the models on")
	}
	c := &comparison{o: o.withDefaults()}
	done, err := c.open(ort.Of(runtime), original, compressed)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := c.match(); err != nil {
		return nil, fmt.Errorf("%s and %s cannot be compared: %w", original, compressed, err)
	}
	c.limitBatch(ctx, src, indices[0])
	inputs := feed.SessionInputs(c.before)
	if c.axes, err = feed.FindAxes(ctx, feed.Opened(c.before), src, indices, inputs, c.o.Batch, c.compared()); err != nil {
		return nil, err
	}
	runs, err := feed.New(src, indices, inputs, c.o.Batch, c.o.Threads)
	if err != nil {
		return nil, err
	}
	c.known, c.named, c.next = samples.Labels(src), samples.ClassNames(src), samples.NextTokens(src)
	c.sums = newSums(c.outputs, c.o.Moved)
	if len(c.names) > 0 {
		if err := runs.Merge(ctx, c.o.Threads, c.o.Progress, c.work); err != nil {
			return nil, err
		}
	}
	if err := c.sums.fit(); err != nil {
		return nil, err
	}
	r := c.sums.report()
	r.Original, r.Compressed, r.Data, r.Samples, r.Evidence = original, compressed, samples.Account(src), len(indices), o.Evidence
	r.Judged = r.Judge()
	return r, nil
}

// comparison is the state of one call of Compare.
type comparison struct {
	o             Options
	model         *onnxio.Model // the original
	before, after *ort.Session
	outputs       []output
	names         []string // of those that are compared
	axes          feed.Axes
	known         []int    // labels, as far as they are known before the samples are read
	named         []string // the classes, where labels are places among their names
	next          bool     // each token is the label of the one before it
	sums          *sums
}

// output is one of the models', and how it is compared.
type output struct {
	outputs.Output
	// at is its place among those that are compared, -1 where it is not; why then says why.
	at  int
	why string
}

// describe says what the outputs of the original are.
func (c *comparison) describe(path string, m *onnxio.Model) error {
	list, err := outputs.Of(m, outputs.Options{Classes: c.o.Classes, Weights: c.o.Weights, Kinds: c.o.Kinds})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, o := range list {
		c.outputs = append(c.outputs, output{Output: o})
	}
	return nil
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
	for i, out := range outs {
		if other, ok := others[out.Name]; !ok || other.Kind != out.Kind || other.Type != out.Type {
			return fmt.Errorf("the first has the output %v, the second does not", out)
		}
		o := &c.outputs[i]
		switch o.at = -1; {
		case out.Kind != ort.KindTensor:
			o.why = fmt.Sprintf("a %v has no numbers to compare", out.Kind)
		case out.Type == tensor.String:
			o.why = "strings are not compared"
		default:
			o.at = len(c.names)
			c.names = append(c.names, out.Name)
			continue
		}
		o.Kind, o.Weight = outputs.Opaque, 0
	}
	return nil
}

// compared are the outputs that are.
func (c *comparison) compared() []outputs.Output {
	var out []outputs.Output
	for _, o := range c.outputs {
		if o.at >= 0 {
			out = append(out, o.Output)
		}
	}
	return out
}

// work compares the models on one run, whose sums are brought in when those of all runs before it are.
func (c *comparison) work(ctx context.Context, r *feed.Run) (func(), error) {
	s, err := c.run(ctx, r)
	return func() { c.sums.add(s) }, err
}

// run feeds both models and compares what comes out.
func (c *comparison) run(ctx context.Context, r *feed.Run) (*runSums, error) {
	name := r.Samples[0].Name
	before, err := c.before.Run(ctx, r.Inputs, c.names)
	if err != nil {
		return nil, &OriginalError{fmt.Errorf("sample %s: %w", name, err)}
	}
	defer before.Close()
	after, err := c.after.Run(ctx, r.Inputs, c.names)
	if err != nil {
		return nil, fmt.Errorf("compressed model: sample %s: %w", name, err)
	}
	defer after.Close()
	s := newRunSums(r, len(c.outputs))
	s.labelled = c.next
	for i, o := range c.outputs {
		if o.at < 0 {
			continue
		}
		if err := s.compare(i, o.Output, c.axes, before.Get(o.at), after.Get(o.at)); err != nil {
			return nil, fmt.Errorf("output %q on sample %s: %w", o.Name, name, err)
		}
	}
	both := func(i int) (y, z tensor.Dense) { return before.Get(c.outputs[i].at), after.Get(c.outputs[i].at) }
	if err := s.detect(c.outputs, c.axes, both); err != nil {
		return nil, fmt.Errorf("sample %s: %w", name, err)
	}
	if s.scored >= 0 {
		name := c.outputs[s.scored].Name
		if err := cmp.Or(outputs.CheckLabels(c.known, name, s.classes), outputs.CheckNames(c.named, name, s.classes)); err != nil {
			return nil, &LabelError{err}
		}
	}
	return s, nil
}

package compress

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"

	"github.com/onnx-compress/onnx-compress/verify"
)

// TuneOptions say how a compressed model is tuned by gradient descent. The zero value of a
// field means its default.
type TuneOptions struct {
	// Output is where the tuned model goes. It may be neither of the inputs.
	Output    string
	Overwrite bool
	// Source has the samples to learn from; it is required.
	Source samples.Source
	// Samples bounds how many of them, drawn by the seed; 0 means all.
	Samples int
	// Learning says how; its Threads default to all processors.
	Learning tune.Options
	// Runtime and Progress are as in Options. The stages are tune, write and verify; behind
	// the name of tune stands, after a colon, how the loss does.
	Runtime  string
	Progress func(stage string, done, total int)
}

// TuningSchema names the shape of a TuneResult as JSON.
const TuningSchema = "onnx-compress/tuning/1"

// TuneResult is what one tuning did, and the evidence for it.
type TuneResult struct {
	Schema string `json:"schema"`
	// Original is the model that was learned from, Start the compressed one as it came,
	// Output what was written.
	Original    File        `json:"original"`
	Start       File        `json:"start"`
	Output      File        `json:"output"`
	Environment Environment `json:"environment"`
	Tuning      *Tuning     `json:"tuning"`
	// Verification compares original and output on the held-out samples.
	Verification *verify.Report `json:"verification"`
	Stages       []Stage        `json:"stages"`
}

// Tuning says what gradient descent on a compressed model's weights gave.
type Tuning struct {
	Source string `json:"source"`
	// Learned counts the samples learned from, Held those that judged.
	Learned int `json:"learned"`
	Held    int `json:"held"`
	// Augment is how images were changed, empty where they were not.
	Augment string `json:"augment,omitempty"`
	// Batch is the number of samples of a step.
	Batch     int            `json:"batch"`
	Steps     int            `json:"steps"`
	Optimizer tune.Optimizer `json:"optimizer"`
	// Parameters counts the numbers that were tuned, in Tensors initializers.
	Parameters int `json:"parameters"`
	Tensors    int `json:"tensors"`
	// End says why it ended.
	End tune.End `json:"end"`
	// Improved tells that the written model is better on held-out samples than the start;
	// else it is the start. Best is the epoch that it is from.
	Improved bool         `json:"improved"`
	Best     int          `json:"best"`
	Curve    []tune.Point `json:"curve"`
	// Advice says what to try where the tuning did not do well.
	Advice           string  `json:"advice,omitempty"`
	Seconds          float64 `json:"seconds"`
	SamplesPerSecond float64 `json:"samples_per_second"`
	// StepSeconds is the median duration of a step.
	StepSeconds float64 `json:"step_seconds"`
}

// Tune learns from the model original to make the model compressed, both read from files,
// come closer to it, and writes the best state to o.Output: the start, where none was better.
// When ctx ends while it learns, the best state so far is written all the same, and
// Tuning.End says so.
//
// Errors: *UsageError for options that cannot be, *tune.OpaqueError where no gradient
// reaches the weights, *tune.CheckpointError, the context's error when it ends before the
// first step.
func Tune(ctx context.Context, original, compressed *onnxio.Model, o TuneOptions) (*TuneResult, error) {
	if o.Source == nil || o.Source.Len() == 0 {
		return nil, &UsageError{errors.New("there are no samples to learn from")}
	}
	if o.Learning.Threads == 0 {
		o.Learning.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if err := onnxio.CanWrite(compressed, o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
		return nil, err
	}
	if err := onnxio.CanWrite(original, o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
		return nil, err
	}
	libs, err := OpenLibraries(o.Runtime)
	if err != nil {
		return nil, err
	}
	defer libs.Close()
	lib, err := libs.Need("tuning")
	if err != nil {
		return nil, err
	}
	o.Learning.Backend = libs.Algebra
	l := &lesson{o: o, lib: lib, original: original, compressed: compressed, result: &TuneResult{
		Schema: TuningSchema, Environment: Environment{
			Runtime: lib.Version(), RuntimePath: lib.Path(), Algebra: libs.Algebra.Name(), Threads: o.Learning.Threads, Seed: o.Learning.Seed,
		},
	}}
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return l.result, nil
}

// lesson is a call of Tune on its way.
type lesson struct {
	o                    TuneOptions
	lib                  *ort.Library
	original, compressed *onnxio.Model
	result               *TuneResult
}

// stage announces f and times it.
func (l *lesson) stage(name string, f func() error) error {
	l.o.Progress(name, 0, 0)
	start := time.Now()
	err := f()
	l.result.Stages = append(l.result.Stages, Stage{name, time.Since(start).Seconds()})
	return err
}

func (l *lesson) run(ctx context.Context) error {
	n := l.o.Source.Len()
	if l.o.Samples > 0 {
		n = min(n, l.o.Samples)
	}
	indices, _ := samples.Split(l.o.Source.Len(), n, l.o.Learning.Seed)
	learn, held := tune.Split(indices, l.o.Learning.Held)
	l.o.Learning.Held = held
	var tuned *onnxio.Model
	err := l.stage("tune", func() (err error) {
		tuned, l.result.Tuning, err = learnFrom(ctx, l.lib, l.original, l.compressed, l.o.Source, append(learn, held...), l.o.Learning, l.o.Progress)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", l.compressed.Path, err)
	}
	defer tuned.Close()
	// A tuning that was interrupted has given a model, which is not to be lost.
	return l.deliver(context.WithoutCancel(ctx), tuned, held)
}

// deliver writes the model beside its place, verifies that file, and moves it there.
func (l *lesson) deliver(ctx context.Context, tuned *onnxio.Model, held []int) error {
	var staged *onnxio.Staged
	err := l.stage("write", func() (err error) {
		staged, err = onnxio.Stage(ctx, tuned, l.o.Output, onnxio.WriteOptions{Overwrite: l.o.Overwrite})
		return err
	})
	if err != nil {
		return err
	}
	defer staged.Discard()
	err = l.stage("verify", func() (err error) {
		l.result.Verification, err = verify.Compare(ctx, l.lib, l.original.Path, staged.Path(), l.o.Source, held, verify.Options{
			Threads: l.o.Learning.Threads, Progress: func(done, total int) { l.o.Progress("verify", done, total) },
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("verifying the result: %w", err)
	}
	l.result.Verification.Compressed = l.o.Output
	if err := broken(l.result.Verification); err != nil {
		return err
	}
	if err := l.describe(ctx, tuned, staged.Path()); err != nil {
		return err
	}
	return staged.Commit()
}

// describe completes the result with what the three files are.
func (l *lesson) describe(ctx context.Context, tuned *onnxio.Model, written string) error {
	inputs, err := samples.Inputs(l.original)
	if err != nil {
		return err
	}
	sample, err := l.o.Source.Sample(0)
	if err != nil {
		return err
	}
	given := sample.Shapes(inputs)
	for _, f := range []struct {
		model *onnxio.Model
		path  string
		file  *File
	}{
		{l.original, l.original.Path, &l.result.Original}, {l.compressed, l.compressed.Path, &l.result.Start}, {tuned, written, &l.result.Output},
	} {
		concrete, _ := shapes.InputShapes(f.model, given)
		if *f.file, err = describe(ctx, f.path, rewrite.MeasureCosts(f.model, shapes.Infer(f.model, concrete))); err != nil {
			return err
		}
	}
	l.result.Output.Path = l.o.Output
	return nil
}

// admit refuses to tune a model that cannot be, before any work is done.
func (j *job) admit(ctx context.Context) error {
	if j.opts.Learning == nil {
		return nil
	}
	src := j.lessons()
	if src == nil || src.Len() == 0 {
		return &UsageError{errors.New("there are no samples to learn from; give some to calibrate on, or others")}
	}
	lib, err := j.libs.Need("tuning")
	if err != nil {
		return err
	}
	if err := tune.Rehearse(ctx, lib, j.model, src, *j.opts.Learning); err != nil {
		return fmt.Errorf("%s: %w", j.model.Path, err)
	}
	return nil
}

func (j *job) lessons() samples.Source {
	if j.opts.Lessons != nil {
		return j.opts.Lessons
	}
	return j.opts.Source
}

// learn tunes the rewritten model. Where that is interrupted, the context that it returns
// for what is left to be done has no end.
func (j *job) learn(ctx context.Context) (context.Context, error) {
	if j.opts.Learning == nil {
		return ctx, nil
	}
	lib, err := j.libs.Need("tuning")
	if err != nil {
		return ctx, err
	}
	src := j.lessons()
	indices, _ := samples.Split(src.Len(), src.Len(), j.opts.Seed)
	if j.opts.Lessons == nil {
		indices = slices.DeleteFunc(indices, func(i int) bool { return slices.Contains(j.held, i) })
	}
	o := *j.opts.Learning
	o.Backend = j.libs.Algebra
	if o.Threads == 0 {
		o.Threads = j.opts.Threads
	}
	err = j.stage(ctx, "tune", func() error {
		tuned, t, err := learnFrom(ctx, lib, j.model, j.small, src, indices, o, j.opts.Progress)
		if err != nil {
			return err
		}
		_ = j.small.Close() // it only shares the maps of the original
		j.small, j.result.Tuning = tuned, t
		return nil
	})
	if err != nil {
		return ctx, fmt.Errorf("%s: %w", j.model.Path, err)
	}
	if j.result.Tuning.End == tune.Interrupted {
		ctx = context.WithoutCancel(ctx)
	}
	return ctx, nil
}

// learnFrom tunes a model and says how that went. The caller closes the model.
func learnFrom(ctx context.Context, lib *ort.Library, original, compressed *onnxio.Model, src samples.Source, indices []int, o tune.Options, progress func(string, int, int)) (*onnxio.Model, *Tuning, error) {
	told := o.Progress
	o.Progress = func(p tune.Progress) {
		if told != nil {
			told(p)
		}
		progress(fmt.Sprintf("tune: epoch %d/%d, loss %.4f, held out %.4f, agreement %.1f%%, %.0f samples/s",
			p.Epoch, p.Epochs, p.Loss, p.Last.Held, 100*p.Last.Agreement, p.Rate), p.Step, p.Steps)
	}
	d, err := tune.Run(ctx, lib, original, compressed, src, indices, o)
	if err != nil {
		return nil, nil, err
	}
	t := &Tuning{
		Source: src.Describe(), Learned: d.Learned, Held: d.Held, Batch: d.Batch, Steps: d.Steps, Optimizer: d.Optimizer,
		Parameters: d.Parameters, Tensors: d.Tensors, End: d.End, Improved: d.Improved, Best: d.Best, Curve: d.Curve, Advice: d.Advice, Seconds: d.Seconds,
		SamplesPerSecond: d.Rate, StepSeconds: d.StepSeconds,
	}
	if o.Augment != nil {
		t.Augment = o.Augment.String()
	}
	return d.Model, t, nil
}

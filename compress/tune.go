package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/verify"
)

// What gradient descent works by and what it says of itself.
type (
	// Descent says how weights are tuned.
	Descent = tune.Options
	// Loss says how an output is held to the original's.
	Loss = tune.Loss
	// Part says which parameters are tuned.
	Part = tune.Part
	// Optimizer is the rule that turns gradients into steps.
	Optimizer = tune.Optimizer
	// Epoch is the state after an epoch of the samples.
	Epoch = tune.Point
	// End says why a tuning ended.
	End = tune.End
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
	// Data is the file or folder that they are from. Where the record of the compressed model says that it was calibrated on the same,
	// those that it was not calibrated on judge. Empty means that it has seen none of them.
	Data string
	// Descent says how; its Threads default to those of the environment.
	Descent Descent
}

// TuningSchema names the shape of a TuneResult as JSON.
const TuningSchema = "onnx-compress/tuning/1"

// TuneResult is what one tuning did, and the evidence for it.
type TuneResult struct {
	Schema string `json:"schema"`
	// Original is the model that was learned from, Start the compressed one as it came,
	// Output what was written.
	Original    File              `json:"original"`
	Start       File              `json:"start"`
	Output      File              `json:"output"`
	Environment EnvironmentResult `json:"environment"`
	Tuning      *Tuning           `json:"tuning"`
	// Verification compares original and output on the held-out samples.
	Verification *verify.Report `json:"verification"`
	Stages       []Stage        `json:"stages"`
	Memory       Memory         `json:"memory"`
}

// Tuning says what gradient descent on a compressed model's weights gave.
type Tuning struct {
	Source string `json:"source"`
	// Learned counts the samples learned from, Held those that judged.
	Learned int `json:"learned"`
	Held    int `json:"held"`
	// Familiar tells that the weights of the start were fitted to those that judged, so that it looked better on them than it is. Images
	// judged mirrored then, where Augment flips them.
	Familiar bool `json:"familiar,omitempty"`
	// Augment is how images were changed, empty where they were not.
	Augment string `json:"augment,omitempty"`
	// Batch is the number of samples of a step.
	Batch     int       `json:"batch"`
	Steps     int       `json:"steps"`
	Optimizer Optimizer `json:"optimizer"`
	// Parameters counts the numbers that were tuned, in Tensors initializers.
	Parameters int `json:"parameters"`
	Tensors    int `json:"tensors"`
	// End says why it ended.
	End End `json:"end"`
	// Improved tells that the written model is better on held-out samples than the start;
	// else it is the start. Best is the epoch that it is from.
	Improved bool    `json:"improved"`
	Best     int     `json:"best"`
	Curve    []Epoch `json:"curve"`
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
// Tuning.End says so. The stages are tune, write and verify.
//
// Errors: *UsageError for options that cannot be, *tune.OpaqueError where no gradient
// reaches the weights, *tune.CheckpointError, the context's error when it ends before the
// first step.
func Tune(ctx context.Context, env *Environment, original, compressed *onnxio.Model, o TuneOptions) (*TuneResult, error) {
	if o.Source == nil || o.Source.Len() == 0 {
		return nil, &UsageError{Err: errors.New("there are no samples to learn from")}
	}
	for _, m := range []*onnxio.Model{compressed, original} {
		if err := onnxio.CanWrite(m, o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
			return nil, err
		}
	}
	if _, err := env.need("tuning"); err != nil {
		return nil, err
	}
	inputs, err := Options{Source: o.Source}.inputShapes(original)
	if err != nil {
		return nil, err
	}
	concrete, _ := shapes.InputShapes(original, inputs)
	if err := judgeable(original, shapes.Infer(original, concrete), o.Source, outputs.Options{Classes: o.Descent.Classes, Weights: o.Descent.Weights, Kinds: o.Descent.Kinds}); err != nil {
		return nil, &UsageError{Err: fmt.Errorf("%s: %w", original.Path, err)}
	}
	var read [2]string
	for i, m := range []*onnxio.Model{original, compressed} {
		var err error
		if read[i], err = m.SourceDigest(ctx); err != nil {
			return nil, err
		}
	}
	env = env.afresh()
	env.Threads = cmp.Or(o.Descent.Threads, env.Threads)
	before, err := lay(ctx, env, original, o)
	if err != nil {
		return nil, err
	}
	after, err := lay(ctx, env, compressed, o)
	if err != nil {
		return nil, err
	}
	n := o.Source.Len()
	if o.Samples > 0 {
		n = min(n, o.Samples)
	}
	indices, _ := samples.Split(o.Source.Len(), n, o.Descent.Seed)
	indices = before.among(after.among(indices))
	if o.Descent.Held == nil {
		known, err := o.seen(ctx, compressed)
		if err != nil {
			return nil, err
		}
		_, o.Descent.Held = tune.Split(indices, known)
		o.Descent.Familiar = slices.ContainsFunc(o.Descent.Held, func(i int) bool { return known[i] })
	}
	open, t, err := descendFrom(ctx, env, before.model, after.model, o.Source, indices, o.Descent)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", compressed.Path, err)
	}
	defer open.Close()
	tuned, err := after.shut(open)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", compressed.Path, err)
	}
	defer tuned.Close()
	to := placed(o.Output, o.Overwrite)
	if t.End == tune.Interrupted {
		if to = to.aside(); !t.Improved && to.path != o.Output {
			return nil, context.Cause(ctx) // the start is there already, and so is what was to be replaced
		}
	}
	r := &TuneResult{Schema: TuningSchema, Environment: env.result(o.Descent.Seed), Tuning: t}
	// A tuning that was interrupted has given a model, which is not to be lost.
	pending, err := r.deliver(context.WithoutCancel(ctx), env, original, compressed, tuned, o, to)
	if err != nil {
		return nil, err
	}
	defer pending.Discard()
	for i, m := range []*onnxio.Model{original, compressed} {
		if err := m.Unchanged(context.WithoutCancel(ctx), read[i]); err != nil {
			return nil, err
		}
	}
	if err := pending.Commit(); err != nil {
		return nil, err
	}
	if err := r.Output.arrived(context.WithoutCancel(ctx), pending); err != nil {
		return nil, err
	}
	r.Verification.Compressed = r.Output.Path
	return r, nil
}

// deliver writes the model beside its place, verifies that file, and completes the result. The caller commits the file or discards it.
func (r *TuneResult) deliver(ctx context.Context, env *Environment, original, start, tuned *onnxio.Model, o TuneOptions, to place) (*onnxio.Pending, error) {
	var staged *onnxio.Pending
	err := env.stage(ctx, "write", func(*stage) (err error) {
		staged, err = sealed(ctx, tuned, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.prove(ctx, env, original, start, tuned, o, staged); err != nil {
		staged.Discard()
		return nil, err
	}
	r.Verification.Compressed, r.Output.Path, r.Stages = to.path, to.path, *env.journal
	r.Memory = Memory{Limit: cmp.Or(o.Descent.Memory, rss.DefaultLimit())}.with(r.Stages)
	return staged, nil
}

// prove verifies a model that waits beside its place, and describes all three.
func (r *TuneResult) prove(ctx context.Context, env *Environment, original, start, tuned *onnxio.Model, o TuneOptions, staged *onnxio.Pending) error {
	err := env.stage(ctx, "verify", func(st *stage) (err error) {
		r.Verification, err = verify.Compare(ctx, env.library, original.Path, staged.Path(), o.Source, o.Descent.Held, verify.Options{
			Threads: env.Threads, Progress: st.told, Classes: o.Descent.Classes, Weights: o.Descent.Weights, Kinds: o.Descent.Kinds, Memory: cmp.Or(o.Descent.Memory, rss.DefaultLimit()),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("verifying the result: %w", err)
	}
	if err := broken(r.Verification); err != nil {
		return err
	}
	inputs, err := Options{Source: o.Source}.inputShapes(original)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		model *onnxio.Model
		path  string
		file  *File
	}{{original, original.Path, &r.Original}, {start, start.Path, &r.Start}, {tuned, staged.Path(), &r.Output}} {
		concrete, _ := shapes.InputShapes(f.model, inputs)
		x, err := rewrite.Expand(f.model, concrete, nil)
		if err != nil {
			return err
		}
		if *f.file, err = describe(ctx, f.path, rewrite.MeasureCosts(x.Model, shapes.Infer(x.Model, concrete))); err != nil {
			return err
		}
	}
	return nil
}

// seen are the samples that the weights of a compressed model were fitted to, as far as its record tells.
func (o TuneOptions) seen(ctx context.Context, compressed *onnxio.Model) (map[int]bool, error) {
	r, err := provenance.Read(compressed.Path)
	if err != nil || o.Data == "" { // who has no record that can be read says nothing
		return nil, nil
	}
	digest, err := provenance.DataDigest(ctx, o.Data)
	return r.Seen(digest, o.Source.Len()), err
}

// admit refuses to tune a model that cannot be, before any work is done.
func admit(ctx context.Context, env *Environment, a *Analysis, o Options) error {
	if o.Descent == nil {
		return nil
	}
	m := a.model
	if a.bodies.looped() {
		m = a.given
	}
	if a.bodies.single {
		return manyDecide(m)
	}
	src := o.tuneSource()
	if src == nil || src.Len() == 0 {
		return &UsageError{Err: errors.New("there are no samples to learn from; give some to calibrate on, or others")}
	}
	lib, err := env.need("tuning")
	if err != nil {
		return err
	}
	x, err := expanded(m, src)
	if err != nil {
		return err
	}
	if err := tune.Rehearse(ctx, lib, x.Model, src, o.descent()); err != nil {
		return fmt.Errorf("%s: %w", m.Path, roomier(err))
	}
	return nil
}

// descent is how weights are tuned, by what the outputs are and count.
func (o Options) descent() Descent {
	d := *o.Descent
	d.Classes = cmp.Or(d.Classes, o.Classes)
	if d.Weights == nil {
		d.Weights = o.Weights
	}
	if d.Kinds == nil {
		d.Kinds = o.Kinds
	}
	d.Memory = cmp.Or(d.Memory, o.Memory)
	return d
}

func (o Options) tuneSource() samples.Source {
	if o.TuneSource != nil {
		return o.TuneSource
	}
	return o.Source
}

// Descend tunes the model of s by gradient descent, as o.Descent says, and gives another that has the tuned weights.
// When ctx ends meanwhile, that is the best state so far, and its Tuning says so.
func Descend(ctx context.Context, env *Environment, a *Analysis, s *Assembled, o Options) (*Assembled, error) {
	src, how := o.tuneSource(), o.descent()
	indices, _ := samples.Split(src.Len(), src.Len(), o.Seed)
	if o.TuneSource == nil {
		indices = slices.DeleteFunc(indices, func(i int) bool { return slices.Contains(a.Verify, i) })
		if how.Held == nil {
			how.Held = a.Tune
		}
		if len(a.bodies.takes) < a.bodies.of { // the others take branches that do not lie open
			indices, how.Held = a.Calibrate, nil
		}
		how.Familiar = how.Held == nil
	}
	original, start := a.model, s.Model
	switch {
	case a.bodies.looped(): // the last iteration would be tuned apart from the others
		original = a.given
	case s.open != nil:
		start = s.open
	}
	how, err := o.keeping(how, start)
	if err != nil {
		return nil, err
	}
	tuned, t, err := descendFrom(ctx, env, original, start, src, indices, how)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.model.Path, err)
	}
	next := *s
	next.Model, next.Tuning, next.open = tuned, t, nil
	if a.bodies.looped() {
		return &next, nil
	}
	return &next, next.shut(a)
}

// descendFrom tunes a model and says how that went. The caller closes the model.
func descendFrom(ctx context.Context, env *Environment, original, compressed *onnxio.Model, src samples.Source, indices []int, o tune.Options) (*onnxio.Model, *Tuning, error) {
	lib, err := env.need("tuning")
	if err != nil {
		return nil, nil, err
	}
	o.Backend, o.Threads = env.Algebra, cmp.Or(o.Threads, env.Threads)
	teacher, _ := withoutIdle(original)
	defer teacher.Close()
	before, err := expanded(teacher, src)
	if err != nil {
		return nil, nil, err
	}
	student, idle := withoutIdle(compressed)
	defer student.Close()
	after, err := expanded(student, src)
	if err != nil {
		return nil, nil, err
	}
	var d *tune.Result
	err = env.stage(ctx, "tune", func(st *stage) (err error) {
		o.Progress = st.told
		if d, err = tune.Run(ctx, lib, before.Model, after.Model, src, indices, o); err == nil {
			d.Model, err = after.Collapse(d.Model)
		}
		return roomier(err)
	})
	if err != nil {
		return nil, nil, err
	}
	if len(idle) > 0 {
		live := d.Model
		defer live.Close()
		d.Model = withIdle(live, idle)
	}
	t := &Tuning{
		Source: samples.Account(src), Learned: d.Learned, Held: d.Held, Familiar: o.Familiar, Batch: d.Batch, Steps: d.Steps, Optimizer: d.Optimizer,
		Parameters: d.Parameters, Tensors: d.Tensors, End: d.End, Improved: d.Improved, Best: d.Best, Curve: d.Curve, Advice: d.Advice, Seconds: d.Seconds,
		SamplesPerSecond: d.Rate, StepSeconds: d.StepSeconds,
	}
	if o.Augment != nil {
		t.Augment = o.Augment.String()
	}
	return d.Model, t, nil
}

package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/verify"
)

// rewrite builds the new model and holds its real costs against the targets.
func (j *job) rewrite(ctx context.Context) error {
	return j.stage(ctx, "rewrite", func() error {
		applied, patches, err := j.replace(j.chains)
		if err != nil {
			return fmt.Errorf("%s: %w", j.model.Path, err)
		}
		if j.small, err = j.merge(applied, patches); err != nil {
			return err
		}
		if err := j.recorded(ctx); err != nil {
			return err
		}
		return j.holdTargets()
	})
}

// replace builds the model in which each offer's site is its chain; nil leaves it alone.
func (j *job) replace(chains []decomp.Chain) (*onnxio.Model, []rewrite.Patch, error) {
	names := graph.NewNameSet(j.model)
	var patches []rewrite.Patch
	for i, chain := range chains {
		if chain == nil {
			continue
		}
		p, err := rewrite.Replace(j.model, &j.offers[i].site, chain, names)
		if err != nil {
			return nil, nil, err
		}
		patches = append(patches, p)
	}
	applied, err := rewrite.Apply(j.model, patches, rewrite.ApplyOptions{})
	return applied, patches, err
}

// at says at which site of the plan an error came up.
func (j *job) at(i int, err error) error {
	c := j.chosen[i]
	return fmt.Errorf("%s: node %q: %s at rank %v: %w", j.model.Path, j.offers[i].site.Name, c.method.Name, c.rank, err)
}

// holdTargets counts the rewritten model anew. A target that the plan met and
// the model does not is a fault of ours, and nothing is written.
func (j *job) holdTargets() error {
	concrete, _ := shapes.InputShapes(j.small, j.shapes)
	costs := rewrite.MeasureCosts(j.small, shapes.Infer(j.small, concrete))
	j.result.Output.MACs, j.result.Output.Params = costs.MACs, costs.Params
	for _, t := range j.opts.Targets {
		r := Reached{Target: t, Limit: t.Limit(j.original(t.Resource)), Original: j.original(t.Resource)}
		if t.Resource != Bytes { // which only the written file tells
			r.Reached = count(costs, t.Resource)
		}
		if float64(r.Reached) > r.Limit {
			return fmt.Errorf("the rewritten model needs %d %s, the plan allowed %.0f; please report this", r.Reached, t.Resource, r.Limit)
		}
		j.result.Targets = append(j.result.Targets, r)
	}
	return nil
}

// deliver writes the model beside its place, verifies that file, and moves it
// there.
func (j *job) deliver(ctx context.Context) error {
	ctx, err := j.learn(ctx)
	if err != nil {
		return err
	}
	staged, err := j.stageAt(ctx, j.opts.Output)
	if err != nil {
		return err
	}
	defer staged.Discard()
	timed := func(ctx context.Context) error { return j.clock(ctx, staged.Path()) }
	if err := j.walk(ctx, timed, j.outlook); err != nil {
		return err
	}
	return staged.Commit()
}

// stageAt writes the model beside a path, verifies that file, and completes the result.
// The caller commits or discards it.
func (j *job) stageAt(ctx context.Context, path string) (staged *onnxio.Staged, err error) {
	err = j.stage(ctx, "write", func() (err error) {
		staged, err = onnxio.Stage(ctx, j.small, path, onnxio.WriteOptions{Overwrite: j.opts.Overwrite})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = j.walk(ctx,
		func(context.Context) error { return j.holdBytes(staged.Path()) },
		func(ctx context.Context) error {
			return j.stage(ctx, "verify", func() error { return j.verify(ctx, staged.Path()) })
		},
		j.rounding,
		func(ctx context.Context) error { return j.describe(ctx, staged.Path()) },
		func(ctx context.Context) error { return ctx.Err() },
	)
	if err != nil {
		staged.Discard()
		return nil, err
	}
	return staged, nil
}

// describe completes the result with what the two files are.
func (j *job) describe(ctx context.Context, written string) (err error) {
	r := j.result
	before, after := j.analysis.Costs, rewrite.Costs{MACs: r.Output.MACs, Params: r.Output.Params}
	if r.Input.SHA256 == "" { // else an earlier model of the same source has told
		if r.Input, err = describe(ctx, j.model.Path, before); err != nil {
			return err
		}
	}
	if r.Output, err = describe(ctx, written, after); err != nil {
		return err
	}
	r.Output.Path = j.opts.Output
	for _, s := range j.analysis.Skips {
		r.Skipped = append(r.Skipped, Skipped{s.Name, s.Op, s.Reason})
	}
	r.Uncounted = uncounted(before)
	return nil
}

// verify runs original and result on samples that calibration did not see, or
// says why it could not.
func (j *job) verify(ctx context.Context, path string) error {
	if j.libs.Runtime == nil {
		j.result.Unverified = "ONNX Runtime was not found: " + j.libs.Missing.Error()
		return nil
	}
	src, held := j.opts.Source, j.held
	if src == nil {
		s, err := newNoise(j.model, j.opts.InputShapes, j.opts.Seed)
		if err != nil {
			j.result.Unverified = err.Error()
			return nil
		}
		src = s
		for i := range s.Len() {
			held = append(held, i)
		}
	}
	if len(held) == 0 {
		j.result.Unverified = fmt.Sprintf("all %d samples were used for calibration; give more, or lower --calib-samples", src.Len())
		return nil
	}
	r, err := verify.Compare(ctx, j.libs.Runtime, j.model.Path, path, src, held, verify.Options{
		Batch: j.opts.Batch, Threads: j.opts.Threads,
		Progress: func(done, total int) { j.opts.Progress(j.named("verify"), done, total) },
	})
	original := (*verify.OriginalError)(nil)
	switch {
	case err == nil:
		r.Compressed = j.opts.Output // where the file is about to go
		j.result.Verification = r
		j.prove(r)
		return broken(r)
	case ctx.Err() == nil && j.opts.Source == nil && errors.As(err, &original):
		// The model is not at fault for what it cannot do with random inputs, or in
		// this runtime.
		j.result.Unverified = "ONNX Runtime does not run the original on random inputs: " + original.Err.Error()
		return nil
	}
	return fmt.Errorf("verifying the result: %w", unrunnable(err))
}

// broken refuses a result that computes numbers which are not finite where the
// original's are.
func broken(r *verify.Report) error {
	for _, o := range r.Outputs {
		if o.NonFiniteCompressed > o.NonFiniteOriginal {
			return &brokenError{output: o, samples: r.Samples}
		}
	}
	return nil
}

// brokenError says that a model computes numbers which are not finite.
type brokenError struct {
	output  verify.Output
	samples int
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("the compressed model gives NaN or infinite numbers at output %q for %d of %d samples, the original for %d, so it is not delivered; ask for less compression, or leave nodes alone with --keep",
		e.output.Name, e.output.NonFiniteCompressed, e.samples, e.output.NonFiniteOriginal)
}

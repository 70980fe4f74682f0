package compress

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// ChooseParts is the plan that a run with these options and without a refit follows, chosen among the offers of all parts of a factoring,
// which o.Offers names. The model is made, weighed as a file in a folder, and thrown away: only Run writes one, and verifies it. o.Output is
// where it would go, which the record in it tells.
//
// Errors: those of Run, but for what verification finds.
func ChooseParts(ctx context.Context, env *Environment, m *onnxio.Model, o RunOptions, folder string) (plan Plan, err error) {
	o.Options = o.WithDefaults()
	o.NoRefit, o.Descent = true, nil
	if err := o.check(); err != nil {
		return plan, err
	}
	if len(o.Offers) == 0 {
		return plan, &UsageError{Err: fmt.Errorf("which parts? name the files that `onnx-compress shard %s` wrote", factorings().make)}
	}
	if err := onFile(m); err != nil {
		return plan, err
	}
	env = env.afresh()
	o.Source = o.kept()
	to := place{path: filepath.Join(folder, filepath.Base(o.Output)), how: onnxio.WriteOptions{Overwrite: true}}
	err = feed.OneByOne(o.Batch, func(batch int) (err error) {
		o.Batch = batch
		plan, err = o.choosePart(ctx, env, m, to)
		return err
	})
	return plan, err
}

func (o RunOptions) choosePart(ctx context.Context, env *Environment, m *onnxio.Model, to place) (Plan, error) {
	draft := func(bool) (*provenance.Record, error) { return o.record(m, o.unread()) } // of the size that it will have
	w, start, err := o.begin(ctx, env, m, to, draft)
	defer w.close()
	if err != nil {
		return Plan{}, err
	}
	r := &Result{}
	f, err := w.reach(ctx, start, func(s *Assembled) error {
		return env.stage(ctx, "write", func(*stage) (err error) {
			r.Output, err = s.weighed(ctx, to)
			return err
		})
	})
	if err != nil {
		return Plan{}, err
	}
	defer f.model.close()
	if r.Input, err = describe(ctx, w.a.model.Path, w.a.Costs); err != nil {
		return Plan{}, err
	}
	c := f.model.Choice
	for i := range c.picks {
		r.Sites = append(r.Sites, c.site(i, f.model.Narrowed))
	}
	r.Axes = c.axes()
	return PlanOf(r), nil
}

// weighed says what the file of a model is, which is not kept. One that is larger than its target is a *heavyError.
func (s *Assembled) weighed(ctx context.Context, to place) (File, error) {
	staged, err := sealed(ctx, s.Model, to)
	if err != nil {
		return File{}, err
	}
	defer staged.Discard()
	if _, err := weighed(s.Targets, staged.Path()); err != nil {
		return File{}, err
	}
	return describe(ctx, staged.Path(), s.Costs)
}

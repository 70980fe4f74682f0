package compress

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// RunOptions are Options with the files around them.
type RunOptions struct {
	Options
	// Output is where the compressed model goes. It may not be the input.
	Output string
	// Overwrite allows Output to exist, and the outputs of Also.
	Overwrite bool
	// Also are further models that hold weights of this one. They appear with it, or not at all.
	Also []Also
	// Data says where the samples lie and how they are prepared; the written model
	// records it. It may be left out.
	Data Data
}

// Run compresses the model m, which must have been read from a file, and
// writes the result to o.Output. The output appears only when it was written
// whole, verified, and found within every target; until then nothing at that
// path changes.
//
// Errors: *UsageError for options that cannot be, *UnmetError when a target is
// out of reach, *UnmetGoalError when a goal is, *DamageError when random inputs show that the model is destroyed, *PlanError when a given plan needs more than one allows, the
// context's error when it ends first.
func Run(ctx context.Context, env *Environment, m *onnxio.Model, o RunOptions) (*Result, error) {
	o.Options = o.WithDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Output == "" {
		return nil, &UsageError{Err: fmt.Errorf("no output: say where the compressed model goes, for example %s small.onnx", OptionOutput)}
	}
	if err := onFile(m); err != nil {
		return nil, err
	}
	to := placed(o.Output, o.Overwrite)
	if err := onnxio.CanWrite(m, to.path, to.how); err != nil {
		return nil, err
	}
	var read digests
	var err error
	if to.also, err = o.followers(ctx, m, &read); err != nil {
		return nil, err
	}
	d, r, err := produce(ctx, env, m, o.Options, to, func(draft bool) (_ *provenance.Record, err error) {
		if draft {
			return o.record(m, o.unread())
		}
		if read, err = o.hash(ctx, m); err != nil {
			return nil, err
		}
		return o.record(m, read)
	})
	if err != nil {
		return nil, err
	}
	defer d.Assembled.close()
	defer d.Discard()
	if err := m.Unchanged(d.Assembled.lasting(ctx), read.source); err != nil {
		return nil, err
	}
	if o.Through != nil {
		if err := o.Through.Unchanged(d.Assembled.lasting(ctx), read.through); err != nil {
			return nil, err
		}
	}
	for _, f := range to.also {
		if err := f.Model.Unchanged(d.Assembled.lasting(ctx), f.digest); err != nil {
			return nil, err
		}
	}
	if err := d.Commit(); err != nil {
		return nil, err
	}
	if err := r.arrived(d.Assembled.lasting(ctx), d); err != nil {
		return nil, err
	}
	return r, nil
}

// onFile refuses a model that lies in no file.
func onFile(m *onnxio.Model) error {
	if m.Path == "" {
		return errors.New("the model was made in memory; write it to a file and read it from there, so that it can be run and a result compared with it")
	}
	return nil
}

// Compress compresses a model in memory: it does what Run does but for writing the result and recording what it was made from.
// Both models lie in a temporary folder meanwhile, to be run as files. The caller closes the model that
// it gets, which shares with m what did not change.
func Compress(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (*onnxio.Model, *Result, error) {
	o = o.WithDefaults()
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	temp, err := atomicfile.MakeFolder("", "onnx-compress")
	if err != nil {
		return nil, nil, fmt.Errorf("a folder for models while they are judged: %w", err)
	}
	defer temp.Remove()
	original := graph.Of(m).Parts().Model() // which may have become another than the file that it was read from
	defer original.Close()
	original.Path = filepath.Join(temp.Path, "original.onnx")
	if err := onnxio.Write(ctx, m, original.Path, onnxio.WriteOptions{}); err != nil {
		return nil, nil, err
	}
	to := place{path: filepath.Join(temp.Path, "model.onnx")}
	d, r, err := produce(ctx, env, original, o, to, func(bool) (*provenance.Record, error) { return nil, nil })
	if err != nil {
		return nil, nil, err
	}
	defer d.Discard()
	r.Input.Path, r.Output.Path = m.Path, ""
	if r.Verification != nil {
		r.Verification.Original, r.Verification.Compressed = m.Path, ""
	}
	if r.Int8 != nil {
		r.Int8.name(m.Path, "")
	}
	small := d.Assembled.Model
	small.Path = ""
	if d.Assembled.open != nil {
		_ = d.Assembled.open.Close() // which shares with it what it needs
	}
	return small, r, nil
}

// work is what all stages of a run share. Nothing of it changes on the way.
type work struct {
	env     *Environment
	o       Options
	a       *Analysis
	record  *provenance.Record // for the model's metadata, nil for none
	place   place
	profile *Profile // what the purpose set, nil without one
	// share is by what a bound on the time is scaled, since models that were foretold to meet it took another time; 0 for not.
	share float64
	of    *Offers // that it began with, nil before that
}

// inPass is the work of one of several turns.
func (w *work) inPass(turn string) *work {
	one := *w
	one.env = w.env.inPass(turn)
	return &one
}

// produce goes through the stages, to a file beside its place, and sums up. The caller commits or discards what is delivered, and
// closes its model. trace makes the record, or as a draft one of the same size that nothing is read for.
func produce(ctx context.Context, env *Environment, m *onnxio.Model, o Options, to place, trace func(draft bool) (*provenance.Record, error)) (d *Delivered, r *Result, err error) {
	env = env.afresh()
	o.Source = o.kept()
	err = feed.OneByOne(o.Batch, func(batch int) (err error) {
		o.Batch = batch
		d, r, err = o.produce(ctx, env, m, to, trace)
		return err
	})
	return d, r, err
}

// begin goes through the stages up to the offers, which the first choice begins with. The caller closes the work, with an error too.
func (o Options) begin(ctx context.Context, env *Environment, m *onnxio.Model, to place, trace func(draft bool) (*provenance.Record, error)) (*work, *Choice, error) {
	w := &work{env: env, place: to}
	o, err := o.fitted(m)
	if err != nil {
		return w, nil, err
	}
	o, w.profile = o.profiled()
	if o, err = o.asInt8(ctx, env, m, w.profile); err != nil {
		return w, nil, err
	}
	if w.o = o; len(to.also) > 0 {
		w.o = o.unnarrowed()
	}
	env.outlook.expects(w.o)
	if err := w.o.measureCosts(ctx, env, m); err != nil {
		return w, nil, err
	}
	if w.a, err = analysed(ctx, env, m, w.o); err != nil {
		return w, nil, err
	}
	w.a.apart = len(to.also) > 0
	if err := followed(ctx, env, w.a, w.o, to.also); err != nil {
		return w, nil, err
	}
	if w.record, err = trace(true); err != nil {
		return w, nil, fmt.Errorf("recording what the model is made from: %w", err)
	}
	start, err := w.start(nil)
	if err != nil {
		return w, nil, err
	}
	if err := w.a.impossible(w.o, w.o.bounds(1), start.Spare); err != nil {
		return w, nil, err
	}
	if err := admit(ctx, env, w.a, w.o); err != nil {
		return w, nil, err
	}
	if w.o.Goals, err = rehearse(ctx, env, w.a, w.o); err != nil {
		return w, nil, err
	}
	if w.o, err = w.a.kept(ctx, env, w.o); err != nil {
		return w, nil, err
	}
	start.Offers, err = Factor(ctx, env, w.a, w.o)
	w.of = start.Offers
	return w, start, err
}

// close releases what was offered, and what times the original as int8.
func (w *work) close() {
	w.of.close()
	w.o.int8.close()
}

// produce is produce with so many samples at once as the options say.
func (o Options) produce(ctx context.Context, env *Environment, m *onnxio.Model, to place, trace func(draft bool) (*provenance.Record, error)) (*Delivered, *Result, error) {
	w, start, err := o.begin(ctx, env, m, to, trace)
	defer w.close()
	if err != nil {
		return nil, nil, err
	}
	if w.record, err = trace(false); err != nil {
		return nil, nil, fmt.Errorf("recording what the model is made from: %w", err)
	}
	d, last, trials, err := w.deliver(ctx, start)
	if err != nil {
		return nil, nil, err
	}
	ctx = d.Assembled.lasting(ctx)
	var r *Result
	if err = d.judgeInt8(ctx, env, w.a, w.o); err == nil {
		err = d.notice(ctx, env, w.a, w.o)
	}
	if err == nil {
		r, err = w.sum(ctx, d, last, trials)
	}
	if err != nil {
		d.Discard()
		d.Assembled.close()
		return nil, nil, err
	}
	return d, r, nil
}

// start is what the first choice begins with.
func (w *work) start(of *Offers) (*Choice, error) {
	c := &Choice{Offers: of}
	if bytesTarget(w.o.Targets) < 0 || w.record == nil {
		return c, nil
	}
	var err error
	c.Spare, err = room(w.a.model, w.record)
	return c, err
}

// deliver makes the one model that is within the targets, or the smallest that meets the goals, and the choice that knows most
// offers.
func (w *work) deliver(ctx context.Context, start *Choice) (d *Delivered, last *Choice, trials *Trials, err error) {
	finish := func(s *Assembled) (err error) {
		d, err = w.finish(ctx, s)
		return err
	}
	f, err := w.reach(ctx, start, finish)
	return d, f.last, f.trials, err
}

// reach looks for the one model that is wanted, and hands it on.
func (w *work) reach(ctx context.Context, start *Choice, next func(*Assembled) error) (found, error) {
	if w.o.latency() == nil && len(w.o.Goals) == 0 {
		return w.find(ctx, start, next)
	}
	f, err := w.timely(ctx, start)
	if err == nil {
		if err = next(f.model); err != nil {
			f.model.close()
		}
	}
	return f, err
}

// found is a model within the targets, and what was learned on the way to it.
type found struct {
	model  *Assembled
	last   *Choice // which knows most offers
	trials *Trials // nil without goals
}

// find looks for the model of least loss within the targets, or for the smallest that meets the goals, and hands it on.
func (w *work) find(ctx context.Context, start *Choice, next func(*Assembled) error) (f found, err error) {
	if len(w.o.Goals) > 0 {
		if f.model, f.last, f.trials, err = w.bisect(ctx, start); err == nil {
			if err = next(f.model); err != nil {
				f.model.close()
			}
		}
		return f, err
	}
	f.model, f.last, err = w.attempt(ctx, start, w.o.Targets, next)
	if err == nil && f.last.Unmet != nil {
		err = f.last.Unmet
	}
	return f, err
}

// attempt chooses within bounds, carries that out and hands the model on; where the file is too large then, it begins again
// with more bytes to be left free. The last choice says what was learned, also where nothing meets the bounds.
func (w *work) attempt(ctx context.Context, last *Choice, bounds []Target, next func(*Assembled) error) (*Assembled, *Choice, error) {
	for {
		c, err := Choose(ctx, w.env, w.a, last.Offers, w.o, scaled(bounds, w.share), last.Spare)
		if err != nil || c.Unmet != nil {
			return nil, c, err
		}
		if c, err = w.best(ctx, c); err != nil {
			return nil, c, err
		}
		if err := w.known(ctx, c); err != nil {
			return nil, c, err
		}
		s, err := Assemble(ctx, w.env, w.a, c, w.o)
		if err == nil {
			s, err = w.better(ctx, s)
		}
		if err == nil && w.record != nil {
			s, err = s.recorded(w.record)
		}
		if err != nil {
			return nil, c, err
		}
		c = s.Choice
		err = next(s)
		if err == nil {
			return s, c, nil
		}
		s.close()
		heavy := (*heavyError)(nil)
		if !errors.As(err, &heavy) {
			return nil, c, err
		}
		if w.o.FromPlan != nil {
			return nil, c, &PlanError{Target: heavy.target, Limit: heavy.limit, Needed: float64(heavy.size)}
		}
		last = &Choice{Offers: c.Offers, Spare: c.Spare + 1.25*(float64(heavy.size)-heavy.limit) + 1}
	}
}

// finish tunes a model where that is asked for, and delivers it.
func (w *work) finish(ctx context.Context, s *Assembled) (*Delivered, error) {
	if w.o.Descent == nil {
		d, err := Deliver(ctx, w.env, w.a, s, w.o, w.place.path, w.place.how)
		if err != nil {
			return nil, err
		}
		return w.hand(ctx, d, s)
	}
	tuned, err := Descend(ctx, w.env, w.a, s, w.o)
	if err != nil {
		return nil, err
	}
	to := w.place
	if tuned.Tuning.End == tune.Interrupted {
		to = to.aside()
	}
	ctx = tuned.lasting(ctx)
	d, err := Deliver(ctx, w.env, w.a, tuned, w.o, to.path, to.how)
	if err == nil {
		d, err = w.hand(ctx, d, s)
	}
	if err != nil {
		tuned.close()
		return nil, err
	}
	s.close() // the tuned one has what it shares
	return d, nil
}

// lasting is the context of what is left to be done. A tuning that was interrupted has given a model, which is not to be lost.
func (s *Assembled) lasting(ctx context.Context) context.Context {
	if s.Tuning != nil && s.Tuning.End == tune.Interrupted {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

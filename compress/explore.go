package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// ExploreOptions say which budgets are looked at, and how models are made for them.
type ExploreOptions struct {
	// Options say how. What a model is to reach is not said
	// there: Targets, Goals, FromPlan, Learning and Lessons are to be left alone; Time is not looked at.
	Options Options
	// Data is as in RunOptions.
	Data Data
	// Over is the resource whose budget is swept; empty means MACs.
	Over Resource
	// Budgets are shares of it in (0, 1], in any order. Empty means about eight of them, from 0.9
	// down to the least that can be reached.
	Budgets []float64
	// Models, when set, is a folder that gets the model of every point, under its ModelName:
	// the same bytes as Run writes there with the budget as its one target. The folder is
	// made where it is missing. Overwrite allows the files to exist.
	Models    string
	Overwrite bool
}

// Explore makes a model for each of several budgets, and judges them. The model m, read from
// a file, is analysed, calibrated and factored once; what follows is done for each point as
// Run does it: search, refit, writing, and verification on samples that calibration did not
// see. A budget that is out of reach is a point that says why.
//
// Errors are those of Run, *UnmetError where all budgets are out of reach. When an error,
// or the end of the context, comes after the first point, the exploration so far is returned
// beside it; models that were complete by then stay.
func Explore(ctx context.Context, env *Environment, m *onnxio.Model, o ExploreOptions) (*Exploration, error) {
	o.Over = cmp.Or(o.Over, MACs)
	if err := o.check(); err != nil {
		return nil, err
	}
	if m.Path == "" {
		return nil, errors.New("the model was made in memory; write it to a file and read it from there, so that results can be compared with it")
	}
	o.Budgets = slices.Clone(o.Budgets)
	slices.SortFunc(o.Budgets, func(a, b float64) int { return cmp.Compare(b, a) })
	x := &explorer{opts: o, env: env.afresh()}
	defer x.close()
	if err := x.place(m); err != nil {
		return nil, err
	}
	return x.run(ctx, m)
}

// check refuses what makes no sense for any model.
func (o ExploreOptions) check() error {
	p := o.Options
	if len(p.Targets)+len(p.Goals) > 0 || p.FromPlan != nil || p.Learning != nil || p.Lessons != nil {
		return &UsageError{Err: errors.New("an exploration says itself what models are to reach and where they go; leave targets, plan and tuning out of its options")}
	}
	if !slices.Contains(Resources(), o.Over) {
		return &UsageError{Err: fmt.Errorf("unknown resource %q to explore; known: macs, params, bytes", o.Over)}
	}
	for i, b := range o.Budgets {
		if !(b > 0 && b <= 1) {
			return &UsageError{Err: fmt.Errorf("budget %v: want a share of the original above 0 and up to 1, for example 0.5", b)}
		}
		if slices.Contains(o.Budgets[:i], b) {
			return &UsageError{Err: fmt.Errorf("the budget %v is given twice", b)}
		}
	}
	return o.point("model.onnx", 1).check()
}

// point returns the options of Run for one budget. Where models are not kept, they are made
// as if they were to lie beside the source.
func (o ExploreOptions) point(source string, budget float64) RunOptions {
	p := RunOptions{Options: o.Options.WithDefaults(), Data: o.Data, Overwrite: o.Overwrite}
	p.Targets, p.Time = []Target{{Resource: o.Over, Value: budget, Fraction: true}}, false
	folder := o.Models
	if folder == "" {
		folder = filepath.Dir(source)
	}
	p.Output = filepath.Join(folder, ModelName(source, o.Over, budget))
	return p
}

// explorer is a call of Explore on its way.
type explorer struct {
	opts ExploreOptions
	env  *Environment
	out  *Exploration
	made string // a folder that was made, to be taken away if it stays empty
	temp string // a folder for models that are not kept
}

// place finds a place for the models.
func (x *explorer) place(m *onnxio.Model) (err error) {
	if x.opts.Models == "" {
		if x.temp, err = os.MkdirTemp("", "onnx-compress-*"); err != nil {
			return fmt.Errorf("a folder for models while they are judged: %w", err)
		}
		return nil
	}
	switch err := os.Mkdir(x.opts.Models, 0o777); {
	case err == nil:
		x.made = x.opts.Models
	case !errors.Is(err, fs.ErrExist):
		return &UsageError{Err: fmt.Errorf("a folder for the models: %w", err)}
	}
	return x.writable(m)
}

// writable refuses places that models cannot be written to.
func (x *explorer) writable(m *onnxio.Model) error {
	if x.opts.Models == "" {
		return nil
	}
	for _, b := range x.opts.Budgets {
		p := x.opts.point(m.Path, b)
		if err := onnxio.CanWrite(m, p.Output, onnxio.WriteOptions{Overwrite: p.Overwrite}); err != nil {
			return err
		}
	}
	return nil
}

func (x *explorer) close() {
	if x.temp != "" {
		_ = os.RemoveAll(x.temp) // nothing in it is wanted
	}
	if x.made != "" {
		_ = os.Remove(x.made) // which does nothing where there is a model in it
	}
}

// run walks the points, from the largest budget to the smallest. Each begins with the offers that factoring left, so that it goes
// the way that Run goes for this budget alone; factorizations are shared, since they answer the same whatever they were
// asked before.
func (x *explorer) run(ctx context.Context, m *onnxio.Model) (*Exploration, error) {
	o := x.opts.point(m.Path, 1)
	a, err := analysed(ctx, x.env, m, o.Options)
	if err != nil {
		return nil, err
	}
	of, err := Factor(ctx, x.env, a, o.Options)
	if err != nil {
		return nil, err
	}
	defer of.close()
	sums, err := o.hash(ctx, m)
	if err != nil {
		return nil, err
	}
	input, err := describe(ctx, m.Path, a.Costs)
	if err != nil {
		return nil, err
	}
	if len(x.opts.Budgets) == 0 {
		if err := x.spread(ctx, a, of, sums); err != nil {
			return nil, err
		}
	}
	x.out = &Exploration{
		Schema: ExplorationSchema, Input: input, Over: x.opts.Over, Environment: x.env.result(o.Seed),
		Calibration: of.Calibration, Measure: of.measure(), Points: []Point{}, Stages: slices.Clone(*x.env.journal),
	}
	var unmet error
	for i, b := range x.opts.Budgets {
		p, err := x.point(ctx, a, of, sums, b, fmt.Sprintf(" %d/%d", i+1, len(x.opts.Budgets)))
		refused := (*UnmetError)(nil)
		if errors.As(err, &refused) {
			p.Why = err.Error()
			unmet = cmp.Or(unmet, err)
		} else if err != nil {
			return x.sofar(), err
		}
		x.out.Points = append(x.out.Points, p)
	}
	if !slices.ContainsFunc(x.out.Points, func(p Point) bool { return p.Why == "" }) && unmet != nil {
		return nil, unmet
	}
	return x.out, nil
}

// sofar is the exploration where it has points.
func (x *explorer) sofar() *Exploration {
	if len(x.out.Points) == 0 {
		return nil
	}
	return x.out
}

// unreachable is a share that no model has, unless it has nothing of the resource at all.
const unreachable = 1e-9

// spread finds the least that can be reached, and the budgets above it.
func (x *explorer) spread(ctx context.Context, a *Analysis, of *Offers, sums digests) error {
	w, start, err := x.work(x.env, a, of, sums, unreachable)
	if err != nil {
		return err
	}
	c, err := Choose(ctx, w.env, a, of, w.o, w.o.Targets, start.Spare)
	switch {
	case err != nil:
		return err
	case c.Unmet == nil:
		return &UsageError{Err: fmt.Errorf("%s has no %s that could become fewer", a.model.Path, x.opts.Over)}
	}
	x.opts.Budgets = spread(c.Unmet.Reachable / float64(c.Unmet.Original))
	if len(x.opts.Budgets) == 0 {
		return c.Unmet
	}
	return x.writable(a.model)
}

// work is that of one budget, and what its choice begins with.
func (x *explorer) work(env *Environment, a *Analysis, of *Offers, sums digests, budget float64) (*work, *Choice, error) {
	o := x.opts.point(a.model.Path, budget)
	record, err := o.record(a.model, sums)
	if err != nil {
		return nil, nil, fmt.Errorf("recording what the model is made from: %w", err)
	}
	to := place{o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}}
	if x.temp != "" {
		to.path = filepath.Join(x.temp, filepath.Base(o.Output))
	}
	w := &work{env: env, o: o.Options, a: a, record: record, place: to}
	start, err := w.start(of)
	return w, start, err
}

// point makes the model of one budget and judges it.
func (x *explorer) point(ctx context.Context, a *Analysis, of *Offers, sums digests, budget float64, turn string) (Point, error) {
	begun := time.Now()
	p := Point{Budget: budget, Schemes: []SchemeCount{}}
	w, start, err := x.work(x.env.afresh().inTurn(turn), a, of, sums, budget)
	if err != nil {
		return p, err
	}
	d, c, _, err := w.deliver(ctx, start)
	if err == nil {
		defer d.Assembled.close()
		defer d.Discard()
		if x.opts.Models != "" {
			p.Path, err = w.place.path, d.Commit()
		}
	}
	p.Seconds = time.Since(begun).Seconds()
	broken := (*brokenError)(nil)
	if errors.As(err, &broken) {
		p.Why = err.Error()
		return p, nil
	}
	if err == nil {
		x.tell(&p, d, c)
	}
	return p, err
}

// tell fills a point with what its model is.
func (x *explorer) tell(p *Point, d *Delivered, c *Choice) {
	s := d.Assembled
	p.MACs, p.Params, p.Bytes = s.Costs.MACs, s.Costs.Params, d.Output.Bytes
	p.Loss, p.Bound, p.Gap = c.Summary.Loss, c.Summary.Bound, c.Summary.Gap
	p.Refit, p.Schemes = s.Refit, c.schemes()
	switch v := d.Verification; {
	case v == nil:
		x.out.Unmeasured = d.Unverified
	case x.opts.Options.Source == nil:
		x.out.Unmeasured = "there are no samples; that the models run was seen on random inputs"
	default:
		x.out.Data, x.out.Samples = v.Data, v.Samples
		p.measured(v)
	}
}

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

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// ExploreOptions say which budgets are looked at, and how models are made for them.
type ExploreOptions struct {
	// Options say how. What a model is to reach is not said
	// there: Targets, Goals, FromPlan, Descent and TuneSource are to be left alone; Time is not looked at.
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
func Explore(ctx context.Context, env *Environment, m *onnxio.Model, o ExploreOptions) (x *Exploration, err error) {
	o.Over = cmp.Or(o.Over, MACs)
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := onFile(m); err != nil {
		return nil, err
	}
	env = env.afresh()
	o.Options = o.Options.WithDefaults()
	o.Options.Source = o.Options.kept()
	err = feed.OneByOne(o.Options.Batch, func(batch int) (err error) {
		o.Options.Batch, o.Options.asked = batch, o.Options.Batch
		x, err = o.explore(ctx, env, m)
		return err
	})
	return x, err
}

// explore is Explore with so many samples at once as the options say.
func (o ExploreOptions) explore(ctx context.Context, env *Environment, m *onnxio.Model) (*Exploration, error) {
	temp, done, err := o.folder()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := o.writable(m); err != nil {
		return nil, err
	}
	first := o.point(m.Path, 1)
	var profile *Profile
	first.Options, profile = first.Options.profiled()
	if first.Options, err = first.asInt8(ctx, env, m, profile); err != nil {
		return nil, err
	}
	defer first.int8.close()
	if err := first.measureCosts(ctx, env, m); err != nil {
		return nil, err
	}
	o.Options.Costs, o.Options.int8 = first.Costs, first.int8
	a, err := analysed(ctx, env, m, first.Options)
	if err != nil {
		return nil, err
	}
	if len(o.Budgets) > 0 {
		if err := a.impossible(first.Options, []Target{{Resource: o.Over, Value: slices.Max(o.Budgets), Fraction: true}}, 0); err != nil {
			return nil, err
		}
	}
	of, err := Factor(ctx, env, a, first.Options)
	if err != nil {
		return nil, err
	}
	defer of.close()
	sums, err := first.hash(ctx, m)
	if err != nil {
		return nil, err
	}
	x := &explorer{o: o, env: env, a: a, of: of, sums: sums, temp: temp, profile: profile, methods: first.Methods}
	if len(o.Budgets) == 0 {
		if x.o.Budgets, err = x.budgets(ctx); err != nil {
			return nil, err
		}
	}
	return x.run(ctx)
}

// check refuses what makes no sense for any model.
func (o ExploreOptions) check() error {
	p := o.Options
	if len(p.Targets)+len(p.Goals) > 0 || p.FromPlan != nil || p.Descent != nil || p.TuneSource != nil {
		return &UsageError{Err: errors.New("an exploration says itself what models are to reach and where they go; leave targets, plan and tuning out of its options")}
	}
	if err := known("resource", string(o.Over), []string{string(MACs), string(Params), string(Bytes), string(RunTime)}); err != nil {
		return err
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
	p.AcceptDamage = true // points that no data judges are predictions
	p.Targets, p.Time = []Target{{Resource: o.Over, Value: budget, Fraction: true}}, false
	folder := o.Models
	if folder == "" {
		folder = filepath.Dir(source)
	}
	p.Output = filepath.Join(folder, ModelName(source, o.Over, budget))
	return p
}

// folder finds a place for the models: temp is one for those that are not kept, else "". What is not wanted of it goes with done.
func (o ExploreOptions) folder() (temp string, done func(), err error) {
	if o.Models == "" {
		made, err := atomicfile.MakeFolder("", "onnx-compress")
		if err != nil {
			return "", nil, fmt.Errorf("a folder for models while they are judged: %w", err)
		}
		return made.Path, made.Remove, nil
	}
	switch err := os.Mkdir(o.Models, 0o777); {
	case err == nil:
		return "", func() { _ = os.Remove(o.Models) }, nil // which does nothing where there is a model in it
	case !errors.Is(err, fs.ErrExist):
		return "", nil, &UsageError{Err: fmt.Errorf("a folder for the models: %w", err)}
	}
	return "", func() {}, nil
}

// writable refuses places that models cannot be written to.
func (o ExploreOptions) writable(m *onnxio.Model) error {
	for _, b := range o.Budgets {
		p := o.point(m.Path, b)
		if err := onnxio.CanWrite(m, p.Output, onnxio.WriteOptions{Overwrite: p.Overwrite}); o.Models != "" && err != nil {
			return err
		}
	}
	return nil
}

// explorer is what all points of an exploration share.
type explorer struct {
	o    ExploreOptions
	env  *Environment
	a    *Analysis
	of   *Offers
	sums digests
	temp string

	profile *Profile
	methods []string // as the purpose set them
}

// run walks the points, from the largest budget to the smallest. Each begins with the offers that factoring left, so that it goes
// the way that Run goes for this budget alone; factorizations are shared, since they answer the same whatever they were
// asked before.
func (x *explorer) run(ctx context.Context) (*Exploration, error) {
	out := &Exploration{
		Schema: ExplorationSchema, Over: x.o.Over, For: x.profile, Environment: x.env.result(x.o.Options.Seed),
		Calibration: x.of.Calibration, Measure: x.of.measure(), Points: []Point{}, Stages: slices.Clone(*x.env.journal),
		Memory: Memory{Limit: x.o.Options.Memory}.with(*x.env.journal),
	}
	var unmet, err error
	if out.Input, err = describe(ctx, x.a.model.Path, x.a.Costs); err != nil {
		return nil, err
	}
	budgets := slices.Clone(x.o.Budgets)
	slices.SortFunc(budgets, func(a, b float64) int { return cmp.Compare(b, a) })
	for i, b := range budgets {
		p, err := x.point(ctx, out, b, fmt.Sprintf(" %d/%d", i+1, len(budgets)))
		switch {
		case errors.As(err, new(*UnmetError)) || errors.As(err, new(*LateError)):
			p.Why = err.Error()
			unmet = cmp.Or(unmet, err)
		case err != nil && len(out.Points) == 0:
			return nil, err
		case err != nil:
			return out, err
		}
		out.Points = append(out.Points, p)
	}
	if !slices.ContainsFunc(out.Points, func(p Point) bool { return p.Why == "" }) && unmet != nil {
		return nil, unmet
	}
	return out, nil
}

// unreachable is a share that no model has, unless it has nothing of the resource at all.
const unreachable = 1e-9

// budgets finds the least that can be reached, and the budgets above it.
func (x *explorer) budgets(ctx context.Context) ([]float64, error) {
	w, start, err := x.work(x.env, unreachable)
	if err != nil {
		return nil, err
	}
	c, err := Choose(ctx, w.env, x.a, x.of, w.o, w.o.Targets, start.Spare)
	switch {
	case err != nil:
		return nil, err
	case c.Unmet == nil:
		return nil, &UsageError{Err: fmt.Errorf("%s has no %s that could become fewer", x.a.model.Path, x.o.Over)}
	}
	o := x.o
	if o.Budgets = evenly(c.Unmet.Reachable / float64(c.Unmet.Original)); len(o.Budgets) == 0 {
		return nil, c.Unmet
	}
	return o.Budgets, o.writable(x.a.model)
}

// work is that of one budget, and what its choice begins with.
func (x *explorer) work(env *Environment, budget float64) (*work, *Choice, error) {
	o := x.o.point(x.a.model.Path, budget)
	record, err := o.record(x.a.model, x.sums)
	if err != nil {
		return nil, nil, fmt.Errorf("recording what the model is made from: %w", err)
	}
	to := placed(o.Output, o.Overwrite)
	if x.temp != "" {
		to.path = filepath.Join(x.temp, filepath.Base(o.Output))
	}
	made, profile := o.Options.profiled()
	made.Methods = x.methods
	if made.int8 != nil {
		made = made.notSlowerInt8(profile)
	}
	w := &work{env: env, o: made, a: x.a, record: record, place: to}
	start, err := w.start(x.of)
	return w, start, err
}

// point makes the model of one budget and judges it; out is told of the samples that did.
func (x *explorer) point(ctx context.Context, out *Exploration, budget float64, turn string) (Point, error) {
	begun := time.Now()
	p := Point{Budget: budget, Schemes: []SchemeCount{}}
	w, start, err := x.work(x.env.afresh().inPass(turn), budget)
	if err != nil {
		return p, err
	}
	d, _, _, err := w.deliver(ctx, start)
	out.Memory = out.Memory.with(*w.env.journal)
	if err == nil {
		defer d.Assembled.close()
		defer d.Discard()
		err = d.judgeInt8(ctx, w.env, x.a, w.o)
		if err == nil && x.temp == "" {
			if err = x.a.model.Unchanged(ctx, x.sums.source); err == nil {
				if err = d.Commit(); err == nil {
					p.Path = d.staged.Target()
				}
			}
		}
	}
	p.Seconds = time.Since(begun).Seconds()
	broken := (*brokenError)(nil)
	if errors.As(err, &broken) {
		p.Why = err.Error()
		return p, nil
	}
	if err != nil {
		return p, err
	}
	c := d.Assembled.Choice
	p.MACs, p.Params, p.Bytes = d.Output.MACs, d.Output.Params, d.Output.Bytes
	p.Loss, p.Bound, p.Gap = c.Summary.Loss, c.Summary.Bound, c.Summary.Gap
	p.Refit, p.Schemes, p.Latency, p.Int8 = d.Assembled.Refit, c.schemes(), d.Latency, d.Int8
	out.Unquantized = cmp.Or(out.Unquantized, d.Unquantized)
	for i := range c.picks {
		p.Sites = append(p.Sites, c.site(i, d.Assembled.Narrowed))
	}
	p.Axes = c.axes()
	switch v := d.Verification; {
	case v == nil:
		out.Unmeasured = d.Unverified
	case x.o.Options.Source == nil:
		out.Unmeasured = "there are no samples; that the models run was seen on random inputs"
	default:
		out.Data, out.Samples = v.Data, v.Samples
		p.measured(v)
	}
	return p, nil
}

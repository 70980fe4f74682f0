package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// ExploreOptions say which budgets are looked at, and how models are made for them.
type ExploreOptions struct {
	// Options are those of Run. What a model is to reach and where it goes is not said
	// there: Output, Targets, Goals, FromPlan, Learning and Lessons are to be left alone.
	Options Options
	// Over is the resource whose budget is swept; empty means MACs.
	Over Resource
	// Budgets are shares of it in (0, 1], in any order. Empty means about eight of them, from 0.9
	// down to the least that can be reached.
	Budgets []float64
	// Models, when set, is a folder that gets the model of every point, under its ModelName:
	// the same bytes as Run writes there with the budget as its one target. The folder is
	// made where it is missing. Options.Overwrite allows the files to exist.
	Models string
}

// Explore makes a model for each of several budgets, and judges them. The model m, read from
// a file, is analysed, calibrated and factored once; what follows is done for each point as
// Run does it: search, refit, writing, and verification on samples that calibration did not
// see. A budget that is out of reach is a point that says why.
//
// Errors are those of Run, *UnmetError where all budgets are out of reach. When an error,
// or the end of the context, comes after the first point, the exploration so far is returned
// beside it; models that were complete by then stay.
func Explore(ctx context.Context, m *onnxio.Model, o ExploreOptions) (*Exploration, error) {
	if o.Over == "" {
		o.Over = MACs
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Options = o.Options.withDefaults()
	methods, err := o.Options.methods()
	if err != nil {
		return nil, err
	}
	if m.Path == "" {
		return nil, errors.New("the model was made in memory; write it to a file and read it from there, so that results can be compared with it")
	}
	o.Budgets = slices.Clone(o.Budgets)
	slices.SortFunc(o.Budgets, func(a, b float64) int { return cmp.Compare(b, a) })
	x := &explorer{opts: o}
	defer x.close()
	if err := x.place(m); err != nil {
		return nil, err
	}
	libs, err := OpenLibraries(o.Options.Runtime)
	if err != nil {
		return nil, err
	}
	defer libs.Close()
	x.root = &job{opts: o.point(m.Path, 1), model: m, libs: libs, methods: methods, result: &Result{
		Schema: ResultSchema, Targets: []Reached{}, Sites: []SiteResult{}, Skipped: []Skipped{},
	}}
	x.root.result.Environment = x.root.environment()
	defer x.root.close()
	return x.run(ctx)
}

// check refuses what makes no sense for any model.
func (o ExploreOptions) check() error {
	p := o.Options
	if p.Output != "" || len(p.Targets)+len(p.Goals) > 0 || p.FromPlan != nil || p.Learning != nil || p.Lessons != nil {
		return &UsageError{errors.New("an exploration says itself what models are to reach and where they go; leave output, targets, plan and tuning out of its options")}
	}
	if !slices.Contains(Resources(), o.Over) {
		return &UsageError{fmt.Errorf("unknown resource %q to explore; known: macs, params, bytes", o.Over)}
	}
	for i, b := range o.Budgets {
		if !(b > 0 && b <= 1) {
			return &UsageError{fmt.Errorf("budget %v: want a share of the original above 0 and up to 1, for example 0.5", b)}
		}
		if slices.Contains(o.Budgets[:i], b) {
			return &UsageError{fmt.Errorf("the budget %v is given twice", b)}
		}
	}
	return o.point("model.onnx", 1).check()
}

// point returns the options of Run for one budget. Where models are not kept, they are made
// as if they were to lie beside the source.
func (o ExploreOptions) point(source string, budget float64) Options {
	p := o.Options
	p.Targets = []Target{{Resource: o.Over, Value: budget, Fraction: true}}
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
	root *job // which points branch off from
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
		return &UsageError{fmt.Errorf("a folder for the models: %w", err)}
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

// run walks the points, from the largest budget to the smallest.
func (x *explorer) run(ctx context.Context) (*Exploration, error) {
	j := x.root
	if err := j.walk(ctx, j.analyse, j.factor, j.hash); err != nil {
		return nil, err
	}
	var err error
	if j.result.Input, err = describe(ctx, j.model.Path, j.analysis.Costs); err != nil {
		return nil, err
	}
	if len(x.opts.Budgets) == 0 {
		if err := x.spread(ctx); err != nil {
			return nil, err
		}
	}
	x.out = &Exploration{
		Schema: ExplorationSchema, Input: j.result.Input, Over: x.opts.Over, Environment: j.result.Environment,
		Calibration: j.result.Calibration, Measure: j.measure(), Points: []Point{}, Stages: j.result.Stages,
	}
	var unmet error
	for i, b := range x.opts.Budgets {
		p, err := x.point(ctx, b, fmt.Sprintf(" %d/%d", i+1, len(x.opts.Budgets)))
		refused := (*UnmetError)(nil)
		if errors.As(err, &refused) {
			p.Why = err.Error()
			if unmet == nil {
				unmet = err
			}
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
func (x *explorer) spread(ctx context.Context) error {
	b := x.branch(unreachable, "")
	_, err := b.seek(ctx)
	x.root.result.Stages = append(x.root.result.Stages, b.result.Stages...)
	unmet := (*UnmetError)(nil)
	switch {
	case errors.As(err, &unmet):
	case err != nil:
		return err
	default:
		return &UsageError{fmt.Errorf("%s has no %s that could become fewer", x.root.model.Path, x.opts.Over)}
	}
	x.opts.Budgets = spread(unmet.Reachable / float64(unmet.Original))
	if len(x.opts.Budgets) == 0 {
		return unmet
	}
	return x.writable(x.root.model)
}

// branch is the job of one budget, which goes on from where calibration and the first
// factorizations have come to. What it learns of finer ranks is its own, so that it goes the
// way that Run goes for this budget alone; factorizations are shared, since they
// answer the same whatever they were asked before.
func (x *explorer) branch(budget float64, turn string) *job {
	b := *x.root
	b.opts, b.turn = x.opts.point(x.root.model.Path, budget), turn
	b.base = *x.root.result
	b.base.Stages = nil
	result := b.base
	b.result = &result
	b.offers = make([]*offer, len(x.root.offers))
	for i, o := range x.root.offers {
		clone := *o
		clone.options, clone.asked = slices.Clone(o.options), maps.Clone(o.asked)
		b.offers[i] = &clone
	}
	return &b
}

// point makes the model of one budget and judges it.
func (x *explorer) point(ctx context.Context, budget float64, turn string) (Point, error) {
	start := time.Now()
	b := x.branch(budget, turn)
	defer b.drop()
	p := Point{Budget: budget, Schemes: []SchemeCount{}}
	err := b.carry(ctx, func(ctx context.Context) error {
		staged, err := b.stageAt(ctx, x.path(b.opts.Output))
		if err != nil {
			return err
		}
		defer staged.Discard()
		if x.opts.Models == "" {
			return nil
		}
		p.Path = b.opts.Output
		return staged.Commit()
	})
	p.Seconds = time.Since(start).Seconds()
	broken := (*brokenError)(nil)
	if errors.As(err, &broken) {
		p.Why = err.Error()
		return p, nil
	}
	if err == nil {
		x.tell(&p, b.result)
	}
	return p, err
}

// path is where a model is staged.
func (x *explorer) path(output string) string {
	if x.temp == "" {
		return output
	}
	return filepath.Join(x.temp, filepath.Base(output))
}

// tell fills a point with what its run found.
func (x *explorer) tell(p *Point, r *Result) {
	p.MACs, p.Params, p.Bytes = r.Output.MACs, r.Output.Params, r.Output.Bytes
	p.Loss, p.Bound, p.Gap = r.Plan.Loss, r.Plan.Bound, r.Plan.Gap
	p.Refit, p.Schemes = r.Refit, schemesOf(r.Sites)
	switch v := r.Verification; {
	case v == nil:
		x.out.Unmeasured = r.Unverified
	case x.opts.Options.Source == nil:
		x.out.Unmeasured = "there are no samples; that the models run was seen on random inputs"
	default:
		x.out.Data, x.out.Samples = v.Data, v.Samples
		p.measured(v)
	}
}

package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/search"
)

// job is one run on its way through the stages. Each stage reads what the
// earlier ones left and adds its own.
type job struct {
	opts   Options
	model  *onnxio.Model
	libs   *Libraries
	result *Result

	shapes          map[string][]int // of the inputs that samples or the caller tell
	calibrate, held []int
	methods         []decomp.Method
	analysis        *Analysis
	offers          []*offer
	hold            bool   // whether metrics and factorizations stay in memory
	spill           *spill // where the moments are if not, nil without any
	chosen          []option
	chains          []decomp.Chain // per offer what takes its place, nil for nothing
	small           *onnxio.Model
	base            Result  // what there is to say before anything is chosen
	judges          []int   // samples that judge models while goals are searched for
	soft            *Target // the budget that is being tried for the goals, nil without any
	trials          *Trials
	corrections     []Correction       // of losses; nil where nothing was measured
	anyRank         bool               // no target can be met with ranks that fit blocks of channels
	turn            string             // of several, behind the names of stages
	provenance      *provenance.Record // what the result's metadata will say
	sums            *digests           // for that, nil until they are needed
	size            int64              // of the model's files, where bytes are a target
	tight           float64            // bytes that the search must leave free, after a file that was too large
	counted         int                // how many losses the stage has found, which later rounds of it count on from
}

// Run compresses the model m, which must have been read from a file, and
// writes the result to o.Output. The output appears only when it was written
// whole, verified, and found within every target; until then nothing at that
// path changes.
//
// Errors: *UsageError for options that cannot be, *UnmetError when a target is
// out of reach, *PlanError when a given plan needs more than one allows, the
// context's error when it ends first.
func Run(ctx context.Context, m *onnxio.Model, o Options) (*Result, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	methods, err := o.methods()
	if err != nil {
		return nil, err
	}
	if m.Path == "" {
		return nil, errors.New("the model was made in memory; write it to a file and read it from there, so that the result can be compared with it")
	}
	if err := onnxio.CanWrite(m, o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
		return nil, err
	}
	libs, err := OpenLibraries(o.Runtime)
	if err != nil {
		return nil, err
	}
	defer libs.Close()
	j := &job{opts: o, model: m, libs: libs, methods: methods, result: &Result{
		Schema: ResultSchema, Targets: []Reached{}, Sites: []SiteResult{}, Skipped: []Skipped{},
	}}
	j.result.Environment = j.environment()
	defer j.close()
	if err := j.admit(ctx); err != nil {
		return nil, err
	}
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	return j.result, nil
}

// run walks the stages in order.
func (j *job) run(ctx context.Context) error {
	if err := j.walk(ctx, j.analyse, j.rehearse, j.factor); err != nil {
		return err
	}
	j.base = *j.result
	if len(j.opts.Goals) == 0 {
		return j.carry(ctx, j.deliver)
	}
	return j.walk(ctx, j.bisect, j.deliver)
}

// carry chooses a plan, carries it out, and hands the model to last; where the file is
// too large then, it begins again with less.
func (j *job) carry(ctx context.Context, last func(context.Context) error) error {
	for {
		err := j.walk(ctx, j.choose, j.assemble, j.rewrite, last)
		heavy := (*heavyError)(nil)
		if !errors.As(err, &heavy) {
			return err
		}
		if err := j.lighten(heavy); err != nil {
			return err
		}
	}
}

// walk takes steps until one fails.
func (j *job) walk(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close releases what the stages opened.
func (j *job) close() {
	j.drop()
	_ = j.spill.close() // a temporary file, which nothing is lost with
}

// drop closes the rewritten model.
func (j *job) drop() {
	if j.small != nil {
		_ = j.small.Close() // it only shares the maps of the original
	}
	j.small = nil
}

// named is a stage's name in progress and result: where there are several turns, it has
// the turn behind it.
func (j *job) named(stage string) string { return stage + j.turn }

// stage announces f under a name and times it. It does not begin one after the
// context's end.
func (j *job) stage(ctx context.Context, name string, f func() error) error {
	name = j.named(name)
	j.opts.Progress(name, 0, 0)
	j.counted = 0
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	err := f()
	j.result.Stages = append(j.result.Stages, Stage{name, time.Since(start).Seconds()})
	return err
}

func (j *job) environment() Environment {
	e := Environment{Algebra: j.libs.Algebra.Name(), Threads: j.opts.Threads, Seed: j.opts.Seed}
	if j.libs.Runtime != nil {
		e.Runtime, e.RuntimePath = j.libs.Runtime.Version(), j.libs.Runtime.Path()
	}
	return e
}

// analyse finds the sites at the sizes that the samples have.
func (j *job) analyse(ctx context.Context) error {
	return j.stage(ctx, "analyse", func() (err error) {
		if j.shapes, err = j.inputShapes(); err != nil {
			return err
		}
		if j.analysis, err = Analyse(j.model, j.shapes, j.opts.Select); err != nil {
			return err
		}
		if src := j.opts.Source; src != nil {
			j.calibrate, j.held = samples.Split(src.Len(), j.opts.calibSamples(src.Len()), j.opts.Seed)
			if err := j.parcel(); err != nil {
				return err
			}
		}
		if err := j.analysis.place(j.bounds()); err != nil {
			return err
		}
		if j.opts.FromPlan != nil {
			return j.fitPlan(ctx)
		}
		return nil
	})
}

// inputShapes adds the shapes of the first sample to those given.
func (j *job) inputShapes() (map[string][]int, error) {
	given := map[string][]int{}
	if src := j.opts.Source; src != nil && src.Len() > 0 {
		inputs, err := samples.Inputs(j.model)
		if err != nil {
			return nil, err
		}
		sample, err := src.Sample(0)
		if err != nil {
			return nil, err
		}
		given = sample.Shapes(inputs)
		if err := checkShapes(j.model, given); err != nil {
			return nil, fmt.Errorf("%s: sample %s: %w", src.Describe(), sample.Name, err)
		}
	}
	for name, shape := range j.opts.InputShapes {
		given[name] = shape
	}
	return given, nil
}

// choose picks one rung of every ladder under all targets, or takes those of a
// given plan.
func (j *job) choose(ctx context.Context) error {
	if j.opts.FromPlan != nil {
		return j.stage(ctx, "search", func() error {
			if err := j.weigh(ctx); err != nil {
				return err
			}
			return j.follow(ladders(j.offers))
		})
	}
	s, err := j.seek(ctx)
	if err != nil {
		return err
	}
	if doubtful := j.doubtful(&s); len(doubtful) > 0 {
		if err := j.stage(ctx, "correct", func() error { return j.correct(ctx, &s, doubtful) }); err != nil {
			return err
		}
		if s, err = j.seek(ctx); err != nil {
			return err
		}
	}
	j.result.Plan = PlanSummary{Measure: j.measure(), Loss: s.plan.Loss, Bound: s.plan.Bound, Gap: s.plan.Gap, Corrections: j.corrections}
	j.take(s.ladders, s.plan.Rungs)
	return nil
}

// seek searches for a plan within all targets.
func (j *job) seek(ctx context.Context) (s standing, err error) {
	err = j.stage(ctx, "search", func() error {
		if err := j.weigh(ctx); err != nil {
			return err
		}
		var err error
		if s, err = j.descend(ctx); err != nil {
			return err
		}
		if s.unmet != nil && j.widen() {
			var all []*inquiry
			for _, o := range j.offers {
				all = append(all, j.begin(o)...)
			}
			if err := j.answer(ctx, j.named("search"), all); err != nil {
				return err
			}
			if s, err = j.descend(ctx); err != nil {
				return err
			}
		}
		if s.unmet != nil {
			return j.unmet(s.unmet, s.ladders)
		}
		return nil
	})
	return s, err
}

// widen lets every rank be offered from now on, where only those were that fit blocks of channels and nobody asked
// for that; false where that adds none.
func (j *job) widen() bool {
	blocked := slices.ContainsFunc(j.offers, func(o *offer) bool { return j.multiple(o.site.Kernel) > 1 })
	if j.opts.RankMultiple > 0 || !blocked {
		return false
	}
	j.anyRank = true
	return true
}

// multiple is what the ranks offered at a kernel are multiples of.
func (j *job) multiple(s decomp.Shape) int {
	if j.anyRank {
		return 1
	}
	return j.opts.multiple(s)
}

// take settles on one rung of every ladder.
func (j *job) take(ls []ladder, chosen []int) {
	at := map[*offer]option{}
	for i, l := range ls {
		for k, o := range l.offers {
			at[o] = l.rungs[chosen[i]][k]
		}
	}
	for _, o := range j.offers {
		j.chosen = append(j.chosen, at[o])
		j.result.Sites = append(j.result.Sites, siteResult(o, at[o]))
	}
}

// measure says what the losses of this run are.
func (j *job) measure() Measure {
	for _, o := range j.offers {
		if o.sensitive {
			return OutputChange
		}
	}
	return EnergyShare
}

// budgets are the targets less what the nodes outside the ladders need.
func (j *job) budgets(ls []ladder) []search.Budget {
	out := make([]search.Budget, len(j.bounds()))
	for k, t := range j.bounds() {
		out[k] = search.Budget{Name: string(t.Resource), Limit: t.Limit(j.original(t.Resource)) - j.fixed(ls, t.Resource)}
		if t.Resource == Bytes {
			out[k].Limit -= j.tight
		}
	}
	return out
}

// fixed is what the model needs of a resource outside the ladders.
func (j *job) fixed(ls []ladder, r Resource) float64 {
	rest := j.original(r)
	for i := range ls {
		rest -= ls[i].cost(ls[i].rungs[len(ls[i].rungs)-1], r)
	}
	return float64(rest)
}

func (j *job) original(r Resource) int64 {
	if r == Bytes {
		return j.size
	}
	return count(j.analysis.Costs, r)
}

// count is a model's need of a resource other than bytes.
func count(c rewrite.Costs, r Resource) int64 {
	if r == MACs {
		return c.MACs
	}
	return c.Params
}

// unmet restates the search's refusal for the whole model.
func (j *job) unmet(e *search.InfeasibleError, ls []ladder) error {
	var others []Target
	var target Target
	for _, t := range j.bounds() {
		if string(t.Resource) == e.Budget {
			target = t
		} else {
			others = append(others, t)
		}
	}
	rest := j.fixed(ls, target.Resource)
	if target.Resource == Bytes {
		rest += j.tight
	}
	return &UnmetError{
		Target: target, Limit: e.Limit + rest, Reachable: e.Reachable + rest, Original: j.original(target.Resource),
		Others: others, Sites: len(j.offers),
	}
}

func siteResult(o *offer, c option) SiteResult {
	s, whole := &o.site, o.options[len(o.options)-1]
	r := SiteResult{
		Name: s.Name, Op: s.Op, Out: s.Kernel.Out, In: s.Kernel.In, Window: s.Kernel.Window, Groups: s.Kernel.Groups,
		Method: Dense, BreakEven: s.Kernel.BreakEven(), Loss: c.share, Note: o.note,
		MACsBefore: whole.macs, MACsAfter: c.macs, ParamsBefore: whole.params, ParamsAfter: c.params,
	}
	if c.method != nil {
		r.Method, r.Rank = c.method.Name, c.rank
	}
	if o.sensitive {
		r.OutputChange = &c.loss
	}
	return r
}

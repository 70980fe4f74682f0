// Package compress is the whole path from a trained ONNX model to a smaller
// one: find the sites, measure what they see, factor them, choose all ranks
// at once under a budget, rewrite, write, and verify what was written.
package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/calib"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/search"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/verify"
)

// job is one run on its way through the stages. Each stage reads what the
// earlier ones left and adds its own.
type job struct {
	opts   Options
	model  *onnxio.Model
	libs   *Libraries
	result *Result

	calibrate, held []int
	methods         []decomp.Method
	analysis        *Analysis
	offers          []*offer
	chosen          []option
	small           *onnxio.Model
}

// Run compresses the model m, which must have been read from a file, and
// writes the result to o.Output. The output appears only when it was written
// whole, verified, and found within every target; until then nothing at that
// path changes.
//
// Errors: *UsageError for options that cannot be, *UnmetError when a target is
// out of reach, the context's error when it ends first.
func Run(ctx context.Context, m *onnxio.Model, o Options) (*Result, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	methods, err := o.methods()
	if err != nil {
		return nil, err
	}
	if err := onnxio.CanWrite(m, o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
		return nil, err
	}
	libs, err := OpenLibraries(o.Runtime)
	if err != nil {
		return nil, err
	}
	defer libs.Close()
	j := &job{opts: o, model: m, libs: libs, methods: methods, result: &Result{Schema: ResultSchema}}
	j.result.Environment = j.environment()
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	return j.result, nil
}

// run walks the stages in order.
func (j *job) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		j.analyse, j.factor, j.choose, j.rewrite, j.deliver,
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stage times f under a name.
func (j *job) stage(name string, f func() error) error {
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
func (j *job) analyse(context.Context) error {
	return j.stage("analyse", func() error {
		given, err := j.inputShapes()
		if err != nil {
			return err
		}
		if j.analysis, err = Analyse(j.model, given, j.opts.Select); err != nil {
			return err
		}
		if err := j.analysis.place(j.model, j.opts.Targets); err != nil {
			return err
		}
		if j.opts.Source != nil {
			j.calibrate, j.held = calib.Split(j.opts.Source.Len(), j.opts.CalibSamples, j.opts.Seed)
			j.held = j.held[:min(len(j.held), j.opts.VerifySamples)]
		}
		if j.result.Input, err = describe(j.model.Path, j.analysis.Costs); err != nil {
			return err
		}
		for _, s := range j.analysis.Skips {
			j.result.Skipped = append(j.result.Skipped, Skipped{s.Name, s.Op, s.Reason})
		}
		return nil
	})
}

// inputShapes adds the shapes of the first calibration sample to those given.
func (j *job) inputShapes() (map[string][]int, error) {
	wanted, err := calib.Inputs(j.model)
	if err != nil {
		return nil, err
	}
	given := map[string][]int{}
	if src := j.opts.Source; src != nil && src.Len() > 0 {
		sample, err := src.Sample(0)
		if err != nil {
			return nil, err
		}
		given = sample.Shapes(wanted)
	}
	for name, shape := range j.opts.InputShapes {
		if !slices.ContainsFunc(wanted, func(in calib.InputSpec) bool { return in.Name == name }) {
			return nil, &UsageError{fmt.Errorf("a shape is given for the input %q, which %s does not have", name, j.model.Path)}
		}
		given[name] = shape
	}
	return given, nil
}

// choose picks one rung of every ladder under all targets.
func (j *job) choose(context.Context) error {
	return j.stage("search", func() error {
		ls := ladders(j.offers)
		budgets := j.budgets(ls)
		plan, err := search.Choose(searchLadders(ls, j.opts.Targets), budgets)
		if unmet := (*search.InfeasibleError)(nil); errors.As(err, &unmet) {
			return j.unmet(unmet, ls)
		}
		if err != nil {
			return fmt.Errorf("choosing ranks: %w", err)
		}
		j.result.Plan = PlanSummary{plan.Loss, plan.Bound, plan.Gap}
		at := map[*offer]option{}
		for i, l := range ls {
			for k, o := range l.offers {
				at[o] = l.rungs[plan.Rungs[i]][k]
			}
		}
		for _, o := range j.offers {
			j.chosen = append(j.chosen, at[o])
			j.result.Sites = append(j.result.Sites, siteResult(o, at[o]))
		}
		return nil
	})
}

// budgets are the targets less what the nodes outside the ladders need.
func (j *job) budgets(ls []ladder) []search.Budget {
	out := make([]search.Budget, len(j.opts.Targets))
	for k, t := range j.opts.Targets {
		out[k] = search.Budget{Name: string(t.Resource), Limit: t.Limit(j.original(t.Resource)) - j.fixed(ls, t.Resource)}
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

func (j *job) original(r Resource) int64 { return count(j.analysis.Costs, r) }

// count is a model's need of a resource.
func count(c rewrite.Costs, r Resource) int64 {
	if r == MACs {
		return c.MACs
	}
	return c.Params
}

// unmet restates the search's refusal for the whole model.
func (j *job) unmet(e *search.InfeasibleError, ls []ladder) error {
	for _, t := range j.opts.Targets {
		if string(t.Resource) == e.Budget {
			rest := j.fixed(ls, t.Resource)
			return &UnmetError{Target: t, Limit: e.Limit + rest, Reachable: e.Reachable + rest, Original: j.original(t.Resource)}
		}
	}
	return e
}

func siteResult(o *offer, c option) SiteResult {
	s, whole := &o.site, o.options[len(o.options)-1]
	r := SiteResult{
		Name: s.Name, Op: s.Op, Out: s.Kernel.Out, In: s.Kernel.In, Window: s.Kernel.Window, Groups: s.Kernel.Groups,
		Method: Dense, BreakEven: s.Kernel.BreakEven(), Loss: c.loss,
		MACsBefore: whole.macs, MACsAfter: c.macs, ParamsBefore: whole.params, ParamsAfter: c.params,
	}
	if c.method != nil {
		r.Method, r.Rank = c.method.Name, c.rank
	}
	return r
}

// rewrite builds the new model and holds its real costs against the targets.
func (j *job) rewrite(context.Context) error {
	return j.stage("rewrite", func() error {
		names := onnxio.NewNameSet(j.model)
		var patches []rewrite.Patch
		for i, c := range j.chosen {
			if c.method == nil {
				continue
			}
			o := j.offers[i]
			chain, err := o.spectra[c.method.Name].Chain(c.rank)
			if err != nil {
				return fmt.Errorf("node %q: %s at rank %v: %w", o.site.Name, c.method.Name, c.rank, err)
			}
			p, err := rewrite.Replace(j.model, &o.site, chain, names)
			if err != nil {
				return err
			}
			patches = append(patches, p)
		}
		var err error
		if j.small, err = rewrite.Apply(j.model, patches, rewrite.ApplyOptions{}); err != nil {
			return err
		}
		return j.holdTargets()
	})
}

// holdTargets counts the rewritten model anew. A target that the plan met and
// the model does not is a fault of ours, and nothing is written.
func (j *job) holdTargets() error {
	given, err := j.inputShapes()
	if err != nil {
		return err
	}
	concrete, _ := shapes.InputShapes(j.small, given)
	costs := rewrite.MeasureCosts(j.small, shapes.Infer(j.small, concrete))
	j.result.Output.MACs, j.result.Output.Params = costs.MACs, costs.Params
	for _, t := range j.opts.Targets {
		r := Reached{Target: t, Limit: t.Limit(j.original(t.Resource)), Original: j.original(t.Resource), Reached: count(costs, t.Resource)}
		if float64(r.Reached) > r.Limit {
			return fmt.Errorf("the rewritten model needs %d %s, the plan allowed %.0f; nothing was written; please report this", r.Reached, t.Resource, r.Limit)
		}
		j.result.Targets = append(j.result.Targets, r)
	}
	return nil
}

// deliver writes the model beside its place, verifies that file, and moves it
// there.
func (j *job) deliver(ctx context.Context) error {
	var staged *onnxio.Staged
	err := j.stage("write", func() (err error) {
		staged, err = onnxio.Stage(ctx, j.small, j.opts.Output, onnxio.WriteOptions{Overwrite: j.opts.Overwrite})
		return err
	})
	if err != nil {
		return err
	}
	defer staged.Discard()
	if err := j.stage("verify", func() error { return j.verify(ctx, staged.Path()) }); err != nil {
		return err
	}
	costs := rewrite.Costs{MACs: j.result.Output.MACs, Params: j.result.Output.Params}
	if j.result.Output, err = describe(staged.Path(), costs); err != nil {
		return err
	}
	j.result.Output.Path = j.opts.Output
	if err := ctx.Err(); err != nil {
		return err
	}
	return staged.Commit()
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
		s, err := newNoise(j.model, j.opts)
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
		Progress: func(done, total int) { j.opts.Progress("verify", done, total) },
	})
	if err != nil {
		return fmt.Errorf("verifying the result: %w", err)
	}
	j.result.Verification = r
	return nil
}

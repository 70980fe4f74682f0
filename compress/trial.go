package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/verify"
)

// What bounds the bisection.
const (
	maxTrials = 8    // models that are built and run
	closeness = 0.01 // of the original's resource, below which a smaller budget is not worth another
	rehearsal = 16   // samples that show whether the goals can be judged at all
)

// Trials say how the budget was found that the goals allow.
type Trials struct {
	// Goals has what was asked for, and what came of it.
	Goals []GoalReached `json:"goals"`
	// Over is the resource whose budget was bisected.
	Over Resource `json:"over"`
	// Judged is the number of samples that judged every step, and Proved that of those
	// which verified the written model. Shared says that these are the same samples,
	// because there were too few for two sets.
	Judged int  `json:"judged"`
	Proved int  `json:"proved"`
	Shared bool `json:"shared"`
	// Steps are the models that were built, in their order.
	Steps []Trial `json:"steps"`
}

// GoalReached is a goal and what the written model has of it: on the samples that judged
// the search, and on those that verified the result. Null stands for equal outputs.
type GoalReached struct {
	Goal
	Judged *float64 `json:"judged"`
	Proved *float64 `json:"proved"`
}

// Trial is one step of the bisection.
type Trial struct {
	// Budget is the share of the resource that the model might have.
	Budget float64 `json:"budget"`
	// MACs and Params are what the model had; 0 where the budget was out of reach.
	MACs   int64 `json:"macs"`
	Params int64 `json:"params"`
	// Loss is what the search predicted.
	Loss float64 `json:"loss"`
	// Values has one measurement per goal, null for equal outputs; none where there was
	// no model.
	Values []*float64 `json:"values"`
	Met    bool       `json:"met"`
	// Why says why there was no model.
	Why string `json:"why,omitempty"`
}

// attempt is a plan and the model that came of it, kept while others are tried.
type attempt struct {
	chosen []option
	chains []decomp.Chain
	small  *onnxio.Model
	result Result
}

// UnmetGoalError says that no model within the budgets met a goal. Nothing is written.
type UnmetGoalError struct {
	Goal Goal
	// Reached is what the largest of the models had that were tried, nil where there was
	// none at all, and Budget the share of Over that it was allowed.
	Reached *float64
	Over    Resource
	Budget  float64
	// Others are the targets and goals that had to hold beside it.
	Others []string
}

func (e *UnmetGoalError) Error() string {
	text := fmt.Sprintf("target %s cannot be met", e.Goal)
	for _, o := range e.Others {
		text += " beside " + o
	}
	if e.Reached == nil {
		return text + ": no smaller model can be made; `onnx-compress inspect` says why, or let more nodes change (--only, --keep, --rank-multiple)"
	}
	return fmt.Sprintf("%s: at %s=%.4g, the largest budget that was tried, %s=%s is reached; allow more damage, or calibrate on more samples",
		text, e.Over, e.Budget, e.Goal.Damage, e.Goal.Damage.text(*e.Reached))
}

// checkGoals refuses goals that make no sense together, or with the other options.
func (o Options) checkGoals() error {
	for i, g := range o.Goals {
		if slices.ContainsFunc(o.Goals[:i], func(h Goal) bool { return h.Damage == g.Damage }) {
			return &UsageError{fmt.Errorf("two targets bound %s; give one", g.Damage)}
		}
		if o.Source == nil {
			return &UsageError{fmt.Errorf("target %s needs samples to judge by (--calib)", g)}
		}
		if o.FromPlan != nil {
			return &UsageError{fmt.Errorf("target %s asks for a search, and a plan is given; leave one of them out", g)}
		}
	}
	return nil
}

// parcel parts the samples that calibration does not use into those that judge the steps
// of the bisection and those that verify the result.
func (j *job) parcel() error {
	n, need := len(j.held), 0
	most := min(n, j.opts.VerifySamples)
	for _, g := range j.opts.Goals {
		need = max(need, g.samples())
		if most < need {
			return &UsageError{fmt.Errorf("target %s needs at least %d samples that calibration does not use, so that one of them is within it; there are %d: give more, lower --calib-samples, or raise --verify-samples",
				g, need, most)}
		}
	}
	if len(j.opts.Goals) == 0 {
		j.held = j.held[:most]
		return nil
	}
	j.trials = &Trials{Over: MACs, Steps: []Trial{}}
	if half := n / 2; half >= need {
		j.judges, j.held = j.held[:min(half, most)], j.held[half:half+min(n-half, most)]
	} else {
		j.judges, j.held = j.held[:most], j.held[:most]
		j.trials.Shared = true
	}
	j.trials.Judged, j.trials.Proved = len(j.judges), len(j.held)
	if len(j.opts.Targets) > 0 {
		j.trials.Over = j.opts.Targets[0].Resource
	}
	j.soft = &Target{Resource: j.trials.Over, Value: 1, Fraction: true}
	return nil
}

// rehearse compares the model with itself on a few samples: whatever stands against
// judging the goals is then known before there is any work.
func (j *job) rehearse(ctx context.Context) error {
	if j.soft == nil {
		return nil
	}
	lib, err := j.libs.Need("judging " + j.opts.Goals[0].String())
	if err != nil {
		return err
	}
	r, err := verify.Compare(ctx, lib, j.model.Path, j.model.Path, j.opts.Source, j.judges[:min(len(j.judges), rehearsal)], verify.Options{Batch: j.opts.Batch, Threads: j.opts.Threads})
	if err != nil {
		return err
	}
	for _, g := range j.opts.Goals {
		if _, err := g.measured(r); err != nil {
			return &UsageError{err}
		}
	}
	return nil
}

// bounds are the targets that the search has to meet now.
func (j *job) bounds() []Target {
	if j.soft == nil {
		return j.opts.Targets
	}
	rest := slices.DeleteFunc(slices.Clone(j.opts.Targets), func(t Target) bool { return t.Resource == j.soft.Resource })
	return append([]Target{*j.soft}, rest...)
}

// bisect looks for the smallest model that meets the goals, by real models: each is
// chosen, assembled and rewritten as a result would be, and run. It halves the budget
// between the smallest that met them and the largest that did not; the smallest model
// that met them is left to be delivered, whatever came before or after it.
func (j *job) bisect(ctx context.Context) error {
	low, high, err := j.span(ctx)
	if err != nil {
		return err
	}
	var best *attempt
	budget := (low + high) / 2
	if len(j.opts.Targets) > 0 {
		budget = high // which is not the original, so that it may be too small already
	}
	for n := 1; n <= maxTrials; n++ {
		j.turn = fmt.Sprintf(" %d/%d", n, maxTrials)
		j.soft.Value = budget
		t, err := j.try(ctx)
		if err != nil {
			return err
		}
		j.trials.Steps = append(j.trials.Steps, t)
		if t.Met {
			high = budget
			if best == nil || j.smaller(best) {
				best = j.snapshot()
			}
		} else {
			low = max(low, budget)
		}
		j.forget()
		if high-low <= closeness || !t.Met && budget == high {
			break
		}
		budget = (low + high) / 2
	}
	j.turn = ""
	if best == nil {
		return j.unmetGoal()
	}
	j.restore(best)
	return nil
}

// span returns the shares of the resource between which the budget lies.
func (j *job) span(ctx context.Context) (low, high float64, err error) {
	high = 1
	for _, t := range j.opts.Targets {
		if t.Resource != j.trials.Over {
			continue
		}
		if err := j.weigh(ctx); err != nil {
			return 0, 0, err
		}
		original := j.original(t.Resource)
		high = min(1, t.Limit(original)/float64(max(original, 1)))
	}
	return 0, high, nil
}

// try builds the model of a budget and judges it.
func (j *job) try(ctx context.Context) (Trial, error) {
	t := Trial{Budget: j.soft.Value, Values: []*float64{}}
	err := j.carry(ctx, func(ctx context.Context) error { return j.judge(ctx, &t) })
	unmet := (*UnmetError)(nil)
	if given := len(j.opts.Targets) > 0 && len(j.trials.Steps) == 0; errors.As(err, &unmet) && unmet.Target == *j.soft && !given {
		t.Why = unmet.Error()
		return t, nil
	}
	return t, err
}

// judge writes the model beside its place and compares it with the original.
func (j *job) judge(ctx context.Context, t *Trial) error {
	return j.stage(ctx, "judge", func() error {
		staged, err := onnxio.Stage(ctx, j.small, j.opts.Output, onnxio.WriteOptions{Overwrite: j.opts.Overwrite})
		if err != nil {
			return err
		}
		defer staged.Discard()
		if err := j.holdBytes(staged.Path()); err != nil {
			return err
		}
		r, err := verify.Compare(ctx, j.libs.Runtime, j.model.Path, staged.Path(), j.opts.Source, j.judges, verify.Options{
			Batch: j.opts.Batch, Threads: j.opts.Threads,
			Progress: func(done, total int) { j.opts.Progress(j.named("judge"), done, total) },
		})
		if err != nil {
			return fmt.Errorf("judging a model: %w", err)
		}
		t.MACs, t.Params, t.Loss = j.result.Output.MACs, j.result.Output.Params, j.result.Plan.Loss
		t.Values, t.Met = []*float64{}, broken(r) == nil
		for _, g := range j.opts.Goals {
			if err := g.countable(r); err != nil {
				return err
			}
			v, err := g.measured(r)
			if err != nil {
				return err
			}
			t.Values = append(t.Values, v)
			t.Met = t.Met && g.met(v)
		}
		return nil
	})
}

// countable refuses to judge by fewer labels than the goal needs.
func (g Goal) countable(r *verify.Report) error {
	if g.Damage != Drop || r.Classes == nil || r.Classes.Accuracy == nil {
		return nil
	}
	if n := r.Classes.Accuracy.Labelled; n < g.samples() {
		return &UsageError{fmt.Errorf("target %s needs at least %d labelled samples that calibration does not use; of those that judge, %d have labels", g, g.samples(), n)}
	}
	return nil
}

// smaller tells whether the model at hand needs less than an earlier one: of the resource
// of the search, else of the other.
func (j *job) smaller(than *attempt) bool {
	now, before := j.result.Output, than.result.Output
	if j.trials.Over == MACs {
		return now.MACs < before.MACs || now.MACs == before.MACs && now.Params < before.Params
	}
	return now.Params < before.Params || now.Params == before.Params && now.MACs < before.MACs
}

// snapshot keeps the attempt at hand from being dropped.
func (j *job) snapshot() *attempt {
	a := &attempt{chosen: j.chosen, chains: j.chains, small: j.small, result: *j.result}
	j.small = nil
	return a
}

// forget drops the attempt at hand.
func (j *job) forget() {
	j.drop()
	stages := j.result.Stages
	j.chosen, j.chains, *j.result = nil, nil, j.base
	j.result.Stages = stages
}

// restore brings an earlier attempt back, but for how long the stages took.
func (j *job) restore(a *attempt) {
	stages := j.result.Stages
	j.chosen, j.chains, j.small, *j.result = a.chosen, a.chains, a.small, a.result
	j.result.Stages = stages
	j.result.Trials = j.trials
	step := slices.IndexFunc(j.trials.Steps, func(t Trial) bool {
		return t.Met && t.MACs == j.result.Output.MACs && t.Params == j.result.Output.Params
	})
	for i, g := range j.opts.Goals {
		j.trials.Goals = append(j.trials.Goals, GoalReached{Goal: g, Judged: j.trials.Steps[step].Values[i]})
	}
}

// prove adds what the final verification says of the goals.
func (j *job) prove(r *verify.Report) {
	if j.trials == nil {
		return
	}
	for i := range j.trials.Goals {
		g := &j.trials.Goals[i]
		if v, err := g.measured(r); err == nil {
			g.Proved = v
		}
	}
}

// unmetGoal says what could be reached.
func (j *job) unmetGoal() error {
	e := &UnmetGoalError{Goal: j.opts.Goals[0], Over: j.trials.Over}
	largest := 0.0
	for _, t := range j.trials.Steps {
		if len(t.Values) == 0 || t.Budget < largest {
			continue
		}
		for i, g := range j.opts.Goals {
			if !g.met(t.Values[i]) {
				e.Goal, e.Reached, e.Budget, largest = g, t.Values[i], t.Budget, t.Budget
				break
			}
		}
	}
	for _, t := range j.opts.Targets {
		e.Others = append(e.Others, t.String())
	}
	for _, g := range j.opts.Goals {
		if g != e.Goal {
			e.Others = append(e.Others, g.String())
		}
	}
	return e
}

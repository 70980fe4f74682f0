package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// rehearsal is how many samples show whether the goals can be judged at all.
const rehearsal = 16

// Trials say how the budget was found that the goals allow.
type Trials struct {
	// Goals has what was asked for, and what came of it. Fitting says that nothing was asked for, so that they are those that fit the
	// outputs.
	Goals   []GoalReached `json:"goals"`
	Fitting bool          `json:"fitting,omitempty"`
	// Over is the resource whose budget was bisected.
	Over Resource `json:"over"`
	// Judged is the number of samples that judged every step, and Proved that of those
	// which verified the written model. Shared says that these are the same samples,
	// because there were too few for two sets.
	Judged int  `json:"judged"`
	Proved int  `json:"proved"`
	Shared bool `json:"shared"`
	// Steps are the models that were built, in their order, and Stopped says why there were no more.
	Steps   []Trial `json:"steps"`
	Stopped string  `json:"stopped"`
}

// GoalReached is a goal and what the written model has of it: on the samples that judged
// the search, and on those that verified the result. Null stands for equal outputs.
type GoalReached struct {
	verify.Bound
	Judged *float64 `json:"judged"`
	Proved *float64 `json:"proved"`
	// Unproved says why the latter could not tell, where they could not.
	Unproved string `json:"unproved,omitempty"`
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

// UnmetGoalError says that no model within the budgets met a goal. Nothing is written.
type UnmetGoalError struct {
	Goal verify.Bound
	// Fitting says that nobody asked for it: it is what fits the outputs.
	Fitting bool
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
	if e.Fitting {
		text = fmt.Sprintf("no target was given, and what fits the outputs, %s, cannot be met", e.Goal)
	}
	for _, o := range e.Others {
		text += " beside " + o
	}
	if e.Reached == nil {
		return fmt.Sprintf("%s: no smaller model can be made; `onnx-compress inspect` says why, or let more nodes change (%s, %s, %s)", text, OptionOnly, OptionKeep, OptionRankMultiple)
	}
	more := "allow more damage"
	if g := allowing(e.Goal.Measure, *e.Reached); g.Value > 0 {
		more += fmt.Sprintf(", for example %s", g)
	}
	return fmt.Sprintf("%s: at %s=%.4g, the largest budget that was tried, %s is reached; %s, or calibrate on more samples",
		text, e.Over, e.Budget, verify.Bound{Measure: e.Goal.Measure, Value: *e.Reached}, more)
}

// checkGoals refuses goals that make no sense together, or with the other options.
func (o Options) checkGoals() error {
	for i, g := range o.Goals {
		if slices.ContainsFunc(o.Goals[:i], func(h verify.Bound) bool { return h.Measure == g.Measure }) {
			return &UsageError{Err: fmt.Errorf("two targets bound %s; give one", g.Measure)}
		}
		if o.Source == nil {
			return &UsageError{Err: fmt.Errorf("target %s needs samples to judge by (%s)", g, OptionSource)}
		}
		if o.FromPlan != nil {
			return &UsageError{Err: fmt.Errorf("target %s asks for a search, and a plan is given; leave one of them out", g)}
		}
	}
	return nil
}

// bounds are the targets that a choice has to meet where goals allow a share of the resource whose budget is bisected;
// without goals, the targets.
func (o Options) bounds(share float64) []Target {
	if len(o.Goals) == 0 {
		return o.Targets
	}
	out := []Target{{Resource: o.over(), Value: share, Fraction: true}}
	for _, t := range o.Targets {
		if t.Resource != o.over() {
			out = append(out, t)
		}
	}
	return out
}

// over is the resource whose budget is bisected for goals.
func (o Options) over() Resource {
	if len(o.Targets) > 0 {
		return o.Targets[0].Resource
	}
	return MACs
}

// judging are the options of a comparison.
func (o Options) judging(env *Environment, progress samples.Progress, evidence verify.Evidence) verify.Options {
	return verify.Options{Evidence: evidence, Batch: o.Batch, Threads: env.Threads, Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds, Memory: o.Memory, Progress: progress}
}

// rehearse compares the model with itself on a few samples: whatever stands against
// judging the goals is then known before there is any work. It gives the goals, those that fit the outputs as they turn out to be.
func rehearse(ctx context.Context, env *Environment, a *Analysis, o Options) ([]verify.Bound, error) {
	if len(o.Goals) == 0 {
		return nil, nil
	}
	lib, err := env.need("judging " + o.Goals[0].String())
	if err != nil {
		return nil, err
	}
	judges := a.Judge[:min(len(a.Judge), rehearsal)]
	tells := []verify.Measure{verify.Drop, verify.Boxes, verify.CER, verify.IoU}
	if slices.ContainsFunc(o.Goals, func(g verify.Bound) bool { return slices.Contains(tells, g.Measure) }) {
		judges = a.Judge // whether the original does better than guessing, or finds anything, takes more than a few
	}
	r, err := a.behind.compare(ctx, lib, a.given, a.given.Path, o.Source, judges, o.judging(env, nil, ""))
	if err != nil {
		return nil, err
	}
	if o.fitting {
		o.Goals = refitted(r)
	}
	for _, g := range o.Goals {
		if _, err := reached(g, r); err != nil {
			return nil, &UsageError{Err: err}
		}
	}
	return o.Goals, nil
}

// bisect looks for the smallest model that meets the goals, by real models: each is
// chosen and assembled as a result would be, and run. It goes between the smallest budget that met them and the largest that did
// not (see bracket), and gives the smallest model that met them, whatever came before or after it, and the last choice, which knows
// most offers.
func (w *work) bisect(ctx context.Context, start *Choice) (best *Assembled, last *Choice, t *Trials, err error) {
	defer func() {
		if err != nil {
			best.close()
		}
	}()
	t = &Trials{Fitting: w.o.fitting, Over: w.o.over(), Judged: len(w.a.Judge), Proved: len(w.a.Verify), Steps: []Trial{}}
	t.Shared = slices.Equal(w.a.Judge, w.a.Verify)
	b, bestOf := newBracket(w.most()), Trial{}
	budget, last := b.next(), start
	if b.high < 1 {
		budget = b.high // which is not the original, so that it may be too small already
	}
	for n, about := 1, b.steps(); ; n++ {
		w.env.outlook.build()
		in := w.inPass(fmt.Sprintf(" (attempt %d of about %d)", n, max(n, about)))
		step, s, c, err := in.try(ctx, last, budget, n == 1)
		if err != nil {
			return best, nil, nil, err
		}
		last = c
		t.Steps = append(t.Steps, step)
		beaten, of := s, step
		if step.Met && s != nil && (best == nil || w.smaller(s, best)) {
			beaten, of = best, bestOf
			best, bestOf = s, step
		}
		if err := in.beat(ctx, of, beaten, best); err != nil {
			beaten.close()
			return best, nil, nil, err
		}
		beaten.close()
		hopeless := !step.Met && budget == b.high
		excess, noise := w.excess(&step)
		b.add(budget, step.Met, excess, noise)
		if w.tight(&step) {
			t.Stopped = "the goals are met with next to nothing to spare"
			break
		}
		if hopeless || b.narrow() {
			t.Stopped = b.stopped(t.Over, t.Judged)
			break
		}
		budget = b.next()
	}
	if best == nil {
		return nil, nil, nil, w.unmetGoal(t)
	}
	for i, g := range w.o.Goals {
		t.Goals = append(t.Goals, GoalReached{Bound: g, Judged: bestOf.Values[i]})
	}
	return best, last, t, nil
}

// most is the largest share of the resource that the targets allow.
func (w *work) most() float64 {
	high := 1.0
	for _, t := range w.o.Targets {
		if original := w.a.need(t.Resource); t.Resource == w.o.over() {
			high = min(high, t.Limit(original)/float64(max(original, 1)))
		}
	}
	return high
}

// try makes the model of a budget and judges it. There is none where the budget is out of reach; that is an error where it
// is given and not searched for.
func (w *work) try(ctx context.Context, last *Choice, budget float64, first bool) (t Trial, s *Assembled, c *Choice, err error) {
	bounds := w.o.bounds(budget)
	s, c, err = w.attempt(ctx, last, bounds, func(s *Assembled) error {
		t = Trial{Budget: budget, MACs: s.Costs.MACs, Params: s.Costs.Params, Loss: s.Choice.Summary.Loss, Values: []*float64{}}
		return w.env.stage(ctx, "judge", func(st *stage) error {
			st.covers(0, 1)
			return w.judge(ctx, st, s, &t)
		})
	})
	if known, ok := errors.AsType[*beatenError](err); ok {
		return known.trial, nil, c, nil
	}
	if err != nil || c.Unmet == nil {
		return t, s, c, err
	}
	if given := w.most() < 1 && first; given || c.Unmet.Target.Resource != bounds[0].Resource {
		return t, nil, c, c.Unmet
	}
	return Trial{Budget: budget, Values: []*float64{}, Why: c.Unmet.Error()}, nil, c, nil
}

// judge writes the model beside its place and compares it with the original.
func (w *work) judge(ctx context.Context, st *stage, s *Assembled, t *Trial) error {
	staged, err := onnxio.Create(ctx, s.Model, w.place.path, w.place.how)
	if err != nil {
		return err
	}
	defer staged.Discard()
	if _, err := weighed(s.Targets, staged.Path()); err != nil {
		return err
	}
	var file string
	if w.o.keeper != nil {
		if file, err = onnxio.Digest(ctx, staged.Path()); err != nil {
			return err
		}
	}
	told, err := remembered(ctx, w.o.keeper, "judged", []any{file, w.o.Goals}, w.a.Judge, func() (judgement, error) { return w.compare(ctx, st, staged.Path()) })
	if err != nil {
		return err
	}
	t.Met, t.Why = told.Met, told.Why
	for _, v := range told.Values {
		t.Values = append(t.Values, (*float64)(v))
	}
	return nil
}

// judgement is what a model has of the goals, as a Trial says it.
type judgement struct {
	Values []*exact
	Met    bool
	Why    string
}

// compare compares the model of a file with the original.
func (w *work) compare(ctx context.Context, st *stage, path string) (j judgement, err error) {
	r, err := w.a.behind.compare(ctx, w.env.library, w.a.given, path, w.o.Source, w.a.Judge, w.o.judging(w.env, st.told, verify.Unseen))
	if err != nil {
		return j, fmt.Errorf("judging a model: %w", err)
	}
	j.Met = broken(r) == nil
	for _, g := range w.o.Goals {
		if err := enoughLabels(g, r); err != nil {
			return j, err
		}
		v, err := reached(g, r)
		if err != nil {
			return judgement{Why: err.Error()}, nil // it could be measured of the original
		}
		j.Values = append(j.Values, (*exact)(v))
		j.Met = j.Met && g.Allows(verify.Value(v))
	}
	return j, nil
}

// smaller tells whether a model needs less than an earlier one: of the resource
// of the search, else of another.
func (w *work) smaller(s, than *Assembled) bool {
	now, before := s.Costs, than.Costs
	less := cmp.Or(cmp.Compare(now.Params, before.Params), cmp.Compare(now.MACs, before.MACs))
	switch w.o.over() {
	case MACs:
		less = cmp.Or(cmp.Compare(now.MACs, before.MACs), less)
	case RunTime:
		less = cmp.Or(cmp.Compare(w.a.foreseen(s.Choice), w.a.foreseen(than.Choice)), less)
	}
	return less < 0
}

// proved are the trials with what the final verification says of the goals; nil for none.
func (t *Trials) proved(r *verify.Report) *Trials {
	if t == nil || r == nil {
		return t
	}
	next := *t
	next.Goals = slices.Clone(t.Goals)
	for i := range next.Goals {
		v, err := next.Goals[i].Measure.Of(r)
		if err != nil {
			next.Goals[i].Unproved = err.Error()
			continue
		}
		next.Goals[i].Proved = verify.Number(v.Value)
	}
	return &next
}

// unmetGoal says what could be reached.
func (w *work) unmetGoal(trials *Trials) error {
	e := &UnmetGoalError{Goal: w.o.Goals[0], Fitting: w.o.fitting, Over: trials.Over}
	largest := 0.0
	for _, t := range trials.Steps {
		if len(t.Values) == 0 || t.Budget < largest {
			continue
		}
		for i, g := range w.o.Goals {
			if !g.Allows(verify.Value(t.Values[i])) {
				e.Goal, e.Reached, e.Budget, largest = g, t.Values[i], t.Budget, t.Budget
				break
			}
		}
	}
	for _, t := range w.o.Targets {
		e.Others = append(e.Others, t.String())
	}
	for _, g := range w.o.Goals {
		if g != e.Goal {
			e.Others = append(e.Others, g.String())
		}
	}
	return e
}

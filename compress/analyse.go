package compress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/probe"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// Analysis is what a model and the samples for it offer: the sites that may change, the nodes left alone, what everything
// costs now, and which samples do what.
type Analysis struct {
	Shapes *shapes.Shapes
	// Unknown are input dimensions that no shape was given for.
	Unknown []shapes.Unknown
	Sites   []rewrite.Site
	// Skips are in graph order.
	Skips []rewrite.Skip
	Costs rewrite.Costs
	// Axes are what may be narrowed, and Whole the axes that may not and the channels that are on none, with the reasons. Both are
	// empty where Width is not among the methods, but for those that become narrower by default.
	Axes  []rewrite.Axis
	Whole []WholeAxis
	// Bytes is the size of the model's files, where that is a target, else 0.
	Bytes int64
	// Calibrate, Judge, Verify and Tune are numbers of samples: those that sites are calibrated on, those that judge models while
	// goals are searched for, those that verify the result, and those that judge while weights are tuned. Groups are the numbers of the sites
	// that are calibrated together. All are empty without samples.
	Calibrate, Judge, Verify, Tune []int
	Groups                         [][]int

	sweeps  [][]int            // which of the groups are calibrated in one sweep, by their number
	model   *onnxio.Model      // as it lies open, with compound operators written as what they consist of
	given   *onnxio.Model      // as it was given
	bodies  bodies             // what lies open
	behind  *behind            // what reads what the model gives, and judges it; nil for nothing
	compact *rewrite.Expansion // the way back to the model as it lies open
	inputs  map[string][]int   // shapes, as samples or the caller tell them
	seen    map[string][]int   // shapes of values that a run has shown
	sampled bool               // whether there are samples
	methods []decomp.Method    // on offer
	apart   bool               // neighbours do not become one node, since other models with the same weights may have something between them
	eight   probe.EightBits    // how nodes are timed
	cramped int                // sites that are left alone for want of memory
	wanted  int64              // the least limit under which none would be

	excluded map[graph.Node]string // sites that the caller leaves alone, with the reasons
	hidden   []*rewrite.Hidden     // of Axes, where without samples weights tell what their readers see
	tally    *rewrite.Tally        // of Axes, nil without any
	uncut    need                  // what it counts with all units
	forecast *forecast             // of what sites take in time; nil where that is not asked for
	twice    need                  // what it counts for each of several axes alone, and for all together once
}

// Analyse finds a model's sites, at the sizes that samples have, without reading its weights, and deals out the samples.
// Of the options those that bound the result are looked at as far as they keep sites from changing: those of
// unknown size where MACs are bounded, and those whose moments exceed the memory limit.
//
// A *UsageError names a shape that the model contradicts, a pattern of Select that matches nothing, goals that there are too
// few samples for, or a plan that is not for this model.
func Analyse(ctx context.Context, m *onnxio.Model, o Options) (*Analysis, error) {
	return analyse(ctx, nil, m, o)
}

// analyse is Analyse. Where samples and, in an environment, a runtime are there to run the model, a run shows the sizes that
// inference cannot tell.
func analyse(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (*Analysis, error) {
	o = o.WithDefaults()
	methods, err := o.methods()
	if err != nil {
		return nil, err
	}
	var tail *behind
	whole := m
	if o.Through != nil {
		if tail, err = newBehind(m, o.Through); err != nil {
			return nil, err
		}
		whole = graph.Join(m, tail.file)
	}
	inputs, err := o.inputShapes(whole)
	if err != nil {
		return nil, err
	}
	if err := checkShapes(whole, inputs); err != nil {
		return nil, &UsageError{Err: fmt.Errorf("%s: %w", m.Path, err)}
	}
	inside, err := opened(ctx, env, m, o, inputs)
	if err != nil {
		return nil, err
	}
	given := m
	if inside.open != nil {
		m = inside.open.Model
	}
	concrete, unknown := shapes.InputShapes(m, inputs)
	a := &Analysis{Unknown: unknown, given: given, bodies: inside, behind: tail, inputs: inputs, sampled: o.Source != nil, methods: methods, eight: o.int8.kernels()}
	if err := a.expand(m, concrete); err != nil {
		return nil, err
	}
	if a.seen, err = see(ctx, env, a, o); err == nil && a.seen != nil {
		err = a.expand(m, concrete)
	}
	if err != nil {
		return nil, err
	}
	m = a.model
	if tail != nil {
		if a.behind, err = tail.expand(a); err != nil {
			return nil, err
		}
	}
	if err := a.judgeable(o); err != nil {
		return nil, &UsageError{Err: fmt.Errorf("%s: %w", m.Path, err)}
	}
	sites, skips, err := rewrite.Sites(m, a.Shapes)
	if err != nil {
		return nil, err
	}
	a.compact.Hold(sites)
	if sites, skips, err = a.findAxes(o, sites, skips); err != nil {
		return nil, err
	}
	sites, skips = a.bodies.left(a.model, a.Shapes, sites, skips)
	taken, left, err := o.Select.split(sites, skips)
	if err != nil {
		return nil, err
	}
	a.excluded = map[graph.Node]string{}
	for _, s := range left {
		a.excluded[s.Node] = s.Reason
	}
	a = a.settled(taken, append(skips, left...))
	parts, err := o.deal()
	if err != nil {
		return nil, err
	}
	a.Calibrate, a.Judge, a.Verify, a.Tune = parts.calibrate, parts.judge, parts.verify, parts.tune
	if a.bodies.of > 0 {
		a.Calibrate = a.bodies.takes
	}
	if a, err = a.placed(o.bounds(1)); err != nil {
		return nil, err
	}
	if err := a.countable(o, o.bounds(1)); err != nil {
		return nil, err
	}
	a = a.factorable(o)
	if o.Source != nil {
		if a, err = a.grouped(o); err != nil {
			return nil, err
		}
	}
	if o.foretells() {
		if a, err = a.timed(ctx, o); err != nil {
			return nil, err
		}
	}
	if len(a.Axes) > 0 {
		if a, err = a.narrowable(o, a.Axes).told(o).tallied(); err != nil {
			return nil, err
		}
	}
	if len(a.Axes) > 0 && a.forecast != nil {
		if a, err = a.along(); err != nil {
			return nil, err
		}
	}
	if bytesTarget(o.Targets) >= 0 {
		if a.Bytes, err = fileBytes(m.Path); err != nil {
			return nil, err
		}
	}
	if o.FromPlan != nil {
		return a, a.fitPlan(ctx, o.FromPlan)
	}
	return a, nil
}

// dealt are numbers of samples.
type dealt struct{ calibrate, judge, verify, tune []int }

// deal parts the samples into those that calibrate, those that judge the steps of a search for goals, those that verify
// the result, and those that judge a tuning, which neither calibration nor the steps see. The second and third are the same where there
// are too few for both.
func (o Options) deal() (d dealt, err error) {
	if o.Source == nil {
		return d, nil
	}
	n := o.Source.Len()
	calibrate, held := samples.Split(n, o.calibSamples(n), o.Seed)
	d.calibrate = calibrate
	if k := min(o.tuneJudges(n), len(held)/2); k >= tune.FewestJudges {
		held, d.tune = held[:len(held)-k], held[len(held)-k:]
	}
	need, most := 0, min(len(held), o.VerifySamples)
	for _, g := range o.Goals {
		need = max(need, needed(g))
		if most < need && !o.fitting {
			return d, &UsageError{Err: fmt.Errorf("target %s needs at least %d samples that calibration does not use, so that one of them is within it; there are %d: give more, lower %s, or raise %s",
				g, need, most, OptionCalibSamples, OptionVerifySamples)}
		}
	}
	switch half := len(held) / 2; {
	case len(o.Goals) == 0:
		d.verify = held[:most]
	case half >= need:
		d.judge, d.verify = held[:min(half, most)], held[half:half+min(len(held)-half, most)]
	default:
		d.judge, d.verify = held[:most], held[:most]
	}
	return d, nil
}

// tuneJudges is how many of n samples are kept from calibration so that they can judge a tuning on them: the start looks better than it is on what
// its weights were fitted to. There are none where other samples are tuned on, or few are given.
func (o Options) tuneJudges(n int) int {
	if o.Descent == nil || o.TuneSource != nil || o.Descent.Held != nil {
		return 0
	}
	if k := min(tune.Judges(n), n/4); k >= tune.FewestJudges {
		return k
	}
	return 0
}

// settled is the analysis in which the sites are taken, and skips are the nodes left alone.
func (a *Analysis) settled(taken []rewrite.Site, skips []rewrite.Skip) *Analysis {
	next := *a
	next.Sites, next.Skips = slices.Clone(taken), slices.Clone(skips)
	rewrite.Settle(a.model, next.Sites)
	slices.SortStableFunc(next.Skips, func(x, y rewrite.Skip) int { return x.Index - y.Index })
	return &next
}

// without is the analysis that leaves those sites alone for which why gives a reason.
func (a *Analysis) without(why func(*rewrite.Site) string) *Analysis {
	var taken []rewrite.Site
	skips := slices.Clone(a.Skips)
	for i := range a.Sites {
		if reason := why(&a.Sites[i]); reason != "" {
			skips = append(skips, skip(a.Sites[i], reason))
		} else {
			taken = append(taken, a.Sites[i])
		}
	}
	return a.settled(taken, skips)
}

// placed leaves alone the sites whose MACs are unknown, when MACs are a target:
// they cannot be weighed against the others.
func (a *Analysis) placed(targets []Target) (*Analysis, error) {
	at := slices.IndexFunc(targets, func(t Target) bool { return t.Resource == MACs })
	if at < 0 {
		return a, nil
	}
	next := a.without(func(s *rewrite.Site) string {
		if s.Located {
			return ""
		}
		return "its MACs are unknown: " + s.Why
	})
	if len(next.Sites) == 0 && len(a.Sites) > 0 && len(a.Unknown) == 0 {
		return nil, a.unmet(targets[at], fmt.Sprintf("how often the %d sites multiply is unknown (%s); %s", len(a.Sites), a.Sites[0].Why, a.sizesAdvice()))
	}
	if len(next.Sites) == 0 && len(a.Sites) > 0 {
		return nil, &UsageError{Err: fmt.Errorf("a macs target needs the sizes that the nodes run at, and they are unknown for all %d sites (%s); give the input's shape, for example %s, or bound params instead",
			len(a.Sites), a.Sites[0].Why, a.exampleShapes())}
	}
	return next, nil
}

// countable refuses a macs target where nothing can be counted: every model would meet it.
func (a *Analysis) countable(o Options, targets []Target) error {
	for _, t := range targets {
		if t.Resource != MACs || a.Costs.MACs > 0 || o.FromPlan != nil {
			continue
		}
		unknown := a.Costs.Unlocated
		if len(unknown) == 0 {
			return a.unmet(t, "the model has no node that is known to multiply (Conv, ConvTranspose, Gemm, MatMul and what is made of them); bound params or bytes instead")
		}
		return a.unmet(t, fmt.Sprintf("nothing of the model's multiply-adds can be counted: %d of its nodes multiply, at an unknown size (%s: %s); %s",
			len(unknown), unknown[0].Name, unknown[0].Why, a.sizesAdvice()))
	}
	return nil
}

// unmet refuses a target for a reason that numbers do not tell.
func (a *Analysis) unmet(t Target, why string) error {
	need := a.need(t.Resource)
	return &UnmetError{Target: t, Limit: t.Limit(need), Reachable: float64(need), Original: need, Sites: len(a.Sites), Why: why}
}

// sizesAdvice says what would tell the sizes that nodes run at.
func (a *Analysis) sizesAdvice() string {
	switch {
	case len(a.Unknown) > 0:
		return fmt.Sprintf("give the input's shape, for example %s, or bound params instead", a.exampleShapes())
	case !a.sampled:
		return fmt.Sprintf("give samples (%s), on which a run shows the sizes, or bound params instead", OptionSource)
	}
	return "bound params instead"
}

// factorable leaves sites as they are whose factoring the memory limit does not hold.
func (a *Analysis) factorable(o Options) *Analysis {
	limit := max(o.Memory, leastMemory)
	return a.cramp(func(s *rewrite.Site) (string, int64) {
		need := factoringBytes(s.Kernel)
		if need <= limit {
			return "", 0
		}
		return fmt.Sprintf("to factor it takes %d MiB, more than the memory limit of %d MiB", need>>20, limit>>20), need
	})
}

// cramp leaves sites as they are for which there is too little memory, as why says with what they need.
func (a *Analysis) cramp(why func(*rewrite.Site) (string, int64)) *Analysis {
	var wanted int64
	next := a.without(func(s *rewrite.Site) string {
		reason, need := why(s)
		wanted = max(wanted, need)
		return reason
	})
	next.cramped, next.wanted = a.cramped+len(a.Sites)-len(next.Sites), max(a.wanted, wanted)
	return next
}

// grouped cuts the sites into groups whose moments fit the memory limit. A site that is
// too large for it alone is left as it is.
func (a *Analysis) grouped(o Options) (*Analysis, error) {
	how := calib.Options{Memory: rss.Room(o.Memory), Probes: o.probes(), Samples: len(a.Calibrate)}
	for {
		groups, err := calib.Groups(a.Sites, how)
		large := (*calib.TooLargeError)(nil)
		if !errors.As(err, &large) {
			next := *a
			next.Groups, next.sweeps = groups, calib.Sweeps(a.Sites, groups, rss.Free(os.TempDir()), how)
			return &next, err
		}
		next := a.cramp(func(s *rewrite.Site) (string, int64) {
			if s.Name != large.Site {
				return "", 0
			}
			least := rss.Limit(large.Needed)
			return fmt.Sprintf("its second moments want a memory limit of %.4g MiB, and it is %.4g MiB", float64(least)/(1<<20), float64(o.Memory)/(1<<20)), least
		})
		if len(next.Sites) == len(a.Sites) {
			return nil, err
		}
		a = next
	}
}

// need is what the model needs of a resource now.
func (a *Analysis) need(r Resource) int64 {
	switch {
	case r == Bytes:
		return a.Bytes
	case r == RunTime && a.forecast != nil:
		return int64(1000 * a.forecast.whole)
	}
	return count(a.Costs, r)
}

// count is a model's need of MACs or parameters.
func count(c rewrite.Costs, r Resource) int64 {
	if r == MACs {
		return c.MACs
	}
	return c.Params
}

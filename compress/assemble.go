package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/refit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// RefitSummary says what solving the sites anew gave.
type RefitSummary struct {
	// Kept counts the sites whose refit lowered the error on held-out samples.
	Kept int `json:"kept"`
	// Fit and Held are the calibration samples that were solved on and that judged.
	Fit  int `json:"fit"`
	Held int `json:"held"`
	// Skipped says why there was no refit; the other fields are then 0.
	Skipped string `json:"skipped,omitempty"`
}

// Refit is what solving one site anew gave: mean squared errors of its output on
// held-out calibration samples, as shares of the output's variance, with the
// chain as it was and with the one written.
type Refit struct {
	Kept   bool    `json:"kept"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	// Why says why nothing was tried.
	Why string `json:"why,omitempty"`
}

// Assembled is a choice carried out.
type Assembled struct {
	Choice *Choice
	// Chains are what takes the place of every site, in the order of Analysis.Sites; nil leaves it as it is. Beside narrower axes they
	// have zeros for the channels that go.
	Chains []decomp.Chain
	// Narrowed are the axes that are narrower, with the units that they keep.
	Narrowed []rewrite.Narrowing
	// Refit is nil where none was made, else Refits has an entry for every site.
	Refit  *RefitSummary
	Refits []Refit
	// Model is the rewritten model, which shares with the original what did not change. Whoever asked for it closes it.
	Model  *onnxio.Model
	Merged []MergedNodes
	// Costs are those of Model, counted anew, and Targets what it has of the targets; of the file's size, 0.
	Costs   rewrite.Costs
	Targets []Reached
	// Tuning is nil where there was none.
	Tuning *Tuning
	// Latency is what a target of time was held against, before any tuning; nil where it was not.
	Latency *Latency

	narrow []*refit.Narrow // what stays of each site, nil of those that are whole
	on     *ground         // what is narrowed
	open   *onnxio.Model   // Model as it lies open, nil where it has no bodies
	kept   *refitting      // where the refit's outcomes lie, nil where they are not kept
}

// MergedNodes are two nodes that became one, because they follow each other with nothing between and one of them came of
// the rewriting. What is saved lies beyond what the sites' numbers say, which count their chains apart.
type MergedNodes struct {
	First  string `json:"first"`
	Second string `json:"second"`
	Node   string `json:"node"`
	Params int64  `json:"params"`
	MACs   int64  `json:"macs"`
}

// Assemble makes the chains of a choice, solves them anew, site by site, on what the compressed model really feeds them, and
// builds the new model.
func Assemble(ctx context.Context, env *Environment, a *Analysis, c *Choice, o Options) (*Assembled, error) {
	o = o.WithDefaults()
	s := &Assembled{Choice: c, Narrowed: c.narrowings()}
	var err error
	if s.on, err = c.Offers.ground(a, o, s.Narrowed); err != nil {
		return nil, err
	}
	a = s.on.a
	shelf, err := c.shelf(o)
	if err != nil {
		return nil, err
	}
	if s.Chains, err = c.chains(ctx, env, a, shelf); err == nil {
		err = s.widen(ctx, env, shelf)
	}
	if err != nil {
		return nil, errors.Join(err, shelf.Close())
	}
	changed := len(s.Narrowed) > 0 || slices.ContainsFunc(c.picks, func(p option) bool { return p.method != nil })
	if changed && !o.NoRefit && o.Source != nil {
		if err := env.stage(ctx, "refit", func(st *stage) error {
			st.covers(0, 1)
			return s.refit(ctx, st, a, o, shelf)
		}); err != nil {
			return nil, errors.Join(err, shelf.Close())
		}
	}
	err = env.stage(ctx, "rewrite", func(*stage) error {
		if err := s.even(ctx, env, shelf); err != nil {
			return fmt.Errorf("%s: %w", a.model.Path, err)
		}
		return s.rewrite(env, a, o, shelf)
	})
	if s.Model != nil {
		s.Model.Hold(shelf)
		if s.open != nil {
			s.open.Hold(shelf)
		}
	} else {
		err = errors.Join(err, shelf.Close())
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// recorded is what was assembled with the record of what it was made from in the model's metadata. It takes the place of s.
func (s *Assembled) recorded(r *provenance.Record) (*Assembled, error) {
	m, err := provenance.Attach(s.Model, *r)
	_ = s.Model.Close() // which only shares the maps of the original
	next := *s
	next.Model = m
	return &next, err
}

// close releases the model, which only shares the maps of the original.
func (s *Assembled) close() {
	if s == nil {
		return
	}
	for _, m := range []*onnxio.Model{s.Model, s.open} {
		if m != nil {
			_ = m.Close()
		}
	}
}

// chains makes the chains of a choice, site by site side by side.
func (c *Choice) chains(ctx context.Context, env *Environment, a *Analysis, on *shelf) ([]decomp.Chain, error) {
	chains := make([]decomp.Chain, len(c.picks))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(env.Threads)
	for i, p := range c.picks {
		if p.method == nil {
			continue
		}
		workers.Go(func() error {
			of := c.factored()
			o := of.sites[i].seen
			leave, err := of.store.space.enter(ctx, o.site.Kernel)
			if err == nil {
				chains[i], err = of.store.chain(o, p)
				leave()
			}
			if err == nil {
				chains[i], err = on.Chain(chains[i])
			}
			if err != nil {
				return fmt.Errorf("%s: node %q: %s at rank %v: %w", a.model.Path, o.site.Name, p.method.Name, p.rank, err)
			}
			return nil
		})
	}
	return chains, workers.Wait()
}

// refit solves the chains anew.
func (s *Assembled) refit(ctx context.Context, st *stage, a *Analysis, o Options, on *shelf) error {
	lib, err := st.env.need("a refit")
	if err != nil {
		return err
	}
	choices := make([]refit.Choice, len(s.Chains))
	for i, at := range s.on.of.sites {
		choices[i] = refit.Choice{Site: at.site, Chain: s.Chains[i], Narrow: s.narrow[i], Output: at.seen.output, Stays: s.stays(i), Felt: at.felt}
		if m := s.Choice.picks[i].method; m != nil {
			choices[i].Method = *m
		}
		switch {
		case len(s.on.silent(&at.site)) > 0:
			choices[i].Left = "it computes less, and no site reads that: products with what another computes do"
		case at.pulled:
			choices[i].Left = "what is felt of its outputs is known at its inputs alone, since it has too many of them"
		}
	}
	bounded := slices.ContainsFunc(s.Choice.Bounds, func(t Target) bool { return t.Resource != MACs })
	how := refit.Options{Batch: a.batch(o), Threads: st.env.Threads, Memory: o.Memory, Backend: st.env.Algebra, Grow: !bounded, Progress: st.told, Away: on}
	kept, err := o.keeper.refitting(ctx, choices, &how)
	if err != nil {
		return err
	}
	src, err := o.front(a.given)
	if err != nil {
		return err
	}
	r, err := refit.Run(ctx, lib, a.model, choices, src, a.Calibrate, how)
	s.kept = kept
	err = errors.Join(err, kept.flush())
	cut, few := (*refit.CutError)(nil), (*refit.TooFewError)(nil)
	if errors.As(err, &cut) || errors.As(err, &few) {
		s.Refit = &RefitSummary{Skipped: err.Error()}
		return nil
	}
	if err != nil {
		return err
	}
	s.Refit = &RefitSummary{Fit: r.Fit, Held: r.Held}
	for i, site := range r.Sites {
		s.Chains[i] = site.Chain
		s.Refits = append(s.Refits, Refit{Kept: site.Kept, Before: site.Before, After: site.After, Why: site.Why})
		if site.Kept {
			s.Refit.Kept++
		}
	}
	return nil
}

// rewrite builds the new model, counts anew what it needs, and makes compound operators of what they still consist of.
func (s *Assembled) rewrite(env *Environment, a *Analysis, o Options, on *shelf) (err error) {
	if err = s.build(env, a, on); err != nil {
		return fmt.Errorf("%s: %w", a.model.Path, err)
	}
	concrete, _ := shapes.InputShapes(s.Model, a.inputs)
	s.Costs = a.bodies.run(s.Model, rewrite.MeasureCosts(s.Model, shapes.InferSeen(s.Model, concrete, rewrite.NarrowedValues(a.seen, s.on.list))))
	if s.Model, err = a.compact.Collapse(s.Model); err != nil {
		return err
	}
	if err = s.shut(a); err != nil {
		return err
	}
	s.Targets, err = a.reached(s.Costs, o.Targets, s.Choice)
	return err
}

// shut puts what has changed back into the bodies that it lay open of.
func (s *Assembled) shut(a *Analysis) error {
	if a.bodies.open == nil {
		return nil
	}
	s.open = s.Model
	s.Model = a.bodies.open.Close(s.open)
	if err := s.Model.Check(); err != nil {
		return fmt.Errorf("putting nodes back into bodies: %w", err)
	}
	s.Costs.Params, s.Costs.Bytes = rewrite.Stored(s.Model)
	return nil
}

// build makes the model: narrower, with folds, and then with the chains of what is left.
func (s *Assembled) build(env *Environment, a *Analysis, on *shelf) error {
	if len(s.Narrowed) == 0 {
		return s.replace(env, a, s.Chains, on)
	}
	small, err := rewrite.Narrow(a.model, s.on.list, s.folds())
	if err != nil {
		return err
	}
	if s.Choice.at == nil {
		s.Model = small
		return nil
	}
	beside, err := a.beside(small, s.on.list)
	if err == nil {
		err = s.replace(env, beside, s.left(), on)
	}
	return errors.Join(err, small.Close())
}

// replace builds the model with chains.
func (s *Assembled) replace(env *Environment, a *Analysis, chains []decomp.Chain, on *shelf) error {
	applied, patches, err := a.replace(chains, on)
	if err != nil {
		return err
	}
	inputs, _ := shapes.InputShapes(applied, a.inputs)
	if a.apart {
		if s.Model, err = once(applied, a.model); err != nil {
			return errors.Join(err, applied.Close())
		}
		return nil
	}
	merged, list, err := rewrite.Merge(applied, rewrite.MergeOptions{Inputs: inputs, Patches: patches, Sites: a.Sites, Backend: env.Algebra})
	if err = errors.Join(err, applied.Close()); err != nil {
		return err
	}
	s.Model = merged
	for _, n := range list {
		s.Merged = append(s.Merged, MergedNodes{First: n.First, Second: n.Second, Node: n.Name, Params: n.Params, MACs: n.MACs})
	}
	return nil
}

// replace builds the model in which each site is its chain; nil leaves it alone. The new weights lie on the shelf.
func (a *Analysis) replace(chains []decomp.Chain, on *shelf) (*onnxio.Model, []rewrite.Patch, error) {
	names := graph.NewNameSet(a.model)
	var patches []rewrite.Patch
	for i, chain := range chains {
		if chain == nil {
			continue
		}
		p, err := rewrite.Replace(a.model, &a.Sites[i], chain, names)
		if err != nil {
			return nil, nil, err
		}
		if p.Weights, err = on.Tensors(p.Weights); err != nil {
			return nil, nil, err
		}
		patches = append(patches, p)
	}
	applied, err := rewrite.Apply(a.model, patches, rewrite.ApplyOptions{})
	return applied, patches, err
}

// reached holds what a rewritten model needs against the targets. One that the choice met and
// the model does not is a fault of ours, and nothing is written.
func (a *Analysis) reached(costs rewrite.Costs, targets []Target, c *Choice) ([]Reached, error) {
	out := []Reached{}
	for _, t := range targets {
		r := Reached{Target: t, Limit: t.Limit(a.need(t.Resource)), Original: a.need(t.Resource)}
		switch t.Resource {
		case Bytes: // which only the written file tells
		case RunTime:
			r.Reached = a.foreseen(c)
		default:
			r.Reached = count(costs, t.Resource)
		}
		// A bound on the time was scaled where models took another time than was foretold.
		if t.Resource != RunTime && float64(r.Reached) > r.Limit {
			return nil, fmt.Errorf("the rewritten model needs %d %s, the plan allowed %.0f; please report this", r.Reached, t.Resource, r.Limit)
		}
		out = append(out, r)
	}
	return out, nil
}

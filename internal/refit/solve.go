package refit

import (
	"context"
	"errors"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// ridges are the shares of the mean diagonal of Σ that λ is tried at. At +Inf the weights stay, and are split anew under
// the moments of the inputs as they are now.
func ridges() []float64 { return []float64{1e-4, 1e-3, 1e-2, 1e-1, 1, math.Inf(1)} }

// candidate is one way to fit a site.
type candidate struct {
	fit   bool // whether factors are made anew; else only the shift is
	ridge float64
	short bool // whether the target is both
}

// solve tries all candidates on the samples held out, and leaves the best in out.
func (w *walk) solve(ctx context.Context, st *stop, out *Outcome) error {
	p, err := w.problem(st)
	if err != nil {
		return err
	}
	fit, held := st.sums.means(0), st.sums.means(1)
	if fit.n == 0 || held.n == 0 {
		out.Why = "it saw too few samples"
		return nil
	}
	for _, f := range []facts{fit, held} {
		for g := range f.xx {
			if err := errors.Join(f.xx[g].Check(), f.both.ex[g].Check(), held.ee[g].Check()); err != nil {
				out.Why = fmt.Sprintf("what it reads or is short of is not finite: %v", err)
				return nil
			}
		}
	}
	judged, list, err := w.begun(ctx, st, p, fit, held)
	if err != nil {
		return err
	}
	before, energy := p.left(judged.start, shiftOf(st.choice.Chain)), judged.energy
	out.Before, out.After = before/energy, before/energy
	if !(before > negligible*energy) {
		return nil
	}
	after, chains, err := w.try(ctx, st, p, fit, judged, list)
	if err != nil {
		return err
	}
	best := 0
	for i, v := range after {
		if v < after[best] {
			best = i
		}
	}
	if !(after[best] < before) {
		return nil
	}
	all := w.together(st, fit, held)
	fit, held, judged = facts{}, facts{}, nil
	chain, err := p.from(chains[best]).fit(ctx, all, list[best])
	if unsolvable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	out.Chain, out.Kept, out.After = chain, true, after[best]/energy
	out.Shortcut, out.Ridge = list[best].short, list[best].ridge
	return nil
}

// begun finds, side by side, what chains are judged by and the candidates that are worth their factors.
func (w *walk) begun(ctx context.Context, st *stop, p *problem, fit, held facts) (judged *judgement, list []candidate, err error) {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(w.solvers(st))
	group.Go(func() error {
		return linalg.Until(within, p.backend, func(b linalg.Backend) error {
			q := *p
			q.backend = b
			var err error
			judged, err = q.judgement(held)
			return err
		})
	})
	group.Go(func() error {
		var err error
		list, err = w.shortlist(within, st, p, fit, held, p.candidates(st.sums.short))
		return err
	})
	err = group.Wait()
	return judged, list, err
}

// shiftOf is the shift of a chain, nil where there is none.
func shiftOf(c decomp.Chain) []float64 {
	if c == nil {
		return nil
	}
	return c[len(c)-1].Shift
}

// together merges what a site was judged by. Where the next site does not read the same columns, nothing else holds the moments of the
// parts any more.
func (w *walk) together(st *stop, fit, held facts) facts {
	inputs := st.sums.inputs
	if next := st.k + 1; next < len(w.order) {
		if c := &w.choices[w.order[next]]; inputs.match(&c.Site, c.Felt) {
			return merge(fit, held, true)
		}
	}
	inputs.done = [2]*inputFacts{}
	return merge(fit, held, false)
}

// try returns what each candidate, fitted on the one part of the samples, leaves of the errors on the other, +Inf
// for one that cannot be solved for; and what they are.
func (w *walk) try(ctx context.Context, st *stop, p *problem, fit facts, judged *judgement, list []candidate) (after []float64, chains []decomp.Chain, err error) {
	after, chains = make([]float64, len(list)), make([]decomp.Chain, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.solvers(st))
	for i, c := range list {
		group.Go(func() error {
			after[i] = math.Inf(1)
			chain, err := p.fit(ctx, fit, c)
			if unsolvable(err) {
				return nil // the ridge may be too small for rounding
			}
			if err == nil {
				chains[i] = chain
				after[i], err = p.tried(judged, c, chain)
			}
			return errors.Join(err, ctx.Err())
		})
	}
	return after, chains, group.Wait()
}

// tried judges the chain of a candidate. That of one that only shifts the output is the one that there was.
func (p *problem) tried(judged *judgement, c candidate, chain decomp.Chain) (float64, error) {
	if !c.fit {
		return p.left(judged.start, shiftOf(chain)), nil
	}
	return p.judge(judged, chain)
}

// unsolvable tells whether an error says that a candidate's numbers have no answer.
func unsolvable(err error) bool {
	var numerical *linalg.NumericalError
	var refused *decomp.RefusedError
	var broken *rewrite.NotFiniteError
	return errors.As(err, &numerical) || errors.As(err, &refused) || errors.As(err, &broken)
}

// negligible is the share of the output's variance below which an error is not worth a refit.
const negligible = 1e-12

// solvers is how many candidates fit into memory side by side.
func (w *walk) solvers(st *stop) int {
	one := max(w.needs(st.site)/5, 1)
	return int(max(1, min(int64(w.o.Threads), (w.o.Memory/2-3*one)/(2*one))))
}

func (w *walk) problem(st *stop) (*problem, error) {
	kernel, err := st.site.Load()
	if err != nil {
		return nil, err
	}
	p := &problem{backend: w.o.Backend, choice: st.choice, kernel: kernel, base: kernel.Weights, g: st.choice.felt()}
	if n := st.choice.Narrow; n != nil {
		p.base, p.columns = n.Fold.Weights, kernel.Columns(0, n.In)
	}
	switch st.site.Bias() {
	case rewrite.BiasFree:
		p.shift = true
	case rewrite.BiasGrows:
		p.shift = w.o.Grow
	}
	p.metric.Out = p.g
	if n := st.choice.Narrow; n != nil && p.weight(0) != nil {
		p.metric.Out = []*linalg.Matrix{p.g[0].Some(n.Out, n.Out)}
	}
	p.metric = p.metric.Remembering()
	return p, nil
}

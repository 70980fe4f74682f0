package compress

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/refit"
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

// assemble makes the chains of the plan, and solves them anew, site by site, on
// what the compressed model really feeds them.
func (j *job) assemble(ctx context.Context) error {
	factored := slices.ContainsFunc(j.chosen, func(c option) bool { return c.method != nil })
	if err := j.makeChains(ctx); err != nil {
		return err
	}
	if !factored || j.opts.NoRefit || j.opts.Source == nil {
		return nil
	}
	return j.stage(ctx, "refit", func() error { return j.refit(ctx) })
}

// makeChains makes the chains of the plan, site by site side by side.
func (j *job) makeChains(ctx context.Context) error {
	j.chains = make([]decomp.Chain, len(j.chosen))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(j.opts.Threads)
	for i, c := range j.chosen {
		if c.method == nil {
			continue
		}
		workers.Go(func() error {
			err := ctx.Err()
			if err == nil {
				j.chains[i], err = j.chain(j.offers[i], c)
			}
			if err != nil {
				return j.at(i, err)
			}
			return nil
		})
	}
	return workers.Wait()
}

func (j *job) refit(ctx context.Context) error {
	lib, err := j.libs.Need("a refit")
	if err != nil {
		return err
	}
	choices := make([]refit.Choice, len(j.offers))
	for i, o := range j.offers {
		choices[i] = refit.Choice{Site: o.site, Chain: j.chains[i], Output: o.output, Felt: o.felt}
		if m := j.chosen[i].method; m != nil {
			choices[i].Method = *m
		}
	}
	bounded := slices.ContainsFunc(j.bounds(), func(t Target) bool { return t.Resource != MACs })
	r, err := refit.Run(ctx, lib, j.model, choices, j.opts.Source, j.calibrate, refit.Options{
		Batch: j.opts.Batch, Threads: j.opts.Threads, Memory: j.opts.Memory, Backend: j.libs.Algebra, Grow: !bounded,
		Progress: func(done, total int) { j.opts.Progress(j.named("refit"), done, total) },
	})
	cut, few := (*refit.CutError)(nil), (*refit.TooFewError)(nil)
	if errors.As(err, &cut) || errors.As(err, &few) {
		j.result.Refit = &RefitSummary{Skipped: err.Error()}
		return nil
	}
	if err != nil {
		return err
	}
	j.result.Refit = &RefitSummary{Fit: r.Fit, Held: r.Held}
	for i, s := range r.Sites {
		j.chains[i] = s.Chain
		j.result.Sites[i].Refit = &Refit{Kept: s.Kept, Before: s.Before, After: s.After, Why: s.Why}
		if s.Kept {
			j.result.Refit.Kept++
		}
	}
	return nil
}

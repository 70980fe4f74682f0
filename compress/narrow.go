package compress

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// narrowings are the axes of a choice that lose units.
func (c *Choice) narrowings() []rewrite.Narrowing {
	var out []rewrite.Narrowing
	for i, k := range c.widths {
		if o := &c.Offers.axes[i]; k < o.axis.Units {
			out = append(out, rewrite.Narrowing{Axis: o.axis, Keep: o.kept(k)})
		}
	}
	return out
}

// folds are what the readers of narrowed axes become.
func (of *Offers) folds(ctx context.Context, env *Environment, a *Analysis, list []rewrite.Narrowing) (map[string]rewrite.Fold, error) {
	out := map[string]rewrite.Fold{}
	var mu sync.Mutex
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(env.Threads)
	for site := range of.sites {
		reads := func(p rewrite.Port) bool { return p.Site.Node == of.sites[site].site.Node }
		if !slices.ContainsFunc(list, func(n rewrite.Narrowing) bool { return slices.ContainsFunc(n.Axis.Readers, reads) }) {
			continue
		}
		workers.Go(func() error {
			s := of.sites[site].seen
			fold, err := of.fold(ctx, s, rewrite.Left(&s.site, list))
			if err != nil {
				return fmt.Errorf("%s: node %q: making up for units that left: %w", a.model.Path, s.site.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[s.site.Name] = fold
			return nil
		})
	}
	return out, workers.Wait()
}

// fold is what a site becomes that keeps some of its input channels: the least squares over all axes that it reads, as an
// elimination of two units, what stays and what goes.
func (of *Offers) fold(ctx context.Context, s *seen, left []int) (rewrite.Fold, error) {
	leave, err := of.store.space.take(ctx, eliminationBytes(&s.site))
	if err != nil {
		return rewrite.Fold{}, err
	}
	defer leave()
	kernel, metric, err := of.store.of(s)
	if err != nil {
		return rewrite.Fold{}, err
	}
	parts := [][]int{left, nil}
	for c := range kernel.In {
		if _, stays := slices.BinarySearch(left, c); !stays {
			parts[1] = append(parts[1], c)
		}
	}
	e, err := decomp.EliminateInOrder(of.store.algebra, []int{0, 1}, []decomp.Reader{{Kernel: kernel, Metric: metric, Scale: 1, Channels: parts}})
	if err != nil {
		return rewrite.Fold{}, err
	}
	var out rewrite.Fold
	if out.Kernel, err = e.Fold(1, 0); err != nil || s.mean == nil {
		return out, err
	}
	out.Shift, err = e.BiasShift(1, 0, out.Kernel, s.mean)
	return out, err
}

// fold puts the folds of the readers of narrowed axes in the sites' places, as single factors with zeros for what goes.
func (s *Assembled) fold(ctx context.Context, env *Environment, a *Analysis, on *shelf) error {
	if len(s.Narrowed) == 0 {
		return nil
	}
	folds, err := s.Choice.Offers.folds(ctx, env, a, s.Narrowed)
	if err != nil {
		return err
	}
	for i := range s.Chains {
		site := &s.Choice.Offers.sites[i].site
		fold, reads := folds[site.Name]
		if !reads {
			continue
		}
		whole := fold.Kernel.Among(site.Kernel, rewrite.Left(site, s.Narrowed))
		factor := decomp.Factor{Part: "fold", Kernel: whole, Axes: slices.Repeat([]bool{true}, len(whole.Window)), Shift: fold.Shift}
		if s.Chains[i], err = on.chain(decomp.Chain{factor}); err != nil {
			return err
		}
	}
	return nil
}

// folds are the chains of sites without what goes, as they are written.
func (s *Assembled) folds() map[string]rewrite.Fold {
	out := map[string]rewrite.Fold{}
	for i, chain := range s.Chains {
		if chain == nil {
			continue
		}
		site := &s.Choice.Offers.sites[i].site
		kernel := chain[0].Kernel
		if left := rewrite.Left(site, s.Narrowed); len(left) < kernel.In {
			kernel = kernel.Some(left)
		}
		out[site.Name] = rewrite.Fold{Kernel: kernel, Shift: chain[0].Shift, Site: site}
	}
	return out
}

// felt weighs errors of a site's outputs, of those alone that stay: nil for what the refit takes by itself.
func (s *Assembled) felt(i int) []*linalg.Matrix {
	o := s.Choice.Offers.sites[i].seen
	stays := rewrite.LeftOut(&o.site, s.Narrowed)
	if len(stays) == o.site.Kernel.Out || o.site.Kernel.Groups > 1 || o.pulled {
		return o.output
	}
	whole := o.output
	if whole == nil {
		whole = o.site.OutputMetric()
	}
	rows := o.site.Kernel.Rows()
	out := linalg.New(rows, rows)
	for _, r := range stays {
		for _, c := range stays {
			if whole != nil {
				out.Set(r, c, whole[0].At(r, c))
			} else if r == c {
				out.Set(r, c, 1)
			}
		}
	}
	return []*linalg.Matrix{out}
}

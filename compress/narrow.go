package compress

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/refit"
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

// widen gives the sites of narrower axes chains of their whole shape, with zeros for what goes: the folds of readers as single
// factors, and the chains of what is left.
func (s *Assembled) widen(ctx context.Context, env *Environment, on *shelf) error {
	s.narrow = make([]*refit.Narrow, len(s.Chains))
	if len(s.Narrowed) == 0 {
		return nil
	}
	folds, err := s.on.of.folds(ctx, env, s.on.a, s.on.list)
	if err != nil {
		return err
	}
	for i, chain := range s.Chains {
		site := &s.on.of.sites[i].site
		left := restOf(site, s.on.list)
		fold, reads := folds[site.Name]
		silent := s.on.silent(site)
		if !reads && len(silent) == 0 && (chain == nil || !left.cutsOut()) {
			continue
		}
		var whole decomp.Kernel
		if reads {
			whole = fold.Kernel.Among(site.Kernel, left.in)
		} else if whole, err = site.Load(); err != nil {
			return err
		}
		for _, c := range silent {
			clear(whole.Weights[c*whole.Cols():][:whole.Cols()])
		}
		fold.Shift = silenced(site, fold.Shift, silent)
		single, err := on.Chain(decomp.Chain{{Part: "fold", Kernel: whole, Axes: slices.Repeat([]bool{true}, len(whole.Window)), Shift: fold.Shift}})
		if err != nil {
			return err
		}
		s.narrow[i] = &refit.Narrow{In: left.in, Out: left.out, Fold: single[0].Kernel}
		if chain == nil {
			s.Chains[i] = single
			continue
		}
		wide := chain.Among(site.Kernel, left.in, left.out)
		for o, v := range fold.Shift { // a chain makes up for what it loses of the fold
			wide[len(wide)-1].Shift[o] += v
		}
		if s.Chains[i], err = on.Chain(wide); err != nil {
			return err
		}
	}
	return nil
}

// folds are the chains of sites that are no chains of a method without what goes, as they are written.
func (s *Assembled) folds() map[string]rewrite.Fold {
	out := map[string]rewrite.Fold{}
	for i, chain := range s.Chains {
		if chain == nil || s.Choice.picks[i].method != nil {
			continue
		}
		site := &s.on.of.sites[i].site
		kernel := chain[0].Kernel
		if left := rewrite.Left(site, s.on.list); len(left) < kernel.In {
			kernel = kernel.Some(left)
		}
		out[site.Name] = rewrite.Fold{Kernel: kernel, Shift: chain[0].Shift, Site: site}
	}
	return out
}

// left are the chains of a method without what goes.
func (s *Assembled) left() []decomp.Chain {
	out := make([]decomp.Chain, len(s.Chains))
	for i, chain := range s.Chains {
		if s.Choice.picks[i].method == nil {
			continue
		}
		if out[i] = chain; s.narrow[i] != nil {
			out[i] = chain.Some(s.narrow[i].In, s.narrow[i].Out)
		}
	}
	return out
}

// stays are the output channels of a site that are left of narrower axes; nil for all.
func (s *Assembled) stays(i int) []int {
	o := s.on.of.sites[i].seen
	stays := rewrite.LeftOut(&o.site, s.on.list)
	if len(stays) == o.site.Kernel.Out || o.site.Kernel.Groups > 1 || o.pulled {
		return nil
	}
	return stays
}

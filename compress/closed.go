package compress

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
)

// closing asks what a method in closed form loses at a site, at all ranks at once.
type closing struct {
	site   int
	method *decomp.Method

	floor   decomp.Floor
	refused error // why it has no answer at any rank
}

// closings are the methods in closed form at a site under its metric.
func (a *Analysis) closings(site int, o *offer, metric decomp.Metric) []*closing {
	if o.blind {
		return nil
	}
	var out []*closing
	for i := range a.methods {
		m := &a.methods[i]
		if m.Accepts(o.site.Kernel) == nil && m.Closed != nil && m.Closed(metric) {
			out = append(out, &closing{site: site, method: m})
		}
	}
	return out
}

// floors finds what is asked, side by side, and notes it at the sites.
func (of *Offers) floors(ctx context.Context, st *stage, a *Analysis, all []*closing) error {
	var mu sync.Mutex
	done := 0
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(st.env.Threads)
	for _, c := range all {
		workers.Go(func() error {
			err := ctx.Err()
			if err == nil {
				c.floor, err = of.store.floor(of.sites[c.site].seen, c.method)
			}
			if errors.As(err, new(*decomp.RefusedError)) {
				c.refused, err = err, nil
			}
			if err != nil {
				s := &of.sites[c.site].site
				return fmt.Errorf("%s: node %q (weight %q): %s: %w", a.model.Path, s.Name, s.Weight, c.method.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			st.told("", done, len(all))
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	for _, c := range all {
		o := &of.sites[c.site]
		if o.floors == nil {
			o.floors, o.refused = map[string]decomp.Floor{}, map[string]error{}
		}
		if c.refused == nil {
			o.floors[c.method.Name] = c.floor
			continue
		}
		o.refused[c.method.Name] = c.refused
	}
	return nil
}

// everything answers all that is open.
func (of *Offers) everything(ctx context.Context, env *Environment, a *Analysis) (*Offers, error) {
	var all []*inquiry
	for k := range of.sites {
		for i := range a.methods {
			m := &a.methods[i]
			if open := of.sites[k].openOf(m); len(open) > 0 {
				all = append(all, &inquiry{site: k, method: m, open: open})
			}
		}
	}
	if len(all) == 0 {
		return of, nil
	}
	err := env.stage(ctx, "factor", func(st *stage) (err error) {
		of, err = of.answer(ctx, st, a, all)
		return err
	})
	return of, err
}

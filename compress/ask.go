package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// inquiry asks what some ranks of one method lose at one site.
type inquiry struct {
	site   int
	method *decomp.Method
	open   []option // what is asked for; losses are still to be found

	answered []option // those of open that are not refused, in their order
	dropped  int      // those that the numbers had no answer for
	why      error    // for the first of these
}

// drop leaves out the next n ranks, for which the numbers have no answer.
func (q *inquiry) drop(n int, why error) {
	if q.dropped += n; q.why == nil {
		q.why = why
	}
}

// note says what was dropped, empty for nothing.
func (q *inquiry) note() string {
	if q.dropped == 0 {
		return ""
	}
	return fmt.Sprintf("%s dropped at %d of %d ranks: %v", q.method.Name, q.dropped, len(q.open), q.why)
}

// first asks what the search looks at first at a site: the coarse ranks of every method, or only what a given plan has.
func (a *Analysis) first(of *Offers, site int, o Options) []*inquiry {
	var out []*inquiry
	s := &of.sites[site].site
	for i := range a.methods {
		m := &a.methods[i]
		if m.Accepts(s.Kernel) != nil {
			continue
		}
		var ranks []decomp.Rank
		if o.FromPlan == nil {
			ranks = m.Ranks(s.Kernel, of.multiple(s.Kernel, o))
		} else if p := o.FromPlan.entry(s.Name); p != nil && p.Method == m.Name {
			ranks = []decomp.Rank{p.Rank}
		}
		if q := of.ask(site, m, ranks); q != nil {
			out = append(out, q)
		}
	}
	return out
}

// multiple is what the ranks offered at a kernel are multiples of.
func (of *Offers) multiple(s decomp.Shape, o Options) int {
	if of.AnyRank {
		return 1
	}
	return o.multiple(s)
}

// ask states a question about those of the ranks that are new and save something; nil
// where there are none.
func (of *Offers) ask(site int, m *decomp.Method, ranks []decomp.Rank) *inquiry {
	o := &of.sites[site]
	s, whole := &o.site, dense(&o.site)
	var shift int64
	if o.mean != nil {
		shift = s.ShiftParams()
	}
	if o.blind {
		return nil
	}
	q, twice := &inquiry{site: site, method: m}, map[string]bool{}
	for _, r := range ranks {
		c := option{method: m, rank: r}
		chain, key := m.Factors(s.Kernel, r), c.key()
		if chain == nil || o.asked[key] || twice[key] {
			continue
		}
		twice[key] = true
		c.macs, c.params = s.MACs(chain), s.NewParams(chain)+shift
		if c.macs < whole.macs || c.params < whole.params {
			q.open = append(q.open, c)
		}
	}
	if len(q.open) == 0 {
		return nil
	}
	return q
}

// work estimates how long an inquiry takes, to begin with the longest.
func (of *Offers) work(q *inquiry) float64 {
	k := of.sites[q.site].site.Kernel
	return float64(k.Groups) * float64(k.Rows()) * float64(k.Cols()) * float64(k.Cols()) * float64(len(q.open))
}

// answer finds the losses that are asked for, site by site and method by method side by
// side, and returns the offers that know them.
func (of *Offers) answer(ctx context.Context, st *stage, a *Analysis, questions []*inquiry) (*Offers, error) {
	done, total := st.found, st.found
	for _, q := range questions {
		total += len(q.open)
	}
	var mu sync.Mutex
	progress := func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		st.told("", done, total)
	}
	order := slices.Clone(questions)
	slices.SortStableFunc(order, func(p, q *inquiry) int { return cmp.Compare(of.work(q), of.work(p)) })
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(st.env.Threads)
	for _, q := range order {
		workers.Go(func() error {
			if err := of.find(ctx, q, progress); err != nil {
				s := &of.sites[q.site].site
				return fmt.Errorf("%s: node %q (weight %q): %s%w", a.model.Path, s.Name, s.Weight, q.method.Name, err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return nil, err
	}
	st.found = total
	return of.with(questions), nil
}

// find answers one inquiry. Errors go on where a method's name ends.
func (of *Offers) find(ctx context.Context, q *inquiry, progress func()) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	o := &of.sites[q.site]
	leave, err := of.store.space.enter(ctx, o.site.Kernel)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	defer leave()
	spectrum, err := of.store.spectrum(o.seen, q.method)
	if errors.As(err, new(*decomp.RefusedError)) {
		q.drop(len(q.open), err)
		return nil
	}
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	for _, c := range q.open {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf(" at rank %v: %w", c.rank, err)
		}
		loss, err := spectrum.Loss(c.rank)
		progress()
		if err == nil {
			err = c.judge(loss, o)
		}
		switch {
		case err == nil:
			q.answered = append(q.answered, c)
		case errors.As(err, new(*linalg.NumericalError)):
			q.drop(1, err)
		case !errors.As(err, new(*decomp.RefusedError)):
			return fmt.Errorf(" at rank %v: %w", c.rank, err)
		}
	}
	return nil
}

// judge turns a method's loss into what the search adds up. A loss that is no number is a *linalg.NumericalError.
func (c *option) judge(loss float64, o *offer) error {
	if o.energy > 0 {
		c.share = loss / o.energy
	}
	if c.loss = c.share; o.sensitive {
		c.loss = loss * o.positions * o.ratio
	}
	if !(c.loss >= 0) || math.IsInf(c.loss, 0) {
		return &linalg.NumericalError{What: fmt.Sprintf("the loss %g at rank %v", c.loss, c.rank), Err: linalg.ErrNotFinite}
	}
	return nil
}

package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
	open   []option // what is asked for, whose losses are bounds so far
	bar    *bar     // what they have to be worth; nil where all are wanted

	remain   []int    // those of open that were not come to yet
	answered []option // those of open that are not refused, in their order
	left     []option // those that could not be worth enough any more
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

// bar is what options at a site have to be worth, loss and price together. It falls with what is found.
type bar struct {
	prices []float64 // of each option that is asked for
	least  float64   // of what is known at the site
	slack  float64   // by how much of the least others may be worse, as a share
	gap    float64   // or by how much at all
}

// passes tells whether an option of a loss, or of a bound for it, and a price may be worth to know.
func (b *bar) passes(loss, price float64) bool {
	return loss+price <= max(b.least*(1+b.slack), b.least+b.gap)
}

// first offers what the search looks at first at a site: the coarse ranks of every method, or only what a given plan has.
func (a *Analysis) first(of *Offers, site int, o Options) offer {
	s := &of.sites[site].site
	now := of.sites[site]
	for i := range a.methods {
		m := &a.methods[i]
		if m.Accepts(s.Kernel) != nil {
			continue
		}
		var ranks []decomp.Rank
		if o.FromPlan == nil {
			ranks = m.Ranks(s.Kernel, of.multiple(s.Kernel, o))
		} else if p := o.FromPlan.entry(s.Name); p != nil && p.Method == m.Name && (len(o.FromPlan.Axes) == 0 || len(a.Axes) == 0) {
			ranks = []decomp.Rank{p.Rank}
		}
		now = now.ask(m, ranks)
	}
	return now
}

// multiple is what the ranks offered at a kernel are multiples of.
func (of *Offers) multiple(s decomp.Shape, o Options) int {
	if of.AnyRank {
		return 1
	}
	return o.multiple(s)
}

// ask is the offer with those of the ranks of a method that are new and save something: their losses are known where the method
// has a closed form, else they are open.
func (o offer) ask(m *decomp.Method, ranks []decomp.Rank) offer {
	s, whole := &o.site, dense(&o.site)
	shift := o.shiftParams()
	if o.blind {
		return o
	}
	q := &inquiry{method: m}
	for _, r := range ranks {
		c := option{method: m, rank: r}
		chain, key := m.Factors(s.Kernel, r), c.key()
		if chain == nil || o.asked[key] {
			continue
		}
		c.macs, c.params = s.MACs(chain), s.NewParams(chain)+shift
		if c.macs >= whole.macs && c.params >= whole.params {
			continue
		}
		if len(q.open) == 0 {
			o.asked = cloned(o.asked)
		}
		o.asked[key] = true
		q.open = append(q.open, c)
		if err := o.refused[m.Name]; err != nil {
			q.drop(1, err)
		} else if f, closed := o.floors[m.Name]; !closed || o.eight != nil {
			q.left = append(q.left, o.bounded(c, chain))
		} else if err := c.judge(f.Losses[r[0]], &o); err != nil {
			q.drop(1, err)
		} else {
			q.answered = append(q.answered, c)
		}
	}
	return o.with(q)
}

// cloned is a copy of a set that may be nil.
func cloned(set map[string]bool) map[string]bool {
	out := maps.Clone(set)
	if out == nil {
		out = map[string]bool{}
	}
	return out
}

// bounded is an option with the least loss that its chain can have.
func (o *offer) bounded(c option, chain decomp.Chain) option {
	least := 0.0
	for _, name := range slices.Sorted(maps.Keys(o.floors)) {
		f := o.floors[name]
		least = max(least, f.Least(o.site.Kernel, chain))
	}
	if c.judge(least, o) != nil {
		c.share, c.loss = 0, 0
	}
	for _, known := range o.options {
		c.raise(known)
	}
	return c
}

// work estimates how long an inquiry takes, to begin with the longest.
func (of *Offers) work(q *inquiry) float64 {
	return product(of.sites[q.site].site.Kernel) * float64(len(q.open))
}

// answer finds the losses that are asked for, site by site and method by method side by
// side, and returns the offers that know them.
func (of *Offers) answer(ctx context.Context, st *stage, a *Analysis, questions []*inquiry) (*Offers, error) {
	done, total := st.found, st.found
	for _, q := range questions {
		total += len(q.open)
	}
	var mu sync.Mutex
	progress := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		done += n
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
func (of *Offers) find(ctx context.Context, q *inquiry, progress func(int)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	o := &of.sites[q.site]
	leave, err := of.store.space.enter(ctx, o.site.Kernel)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	defer leave()
	defer of.store.turn(o.seen, q.method)()
	p := &pursuit{of: of, o: o, method: q.method}
	if !p.answered(q.open) {
		if _, err = p.spectrum(); errors.As(err, new(*decomp.RefusedError)) {
			q.drop(len(q.open), err)
			return of.store.found.noteRefused(o.seen, q.method, err)
		}
		if err != nil {
			return fmt.Errorf(": %w", err)
		}
	}
	for {
		i, wanted := q.next()
		if !wanted {
			break
		}
		c := q.open[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf(" at rank %v: %w", c.rank, err)
		}
		err := p.find(&c)
		progress(1)
		switch {
		case err == nil:
			q.found(i, c)
		case errors.As(err, new(*linalg.NumericalError)):
			q.drop(1, err)
		case !errors.As(err, new(*decomp.RefusedError)):
			return fmt.Errorf(" at rank %v: %w", c.rank, err)
		}
	}
	if n := len(q.left); n > 0 {
		progress(n)
	}
	if p.made == nil {
		return nil
	}
	if err := of.store.keep(o.seen, q.method, p.made); err != nil {
		return fmt.Errorf(": %w", err)
	}
	return nil
}

// next numbers the option whose loss is to be found next, and moves what cannot be worth it any more to those left. With a bar it is
// in the middle of what remains by price, so that it bounds the losses of the cheaper ones and its own worth bars the dearer ones.
func (q *inquiry) next() (int, bool) {
	if q.remain == nil {
		q.remain = make([]int, len(q.open))
		for i := range q.remain {
			q.remain[i] = i
		}
		if q.bar != nil {
			slices.SortStableFunc(q.remain, func(i, j int) int { return cmp.Compare(q.bar.prices[i], q.bar.prices[j]) })
		}
	}
	if q.bar != nil {
		q.remain = slices.DeleteFunc(q.remain, func(i int) bool {
			passes := q.bar.passes(q.open[i].loss, q.bar.prices[i])
			if !passes {
				q.left = append(q.left, q.open[i])
			}
			return !passes
		})
	}
	if len(q.remain) == 0 {
		return 0, false
	}
	at := 0
	if q.bar != nil {
		at = len(q.remain) / 2
	}
	i := q.remain[at]
	q.remain = slices.Delete(q.remain, at, at+1)
	return i, true
}

// found notes an option with its loss.
func (q *inquiry) found(i int, c option) {
	q.answered = append(q.answered, c)
	for _, k := range q.remain {
		q.open[k].raise(c)
	}
	if q.bar != nil {
		q.bar.least = min(q.bar.least, c.loss+c.rounding+q.bar.prices[i])
	}
}

// raise raises the bound of an open option to the loss that was found at ranks of the same method none of which is smaller: its own
// factors are among those. Of the method that its own begins with, only the first number counts.
func (c *option) raise(found option) {
	switch {
	case found.method == nil:
		return
	case c.method != found.method:
		if c.method.Basis != found.method.Name || c.rank[0] > found.rank[0] {
			return
		}
	case !within(c.rank, found.rank):
		return
	}
	c.loss, c.share = max(c.loss, found.loss), max(c.share, found.share)
}

// within tells whether no number of a rank is larger than that of another.
func within(r, other decomp.Rank) bool {
	if len(r) != len(other) {
		return false
	}
	for i, n := range r {
		if n > other[i] {
			return false
		}
	}
	return true
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

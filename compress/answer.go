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
)

// inquiry asks what some ranks of one method lose at one site.
type inquiry struct {
	offer  *offer
	method *decomp.Method
	open   []option // what is asked for; losses are still to be found

	spectrum decomp.Spectrum
	answered []option // those of open that are not refused, in their order
}

// begin asks what the search looks at first: the coarse ranks of every method, or only
// what a given plan has.
func (j *job) begin(o *offer) []*inquiry {
	var out []*inquiry
	for i := range j.methods {
		m := &j.methods[i]
		if m.Accepts(o.site.Kernel) != nil {
			continue
		}
		var ranks []decomp.Rank
		if j.opts.FromPlan == nil {
			ranks = m.Ranks(o.site.Kernel, j.multiple(o.site.Kernel))
		} else if p := j.opts.FromPlan.entry(o.site.Name); p != nil && p.Method == m.Name {
			ranks = []decomp.Rank{p.Rank}
		}
		if q := o.ask(m, ranks); q != nil {
			out = append(out, q)
		}
	}
	return out
}

// ask states a question about those of the ranks that are new and save something; nil
// where there are none.
func (o *offer) ask(m *decomp.Method, ranks []decomp.Rank) *inquiry {
	if o.asked == nil {
		o.asked = map[string]bool{}
	}
	s, whole := &o.site, dense(&o.site)
	var shift int64
	if o.mean != nil {
		shift = s.ShiftParams()
	}
	q := &inquiry{offer: o, method: m}
	for _, r := range ranks {
		c := option{method: m, rank: r}
		chain := m.Factors(s.Kernel, r)
		if chain == nil || o.asked[c.key()] {
			continue
		}
		o.asked[c.key()] = true
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
func (q *inquiry) work() float64 {
	k := q.offer.site.Kernel
	return float64(k.Groups) * float64(k.Rows()) * float64(k.Cols()) * float64(k.Cols()) * float64(len(q.open))
}

// answer finds the losses that are asked for, site by site and method by method side by
// side, as the stage called name, and adds the options to their offers in the order of
// the questions.
func (j *job) answer(ctx context.Context, name string, questions []*inquiry) error {
	done := j.counted
	total := done
	for _, q := range questions {
		total += len(q.open)
	}
	var mu sync.Mutex
	progress := func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		j.opts.Progress(name, done, total)
	}
	order := slices.Clone(questions)
	slices.SortStableFunc(order, func(a, b *inquiry) int { return cmp.Compare(b.work(), a.work()) })
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(j.opts.Threads)
	for _, q := range order {
		workers.Go(func() error {
			if err := j.find(ctx, q, progress); err != nil {
				s := &q.offer.site
				return fmt.Errorf("%s: node %q (weight %q): %s%w", j.model.Path, s.Name, s.Weight, q.method.Name, err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	j.counted = total
	for _, q := range questions {
		q.offer.add(q.answered)
		if j.hold && q.spectrum != nil {
			q.offer.spectra[q.method.Name] = q.spectrum
		}
		q.spectrum = nil
	}
	return nil
}

// find answers one inquiry. Errors go on where a method's name ends.
func (j *job) find(ctx context.Context, q *inquiry, progress func()) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	refused := (*decomp.RefusedError)(nil)
	if q.spectrum, err = j.spectrum(q.offer, q.method); errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	for _, c := range q.open {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf(" at rank %v: %w", c.rank, err)
		}
		loss, err := q.spectrum.Loss(c.rank)
		progress()
		if errors.As(err, &refused) {
			continue
		}
		if err == nil {
			err = c.judge(loss, q.offer)
		}
		if err != nil {
			return fmt.Errorf(" at rank %v: %w", c.rank, err)
		}
		q.answered = append(q.answered, c)
	}
	return nil
}

// judge turns a method's loss into what the search adds up.
func (c *option) judge(loss float64, o *offer) error {
	if o.energy > 0 {
		c.share = loss / o.energy
	}
	if c.loss = c.share; o.sensitive {
		c.loss = loss * o.positions * o.ratio
	}
	if !(c.loss >= 0) || math.IsInf(c.loss, 0) {
		return fmt.Errorf("the loss is %g; want a finite number of at least 0: the weight or its input has numbers out of all proportion; leave the node alone with --keep", c.loss)
	}
	return nil
}

// spectrum returns the site's factorization by a method: the one held, or a new one
// that is its equal. It is for one goroutine at a time.
func (j *job) spectrum(o *offer, m *decomp.Method) (decomp.Spectrum, error) {
	if s, held := o.spectra[m.Name]; held {
		return s, nil
	}
	kernel, err := o.site.Load()
	if err != nil {
		return nil, err
	}
	metric, err := j.metric(o)
	if err != nil {
		return nil, err
	}
	return m.Factor(j.libs.Algebra, kernel, metric)
}

// metric returns by what errors of the site are weighed: what is held, or its equal.
func (j *job) metric(o *offer) (decomp.Metric, error) {
	if o.metric != nil {
		return *o.metric, nil
	}
	seen, err := j.spill.get(o)
	if err != nil {
		return decomp.Metric{}, err
	}
	metric, _ := centres(nil).metric(&o.site, seen)
	return metric, nil
}

// chain returns the factors of an option, with the shift that keeps the mean of
// the site's output where the errors were measured about it.
func (j *job) chain(o *offer, c option) (decomp.Chain, error) {
	spectrum, err := j.spectrum(o, c.method)
	if err != nil {
		return nil, err
	}
	chain, err := spectrum.Chain(c.rank)
	if err != nil || o.mean == nil {
		return chain, err
	}
	kernel, err := o.site.Load()
	if err != nil {
		return nil, err
	}
	chain[len(chain)-1].Shift, err = chain.BiasShift(kernel, o.mean)
	return chain, err
}

package compress

import (
	"context"
	"errors"
	"slices"
)

// What bounds the search for a time.
const (
	// corrections is how often a choice is made again whose model took another time than was foretold.
	corrections = 3
	// hasty is by how much, as a share, a model may be faster than its target before more time is allowed: accuracy was given away.
	hasty = 0.03
	// filled is by how much, as a share, what is foretold of a model may lie below the bound and still be held down by it, and not by
	// another.
	filled = 0.1
)

// Attempt is a model that was timed to find one as fast as its target: all are shares of the original's time.
type Attempt struct {
	// Bound is what the search was allowed, Foretold what the table says of the model, and Measured what it took.
	Bound    float64 `json:"bound"`
	Foretold float64 `json:"foretold"`
	Measured float64 `json:"measured"`
}

// pace looks for the bound on foretold times whose model takes, measured, what the target allows.
type pace struct {
	target Target
	least  bool // the fastest is looked for that meets goals, so that none is too fast
	tries  []paced
}

// paced is a model that was timed, under a bound that was scaled by share.
type paced struct {
	found
	share float64
	// limit is what the target allows, as a share of the original's time, at most 1, and bound what the search did.
	limit, bound float64
}

// time is what the model takes as a share of the original's time; 0 where that is not known, or not to be held against a target.
func (t *paced) time() float64 {
	if l := t.model.Latency; l.Skipped == "" && l.Foretold.Elsewhere == "" {
		return 1 / l.Speed
	}
	return 0
}

// late tells whether a model takes too long beyond doubt: by three quarters of the turns.
func (t *paced) late() bool {
	return t.time() > 0 && 1/t.model.Latency.High > t.limit*(1+tolerated)
}

// over tells whether it takes too long by the median of the turns, which is reason enough to look for another.
func (t *paced) over() bool { return t.time() > t.limit*(1+tolerated) }

// early tells whether it is faster than it need be, for no other reason than that this was not foretold.
func (t *paced) early() bool {
	l := t.model.Latency
	return t.time() > 0 && t.limit < 1 && t.time() < t.limit*(1-hasty) && l.Foretold.After/l.Foretold.Before > t.bound*(1-filled)
}

// better tells whether a model is rather delivered than another: of those that take no longer than they may the slowest, else the
// fastest.
func (t *paced) better(than *paced) bool {
	in, other := !t.over(), !than.over()
	if in != other {
		return in
	}
	return in == (t.time() > than.time())
}

// timely finds models as find does, times them, and begins again with another bound on the time where the last took too long, or gave
// away accuracy for a time that nobody asked for. Of those found it gives the slowest that is within the target.
func (w *work) timely(ctx context.Context, start *Choice) (found, error) {
	if w.o.latency() == nil {
		return w.find(ctx, start, func(*Assembled) error { return nil })
	}
	p := pace{target: *w.o.latency(), least: len(w.o.Goals) > 0}
	for share, more := 1.0, true; more; share, more = p.next() {
		if len(w.o.Goals) == 0 { // whose search counts its models
			w.env.outlook.build()
		}
		one := *w
		one.share = share
		f, err := one.find(ctx, start, func(s *Assembled) error { return one.timed(ctx, s) })
		if unmet := errors.As(err, new(*UnmetError)) || errors.As(err, new(*UnmetGoalError)); unmet && len(p.tries) > 0 {
			break // with no less time than was tried
		}
		if err != nil {
			p.closeAll(nil)
			return f, err
		}
		p.add(f, share)
		if w.o.FromPlan != nil {
			break
		}
		start = &Choice{Offers: f.last.Offers, Spare: f.last.Spare}
	}
	return p.end()
}

// timed writes a model beside its place, and times it there.
func (w *work) timed(ctx context.Context, s *Assembled) error {
	return w.env.stage(ctx, "time", func(*stage) error {
		staged, err := sealed(ctx, s.Model, w.place)
		if err != nil {
			return err
		}
		defer staged.Discard()
		if _, err := weighed(s.Targets, staged.Path()); err != nil {
			return err
		}
		s.Latency, err = s.clock(ctx, w.env, w.a, w.o, staged.Path())
		return err
	})
}

// add notes a model that was found and timed.
func (p *pace) add(f found, share float64) {
	l, limit := f.model.Latency, p.target.Value
	if !p.target.Fraction && l.Skipped == "" {
		limit = p.target.Value / 1e6 / l.Before
	}
	t := paced{found: f, share: share, limit: min(limit, 1)}
	if l.Foretold != nil {
		t.bound = share * p.target.share(l)
	}
	p.tries = append(p.tries, t)
}

// next is by what the bound is to be scaled, and false where the last model is as fast as it should be, or nothing else may come of
// another search.
func (p *pace) next() (float64, bool) {
	last := &p.tries[len(p.tries)-1]
	if len(p.tries) > corrections || !last.over() && (p.least || !last.early()) {
		return 0, false
	}
	var slow, fast *paced // the closest to the target on either side
	for i := range p.tries {
		t := &p.tries[i]
		if t != last && t.model.Choice.alike(last.model.Choice) {
			return 0, false // another bound, and the same model
		}
		switch {
		case t.over() && (slow == nil || t.share < slow.share):
			slow = t
		case !t.over() && (fast == nil || t.share > fast.share):
			fast = t
		}
	}
	if slow == nil || fast == nil {
		return last.share * last.limit / last.time(), true
	}
	if !(fast.share < slow.share) || !(fast.time() < slow.time()) {
		return 0, false
	}
	at := (last.limit - fast.time()) / (slow.time() - fast.time())
	return fast.share + min(max(at, 0.1), 0.9)*(slow.share-fast.share), true
}

// alike tells whether two choices give models of the same shapes.
func (c *Choice) alike(d *Choice) bool {
	return slices.Equal(c.widths, d.widths) && slices.EqualFunc(c.picks, d.picks, func(a, b option) bool { return a.same(b) })
}

// end is the best of the models; the others are closed. One that takes too long is a *LateError.
func (p *pace) end() (found, error) {
	best := &p.tries[0]
	for i := range p.tries[1:] {
		if t := &p.tries[1+i]; t.better(best) {
			best = t
		}
	}
	if best.late() {
		p.closeAll(nil)
		return best.found, &LateError{Target: p.target, Limit: best.limit, Measured: best.time(), Corrections: len(p.tries) - 1, Int8: best.model.Latency.Int8}
	}
	p.closeAll(best.model)
	l := best.model.Latency
	for i := range p.tries {
		if t := &p.tries[i]; l.Skipped == "" && t.model.Latency.Skipped == "" {
			took := t.model.Latency
			l.Attempts = append(l.Attempts, Attempt{t.bound, took.Foretold.After / took.Foretold.Before, 1 / took.Speed})
		}
	}
	// What is known last is what the choice with most offers knows.
	best.last = p.tries[len(p.tries)-1].last
	return best.found, nil
}

// share is a target of time as a share of what the original takes, as a table foretells it.
func (t Target) share(l *Latency) float64 {
	if t.Fraction {
		return t.Value
	}
	return t.Value / 1e6 / l.Foretold.Before
}

// closeAll closes the models but one.
func (p *pace) closeAll(but *Assembled) {
	for i := range p.tries {
		if m := p.tries[i].model; m != but {
			m.close()
		}
	}
}

// scaled are bounds with that on the time scaled by a share; 0 leaves it.
func scaled(list []Target, share float64) []Target {
	if share == 0 {
		return list
	}
	out := slices.Clone(list)
	for i := range out {
		if out[i].Resource == RunTime {
			out[i].Value *= share
		}
	}
	return out
}

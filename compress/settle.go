package compress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/search"
)

// settle chooses among what is known, and finds the losses of those open rungs that could be worth choosing: at the prices of a
// choice, loss and price together, one that could lose little enough to be better than what is known at its site, or worse by
// no more than slack, as a share (none of it at heavy sites); or by no more than the choice may lie above the best, which is all that a better choice
// among whole models can give up at one site. What is found lowers the prices, and it chooses again, until nothing open could be worth
// it: the choice is then the one that finding everything would have led to.
func (q *quest) settle(ctx context.Context, st *stage, of *Offers, slack float64) (standing, error) {
	for {
		s, err := q.stand(of)
		if err != nil {
			return s, err
		}
		var asked []*inquiry
		if s.unmet != nil {
			asked, err = q.within(&s)
		} else {
			asked = q.promising(&s, slack)
		}
		if err != nil || len(asked) == 0 {
			return s, err
		}
		if of, err = of.answer(ctx, st, q.a, asked); err != nil {
			return s, err
		}
	}
}

// promising asks for the open rungs that may be worth choosing, of the first method that has any at a site: those after it
// take longer, and may not be worth it any more when that is known.
func (q *quest) promising(s *standing, slack float64) []*inquiry {
	prices := s.prices()
	if prices == nil {
		return nil
	}
	var out []*inquiry
	margin := q.margin(s)
	for i := range s.ladders {
		l := &s.ladders[i]
		if len(l.open) == 0 {
			continue
		}
		b := bar{least: math.Inf(1), slack: l.afford(slack), gap: s.plan.Loss - s.plan.Bound}
		for _, r := range s.stated[i].Rungs {
			b.least = min(b.least, r.Reduced(prices))
		}
		for _, m := range q.a.inTurn() {
			if rungs, price := q.passing(l, i, m, prices, b, margin); len(rungs) > 0 {
				out = append(out, l.inquiries(rungs, price, b)...)
				break
			}
		}
	}
	return out
}

// passing are the open rungs of a method at ladder i that pass its bar, with their prices, by rising price: of those that no better choice can
// have, one at most, and that where nothing of the method is known, so that there is something to look around.
func (q *quest) passing(l *ladder, i int, m *decomp.Method, prices []float64, b bar, within *margin) (rungs [][]option, price []float64) {
	var idle []option
	var idlePrice float64
	for _, rung := range l.open {
		r := l.stated(rung, q.bounds)
		p := r.Reduced(prices) - r.Loss
		if rung[0].method != m || !b.passes(r.Loss, p) {
			continue
		}
		switch fits, helps := within.fits(i, r), within.helps(i, r); {
		case fits && helps:
			rungs, price = append(rungs, rung), append(price, p)
		case idle == nil || fits == (p > idlePrice): // the dearest of those that fit and do not help, else the cheapest
			idle, idlePrice = rung, p
		}
	}
	known := slices.ContainsFunc(l.rungs, func(rung []option) bool { return rung[0].method == m })
	if len(rungs) == 0 && idle != nil && !known {
		return [][]option{idle}, []float64{idlePrice}
	}
	return rungs, price
}

// inTurn are the methods in the order in which they are asked: none before its basis, whose losses are bounds for it.
func (a *Analysis) inTurn() []*decomp.Method {
	var out, later []*decomp.Method
	for i := range a.methods {
		m := &a.methods[i]
		if slices.ContainsFunc(a.methods[i+1:], func(n decomp.Method) bool { return n.Name == m.Basis }) {
			later = append(later, m)
			continue
		}
		out = append(out, m)
		later = slices.DeleteFunc(later, func(n *decomp.Method) bool {
			if n.Basis == m.Name {
				out = append(out, n)
			}
			return n.Basis == m.Name
		})
	}
	return out
}

// inquiries asks for the open options of rungs of one method, site by site. Where there is one site, what is found of it bars
// the rest.
func (l *ladder) inquiries(rungs [][]option, prices []float64, b bar) []*inquiry {
	var out []*inquiry
	for k, site := range l.at {
		q := &inquiry{site: site, method: rungs[0][0].method}
		for _, rung := range rungs {
			if slices.ContainsFunc(l.offers[k].open, rung[k].same) {
				q.open = append(q.open, rung[k])
			}
		}
		if len(l.at) == 1 && prices != nil {
			b.prices = prices
			q.bar = &b
		}
		if len(q.open) > 0 {
			out = append(out, q)
		}
	}
	return out
}

// within asks for the open rungs of a choice that would meet the bounds if nothing lost more than it must. Where there is none, the
// standing says so of all rungs, open ones too.
func (q *quest) within(s *standing) ([]*inquiry, error) {
	all := slices.Clone(s.stated)
	open := false
	for i := range s.ladders {
		l := &s.ladders[i]
		all[i].Rungs = slices.Clone(all[i].Rungs)
		for _, rung := range l.open {
			all[i].Rungs = slices.Insert(all[i].Rungs, 0, l.stated(rung, q.bounds))
			open = true
		}
	}
	if !open {
		return nil, nil
	}
	plan, err := search.Choose(all, q.budgets(s.ladders), search.Options{Method: q.o.Search})
	if unmet := (*search.InfeasibleError)(nil); errors.As(err, &unmet) {
		s.refuse(unmet, q.budgets(s.ladders))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("choosing ranks: %w", err)
	}
	var out []*inquiry
	for i := range s.ladders {
		l := &s.ladders[i]
		if n := len(l.open) - 1 - plan.Rungs[i]; n >= 0 {
			out = append(out, l.inquiries([][]option{l.open[n]}, nil, bar{})...)
		}
	}
	return out, nil
}

package compress

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// What bounds the search for widths and chains together.
const (
	sweeps     = 24   // over all axes and ladders at one price
	bisections = 40   // of the price
	closely    = 1e-3 // as a share, how closely it is found: what is left of the budget is filled, and chains chosen again
	fillings   = 64   // steps that use up what is left of the budget
)

// joint chooses widths of axes and rungs of ladders together. A chain at a site of a narrower model is taken to lose what it does
// beside whole axes: that is no less than what a truncation of the fold loses, whose singular values lie below those of the whole
// kernel one by one, so that the sum is on the safe side. What it costs is exact.
type joint struct {
	*weaving
	ladders []ladder
	stated  []search.Ladder
	touch   [][]int // by axis, the ladders whose costs it changes
	shapes  []shaped
	cells   []map[[3]int][]cell // by ladder and shape of its kernel, by rung
}

// point is a choice: a rung of every axis, and one of every ladder.
type point struct {
	widths, rungs []int
	loss          float64
	costs         []float64
}

// jointly prepares the search among what is known.
func (q *quest) jointly(of *Offers) *joint {
	j := &joint{weaving: q.weave(of), ladders: of.ladders(), touch: make([][]int, len(of.axes))}
	j.stated, j.shapes, j.cells = searchLadders(j.ladders, q.bounds), make([]shaped, len(j.ladders)), make([]map[[3]int][]cell, len(j.ladders))
	for l := range j.ladders {
		for _, o := range j.ladders[l].offers {
			by := follows(&o.site, q.a.Axes)
			by = slices.DeleteFunc(by, func(b shapedBy) bool { return of.axes[b.axis].order == nil })
			for _, b := range by {
				j.touch[b.axis] = append(j.touch[b.axis], l)
				j.shapes[l] = shaped{&o.site, append(j.shapes[l].by, b)}
			}
		}
	}
	return j
}

// held is p with its loss and costs; a rung that cannot be had beside the widths becomes the dense one.
func (j *joint) held(p point) point {
	p.costs = j.weaving.costs(p.widths)
	p.loss = j.weaving.loss(p.widths)
	saved := make([]float64, len(j.bounds))
	p.rungs = slices.Clone(p.rungs)
	for l, r := range p.rungs {
		if !j.saves(l, r, p.widths, saved) {
			p.rungs[l] = len(j.ladders[l].rungs) - 1
			continue
		}
		p.loss += j.stated[l].Rungs[r].Loss
		for b := range saved {
			p.costs[b] -= saved[b]
		}
	}
	return p
}

// worth is loss and price together.
func worth(loss float64, costs, prices []float64) float64 {
	for b, c := range costs {
		loss += prices[b] * c
	}
	return loss
}

// settled takes axes and ladders, one after the other, to what is worth most beside the others at given prices, until nothing moves.
func (j *joint) settled(p point, prices []float64, axesFirst bool) point {
	p = point{widths: slices.Clone(p.widths), rungs: slices.Clone(p.rungs)}
	for range sweeps {
		moved := false
		if axesFirst {
			moved = j.moveAxes(&p, prices)
		}
		moved = j.moveLadders(&p, prices) || moved
		if !axesFirst {
			moved = j.moveAxes(&p, prices) || moved
		}
		if !moved {
			break
		}
	}
	return j.held(p)
}

// moveLadders takes every ladder to its best rung.
func (j *joint) moveLadders(p *point, prices []float64) (moved bool) {
	saved := make([]float64, len(prices))
	for l := range j.ladders {
		best, least := p.rungs[l], math.Inf(1)
		for r, rung := range j.stated[l].Rungs {
			if !j.saves(l, r, p.widths, saved) {
				continue
			}
			if v := rung.Loss - worth(0, saved, prices); v < least || v == least && r == p.rungs[l] {
				best, least = r, v
			}
		}
		moved = moved || best != p.rungs[l]
		p.rungs[l] = best
	}
	return moved
}

// moveAxes takes every axis to its best width. What a model costs is a straight line in the width of one axis, but for its time, and
// for what a narrower reader's shift takes.
func (j *joint) moveAxes(p *point, prices []float64) (moved bool) {
	stairs := j.timed()
	for a := range j.widths {
		whole := len(j.widths[a]) - 1
		if whole == 0 {
			continue
		}
		low, high := j.priced(p, a, 0, prices), j.priced(p, a, whole-1, prices)
		from, span := j.widths[a][0], j.widths[a][whole-1]-j.widths[a][0]
		best, least := p.widths[a], math.Inf(1)
		for r, k := range j.widths[a] {
			v := low
			switch {
			case r == whole || stairs:
				v = j.priced(p, a, r, prices)
			case span > 0:
				v += (high - low) * float64(k-from) / float64(span)
			}
			if v += j.losses[a][r]; v < least || v == least && r == p.widths[a] {
				best, least = r, v
			}
		}
		moved = moved || best != p.widths[a]
		p.widths[a] = best
	}
	return moved
}

// priced is the price of the model with one axis at a rung, but for what that axis leaves alone.
func (j *joint) priced(p *point, axis, rung int, prices []float64) float64 {
	at := slices.Clone(p.widths)
	at[axis] = rung
	price := worth(0, j.weaving.costs(at), prices)
	saved := make([]float64, len(prices))
	for _, l := range j.touch[axis] {
		if j.saves(l, p.rungs[l], at, saved) {
			price -= worth(0, saved, prices)
		}
	}
	return price
}

// whole is everything as it is.
func (j *joint) whole() point {
	p := point{widths: make([]int, len(j.widths)), rungs: make([]int, len(j.ladders))}
	for a := range p.widths {
		p.widths[a] = len(j.widths[a]) - 1
	}
	for l := range p.rungs {
		p.rungs[l] = len(j.ladders[l].rungs) - 1
	}
	return j.held(p)
}

// choose returns the best points within the limits that it finds, of chains alone, of widths alone, and of both at one price of what is
// bounded, that of least loss first and none with the widths of another. Where none is within them it returns the one that comes
// closest, and false.
func (j *joint) choose() ([]point, bool, error) {
	var found []point
	for _, alone := range []func() (point, error){j.chains, j.narrowed} {
		p, err := alone()
		if err == nil {
			found = append(found, p)
		} else if !errors.As(err, new(*search.InfeasibleError)) {
			return nil, false, err
		}
	}
	p, within := j.together(found)
	if within {
		found = append(found, j.filled(p))
	}
	if len(found) == 0 {
		return []point{p}, false, nil
	}
	slices.SortStableFunc(found, func(p, q point) int { return cmp.Compare(p.loss, q.loss) })
	var out []point
	for _, p := range found {
		if !slices.ContainsFunc(out, func(q point) bool { return slices.Equal(p.widths, q.widths) }) {
			out = append(out, p)
		}
	}
	return out, true, nil
}

// within chooses under the limits that w has then, as w does for widths alone.
func (j *joint) within(w *weaving) func() (*woven, error) {
	j.weaving = w // of the same bounds
	return func() (*woven, error) {
		points, within, err := j.choose()
		if err != nil {
			return nil, err
		}
		p := points[0]
		if !within {
			return nil, &search.InfeasibleError{Budget: string(w.bounds[0].Resource), Limit: w.limits[0], Reachable: p.costs[0]}
		}
		return &woven{rungs: p.widths, loss: p.loss, costs: p.costs}, nil
	}
}

// chains are the best rungs with all axes whole.
func (j *joint) chains() (point, error) {
	plan, err := search.Choose(j.stated, j.budgets(), search.Options{Method: j.method})
	if err != nil {
		return point{}, fmt.Errorf("choosing ranks: %w", err)
	}
	p := j.whole()
	p.rungs = plan.Rungs
	return j.held(p), nil
}

// narrowed are the best widths with all sites as they are.
func (j *joint) narrowed() (point, error) {
	chosen, err := j.weaving.choose()
	if err != nil {
		return point{}, err
	}
	p := j.whole()
	p.widths = chosen.rungs
	return j.held(p), nil
}

// together looks for the price of what is bounded at which what is worth most is just within the limits.
func (j *joint) together(starts []point) (point, bool) {
	whole := j.whole()
	prices := make([]float64, len(j.bounds))
	at := func(price float64) (point, bool) {
		for b := range prices {
			prices[b] = 0
			if whole.costs[b] > j.limits[b] {
				prices[b] = price / max(whole.costs[b], 1)
			}
		}
		best := j.settled(whole, prices, true)
		for _, s := range append([]point{whole}, starts...) {
			if p := j.settled(s, prices, false); worth(p.loss, p.costs, prices) < worth(best.loss, best.costs, prices) {
				best = p
			}
		}
		return best, j.excess(best.costs) == 0
	}
	low, high := 0.0, max(whole.loss, math.SmallestNonzeroFloat64)
	for _, l := range j.losses {
		high = max(high, slices.Max(l))
	}
	best, within := at(high)
	for n := 0; !within && n < bisections; n++ {
		low, high = high, 4*high
		best, within = at(high)
	}
	if !within {
		return best, false
	}
	for range bisections {
		middle := (low + high) / 2
		if p, ok := at(middle); ok {
			high = middle
			if p.loss < best.loss {
				best = p
			}
		} else {
			low = middle
		}
		if high-low <= closely*high {
			break
		}
	}
	return best, true
}

// filled uses up what a point leaves of the limits, each time by the change of one axis or ladder that lowers the loss most.
func (j *joint) filled(p point) point {
	saved, before := make([]float64, len(j.bounds)), make([]float64, len(j.bounds))
	costs := make([]float64, len(j.bounds))
	for range fillings {
		best := p
		for a := range j.widths {
			for r := p.widths[a] + 1; r < min(p.widths[a]+1+reach, len(j.widths[a])); r++ {
				next := point{widths: slices.Clone(p.widths), rungs: p.rungs}
				next.widths[a] = r
				if next = j.held(next); next.loss < best.loss && j.excess(next.costs) == 0 {
					best = next
				}
			}
		}
		for l := range j.ladders {
			now := p.loss - j.stated[l].Rungs[p.rungs[l]].Loss
			j.saves(l, p.rungs[l], p.widths, before)
			for r, rung := range j.stated[l].Rungs {
				if now+rung.Loss >= best.loss || !j.saves(l, r, p.widths, saved) {
					continue
				}
				for b := range costs {
					costs[b] = p.costs[b] + before[b] - saved[b]
				}
				if j.excess(costs) == 0 {
					best = point{widths: p.widths, rungs: slices.Clone(p.rungs), loss: now + rung.Loss, costs: slices.Clone(costs)}
					best.rungs[l] = r
				}
			}
		}
		if best.loss >= p.loss {
			return p
		}
		p = best
	}
	return p
}

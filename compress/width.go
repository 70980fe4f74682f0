package compress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// axisOffer is what could be had at an axis: of a whole elimination the order and the losses are kept, from which every fold
// follows again.
type axisOffer struct {
	axis *rewrite.Axis
	// order has the units, the one that stays longest first. It is nil where the axis stays as it is; note says why.
	order []int
	// losses are what the search adds up, by the number of units that stay, but for ratio, which corrects them by measurements.
	losses []float64
	ratio  float64
	// energy is what losses are shares of: the variance of what the readers compute, in their unit.
	energy float64
	note   string
	// turn says how heads are turned before units leave; nil where the axis has none.
	turn *turning
}

// widths are those on offer at an axis, ascending, the last all units.
func (of *Offers) widths(axis int, opts Options) []int {
	o := &of.axes[axis]
	units := o.axis.Units
	if o.order == nil {
		return []int{units}
	}
	step := opts.widthMultiple(units)
	switch {
	case of.AnyRank:
		step = 1
	case of.HalfBlocks:
		step = min(step, opts.channels()/2)
	}
	switch {
	case of.AnyRank:
	case o.turn != nil && opts.RankMultiple == 0:
		step = min(step, block/2) // each head loses so many
	case len(o.axis.Products) > 0 && opts.RankMultiple == 0:
		step = min(step, block/4) // each head loses twice as many
	}
	var out []int
	for k := step; k < units; k += step {
		out = append(out, k)
	}
	return append(out, units)
}

// loss is what the search adds up where k units stay.
func (o *axisOffer) loss(k int) float64 {
	if k == o.axis.Units {
		return 0
	}
	return o.losses[k] * o.ratio
}

// kept are the k units that stay, ascending.
func (o *axisOffer) kept(k int) []int {
	if k < o.axis.Units {
		return slices.Sorted(slices.Values(o.order[:k]))
	}
	return inOrder(k)
}

// narrow offers widths of all axes, or those of a given plan: in which order units leave, under what the readers saw, and what
// is lost then.
func (f *factoring) narrow(ctx context.Context) error {
	if len(f.a.Axes) == 0 {
		return nil
	}
	f.out.axes = make([]axisOffer, len(f.a.Axes))
	return f.env.stage(ctx, "eliminate", func(st *stage) error {
		var mu sync.Mutex
		done := 0
		workers, ctx := errgroup.WithContext(ctx)
		workers.SetLimit(st.env.Threads)
		for i := range f.a.Axes {
			workers.Go(func() error {
				axis := &f.a.Axes[i]
				if !f.portion.hasAxis(i) {
					f.out.axes[i] = axisOffer{axis: axis, ratio: 1}
					return nil
				}
				var err error
				if f.out.axes[i], err = f.eliminate(ctx, axis); err != nil {
					return fmt.Errorf("%s: axis %q: %w", f.a.model.Path, axis.Name, err)
				}
				f.out.store.found.noteAxis(&f.out.axes[i])
				mu.Lock()
				defer mu.Unlock()
				done++
				st.told("", done, len(f.a.Axes))
				return nil
			})
		}
		return workers.Wait()
	})
}

// eliminate works out what one axis offers.
func (f *factoring) eliminate(ctx context.Context, axis *rewrite.Axis) (axisOffer, error) {
	o := axisOffer{axis: axis, ratio: 1}
	if x := f.out.store.found.axis(axis.Name); x != nil && f.o.FromPlan == nil {
		o.energy, o.note, o.order, o.losses = float64(x.Energy), x.Note, x.Order, x.Losses
		return o, nil
	}
	if len(axis.Products) > 0 {
		return f.pair(ctx, o)
	}
	need := int64(0)
	var read []*seen
	for _, p := range axis.Readers {
		saw := f.out.sites[f.a.numbered(p.Site)].seen
		if saw.blind {
			o.note = fmt.Sprintf("%s, which reads it, is %s", p.Site.Name, saw.note)
			return o, nil
		}
		need += eliminationBytes(p.Site)
		o.energy += saw.energy * saw.counts()
		read = append(read, saw)
	}
	few, why := f.few(read)
	if o.note = why; why != "" {
		return o, nil
	}
	order, planned := f.o.FromPlan.order(axis)
	if f.o.FromPlan != nil && !planned {
		return o, nil
	}
	leave, err := f.out.store.space.take(ctx, need)
	if err != nil {
		return o, err
	}
	defer leave()
	readers, err := f.readers(axis)
	if err != nil {
		return o, err
	}
	if o, err = o.ordered(f, readers, order, few); err == nil && few && o.order != nil {
		o.losses, err = heldLosses(f.env.Algebra, o.order, readers, read)
	}
	return o.unless(err)
}

// unless is the offer, or none where its numbers have no answer.
func (o axisOffer) unless(err error) (axisOffer, error) {
	if errors.As(err, new(*linalg.NumericalError)) {
		return axisOffer{axis: o.axis, ratio: 1, energy: o.energy, note: err.Error()}, nil
	}
	return o, err
}

// ordered is the offer with the units in an order, nil for the one that an elimination finds, and what is lost by it.
func (o axisOffer) ordered(f *factoring, readers []decomp.Reader, order []int, few bool) (axisOffer, error) {
	var err error
	if !few { // which turned columns would be hard to part by
		if o.turn, err = f.turned(o.axis, readers); err != nil {
			return o, err
		}
	}
	if o.turn != nil {
		order = inOrder(o.axis.Units)
	}
	var e *decomp.Elimination
	if order != nil {
		e, err = decomp.EliminateInOrder(f.env.Algebra, order, readers)
	} else {
		e, err = decomp.Eliminate(f.env.Algebra, o.axis.Units, readers)
	}
	if err != nil {
		return o, err
	}
	return o.with(e)
}

// with is the offer with an order and what is lost by it.
func (o axisOffer) with(e *decomp.Elimination) (axisOffer, error) {
	losses := make([]float64, o.axis.Units+1)
	for k := 1; k <= o.axis.Units; k++ {
		var err error
		if losses[k], err = e.Loss(k); err != nil {
			return o, err
		}
	}
	return o.losing(e.Order(), losses), nil
}

// losing is the offer with an order and its losses, where these are numbers.
func (o axisOffer) losing(order []int, losses []float64) axisOffer {
	for k, v := range losses[1:] {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			o.note = fmt.Sprintf("the loss %g with %d of %d units", v, k+1, o.axis.Units)
			return o
		}
	}
	o.order, o.losses = order, losses
	return o
}

// readers are those of an axis under what they saw.
func (f *factoring) readers(axis *rewrite.Axis) ([]decomp.Reader, error) {
	var out []decomp.Reader
	for _, p := range axis.Readers {
		saw := f.out.sites[f.a.numbered(p.Site)].seen
		kernel, metric, err := f.out.store.of(saw)
		if err != nil {
			return nil, err
		}
		out = append(out, decomp.Reader{Kernel: kernel, Metric: metric, Scale: saw.counts(), Channels: p.Channels(axis.Units)})
	}
	return out, nil
}

// counts is what a loss under the site's metric counts for the search: the positions, or, without sensitivities, the share of what
// the site's output varies by.
func (s *seen) counts() float64 {
	switch {
	case s.sensitive && s.positions > 0:
		return s.positions
	case !s.sensitive && s.energy > 0:
		return 1 / s.energy
	}
	return math.SmallestNonzeroFloat64 // nothing feels what the site computes
}

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

// manyColumns is how many times as many columns as inputs a reader has to have seen: what fewer do not span looks free, and of a
// reader with one column a sample, all of the loss is in what they do not span.
const manyColumns = 4

// widths are those on offer, ascending, the last all units. With any, they need not fill blocks.
func (o *axisOffer) widths(opts Options, any bool) []int {
	units := o.axis.Units
	if o.order == nil {
		return []int{units}
	}
	step := opts.widthMultiple(units)
	if any {
		step = 1
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
	all := make([]int, k)
	for unit := range all {
		all[unit] = unit
	}
	return all
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
				var err error
				if f.out.axes[i], err = f.eliminate(ctx, axis); err != nil {
					return fmt.Errorf("%s: axis %q: %w", f.a.model.Path, axis.Name, err)
				}
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
	need := int64(0)
	for _, p := range axis.Readers {
		saw := f.out.sites[f.a.numbered(p.Site)].seen
		k := p.Site.Kernel.Cols()
		switch {
		case saw.blind:
			o.note = fmt.Sprintf("%s, which reads it, is %s", p.Site.Name, saw.note)
			return o, nil
		case saw.columns < int64(manyColumns*k):
			o.note = fmt.Sprintf("%s, which reads it, has %d inputs and met %d columns of them; %d would tell what is lost", p.Site.Name, k, saw.columns, manyColumns*k)
			return o, nil
		}
		need += eliminationBytes(p.Site)
		o.energy += saw.energy * saw.counts()
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
	if o.turn, err = f.turned(axis, readers); o.turn != nil {
		order, planned = inOrder(axis.Units), true
	}
	var e *decomp.Elimination
	switch {
	case err != nil:
	case planned:
		e, err = decomp.EliminateInOrder(f.env.Algebra, order, readers)
	default:
		e, err = decomp.Eliminate(f.env.Algebra, axis.Units, readers)
	}
	if errors.As(err, new(*linalg.NumericalError)) {
		o.note = err.Error()
		return o, nil
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
		if math.IsNaN(losses[k]) || math.IsInf(losses[k], 0) {
			o.note = fmt.Sprintf("the loss %g with %d of %d units", losses[k], k, o.axis.Units)
			return o, nil
		}
	}
	o.order, o.losses = e.Order(), losses
	return o, nil
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

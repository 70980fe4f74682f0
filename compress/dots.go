package compress

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// undotted says why an axis of products whose heads cannot be turned stays as it is, "" where it need not.
func (a *Analysis) undotted(axis *rewrite.Axis) string {
	n := axis.Products[0]
	dots, ok := axis.Dots()
	if !ok {
		return fmt.Sprintf("%s %q sums over it with what is computed, and other nodes treat its channels before", n.Op(), n.Label())
	}
	for _, p := range axis.Producers {
		if _, ok := p.Site.Addend(); !ok {
			return fmt.Sprintf("what %s adds cannot leave with its outputs", p.Site.Name)
		}
	}
	for _, d := range dots {
		if a.numbered(d.Site) < 0 {
			return fmt.Sprintf("%s, which computes it, is left alone: %s", d.Site.Name, a.skipped(d.Site))
		}
	}
	return ""
}

// dots works out what an axis of queries and keys offers whose channels stay what they are, as rotary embeddings want it: units leave,
// the same of all heads and layers that share their angles, and nothing makes up for them. Losses are those of the queries.
func (f *factoring) dots(ctx context.Context, o axisOffer) (axisOffer, error) {
	dots, _ := o.axis.Dots()
	order, planned := f.o.FromPlan.order(o.axis)
	sum := linalg.New(o.axis.Units, o.axis.Units)
	for _, d := range dots {
		saw := f.out.sites[f.a.numbered(d.Site)].seen
		if o.note = unfelt(saw); o.note != "" {
			return o, nil
		}
		o.energy += saw.energy * saw.counts()
		if f.o.FromPlan != nil && !planned {
			continue
		}
		if err := f.silenced(ctx, sum, d, saw); err != nil {
			return o.unless(err)
		}
	}
	if f.o.FromPlan != nil && !planned {
		return o, nil
	}
	order, losses, err := decomp.Silence(sum, order)
	if err != nil {
		return o, err
	}
	return o.losing(order, losses), nil
}

// unfelt says why nothing tells what zeros in a site's outputs change, "" where something does.
func unfelt(saw *seen) string {
	switch {
	case saw.blind:
		return fmt.Sprintf("%s, which computes it, is %s", saw.site.Name, saw.note)
	case !saw.sensitive || saw.output == nil:
		return fmt.Sprintf("what is felt of the outputs of %s is not known", saw.site.Name)
	}
	return saw.fewColumns("computes")
}

// silenced adds what pairs of units lose at one product: T Σ G C over the channels of the two, C = E[q qᵀ].
func (f *factoring) silenced(ctx context.Context, sum *linalg.Matrix, d rewrite.Dot, saw *seen) error {
	leave, err := f.out.store.space.take(ctx, eliminationBytes(d.Site))
	if err != nil {
		return err
	}
	defer leave()
	moment, err := f.outputMoment(saw)
	if err != nil {
		return err
	}
	felt := saw.output[0]
	for u := range d.Channels {
		for v := range d.Channels {
			lost := 0.0
			for _, i := range d.Channels[u] {
				for _, j := range d.Channels[v] {
					lost += felt.At(i, j) * moment.At(i, j)
				}
			}
			sum.Data[u*sum.Cols+v] += saw.counts() * lost
		}
	}
	return nil
}

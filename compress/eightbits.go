package compress

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/quantizer"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// rangeReach is how far, in standard deviations, the values between factors go that the ranges of an int8 model are of: the extremes of a
// hundred images, by what int8 added to the change of the outputs of networks that were measured.
const rangeReach = 16

// eightBits are those that ONNX Runtime's quantizer would write on this machine.
func eightBits() *decomp.EightBits {
	return &decomp.EightBits{Levels: quantizer.Levels(), Reach: rangeReach}
}

// eightAt is what eight bits cost at a site, nil for a site at which nobody asks.
type eightAt struct {
	*decomp.EightBits
	alone float64 // what they cost the kernel as it is, per position
}

// eightAt tells what eight bits are to cost at a site; nil where they are not asked for, or where what lies between factors is not
// computed in them.
func (o Options) eightAt(b linalg.Backend, s *seen, m decomp.Metric) (*eightAt, error) {
	if o.eight == nil || s.pulled || s.site.Op != "Conv" && s.site.Op != "Gemm" && s.site.Op != "MatMul" {
		return nil, nil
	}
	k, err := s.site.Load()
	if err != nil {
		return nil, err
	}
	alone, err := o.eight.Alone(b, m, k)
	return &eightAt{o.eight, alone}, err
}

// rounding is what eight bits cost more in a chain at a site than in the kernel, in the unit of its spectrum's losses.
func (s *store) rounding(o *seen, c decomp.Chain) (float64, error) {
	if o.eight == nil {
		return 0, nil
	}
	lost, err := o.eight.Rounding(s.algebra, o.site.Kernel, s.metric(o.site.Name), o.mean, c)
	return max(lost-o.eight.alone, 0), err
}

// round notes what eight bits add to the loss of an option.
func (of *Offers) round(c *option, o *offer, spectrum decomp.Spectrum) error {
	chain, err := spectrum.Chain(c.rank)
	if err != nil {
		return err
	}
	lost, err := of.store.rounding(o.seen, chain)
	c.rounding = lost * o.counts()
	return err
}

// written is what the factors of a site end in.
func (s *seen) written() fmt.Stringer {
	if s.eight != nil {
		return tensor.Int8
	}
	return s.site.Dtype
}

// even scales what lies between the factors for eight bits, where these are asked for.
func (s *Assembled) even(ctx context.Context, env *Environment, on *shelf) error {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(env.Threads)
	for i, chain := range s.Chains {
		o := s.on.of.sites[i].seen
		if chain == nil || o.eight == nil {
			continue
		}
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			store := s.on.of.store
			even, err := o.eight.Even(store.algebra, o.site.Kernel, store.metric(o.site.Name), o.mean, chain)
			if err == nil {
				s.Chains[i], err = on.Chain(even)
			}
			if err != nil {
				return fmt.Errorf("node %q: scaling its factors for int8: %w", o.site.Name, err)
			}
			return nil
		})
	}
	return workers.Wait()
}

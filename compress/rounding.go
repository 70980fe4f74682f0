package compress

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// unrunnable adds to ONNX Runtime's refusal of an operator what can be done about it. Its
// processor kernels know no convolutions of float64 and no products of bfloat16.
func unrunnable(err error) error {
	if refused := (*ort.Error)(nil); errors.As(err, &refused) && refused.Code == "NOT_IMPLEMENTED" {
		return fmt.Errorf("%w; this runtime cannot run the model, perhaps for its element types: give no samples, to compress it data-free and unverified, or convert it to float32 first", err)
	}
	return err
}

// rounding counts what each site loses when the factors, which are computed in float64,
// are written in a 16-bit type, or when they become int8 and that is what the model is for; nil where neither is so.
func rounding(ctx context.Context, env *Environment, a *Analysis, s *Assembled) ([]*float64, error) {
	lost := make([]*float64, len(s.Chains))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(env.Threads)
	for i, chain := range s.Chains {
		o := s.on.of.sites[i].seen
		if t := o.site.Dtype; chain == nil || o.eight == nil && t != tensor.Float16 && t != tensor.BFloat16 {
			continue
		}
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			v, err := s.on.of.store.rounded(o, chain)
			if err != nil {
				return fmt.Errorf("%s: node %q: what rounding loses: %w", a.model.Path, o.site.Name, err)
			}
			lost[i] = &v
			return nil
		})
	}
	return lost, workers.Wait()
}

// rounded is what rounding a chain costs at a site, in the unit of its loss.
func (s *store) rounded(o *seen, chain decomp.Chain) (float64, error) {
	if o.eight != nil && o.energy > 0 {
		lost, err := s.rounding(o, chain)
		return lost / o.energy, err
	}
	written, err := o.site.Rounded(chain)
	if err != nil || o.energy <= 0 {
		return 0, err
	}
	lost, err := s.metrics[o.site.Name].Change(s.algebra, o.site.Kernel, chain, written)
	return lost / o.energy, err
}

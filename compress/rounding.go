package compress

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

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

// Where rounding adds more than this share to a site's loss, the site's note says so.
const noticeable = 0.1

// rounding counts what each site loses when the factors, which are computed in float64,
// are written in a 16-bit type.
func (j *job) rounding(ctx context.Context) error {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(j.opts.Threads)
	for i, o := range j.offers {
		if t := o.site.Dtype; j.chains[i] == nil || t != tensor.Float16 && t != tensor.BFloat16 {
			continue
		}
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			lost, err := j.rounded(i)
			if err != nil {
				return fmt.Errorf("%s: node %q: what rounding loses: %w", j.model.Path, o.site.Name, err)
			}
			s := &j.result.Sites[i]
			if s.Rounding = &lost; lost > noticeable*s.Loss {
				if s.Note != "" {
					s.Note += "; "
				}
				s.Note += fmt.Sprintf("rounding the factors to %v adds %.2g to the loss", o.site.Dtype, lost)
			}
			return nil
		})
	}
	return workers.Wait()
}

// rounded is what rounding costs at a site, in the unit of its loss.
func (j *job) rounded(i int) (float64, error) {
	o := j.offers[i]
	written, err := o.site.Rounded(j.chains[i])
	if err != nil || o.energy <= 0 {
		return 0, err
	}
	metric, err := j.metric(o)
	if err != nil {
		return 0, err
	}
	lost, err := metric.Change(j.libs.Algebra, o.site.Kernel, j.chains[i], written)
	return lost / o.energy, err
}

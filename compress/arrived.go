package compress

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// arrived takes in where the models have come to.
func (r *Result) arrived(ctx context.Context, d *Delivered) error {
	if err := r.Output.arrived(ctx, d.staged); err != nil {
		return err
	}
	if r.Verification != nil {
		r.Verification.Compressed = r.Output.Path
	}
	if r.Int8 != nil {
		r.Int8.name(r.Input.Path, r.Output.Path)
	}
	for i, other := range d.others {
		a := &r.Also[i]
		if err := a.Output.arrived(ctx, other.staged); err != nil {
			return err
		}
		if a.Verification != nil {
			a.Verification.Compressed = a.Output.Path
		}
	}
	return nil
}

// arrived takes in where a model has come to, which is not where it was to go if that is taken by now.
func (f *File) arrived(ctx context.Context, at *onnxio.Pending) error {
	if at.Target() == f.Path {
		return nil
	}
	moved, err := describe(ctx, at.Target(), rewrite.Costs{MACs: f.MACs, Params: f.Params})
	if err != nil {
		return fmt.Errorf("the model is in %s, for something else has come to %s meanwhile: %w", at.Target(), f.Path, err)
	}
	moved.Wanted = f.Path
	*f = moved
	return nil
}

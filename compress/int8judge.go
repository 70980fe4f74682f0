package compress

import (
	"context"
	"errors"

	"github.com/onnx-compress/onnx-compress/internal/quantizer"
	"github.com/onnx-compress/onnx-compress/verify"
)

// slower tells whether the compressed model as int8 is slower than the original as int8 beyond doubt: by more than what the places of two
// files in memory make, in three quarters of the turns.
func (q *Int8) slower() bool {
	alone, both := &q.Models[1], &q.Models[3]
	return both.Speed < (1-tolerated)*alone.Speed && both.SpeedHigh < alone.SpeedLow
}

// name calls the models by the files that they are, or will be.
func (q *Int8) name(original, compressed string) {
	for i := range q.Models {
		m := &q.Models[i]
		if m.Of = original; i >= 2 {
			m.Of = compressed
		}
		if m.Report != nil {
			m.Report.Original, m.Report.Compressed = original, m.Of
		}
	}
}

// judgeInt8 has both models quantized where the result is for that, with ranges of samples that calibrated, and compared on those that
// did not. A result that is slower as int8 than the original is a *LateError. Where they cannot be quantized, the result says why.
func (d *Delivered) judgeInt8(ctx context.Context, env *Environment, a *Analysis, o Options) error {
	if o.For != ForCPUInt8 {
		return nil
	}
	q, err := o.int8, error(nil)
	if q == nil {
		if q, err = o.quantizedOriginal(ctx, env, a.model); err == nil {
			defer q.close()
		}
	} else {
		err = q.missing
	}
	if err == nil && len(a.Verify) == 0 {
		err = &unquantizedError{errors.New("there are no samples left to judge by")}
	}
	if errors.As(err, new(*unquantizedError)) {
		d.Unquantized = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	return d.heldInt8(ctx, env, a, o, q)
}

// heldInt8 quantizes the result, and holds it against the original that was.
func (d *Delivered) heldInt8(ctx context.Context, env *Environment, a *Analysis, o Options, q *int8Original) error {
	v := VerifyOptions{Source: o.Source, Seed: o.Seed, Batch: o.Batch, Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds, evidence: verify.Unseen}
	var out *Int8
	err := env.stage(ctx, "quantize", func(*stage) (err error) {
		out, err = q.both(ctx, a.model.Path, d.staged.Path())
		return err
	})
	if refused := (*quantizer.RefusedError)(nil); errors.As(err, &refused) {
		d.Unquantized = err.Error()
		return nil
	}
	if err == nil {
		err = v.hold(ctx, env, a.model, q, out, a.Verify)
	}
	if err != nil {
		return err
	}
	out.name(a.model.Path, d.Output.Path)
	d.Int8 = out
	if out.slower() {
		return &LateError{Target: Target{RunTime, 1, true}, Limit: 1, Measured: out.Models[1].Speed / out.Models[3].Speed, Int8: true}
	}
	return nil
}

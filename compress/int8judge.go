package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/quantizer"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Int8LateError says that a model, as int8, is slower than the original as int8, measured. Nothing is written.
type Int8LateError struct {
	// Original and Compressed are how many times as fast as the original in float both run as int8.
	Original, Compressed float64
}

func (e *Int8LateError) Error() string {
	return fmt.Sprintf("as int8 the compressed model is slower than the original as int8, at %.2f and %.2f times the speed of the original in float, so it is not delivered: quantize the original as it is, "+
		"ask for less (macs=0.4), or leave nodes alone with %s", e.Compressed, e.Original, OptionKeep)
}

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
// did not. A result that is slower as int8 than the original is an *Int8LateError. Where they cannot be quantized, the result says why.
func (d *Delivered) judgeInt8(ctx context.Context, env *Environment, a *Analysis, o Options) error {
	if o.For != ForCPUInt8 {
		return nil
	}
	if env.library == nil || o.Source == nil || len(a.Verify) == 0 || len(a.Calibrate) == 0 {
		d.Unquantized = "that wants ONNX Runtime, samples for the ranges of activations and others to judge"
		return nil
	}
	v := VerifyOptions{
		Source: o.Source, Seed: o.Seed, Batch: o.Batch, Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds, Int8: &Int8Options{}, evidence: verify.Unseen,
	}
	q, err := v.int8(ctx, env, a.model, d.staged.Path(), a.Calibrate[:min(mostRanges, len(a.Calibrate))], a.Verify)
	refused := (*quantizer.RefusedError)(nil)
	if errors.As(err, &refused) || errors.As(err, new(*quantizer.MissingError)) {
		d.Unquantized = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	q.name(a.model.Path, d.Output.Path)
	d.Int8 = q
	if q.slower() {
		return &Int8LateError{Original: q.Models[1].Speed, Compressed: q.Models[3].Speed}
	}
	return nil
}

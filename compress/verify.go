package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// VerifyOptions say how two models are compared. The zero value of a field
// means its default.
type VerifyOptions struct {
	// Source has the samples; nil means random inputs.
	Source samples.Source
	// Samples bounds how many of them run, drawn by Seed; 0 means all.
	Samples int
	Seed    uint64
	// InputShapes gives the shapes of random inputs where the model leaves them open.
	InputShapes map[string][]int
	// Batch, Classes, Weights and Kinds are as in Options.
	Batch   int
	Classes string
	Weights map[string]float64
	Kinds   map[string]verify.Kind
}

// VerificationSchema names the shape of a Verification as JSON.
const VerificationSchema = "onnx-compress/verification/1"

// Verification is a report that stands by itself.
type Verification struct {
	Schema string `json:"schema"`
	*verify.Report
}

// Verify runs the model m, read from a file, and the model in the file
// compressed on the same samples.
func Verify(ctx context.Context, env *Environment, m *onnxio.Model, compressed string, o VerifyOptions) (*Verification, error) {
	if o.Batch < 0 || o.Samples < 0 {
		return nil, &UsageError{Err: errors.New("samples and batch cannot be negative")}
	}
	lib, err := env.need("comparing models")
	if err != nil {
		return nil, err
	}
	evidence := verify.Evidence("")
	if o.Source == nil {
		evidence = verify.Random
		if err := checkShapes(m, o.InputShapes); err != nil {
			return nil, &UsageError{Err: fmt.Errorf("%s: %w", m.Path, err)}
		}
		if o.Source, err = newNoise(m, o.InputShapes, o.Seed); err != nil {
			return nil, &UsageError{Err: fmt.Errorf("nothing to run the models on: %w", err)}
		}
	}
	n := o.Source.Len()
	if o.Samples > 0 {
		n = min(n, o.Samples)
	}
	chosen, _ := samples.Split(o.Source.Len(), n, o.Seed)
	r, err := verify.Compare(ctx, lib, m.Path, compressed, o.Source, chosen, verify.Options{
		Batch: o.Batch, Threads: env.Threads, Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds, Memory: rss.DefaultLimit(), Evidence: evidence,
		Progress: (&stage{name: "verify", env: env}).told,
	})
	if labels := (*verify.LabelError)(nil); errors.As(err, &labels) {
		return nil, &UsageError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	return &Verification{VerificationSchema, r}, nil
}

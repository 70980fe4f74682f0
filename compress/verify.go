package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/feed"
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
	// Through, when set, is a model that reads what both give, as Options.Through: its outputs are compared. It needs Source, and goes
	// without Int8.
	Through *onnxio.Model
	// Int8, when set, has both models quantized and compared too; it wants samples.
	Int8 *Int8Options

	behind   *behind // made of Through
	evidence verify.Evidence
	pass     string // behind the name of the stage
}

// Int8Options say how int8 models are made.
type Int8Options struct {
	// Python is the interpreter, by name or path, that has the packages onnxruntime and onnx; empty means python3, or python.
	Python string
}

// VerificationSchema names the shape of a Verification as JSON.
const VerificationSchema = "onnx-compress/verification/1"

// Verification is a report that stands by itself.
type Verification struct {
	Schema string `json:"schema"`
	*verify.Report
	// Through is the model whose outputs were compared; absent where it was the models' own.
	Through *ThroughResult `json:"through,omitempty"`
	Int8    *Int8          `json:"int8,omitempty"`
}

// Verify runs the model m, read from a file, and the model in the file
// compressed on the same samples.
func Verify(ctx context.Context, env *Environment, m *onnxio.Model, compressed string, o VerifyOptions) (*Verification, error) {
	if o.Batch < 0 || o.Samples < 0 {
		return nil, &UsageError{Err: errors.New("samples and batch cannot be negative")}
	}
	if err := o.checkThrough(); err != nil {
		return nil, err
	}
	if _, err := env.need("comparing models"); err != nil {
		return nil, err
	}
	if o.Source == nil {
		if o.Int8 != nil {
			return nil, &UsageError{Err: errors.New("int8 models want samples, for the ranges of what lies between their layers")}
		}
		o.evidence = verify.Random
		if err := checkShapes(m, o.InputShapes); err != nil {
			return nil, &UsageError{Err: fmt.Errorf("%s: %w", m.Path, err)}
		}
		var err error
		if o.Source, err = newNoise(m, o.InputShapes, o.Seed); err != nil {
			return nil, &UsageError{Err: fmt.Errorf("nothing to run the models on: %w", err)}
		}
	}
	if o.Through != nil {
		var err error
		if o.behind, err = newBehind(m, o.Through); err != nil {
			return nil, err
		}
	}
	n := o.Source.Len()
	if o.Samples > 0 {
		n = min(n, o.Samples)
	}
	chosen, _ := samples.Split(o.Source.Len(), n, o.Seed)
	r, err := o.compare(ctx, env, m, compressed, chosen)
	if err != nil {
		return nil, err
	}
	out := &Verification{Schema: VerificationSchema, Report: r, Through: o.behind.result()}
	if o.Int8 != nil {
		out.Int8, err = o.int8From(ctx, env, m, compressed, chosen)
	}
	return out, err
}

// checkThrough refuses what is not compared through another model.
func (o VerifyOptions) checkThrough() error {
	switch {
	case o.Through == nil:
	case o.Source == nil:
		return &UsageError{Err: fmt.Errorf("models are compared by what %s makes of them on samples, and there are none; give some, with the inputs of both", o.Through.Path)}
	case o.Int8 != nil:
		return &UsageError{Err: fmt.Errorf("int8 models are compared by their own outputs, not by what %s makes of them; leave one of the two out", o.Through.Path)}
	}
	return nil
}

// compare runs two models on the samples chosen.
func (o VerifyOptions) compare(ctx context.Context, env *Environment, original *onnxio.Model, compressed string, chosen []int) (*verify.Report, error) {
	lib, err := env.need("comparing models")
	if err != nil {
		return nil, err
	}
	var r *verify.Report
	err = feed.OneByOne(o.Batch, func(batch int) (err error) {
		r, err = o.behind.compare(ctx, lib, original, compressed, o.Source, chosen, verify.Options{
			Batch: batch, Threads: env.Threads, Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds, Memory: rss.DefaultLimit(), Evidence: o.evidence,
			Progress: (&stage{name: "verify" + o.pass, env: env}).told,
		})
		return err
	})
	if labels := (*verify.LabelError)(nil); errors.As(err, &labels) {
		return nil, &UsageError{Err: err}
	}
	return r, err
}

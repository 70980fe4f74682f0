package compress

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/probe"
	"github.com/onnx-compress/onnx-compress/internal/quantizer"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// int8Original is the original as ONNX Runtime's quantizer makes an int8 model of it, and what makes such of others. What becomes int8
// afterwards is timed and judged so. The nil one is for a result that stays as it is.
type int8Original struct {
	folder  *atomicfile.Folder
	python  string
	how     string // costs.Static or costs.Dynamic
	path    string // of the int8 model
	ranges  string // where the runs are that ranges of activations are of
	few     string // and a few of them, for models of which only the time matters
	samples int    // of the ranges
	missing error  // why nothing can be quantized: a table alone tells then what nodes take
}

// timingRanges is how many samples the ranges are of where only the time matters, and mostRanges how many at most where accuracy does.
const (
	timingRanges = 8
	mostRanges   = 128
)

// asInt8 are options that count time as that of int8 models, where the purpose is one, and the quantizer is there or a table of costs
// tells it; else the profile says why not. The caller closes what they hold.
func (o Options) asInt8(ctx context.Context, env *Environment, m *onnxio.Model, p *Profile) (Options, error) {
	if o.For != ForCPUInt8 || o.FromPlan != nil && o.Costs == nil {
		return o, nil
	}
	if o.Costs != nil && o.Costs.Int8() == "" {
		return o, &UsageError{Err: errors.New("the table of costs is of models that stay as they are, and the result is for int8: make one for int8 models, with the same purpose")}
	}
	q, err := o.quantizedOriginal(ctx, env, m)
	switch why := (*unquantizedError)(nil); {
	case errors.As(err, &why) && o.Costs != nil:
		q = &int8Original{how: o.Costs.Int8(), missing: err}
		p.set("the table of costs alone tells the time as int8: %v", why)
	case why != nil && o.latency() != nil:
		return o, &UsageError{Err: fmt.Errorf("a target of latency is about int8 models here, and there are none: %w", err)}
	case why != nil:
		p.set("multiply-adds stand for the time as int8, which nothing tells: %v", why)
		return o, nil
	case err != nil:
		return o, err
	}
	o.int8 = q
	if o.FromPlan != nil {
		return o, nil
	}
	return o.notSlowerInt8(p), nil
}

// notSlowerInt8 bounds the time by that of the original as int8.
func (o Options) notSlowerInt8(p *Profile) Options {
	return o.bounded(p, RunTime, "time is that of int8 models: never slower than the original as int8")
}

// unquantizedError says why no int8 models can be made.
type unquantizedError struct{ err error }

func (e *unquantizedError) Error() string { return e.err.Error() }
func (e *unquantizedError) Unwrap() error { return e.err }

// quantizedOriginal quantizes the original, with ranges of samples that calibrate. Where that cannot be, it is an *unquantizedError.
func (o Options) quantizedOriginal(ctx context.Context, env *Environment, m *onnxio.Model) (*int8Original, error) {
	if env.library == nil || o.Source == nil {
		return nil, &unquantizedError{errors.New("that wants ONNX Runtime, samples for the ranges of activations and others to judge")}
	}
	dealt, err := o.deal()
	if err != nil {
		return nil, err
	}
	return quantizedOriginal(ctx, env, m, o.Source, dealt.calibrate)
}

// quantizedOriginal quantizes the original, with ranges of the first of the samples chosen.
func quantizedOriginal(ctx context.Context, env *Environment, m *onnxio.Model, src samples.Source, chosen []int) (q *int8Original, err error) {
	err = env.stage(ctx, "quantize", func(*stage) error {
		if q, err = newInt8Original(ctx, m, src, "", chosen[:min(mostRanges, len(chosen))]); err != nil {
			return err
		}
		made, err := quantizer.Run(ctx, q.python, q.ranges, []quantizer.Job{{From: m.Path, To: q.path}})
		if err != nil {
			q.close()
			return err
		}
		q.how = made.How[0]
		return nil
	})
	if refused := (*quantizer.RefusedError)(nil); errors.As(err, &refused) || errors.As(err, new(*quantizer.MissingError)) {
		return nil, &unquantizedError{err}
	}
	return q, err
}

// newInt8Original has a place for int8 models, and the samples for ranges of activations; nothing is quantized yet.
func newInt8Original(ctx context.Context, m *onnxio.Model, src samples.Source, python string, ranges []int) (q *int8Original, err error) {
	q = &int8Original{python: python, samples: len(ranges)}
	if q.folder, err = atomicfile.MakeFolder("", "onnx-compress"); err != nil {
		return nil, fmt.Errorf("a folder for int8 models: %w", err)
	}
	q.path, q.ranges, q.few = q.file("original.onnx"), q.file("ranges"), q.file("few")
	if err = storeRuns(ctx, src, m, ranges, q.ranges); err == nil {
		err = storeRuns(ctx, src, m, ranges[:min(timingRanges, len(ranges))], q.few)
	}
	if err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

// file is one of the folder.
func (q *int8Original) file(name string) string { return filepath.Join(q.folder.Path, name) }

// pair are the files to time for an original and a compressed model: these, or int8 models of both.
func (q *int8Original) pair(ctx context.Context, original, compressed string) (before, after string, err error) {
	switch {
	case q == nil:
		return original, compressed, nil
	case q.missing != nil:
		return "", "", fmt.Errorf("there are no int8 models: %w", q.missing)
	}
	after = q.file("timed.onnx")
	_, err = quantizer.Run(ctx, q.python, q.few, []quantizer.Job{{From: compressed, To: after}})
	return q.path, after, err
}

// reference is the model that is timed in the place of the original.
func (q *int8Original) reference(original string) string {
	if q == nil {
		return original
	}
	return q.path
}

// word is how models become int8, empty where they do not.
func (q *int8Original) word() string {
	if q == nil {
		return ""
	}
	return q.how
}

// kernels says how nodes of weights are computed.
func (q *int8Original) kernels() probe.EightBits {
	switch q.word() {
	case costs.Static:
		return probe.Static
	case costs.Dynamic:
		return probe.Dynamic
	}
	return probe.Never
}

func (q *int8Original) close() {
	if q != nil && q.folder != nil {
		q.folder.Remove()
	}
}

package compress

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/probe"
	"github.com/onnx-compress/onnx-compress/internal/quantizer"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// int8Original is the original as ONNX Runtime's quantizer makes an int8 model of it, and what makes such of others. What becomes int8
// afterwards is timed so. The nil one is for a result that stays as it is.
type int8Original struct {
	folder *atomicfile.Folder
	path   string // of the int8 model
	ranges string // where the runs are that ranges of activations are of
	eight  probe.EightBits
}

// timingRanges is how many samples the ranges are of where only the time matters.
const timingRanges = 8

// asInt8 are options that count time as that of int8 models, where the purpose is one and the quantizer is there; else the profile says
// why not. The caller closes what they hold.
func (o Options) asInt8(ctx context.Context, env *Environment, m *onnxio.Model, p *Profile) (Options, error) {
	if o.For != ForCPUInt8 || o.Costs != nil || o.FromPlan != nil {
		return o, nil
	}
	if env.library == nil || o.Source == nil {
		if o.latency() != nil {
			return o, &UsageError{Err: errors.New("a target of latency is about int8 models here, which want ONNX Runtime, and samples for the ranges of activations")}
		}
		return o, nil
	}
	q, err := quantizedOriginal(ctx, env, m, o)
	if refused := (*quantizer.RefusedError)(nil); errors.As(err, &refused) || errors.As(err, new(*quantizer.MissingError)) {
		if o.latency() != nil {
			return o, &UsageError{Err: fmt.Errorf("a target of latency is about int8 models here, and there are none: %w", err)}
		}
		p.set("multiply-adds stand for the time as int8, which nothing tells: %v", err)
		return o, nil
	}
	if err != nil {
		return o, err
	}
	o.int8 = q
	return o.bounded(p, RunTime, "time is that of int8 models: never slower than the original as int8"), nil
}

func quantizedOriginal(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (q *int8Original, err error) {
	q = &int8Original{}
	if q.folder, err = atomicfile.MakeFolder("", "onnx-compress"); err != nil {
		return nil, fmt.Errorf("a folder for int8 models: %w", err)
	}
	q.path, q.ranges = filepath.Join(q.folder.Path, "original.onnx"), filepath.Join(q.folder.Path, "runs")
	err = env.stage(ctx, "quantize", func(*stage) error {
		if err := storeRuns(ctx, o.Source, m, firstOf(o.Source.Len(), timingRanges), q.ranges); err != nil {
			return err
		}
		how, err := q.quantize(ctx, m.Path, q.path)
		if q.eight = probe.Dynamic; how == "static" {
			q.eight = probe.Static
		}
		return err
	})
	if err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

func (q *int8Original) quantize(ctx context.Context, from, to string) (how string, err error) {
	made, err := quantizer.Run(ctx, "", q.ranges, []quantizer.Job{{From: from, To: to}})
	if err != nil {
		return "", err
	}
	return made.How[0], nil
}

// pair are the files to time for an original and a compressed model: these, or int8 models of both.
func (q *int8Original) pair(ctx context.Context, original, compressed string) (before, after string, err error) {
	if q == nil {
		return original, compressed, nil
	}
	after = filepath.Join(q.folder.Path, "compressed.onnx")
	_, err = q.quantize(ctx, compressed, after)
	return q.path, after, err
}

// file is the model that is timed in the place of the original.
func (q *int8Original) file(original string) string {
	if q == nil {
		return original
	}
	return q.path
}

// kernels says how nodes of weights are computed.
func (q *int8Original) kernels() probe.EightBits {
	if q == nil {
		return probe.Never
	}
	return q.eight
}

func (q *int8Original) close() {
	if q != nil {
		q.folder.Remove()
	}
}

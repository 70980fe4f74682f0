package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/quantizer"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Int8 is how two models fare when ONNX Runtime's quantizer makes int8 models of them: weights of int8 by output channels, activations of
// uint8 by tensors.
type Int8 struct {
	// Quantizer is the version of ONNX Runtime that quantized.
	Quantizer string `json:"quantizer"`
	// Ranges is how many samples the ranges of activations are of, and Samples how many others judged.
	Ranges  int `json:"ranges"`
	Samples int `json:"samples"`
	// Models are the original, its int8 model, the compressed one and its int8 model.
	Models []Int8Model `json:"models"`
	Place
}

// Int8Model is one of the models that are held against the original.
type Int8Model struct {
	// Of is the file that the model is, or was made of.
	Of string `json:"of"`
	// How the model was quantized: static, by ranges of samples, as it is where there are convolutions; or dynamic. Empty where it was not.
	How string `json:"how,omitempty"`
	// Bytes is the size of its file.
	Bytes int64 `json:"bytes"`
	// Report compares it with the original; nil for the original itself.
	Report *verify.Report `json:"report,omitempty"`
	// Time is the median of one run in milliseconds, of one sample on one thread, and Speed that of the turns' ratios of the original's
	// time to this one's, with its quartiles.
	Time      float64 `json:"ms"`
	Speed     float64 `json:"speed"`
	SpeedLow  float64 `json:"speed_low"`
	SpeedHigh float64 `json:"speed_high"`
}

// int8From is int8 with ranges of some of the samples chosen, and the others to judge.
func (o VerifyOptions) int8From(ctx context.Context, env *Environment, m *onnxio.Model, compressed string, chosen []int) (out *Int8, err error) {
	ranges := min(mostRanges, len(chosen)/4)
	if ranges < 1 {
		return nil, &UsageError{Err: fmt.Errorf("int8 models want at least 4 samples: some for the ranges of activations, others to judge; there are %d", len(chosen))}
	}
	var q *int8Original
	err = env.stage(ctx, "quantize", func(*stage) error {
		if q, err = newInt8Original(ctx, m, o.Source, o.Int8.Python, chosen[:ranges]); err != nil {
			return err
		}
		out, err = q.both(ctx, m.Path, compressed, quantizer.Job{From: m.Path, To: q.path})
		return err
	})
	defer q.close()
	if errors.As(err, new(*quantizer.MissingError)) {
		return nil, &UsageError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	return out, o.hold(ctx, env, m, q, out, chosen[ranges:])
}

// both quantizes a compressed model, after what is to be quantized before it, to hold it against the original.
func (q *int8Original) both(ctx context.Context, original, compressed string, before ...quantizer.Job) (*Int8, error) {
	made, err := quantizer.Run(ctx, q.python, q.ranges, append(before, quantizer.Job{From: compressed, To: q.judged()}))
	if err != nil {
		return nil, err
	}
	how := append([]string{q.how}, made.How...) // the original's first, where it is not among them
	how = how[len(how)-2:]
	return &Int8{Quantizer: made.Version, Ranges: q.samples, Models: []Int8Model{{Of: original}, {Of: original, How: how[0]}, {Of: compressed}, {Of: compressed, How: how[1]}}}, nil
}

// judged is where the int8 model of a compressed model is that is held against the original.
func (q *int8Original) judged() string { return q.file("compressed.onnx") }

// hold holds all models against the original on samples, and times them.
func (o VerifyOptions) hold(ctx context.Context, env *Environment, m *onnxio.Model, q *int8Original, out *Int8, judged []int) (err error) {
	out.Samples = len(judged)
	paths := []string{m.Path, q.path, out.Models[2].Of, q.judged()}
	for i := range out.Models[1:] {
		o.pass = fmt.Sprintf(" %d/3", i+1)
		if out.Models[i+1].Report, err = o.compare(ctx, env, m, paths[i+1], judged); err != nil {
			return err
		}
	}
	return o.timeInt8(ctx, env, m, paths, out)
}

// storeRuns writes the inputs of samples where the quantizer reads them.
func storeRuns(ctx context.Context, src samples.Source, m *onnxio.Model, indices []int, folder string) error {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return err
	}
	runs, err := feed.New(src, indices, inputs, 1, 1)
	if err != nil {
		return err
	}
	return runs.Each(ctx, 1, func(string, int, int) {}, func(context.Context) func(*feed.Run) error {
		return func(r *feed.Run) error { return quantizer.Store(folder, r.Seq, r.Inputs) }
	})
}

// timeInt8 fills in what the models take, and how large they are.
func (o VerifyOptions) timeInt8(ctx context.Context, env *Environment, m *onnxio.Model, paths []string, out *Int8) error {
	lib, err := env.need("timing models")
	if err != nil {
		return err
	}
	b := BenchOptions{Source: o.Source}
	run, err := firstRun(ctx, m, &b)
	if err != nil {
		return err
	}
	timed := &Benchmark{Place: here(lib, 1, max(run.Count(), 1))}
	bench := &bencher{lib: lib, env: env, run: run, paths: paths, threads: 1}
	if err := env.stage(ctx, "time", func(*stage) error { return bench.time(ctx, timed) }); err != nil {
		return err
	}
	out.Place = timed.Place
	for i, t := range timed.Models {
		to := &out.Models[i]
		to.Time, to.Speed, to.SpeedLow, to.SpeedHigh = t.Time, t.Speed, t.SpeedLow, t.SpeedHigh
		model, err := onnxio.Read(paths[i])
		if err != nil {
			return fmt.Errorf("%s, as it was quantized: %w", to.Of, err)
		}
		to.Bytes = model.DiskBytes()
		if err := model.Close(); err != nil {
			return err
		}
	}
	return nil
}

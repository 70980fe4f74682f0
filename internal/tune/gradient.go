package tune

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Gradient returns the loss of Run's steps at the weights of the compressed model, and its gradient with respect to
// every parameter, by name and with the parameter's shape. The samples are those numbered by indices, all in one run,
// as they are: none is held out or augmented.
func Gradient(ctx context.Context, lib *ort.Library, original, compressed *onnxio.Model, src samples.Source, indices []int, o Options) (float64, map[string]tensor.Dense, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return 0, nil, err
	}
	o.Batch, o.Augment, o.Blocks = min(len(indices), mostShard), nil, 0
	t := idle(lib, original, compressed, src, o)
	t.learn, t.held = indices, indices
	defer t.close()
	loss, gradients, err := t.gradientAt(ctx)
	if err != nil {
		return 0, nil, fmt.Errorf("the gradient of a step: %w", err)
	}
	return loss, gradients, nil
}

// gradientAt computes the gradient at the start.
func (t *trainer) gradientAt(ctx context.Context) (float64, map[string]tensor.Dense, error) {
	for _, step := range []func(context.Context) error{t.probe, t.weigh, t.open} {
		if err := step(ctx); err != nil {
			return 0, nil, err
		}
	}
	if t.shard != len(t.learn) {
		return 0, nil, fmt.Errorf("a run takes %d samples, and %d are given; give so many", t.shard, len(t.learn))
	}
	var err error
	if t.weights, err = t.params.load(t.compressed); err != nil {
		return 0, nil, err
	}
	run, err := t.first(ctx)
	if err != nil {
		return 0, nil, err
	}
	results, err := t.run(ctx, run)
	if err != nil {
		return 0, nil, err
	}
	defer results.Close()
	gradients := map[string]tensor.Dense{}
	for i, p := range t.params.list {
		gradients[p.name] = tensor.FromFloat32(p.shape, slices.Clone(results.Get(1+i).Float32s()))
	}
	return float64(results.Get(0).Float32s()[0]), gradients, nil
}

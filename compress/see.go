package compress

import (
	"context"
	"slices"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// see runs the model once on the first sample, where inference does not tell how often all its nodes multiply, such as behind
// operators of other domains, and returns the shapes that values have. It returns none where nothing is missing, or nothing can be
// run: a model that does not run is refused by who needs it to.
func see(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (map[string][]int, error) {
	if o.Source == nil || o.Source.Len() == 0 || env.library == nil {
		return nil, nil
	}
	inputs, err := o.inputShapes(m)
	if err != nil {
		return nil, err
	}
	concrete, _ := shapes.InputShapes(m, inputs)
	missing := rewrite.MeasureCosts(m, shapes.Infer(m, concrete)).Unlocated
	if !slices.ContainsFunc(missing, func(u rewrite.Unlocated) bool { return u.Where == "" }) {
		return nil, nil
	}
	specs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	run, err := feed.First(ctx, o.Source, []int{0}, specs, 1)
	if err != nil {
		return nil, err
	}
	values, err := grad.Observe(ctx, env.library, m, run.Inputs)
	if err != nil {
		return nil, ctx.Err()
	}
	seen := map[string][]int{}
	for name, v := range values {
		if v.Shape != nil {
			seen[name] = v.Shape
		}
	}
	return seen, nil
}

package compress

import (
	"context"
	"slices"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// see runs the model once on the first sample, where inference does not tell how often all its nodes multiply, such as behind
// operators of other domains, and returns the shapes that values have. It returns none where nothing is missing, or nothing can be
// run: a model that does not run is refused by who needs it to.
func see(ctx context.Context, env *Environment, a *Analysis, o Options) (map[string][]int, error) {
	missing := slices.ContainsFunc(a.Costs.Unlocated, func(u rewrite.Unlocated) bool { return u.Where == "" })
	if !missing || o.Source == nil || o.Source.Len() == 0 || env == nil || env.library == nil {
		return nil, nil
	}
	whole := a.judged(a.model)
	specs, err := samples.Inputs(whole)
	if err != nil {
		return nil, err
	}
	run, err := feed.First(ctx, o.Source, []int{0}, specs, 1)
	if err != nil {
		return nil, err
	}
	values, err := grad.Observe(ctx, env.library, whole, run.Inputs)
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

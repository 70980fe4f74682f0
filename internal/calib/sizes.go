package calib

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/samples"
)

// bySize brings samples of the same shapes together, so that they share a batch, and the
// session of their shapes is needed once. Where the model fixes all axes but the first of
// its inputs, the order stays.
func bySize(ctx context.Context, src samples.Source, indices []int, inputs []samples.InputSpec) ([]int, error) {
	open := func(in samples.InputSpec) bool {
		return in.Shape == nil || len(in.Shape) > 1 && slices.Contains(in.Shape[1:], -1)
	}
	if !slices.ContainsFunc(inputs, open) {
		return indices, nil
	}
	type sized struct {
		index int
		size  string
	}
	all := make([]sized, len(indices))
	for k, i := range indices {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i < 0 || i >= src.Len() {
			return indices, nil // the feed reports it
		}
		shapes, err := samples.Shapes(src, i)
		if err != nil {
			return nil, err
		}
		all[k].index = i
		for _, in := range inputs {
			all[k].size += fmt.Sprint(shapes[in.Name])
		}
	}
	slices.SortStableFunc(all, func(a, b sized) int { return cmp.Compare(a.size, b.size) })
	out := make([]int, len(all))
	for k, s := range all {
		out[k] = s.index
	}
	return out, nil
}

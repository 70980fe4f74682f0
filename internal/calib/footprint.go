package calib

import (
	"context"
	"maps"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// footprint is about what the runtime holds while it runs the gradients of the sample with this
// number, in bytes: as much as all values that the model computes, since gradients take the
// place of values that are not needed any more. (Measured, of that sum: SqueezeNet twice,
// EfficientNet-Lite 0.8 times.) Where the model's own first axis is fixed, the sample stands for
// such a batch. It is 0 where shapes cannot be found out: then neither can gradients, and the
// model runs forward only. Live are those of the values that are needed at once, in the order in which the runtime computes them, which is all
// that it holds in sessions that keep nothing for later.
func (gs *gradients) footprint(ctx context.Context, src samples.Source, index int) (bytes, live int64, err error) {
	r, err := feed.First(ctx, src, []int{index}, gs.inputs, 1)
	if err != nil {
		return 0, 0, err
	}
	values, err := grad.Observe(ctx, gs.host.Library, gs.model, r.Inputs)
	if err != nil {
		return 0, 0, ctx.Err()
	}
	bytes = values.Computed(gs.model)
	var beside int64 // what the session holds that computes the outputs alone
	if boxed(gs.targets) >= 0 {
		beside = feed.Live(gs.model, func(v string) int64 { return values[v].Bytes() }, namesOf(gs.targets))
		bytes += beside
	}
	if live = bytes; !gs.host.Mapped(gs.model) || gs.none != "" {
		return bytes, live, nil
	}
	p := &pass{}
	p.forSites(len(gs.sites))
	if m, outputs, err := gs.derived(p, values); err == nil {
		defer m.Close()
		in := maps.Clone(r.Inputs)
		for _, c := range p.cotangents {
			in[c.input] = tensor.Dense{Type: c.typ, Shape: c.shape}
		}
		if least := feed.Live(m, feed.Float32s(m, in), outputs); least > 0 {
			live = least + beside
		}
	}
	return bytes, live, nil
}

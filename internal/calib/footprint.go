package calib

import (
	"context"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// footprint is about what the runtime holds while it runs the gradients of the sample with this
// number, in bytes: as much as all values that the model computes, since gradients take the
// place of values that are not needed any more. (Measured, of that sum: SqueezeNet twice,
// EfficientNet-Lite 0.8 times.) Where the model's own first axis is fixed, the sample stands for
// such a batch. It is 0 where shapes cannot be found out: then neither can gradients, and the
// model runs forward only.
func (gs *gradients) footprint(ctx context.Context, src samples.Source, index int) (bytes int64, fixed bool, err error) {
	r, err := feed.First(ctx, src, []int{index}, gs.inputs, 1)
	if err != nil {
		return 0, false, err
	}
	values, err := grad.Observe(ctx, gs.lib, gs.model, r.Inputs)
	if err != nil {
		return 0, false, ctx.Err()
	}
	return computed(gs.model, values), samples.Batch(gs.inputs) > 0, nil
}

// computed is what the values take that the nodes of the main graph compute from inputs.
func computed(m *onnxio.Model, values grad.Values) int64 {
	var sum int64
	g := graph.Of(m)
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			if _, constant := g.Constant(out); constant {
				continue
			}
			v := values[out]
			if count, err := tensor.Elements(v.Shape); err == nil && v.Type != tensor.Undefined {
				sum += int64(v.Type.Bytes(count))
			}
		}
	}
	return sum
}

// live is the most that the values of a forward pass take at once, in bytes: from the node that computes a value to the last that
// reads it, in the order of the graph, or to the end for those that are asked for.
func live(m *onnxio.Model, values grad.Values, wanted []string) int64 {
	nodes := graph.Of(m).Nodes()
	size := func(name string) int64 {
		v := values[name]
		if count, err := tensor.Elements(v.Shape); err == nil && v.Type != tensor.Undefined {
			return int64(v.Type.Bytes(count))
		}
		return 0
	}
	last := map[string]int{}
	for i, n := range nodes {
		for _, name := range n.Reads() {
			last[name] = i
		}
	}
	for _, name := range wanted {
		last[name] = len(nodes)
	}
	ends := make([]int64, len(nodes)+1) // what is read for the last time by each node
	var now, most int64
	for i, n := range nodes {
		for _, name := range n.Outputs() {
			if _, constant := graph.Of(m).Constant(name); name == "" || constant {
				continue
			}
			now += size(name)
			ends[max(last[name], i)] += size(name)
		}
		most = max(most, now)
		now -= ends[i]
	}
	return most
}

// arena is how many times what is live the runtime may hold: its arena grows by doubling.
const arena = 2

// within lowers the batch until the runs of one worker, of which a sample takes that many bytes,
// need no more than an eighth of the memory, and the workers until all need no more than a quarter
// of it. A fixed batch stays, and the bytes are those of all of it.
func within(memory, sample int64, fixed bool, batch, workers int) (int, int) {
	if sample == 0 {
		return batch, workers
	}
	run := sample
	if !fixed {
		batch = int(max(1, min(int64(batch), memory/8/sample)))
		run = sample * int64(batch)
	}
	return batch, int(max(1, min(int64(workers), memory/4/run)))
}

package feed

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// What the runs of a model may hold.
const (
	arena = 2 // times what is live the runtime may hold: its arena grows by doubling
	// enough bytes of values make a run as fast as a larger one is: caches hold no more, and nodes take long enough for their start
	// not to count.
	enough = 16 << 20
)

// Fit lowers the batch and the workers to what the memory holds of the values of a model that holds so many bytes of them at once for a
// sample, or, fixed, for its own batch: for one run an eighth at most, and no more than is enough for it to be fast; for all runs a
// quarter. The batch does not depend on the workers. Nothing is lowered where live is 0.
func Fit(live int64, fixed bool, memory int64, batch, workers int) (int, int) {
	if live > 0 && !fixed {
		batch = int(max(1, min(int64(batch), enough/live)))
	}
	return Within(memory, arena*live, fixed, batch, workers)
}

// Float32s tells about how many bytes the values of a model take when it is fed those inputs, by name: 0 where sizes cannot be inferred.
func Float32s(m *onnxio.Model, inputs map[string]tensor.Dense) func(value string) int64 {
	given := map[string][]int{}
	for name, d := range inputs {
		given[name] = d.Shape
	}
	known := shapes.Infer(m, given)
	return func(value string) int64 {
		shape, ok := known.Of(value)
		if count, err := tensor.Elements(shape); ok && err == nil {
			return 4 * int64(count)
		}
		return 0
	}
}

// Within lowers the batch until the runs of one worker, of which a sample takes that many bytes,
// need no more than an eighth of the memory, and the workers until all need no more than a quarter
// of it. A fixed batch stays, and the bytes are those of all of it.
func Within(memory, sample int64, fixed bool, batch, workers int) (int, int) {
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

// Live is the most that the values of a forward pass take at once, in bytes, where size tells what each takes: from the node that computes a value to the last that
// reads it, in the order of the graph, or to the end for those that are asked for.
func Live(m *onnxio.Model, size func(value string) int64, wanted []string) int64 {
	nodes := graph.Of(m).Nodes()
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

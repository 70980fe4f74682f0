package probe

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/timing"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// leastNode is what a node takes at the least, in microseconds: kernels that take less than a tick of the profile's clock, one
// microsecond, and what measuring takes off them, may be less than nothing in sum.
const leastNode = 0.1

// doubtful is by how many times what the reference says that a node takes beyond its kernel may differ from what a trivial model does:
// of a large model, that is the small difference of two large numbers.
const doubtful = 3

// plausible is the first of these as far as the other bears it out.
func plausible(beyond, trivial float64) float64 {
	low, high := trivial/doubtful, trivial*doubtful
	return min(max(beyond, min(low, high)), max(low, high))
}

// Trivial models tell what a run takes beside its nodes: one has manyTrivial nodes that do next to nothing, the other fewTrivial.
const (
	fewTrivial  = 2
	manyTrivial = 128
)

// trivial is what a node takes beyond what a profile says of its kernel, which is all there is in a model of nodes that do next to
// nothing, and what a run of no nodes takes.
func (m *measurer) trivial(ctx context.Context) (beyond, empty float64, err error) {
	in, err := numbers(tensor.Float32, []int{4})
	if err != nil {
		return 0, 0, err
	}
	run := func(nodes int) (us float64, kernels []timing.Kernel, err error) {
		data, err := trivialModel(nodes)
		if err != nil {
			return 0, nil, err
		}
		load := func(o ort.Options) (*ort.Session, error) { return m.lib.NewSession(data, o) }
		return m.beside(ctx, load, map[string]tensor.Dense{"0": in})
	}
	few, _, err := run(fewTrivial)
	if err != nil {
		return 0, 0, err
	}
	many, kernels, err := run(manyTrivial)
	if err != nil {
		return 0, 0, err
	}
	each := (many - few) / (manyTrivial - fewTrivial)
	return (many - sum(kernels)) / manyTrivial, max(0, few-fewTrivial*each), nil
}

func trivialModel(nodes int) ([]byte, error) {
	parts := graph.Parts{IR: 8, Opsets: []graph.Opset{{Version: 17}}, Name: "trivial", Inputs: []graph.Value{graph.NewValue("0", tensor.Float32, graph.Sizes([]int{4}))}}
	for i := range nodes {
		op := "Abs"
		if i%2 > 0 {
			op = "Neg"
		}
		parts.Nodes = append(parts.Nodes, graph.NewNode(op, fmt.Sprintf("node%d", i), []string{fmt.Sprint(i)}, []string{fmt.Sprint(i + 1)}))
	}
	parts.Outputs = []graph.Value{graph.NewValue(fmt.Sprint(nodes), tensor.Float32, nil)}
	return parts.Marshal()
}

// thin is how many probes tell what a profile adds to a kernel: those that compute the least, of which that is a large part.
const thin = 8

// added is what a profile adds to what a kernel takes, in microseconds: what the kernels of a probe take together, less a run of it
// without a profile, of which empty is due to no kernel. The names and shapes of what a kernel reads are written down while its clock runs,
// so that it takes some microseconds more, as long as thin layers themselves do.
func (m *measurer) added(ctx context.Context, probes []Probe, empty float64) (float64, error) {
	list := slices.Clone(probes)
	slices.SortStableFunc(list, func(a, b Probe) int { return cmp.Compare(a.Piece.Work(1), b.Piece.Work(1)) })
	var each []float64
	for i := range list {
		if len(each) == thin {
			break
		}
		data, inputs, err := list[i].model()
		if err != nil {
			continue // which was refused before
		}
		load := func(o ort.Options) (*ort.Session, error) { return m.lib.NewSession(data, o) }
		us, kernels, err := m.beside(ctx, load, inputs)
		if ended := ctx.Err(); ended != nil {
			return 0, ended
		}
		if err == nil && len(kernels) > 0 {
			each = append(each, (sum(kernels)-us+empty)/float64(len(kernels)))
		}
	}
	if len(each) == 0 {
		return 0, nil
	}
	return max(0, timing.SpreadOf(each).Median), nil
}

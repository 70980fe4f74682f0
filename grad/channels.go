package grad

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// blockedDomain is the domain of the operators on blocked activations, [N, C/b, H, W, b] in place of [N, C, H, W], with
// the b channels of a block side by side. The runtime's optimizer puts them in for convolutions with constant weights.
const blockedDomain = "com.microsoft.nchwc"

// ChannelBlock returns how many channels a block has on this machine, or 0 where the runtime has no blocked
// convolutions. It is found out by reordering numbers that say where they came from.
func ChannelBlock(ctx context.Context, r Runtime) (int, error) {
	const channels = 64 // more than any block has
	shape := []int{1, channels, 1, 2}
	value := func(name string) []graph.Value {
		return []graph.Value{graph.NewValue(name, tensor.Float32, graph.Sizes(shape))}
	}
	model, err := graph.Parts{
		IR: 8, Opsets: []graph.Opset{{Version: 13}, {Domain: blockedDomain, Version: 1}}, Name: "reordering",
		Inputs: value("x"), Outputs: value("y"),
		Nodes: []graph.Node{graph.NewNode(blockedDomain+"::ReorderInput", "", []string{"x"}, []string{"y"})},
	}.Marshal()
	if err != nil {
		return 0, fmt.Errorf("channel block: %w", err)
	}
	if _, err := r.OutputTypes(model, ""); err != nil { // the operator is not there
		return 0, nil
	}
	x := make([]float32, 2*channels)
	x[1] = 1 // channel 0, the second position: behind the first position of every channel of its block
	results, err := r.RunOnce(ctx, model, "", map[string]tensor.Dense{"x": tensor.FromFloat32(shape, x)}, []string{"y"})
	if err != nil {
		return 0, err
	}
	for i, v := range results[0].Float32s() {
		if v == 1 && i > 1 {
			return i, nil
		}
	}
	return 0, nil
}

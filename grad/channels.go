package grad

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// blockedDomain is the domain of the operators on blocked activations, [N, C/b, H, W, b] in place of [N, C, H, W], with
// the b channels of a block side by side. The runtime's optimizer puts them in for convolutions with constant weights.
const blockedDomain = "com.microsoft.nchwc"

// ChannelBlock returns how many channels a block has on this machine, or 0 where the runtime has no blocked
// convolutions. It is found out by reordering numbers that say where they came from.
func ChannelBlock(ctx context.Context, l *ort.Library) (int, error) {
	const channels = 64 // more than any block has
	model, err := proto.Marshal(reordering(channels))
	if err != nil {
		return 0, fmt.Errorf("channel block: %w", err)
	}
	s, err := l.NewSession(model, ort.Options{Optimization: ort.OptimizeNone})
	if err != nil { // the operator is not there
		return 0, nil
	}
	defer s.Close()
	x := make([]float32, 2*channels)
	x[1] = 1 // channel 0, the second position: behind the first position of every channel of its block
	results, err := s.Run(ctx, map[string]tensor.Dense{"x": tensor.FromFloat32([]int{1, channels, 1, 2}, x)}, []string{"y"})
	if err != nil {
		return 0, err
	}
	defer results.Close()
	for i, v := range results.Get(0).Float32s() {
		if v == 1 && i > 1 {
			return i, nil
		}
	}
	return 0, nil
}

// reordering is a model that puts [1, channels, 1, 2] in blocks.
func reordering(channels int64) *onnxpb.ModelProto {
	shaped := func(name string) *onnxpb.ValueInfoProto {
		shape := &onnxpb.TensorShapeProto{}
		for _, n := range []int64{1, channels, 1, 2} {
			shape.Dim = append(shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: n}})
		}
		typ := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(tensor.Float32)), Shape: shape}
		return &onnxpb.ValueInfoProto{Name: &name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: typ}}}
	}
	return &onnxpb.ModelProto{
		IrVersion: proto.Int64(8),
		OpsetImport: []*onnxpb.OperatorSetIdProto{
			{Domain: proto.String(""), Version: proto.Int64(13)}, {Domain: proto.String(blockedDomain), Version: proto.Int64(1)},
		},
		Graph: &onnxpb.GraphProto{
			Name: proto.String("reordering"),
			Node: []*onnxpb.NodeProto{{
				OpType: proto.String("ReorderInput"), Domain: proto.String(blockedDomain), Input: []string{"x"}, Output: []string{"y"},
			}},
			Input: []*onnxpb.ValueInfoProto{shaped("x")}, Output: []*onnxpb.ValueInfoProto{shaped("y")},
		},
	}
}

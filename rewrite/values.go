package rewrite

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

type dimension = onnxpb.TensorShapeProto_Dimension

// values describes the outputs between the factors in the way in which the model
// describes the values around the site: not at all where it has no entry for them.
func (b *builder) values() []*onnxpb.ValueInfoProto {
	s := b.site
	before, in := b.declared(s.Input)
	after, out := b.declared(s.Output)
	if !in && !out || after == nil {
		return nil
	}
	var list []*onnxpb.ValueInfoProto
	carried := make([]bool, len(s.Kernel.Window))
	for i, f := range b.chain[:len(b.chain)-1] {
		for a, c := range f.Axes {
			carried[a] = carried[a] || c
		}
		channels := f.Kernel.Out
		if s.View.Stack > 0 {
			channels = f.Kernel.Rows() // of each matrix
		}
		dims, ok := s.between(before, after, carried, channels)
		if !ok {
			return list
		}
		list = append(list, valueInfo(b.patch.New[i].Output[0], s.Dtype, dims))
	}
	return list
}

// between returns the dimensions of a value with the given channels between two
// factors: along spatial axes that were carried already those of the site's
// output, along others those of its input.
func (s *Site) between(before, after []*dimension, carried []bool, channels int) ([]*dimension, bool) {
	dims := slices.Clone(after)
	if s.View.Kind == ConvPatches && len(dims) != len(carried)+2 {
		return nil, false
	}
	for a, done := range carried {
		if done {
			continue
		}
		if len(before) != len(dims) {
			return nil, false
		}
		dims[a+2] = before[a+2]
	}
	at := s.ChannelAxis(len(dims))
	if at < 0 || at >= len(dims) {
		return nil, false
	}
	dims[at] = size(channels)
	return dims, true
}

// ChannelAxis returns the axis of the site's output, of the given rank, along which its channels lie.
func (s *Site) ChannelAxis(rank int) int {
	switch {
	case s.View.Kind == ConvPatches:
		return 1
	case s.weight.slot == 1 || rank == 1 || s.View.Kind == TableRows:
		return rank - 1
	}
	return rank - 2
}

// declared returns the dimensions that the graph declares for a value, and whether
// it does so among the entries for inner values.
func (b *builder) declared(name string) (dims []*dimension, inner bool) {
	g := b.site.model.Proto.GetGraph()
	for i, list := range [][]*onnxpb.ValueInfoProto{g.GetValueInfo(), g.GetInput(), g.GetOutput()} {
		for _, v := range list {
			if shape := v.GetType().GetTensorType().GetShape(); v.GetName() == name && shape != nil {
				return shape.GetDim(), i == 0
			}
		}
	}
	return nil, false
}

func valueInfo(name string, t tensor.Type, dims []*dimension) *onnxpb.ValueInfoProto {
	return &onnxpb.ValueInfoProto{
		Name: proto.String(name),
		Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: proto.Int32(int32(t)),
			Shape:    &onnxpb.TensorShapeProto{Dim: dims},
		}}},
	}
}

func size(n int) *dimension {
	return &dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(n)}}
}

package onnxio

import (
	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Attr returns a node's attribute, or nil.
func Attr(n *onnxpb.NodeProto, name string) *onnxpb.AttributeProto {
	for _, a := range n.GetAttribute() {
		if a.GetName() == name {
			return a
		}
	}
	return nil
}

// HasAttr reports whether a node has an attribute of that name.
func HasAttr(n *onnxpb.NodeProto, name string) bool { return Attr(n, name) != nil }

// AttrInts returns a list attribute of integers, or nil where the node has none.
func AttrInts(n *onnxpb.NodeProto, name string) []int64 { return Attr(n, name).GetInts() }

// AttrFloats returns a list attribute of floats, or nil where the node has none.
func AttrFloats(n *onnxpb.NodeProto, name string) []float32 { return Attr(n, name).GetFloats() }

// AttrInt returns an integer attribute, or absent where the node has none.
func AttrInt(n *onnxpb.NodeProto, name string, absent int64) int64 {
	if a := Attr(n, name); a != nil && a.I != nil {
		return *a.I
	}
	return absent
}

// AttrFloat returns a float attribute, or absent where the node has none.
func AttrFloat(n *onnxpb.NodeProto, name string, absent float32) float32 {
	if a := Attr(n, name); a != nil && a.F != nil {
		return *a.F
	}
	return absent
}

// AttrString returns a string attribute, or absent where the node has none.
func AttrString(n *onnxpb.NodeProto, name, absent string) string {
	if a := Attr(n, name); a != nil && a.S != nil {
		return string(a.S)
	}
	return absent
}

// AttrTensor returns a tensor attribute, or nil where the node has none.
func AttrTensor(n *onnxpb.NodeProto, name string) *onnxpb.TensorProto { return Attr(n, name).GetT() }

// MakeInt returns an integer attribute.
func MakeInt(name string, v int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{
		Name: proto.String(name), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(v),
	}
}

// MakeInts returns a list attribute of integers.
func MakeInts(name string, v ...int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{
		Name: proto.String(name), Type: onnxpb.AttributeProto_INTS.Enum(), Ints: v,
	}
}

// MakeFloat returns a float attribute.
func MakeFloat(name string, v float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{
		Name: proto.String(name), Type: onnxpb.AttributeProto_FLOAT.Enum(), F: proto.Float32(v),
	}
}

// MakeString returns a string attribute.
func MakeString(name, v string) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{
		Name: proto.String(name), Type: onnxpb.AttributeProto_STRING.Enum(), S: []byte(v),
	}
}

// MakeTensor returns a tensor attribute.
func MakeTensor(name string, v *onnxpb.TensorProto) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{
		Name: proto.String(name), Type: onnxpb.AttributeProto_TENSOR.Enum(), T: v,
	}
}

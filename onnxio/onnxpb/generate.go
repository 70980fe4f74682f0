// Package onnxpb is the ONNX schema as Go types, generated from onnx.proto. The methods
// whose names end in VT come from vtprotobuf: UnmarshalVTUnsafe lets bytes fields share
// the memory of the buffer they are read from.
package onnxpb

//go:generate ../../scripts/generate-onnxpb.sh

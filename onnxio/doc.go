// Package onnxio reads, holds, checks, prints and writes ONNX models.
//
// A [Model] is one ONNX file in memory. What the package does not understand it keeps
// and writes back unchanged: unknown fields, custom domains, metadata. Weights stay in
// their file: a model is memory-mapped, and neither raw_data nor external data is
// read before somebody asks for its numbers through a [Tensor].
//
// The generated protobuf package onnxpb is part of this one; beside it only package graph
// works with its messages.
package onnxio

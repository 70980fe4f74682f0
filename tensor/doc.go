// Package tensor holds dense arrays of numbers as ONNX stores them: an element
// type, a shape, and row-major little-endian bytes. It knows nothing of graphs,
// files or protobuf, and converts between the element types exactly, or with one
// rounding to nearest even.
package tensor

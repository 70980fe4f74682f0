package testmodels

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Detector returns a small detector of untrained weights whose output is laid out as YOLOv8's: input "image" [N,3,16,16], output "found" [N,6,64]: for each
// of 64 places, in a column, the middle and the sides of a box in pixels, then the chances of two classes. About every eighth chance is above a quarter.
func Detector(seed uint64) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Input("image", tensor.Float32, "N", 3, 16, 16)
	x = b.Node("Relu", []string{b.Conv(x, 3, 16, []int{3, 3}, graph.Ints("strides", 2, 2), padded(1))})
	for range 2 {
		x = b.Node("Relu", []string{b.Conv(x, 16, 16, []int{3, 3}, padded(1))})
	}
	number := func(v float64) string { return b.Tensor(b.fresh("number"), tensor.Float32, nil, []float64{v}) }
	head := func(out int) string {
		return b.Node("Reshape", []string{b.Conv(x, 16, out, []int{1, 1}), b.Ints(b.fresh("shape"), 0, out, 64)})
	}
	var middles []float64
	for axis := range 2 {
		for place := range 64 {
			at := []int{place % 8, place / 8}[axis]
			middles = append(middles, float64(2*at+1))
		}
	}
	middle := b.Node("Add", []string{head(2), b.Tensor("middles", tensor.Float32, []int{1, 2, 64}, middles)})
	sides := b.Node("Mul", []string{b.Node("Exp", []string{b.Node("Mul", []string{head(2), number(0.1)})}), number(6)})
	chances := b.Node("Sigmoid", []string{b.Node("Sub", []string{b.Node("Mul", []string{head(2), number(3)}), number(3)})})
	b.Node("Concat", []string{middle, sides, chances}, graph.Int("axis", 1))
	b.Output(b.Rename("found"), tensor.Float32, "N", 6, 64)
	return b
}

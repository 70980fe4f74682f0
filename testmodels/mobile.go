package testmodels

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Mobile returns small networks in the shapes of MobileNetV2, MobileNetV3 and ConvNeXt, as exporters write them: input "image"
// [N,3,16,16], output "logits" [N,5].
func Mobile(seed uint64) map[string]*Builder {
	out := map[string]*Builder{}
	for name, fill := range map[string]func(b *Builder, x string) string{"mobilenet_v2": mobileV2, "mobilenet_v3": mobileV3, "convnext": convNext} {
		b := NewBuilder(seed, 17, 8)
		fill(b, b.Input("image", tensor.Float32, "N", 3, 16, 16))
		b.Output(b.Rename("logits"), tensor.Float32, "N", 5)
		out[name] = b
	}
	return out
}

// padded are pads of as many entries on all sides.
func padded(n int) graph.Attr { return graph.Ints("pads", n, n, n, n) }

// bottleneck adds a block of channels, as a convolution to wide, one of each channel with that stride, what excite does, and a convolution to out.
func bottleneck(b *Builder, x string, in, wide, out, stride int, activate func(string) string, excite func(string) string) string {
	y := activate(b.Conv(x, in, wide, []int{1, 1}))
	y = activate(b.Conv(y, wide, wide, []int{3, 3}, graph.Int("group", wide), graph.Ints("strides", stride, stride), padded(1)))
	y = b.Conv(excite(y), wide, out, []int{1, 1})
	if in != out || stride > 1 {
		return y
	}
	return b.Node("Add", []string{x, y})
}

// pooled is the mean of all positions, [N, channels].
func pooled(b *Builder, x string) string {
	return b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})})
}

func mobileV2(b *Builder, x string) string {
	zero, six := b.Tensor("zero", tensor.Float32, nil, []float64{0}), b.Tensor("six", tensor.Float32, nil, []float64{6})
	activate := func(x string) string { return b.Node("Clip", []string{x, zero, six}) }
	same := func(x string) string { return x }
	x = activate(b.Conv(x, 3, 8, []int{3, 3}, graph.Ints("strides", 2, 2), padded(1)))
	for _, s := range [][4]int{{8, 24, 8, 1}, {8, 32, 12, 2}, {12, 48, 12, 1}} {
		x = bottleneck(b, x, s[0], s[1], s[2], s[3], activate, same)
	}
	return gemm(b, pooled(b, activate(b.Conv(x, 12, 32, []int{1, 1}))), 32, 5)
}

func mobileV3(b *Builder, x string) string {
	hard := func(x string) string { return b.Node("HardSwish", []string{x}) }
	plain := func(x string) string { return b.Node("Relu", []string{x}) }
	excited := func(wide int) func(string) string {
		return func(x string) string {
			s := plain(b.Conv(b.Node("GlobalAveragePool", []string{x}), wide, 8, []int{1, 1}))
			s = b.Node("HardSigmoid", []string{b.Conv(s, 8, wide, []int{1, 1})}, graph.Float("alpha", 1./6))
			return b.Node("Mul", []string{s, x})
		}
	}
	x = hard(b.Conv(x, 3, 8, []int{3, 3}, graph.Ints("strides", 2, 2), padded(1)))
	x = bottleneck(b, x, 8, 24, 8, 1, plain, excited(24))
	x = bottleneck(b, x, 8, 32, 12, 2, hard, excited(32))
	x = bottleneck(b, x, 12, 48, 12, 1, hard, func(x string) string { return x })
	x = pooled(b, hard(b.Conv(x, 12, 32, []int{1, 1})))
	return gemm(b, hard(gemm(b, x, 32, 24)), 24, 5)
}

// gemm is a layer as frameworks export it.
func gemm(b *Builder, x string, in, out int) string {
	name := b.fresh("gemm")
	return b.Node("Gemm", []string{x, b.Weight(name+"_weight", in, out, in), b.Weight(name+"_bias", in, out)}, graph.Int("transB", 1))
}

func convNext(b *Builder, x string) string {
	last := func(x string) string { return b.Node("Transpose", []string{x}, graph.Ints("perm", 0, 2, 3, 1)) }
	first := func(x string) string { return b.Node("Transpose", []string{x}, graph.Ints("perm", 0, 3, 1, 2)) }
	norm := func(x string, width int) string {
		name := b.fresh("layer_norm")
		return b.Node("LayerNormalization", []string{x, b.Random(name+"_scale", 0.5, 1.5, width), b.Random(name+"_bias", -0.2, 0.2, width)}, graph.Int("axis", -1))
	}
	root, one, half := b.Tensor("root", tensor.Float32, nil, []float64{math.Sqrt2}), b.Tensor("one", tensor.Float32, nil, []float64{1}), b.Tensor("half", tensor.Float32, nil, []float64{0.5})
	block := func(x string, width int) string {
		y := b.Conv(x, width, width, []int{7, 7}, graph.Int("group", width), padded(3))
		y = b.Linear(norm(last(y), width), width, 4*width, true)
		erf := b.Node("Add", []string{b.Node("Erf", []string{b.Node("Div", []string{y, root})}), one})
		y = b.Linear(b.Node("Mul", []string{b.Node("Mul", []string{y, erf}), half}), 4*width, width, true)
		return b.Node("Add", []string{x, first(b.Node("Mul", []string{y, b.Random(b.fresh("layer_scale"), 0.2, 1, width)}))})
	}
	x = first(norm(last(b.Conv(x, 3, 8, []int{2, 2}, graph.Ints("strides", 2, 2))), 8))
	x = block(block(x, 8), 8)
	x = block(b.Conv(first(norm(last(x), 8)), 8, 12, []int{2, 2}, graph.Ints("strides", 2, 2)), 12)
	x = norm(pooled(b, x), 12)
	return gemm(b, x, 12, 5)
}

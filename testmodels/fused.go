package testmodels

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Fused is a small transformer of fused operators, as ONNX Runtime's optimizer writes it: x [batch, 6, 32] to y [batch, 5].
func Fused(seed uint64) *Builder {
	const width, hidden, classes = 32, 64, 5
	b := NewBuilder(seed, 17, 8).Import("com.microsoft", 1)
	one := func(name string, size int) string { return b.Random(name, 0.5, 1.5, size) }
	zero := func(name string, size int) string { return b.Random(name, -0.2, 0.2, size) }
	fused := func(op string, inputs []string, attrs ...graph.Attr) string {
		return b.Node("com.microsoft::"+op, inputs, attrs...)
	}
	x := b.Input("x", tensor.Float32, "batch", 6, width)
	mask := b.Node("Cast", []string{b.Node("ReduceMax", []string{b.Node("Abs", []string{x})}, graph.Ints("axes", 2), graph.Int("keepdims", 0))}, graph.Int("to", int(tensor.Int32)))
	mask = b.Node("Add", []string{mask, b.Tensor("seen", tensor.Int32, []int{1}, []float64{1})})
	a := fused("Attention", []string{x, b.Weight("qkv", width, width, 3*width), zero("qkv.bias", 3*width), mask}, graph.Int("num_heads", 4))
	a = b.Node("MatMul", []string{a, b.Weight("out", width, width, width)})
	x = b.Several("com.microsoft::SkipLayerNormalization", []string{a, x, one("gamma", width), zero("beta", width), zero("out.bias", width)}, 1, graph.Float("epsilon", 1e-5))[0]
	h := fused("FusedMatMul", []string{x, b.Weight("up", width, hidden, width)}, graph.Int("transB", 1), graph.Float("alpha", 0.7))
	h = fused("BiasGelu", []string{h, zero("up.bias", hidden)})
	h = b.Node("MatMul", []string{h, b.Weight("down", hidden, hidden, width)})
	x = fused("SkipSimplifiedLayerNormalization", []string{h, x, one("scale", width), zero("down.bias", width)}, graph.Float("epsilon", 1e-5))
	x = b.Node("ReduceMean", []string{x}, graph.Ints("axes", 1), graph.Int("keepdims", 0))
	x = fused("FusedGemm", []string{x, b.Weight("pool", width, width, width), zero("pool.bias", width)}, graph.String("activation", "Tanh"))
	b.Node("Gemm", []string{x, b.Weight("head", width, width, classes), zero("head.bias", classes)})
	b.Output(b.Rename("y"), tensor.Float32, "batch", classes)
	return b
}

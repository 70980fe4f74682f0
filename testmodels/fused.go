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

// Recurrents has an LSTM in both directions, a GRU and two products written as Einsum: x [6, batch, 16] to y [6, batch, 4, 3].
func Recurrents(seed uint64) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Input("x", tensor.Float32, 6, "batch", 16)
	x = b.Several("LSTM", []string{x, b.Weight("lstm.w", 16, 2, 48, 16), b.Weight("lstm.r", 12, 2, 48, 12), b.Random("lstm.b", -0.1, 0.1, 2, 96)}, 1,
		graph.Int("hidden_size", 12), graph.String("direction", "bidirectional"))[0]
	x = b.Node("Einsum", []string{x, b.Weight("mix", 24, 2, 12, 20)}, graph.String("equation", "sdbh,dho->sbo"))
	x = b.Several("GRU", []string{x, b.Weight("gru.w", 20, 1, 30, 20), b.Weight("gru.r", 10, 1, 30, 10)}, 1, graph.Int("hidden_size", 10))[0]
	x = b.Node("Squeeze", []string{x, b.Ints("one", 1)})
	b.Node("Einsum", []string{x, b.Weight("heads", 10, 4, 10, 3)}, graph.String("equation", "sbh,nhd->sbnd"))
	b.Output(b.Rename("y"), tensor.Float32, 6, "batch", 4, 3)
	return b
}

// CastWeights is a model that computes in float32 and stores its weights in float16: x [batch, 3, 8, 8] to y [batch, 20].
func CastWeights(seed uint64) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Input("x", tensor.Float32, "batch", 3, 8, 8)
	wide := func(value string) string {
		return b.Node("Cast", []string{value}, graph.Int("to", int(tensor.Float32)))
	}
	b.Float(tensor.Float16)
	w, bias := wide(b.Weight("conv.w", 27, 24, 3, 3, 3)), wide(b.Random("conv.b", -0.1, 0.1, 24))
	x = b.Node("Relu", []string{b.Node("Conv", []string{x, w, bias}, graph.Ints("kernel_shape", 3, 3))})
	x = b.Node("ReduceMean", []string{x}, graph.Ints("axes", 2, 3), graph.Int("keepdims", 0))
	x = b.Node("MatMul", []string{x, b.Node("Transpose", []string{wide(b.Weight("fc.w", 24, 30, 24))}, graph.Ints("perm", 1, 0))})
	x = b.Node("Add", []string{x, wide(b.Random("fc.b", -0.1, 0.1, 30))})
	b.Node("Gemm", []string{x, wide(b.Weight("head.w", 30, 20, 30)), wide(b.Random("head.b", -0.1, 0.1, 20))}, graph.Int("transB", 1))
	b.Float(tensor.Float32)
	b.Output(b.Rename("y"), tensor.Float32, "batch", 20)
	return b
}

// Computed has weights that nodes compute from constants: x [batch, 24] to y [batch, 10].
func Computed(seed uint64) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Input("x", tensor.Float32, "batch", 24)
	w := b.Node("Reshape", []string{b.Weight("flat", 24, 24*30), b.Ints("to", 24, -1)})
	x = b.Node("MatMul", []string{x, w})
	w = b.Node("Mul", []string{b.Weight("scaled", 30, 30, 28), b.Random("by", 0.5, 1.5, 28)})
	x = b.Node("Relu", []string{b.Node("MatMul", []string{x, b.Node("Div", []string{w, b.Tensor("two", tensor.Float32, []int{}, []float64{2})})})})
	w = b.Node("Concat", []string{b.Weight("left", 28, 28, 11), b.Weight("right", 28, 28, 15)}, graph.Int("axis", 1))
	x = b.Node("MatMul", []string{x, w})
	w = b.Node("Squeeze", []string{b.Weight("thin", 26, 1, 26, 10), b.Ints("axis", 0)})
	b.Node("MatMul", []string{x, w})
	b.Output(b.Rename("y"), tensor.Float32, "batch", 10)
	return b
}

package testmodels

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// attributes is short for a list of attributes.
type attributes = []graph.Attr

// convolutions are single Conv nodes, one for each attribute and for some together.
func convolutions() []Case {
	ints, number, text := graph.Ints, graph.Int, graph.String
	conv := func(name string, in, out int, size, window []int, a ...graph.Attr) Case {
		return Case{"conv_" + name, true, func(seed uint64) *Builder { return oneConv(NewBuilder(seed, 17, 8), in, out, size, window, a) }}
	}
	plane, square := []int{9, 11}, []int{3, 3}
	return []Case{
		conv("plain", 6, 10, plane, square),
		conv("pointwise", 6, 10, plane, []int{1, 1}),
		conv("wide", 6, 10, plane, []int{1, 5}, ints("pads", 0, 2, 0, 2)),
		conv("even", 6, 10, plane, []int{4, 2}),
		conv("pads", 6, 10, plane, square, ints("pads", 2, 0, 1, 3)),
		conv("strides", 6, 10, plane, square, ints("strides", 2, 3), ints("pads", 1, 1, 1, 1)),
		conv("dilations", 6, 10, plane, square, ints("dilations", 2, 3), ints("pads", 2, 3, 2, 3)),
		conv("groups", 6, 9, plane, square, number("group", 3), ints("pads", 1, 1, 1, 1)),
		conv("depthwise", 6, 12, plane, square, number("group", 6)),
		conv("everything", 8, 12, []int{13, 15}, []int{3, 5}, number("group", 2),
			ints("strides", 2, 1), ints("dilations", 1, 2), ints("pads", 1, 4, 0, 3)),
		conv("same_upper", 6, 10, plane, []int{4, 3}, text("auto_pad", "SAME_UPPER"), ints("strides", 2, 2)),
		conv("same_lower", 6, 10, plane, []int{4, 3}, text("auto_pad", "SAME_LOWER"), ints("strides", 2, 2)),
		conv("valid", 6, 10, plane, square, text("auto_pad", "VALID"), ints("strides", 2, 2)),
		conv("line", 6, 10, []int{17}, []int{5}, ints("pads", 2, 1), ints("strides", 2)),
		conv("volume", 3, 7, []int{5, 6, 7}, []int{2, 3, 3}, ints("pads", 0, 1, 1, 1, 1, 1)),
		{"conv_no_bias", true, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8)
			x := b.Input("x", b.float, "N", 6, 9, 11)
			b.ConvBias(x, 6, 10, square, "")
			b.Output(b.Rename("y"), b.float, "N", 10, 7, 9)
			return b
		}},
		{"conv_dynamic", true, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8)
			x := b.Input("x", b.float, "N", 6, "H", "W")
			b.Conv(x, 6, 10, square, ints("pads", 1, 1, 1, 1))
			b.Output(b.Rename("y"), b.float, "N", 10, "H", "W")
			return b
		}},
		{"conv_bfloat16", false, func(seed uint64) *Builder {
			return oneConv(NewBuilder(seed, 22, 10).Float(tensor.BFloat16), 6, 10, plane, square, nil)
		}},
		{"conv_float64", false, func(seed uint64) *Builder {
			return oneConv(NewBuilder(seed, 17, 8).Float(tensor.Float64), 6, 10, plane, square, nil)
		}},
	}
}

// oneConv fills in one Conv between an input and an output whose spatial sizes are open.
func oneConv(b *Builder, in, out int, size, window []int, a attributes) *Builder {
	inDims, outDims := []any{"N", in}, []any{"N", out}
	for _, d := range size {
		inDims, outDims = append(inDims, d), append(outDims, nil)
	}
	x := b.Input("x", b.float, inDims...)
	b.Conv(x, in, out, window, a...)
	b.Output(b.Rename("y"), b.float, outDims...)
	return b
}

// transposed are single ConvTranspose nodes.
func transposed() []Case {
	ints, number, text := graph.Ints, graph.Int, graph.String
	node := func(name string, size []any, in, out int, window []int, a ...graph.Attr) Case {
		return Case{"transposed_" + name, true, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8)
			x := b.Input("x", b.float, append([]any{"N", in}, size...)...)
			b.ConvTranspose(x, in, out, window, a...)
			b.Output(b.Rename("y"), b.float, append([]any{"N", out}, make([]any, len(size))...)...)
			return b
		}}
	}
	plane := []any{5, 7}
	return []Case{
		node("everything", plane, 8, 12, []int{3, 4}, number("group", 2), ints("strides", 2, 3), ints("dilations", 1, 2),
			ints("pads", 1, 2, 0, 3), ints("output_padding", 1, 2)),
		node("same_upper", plane, 6, 10, []int{4, 3}, text("auto_pad", "SAME_UPPER"), ints("strides", 2, 2)),
		node("same_lower", plane, 6, 10, []int{4, 3}, text("auto_pad", "SAME_LOWER"), ints("strides", 2, 2)),
		node("output_shape", plane, 6, 10, []int{3, 3}, ints("strides", 2, 2), ints("output_shape", 10, 15)),
		node("output_shape_open", []any{"H", "W"}, 6, 10, []int{3, 3}, ints("strides", 2, 2), ints("output_shape", 7, 6)),
		node("line", []any{9}, 6, 10, []int{5}, ints("strides", 2), ints("pads", 2, 1)),
		node("volume", []any{3, 4, 5}, 4, 7, []int{2, 3, 3}, ints("strides", 1, 2, 2), ints("pads", 0, 1, 1, 1, 1, 1)),
	}
}

// gemms are single Gemm nodes with the weight as B (or, in gemm_left, as A).
func gemms() []Case {
	const in, out, rows = 7, 5, 4
	number, factor := graph.Int, graph.Float
	gemm := func(name string, opset int64, a attributes, c []int) Case {
		return Case{"gemm_" + name, opset >= 7, func(seed uint64) *Builder {
			b := NewBuilder(seed, opset, map[int64]int64{6: 3, 9: 4, 17: 8}[opset])
			inDims, weight := []any{rows, in}, []int{in, out}
			for _, attribute := range a {
				switch attribute.Name() {
				case "transA":
					inDims = []any{in, rows}
				case "transB":
					weight = []int{out, in}
				}
			}
			inputs := []string{b.Input("x", b.float, inDims...), b.Weight("weight", in, weight...)}
			if c != nil {
				inputs = append(inputs, b.Random("c", -1, 1, c...))
			}
			b.Node("Gemm", inputs, a...)
			b.Output(b.Rename("y"), b.float, rows, out)
			return b
		}}
	}
	return []Case{
		gemm("plain", 17, nil, []int{out}),
		gemm("no_c", 17, nil, nil),
		gemm("trans_a", 17, attributes{number("transA", 1)}, []int{out}),
		gemm("trans_b", 17, attributes{number("transB", 1)}, []int{out}),
		gemm("trans_both", 17, attributes{number("transA", 1), number("transB", 1)}, []int{out}),
		gemm("alpha_beta", 17, attributes{factor("alpha", 0.5), factor("beta", -2)}, []int{out}),
		gemm("beta_zero", 17, attributes{factor("beta", 0)}, []int{out}),
		gemm("c_scalar", 17, nil, []int{}),
		gemm("c_one", 17, nil, []int{1}),
		gemm("c_row", 17, nil, []int{1, out}),
		gemm("c_column", 17, nil, []int{rows, 1}),
		gemm("c_full", 17, attributes{factor("beta", 3)}, []int{rows, out}),
		gemm("opset9", 9, attributes{number("transB", 1)}, []int{out}),
		gemm("opset6", 6, attributes{number("broadcast", 1)}, []int{out}),
		{"gemm_left", true, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8)
			x := b.Input("x", b.float, in, rows)
			b.Node("Gemm", []string{b.Weight("weight", in, out, in), x, b.Random("c", -1, 1, out, 1)})
			b.Output(b.Rename("y"), b.float, out, rows)
			return b
		}},
	}
}

// matmuls are single MatMul nodes: the constant on either side, and operands of any rank.
func matmuls() []Case {
	matmul := func(name string, t tensor.Type, input, weight []int, left bool) Case {
		return Case{"matmul_" + name, t != tensor.BFloat16, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8).Float(t)
			dims := make([]any, len(input))
			for i, d := range input {
				dims[i] = d
			}
			operands := []string{b.Input("x", t, dims...), b.Weight("weight", 6, weight...)}
			if left {
				operands[0], operands[1] = operands[1], operands[0]
			}
			b.Node("MatMul", operands)
			b.Output(b.Rename("y"), t, matmulDims(input, weight, left)...)
			return b
		}}
	}
	return []Case{
		matmul("right", tensor.Float32, []int{4, 6}, []int{6, 9}, false),
		matmul("right_3d", tensor.Float32, []int{2, 4, 6}, []int{6, 9}, false),
		matmul("right_4d", tensor.Float32, []int{2, 3, 4, 6}, []int{6, 9}, false),
		matmul("right_1d_input", tensor.Float32, []int{6}, []int{6, 9}, false),
		matmul("right_1d_weight", tensor.Float32, []int{4, 6}, []int{6}, false),
		matmul("right_batched_weight", tensor.Float32, []int{2, 4, 6}, []int{2, 6, 9}, false),
		matmul("right_broadcast_weight", tensor.Float32, []int{2, 4, 6}, []int{1, 6, 9}, false),
		matmul("left", tensor.Float32, []int{6, 4}, []int{9, 6}, true),
		matmul("left_3d", tensor.Float32, []int{2, 6, 4}, []int{9, 6}, true),
		matmul("left_1d_input", tensor.Float32, []int{6}, []int{9, 6}, true),
		matmul("float16", tensor.Float16, []int{4, 6}, []int{6, 9}, false),
		matmul("float64", tensor.Float64, []int{4, 6}, []int{6, 9}, false),
		matmul("bfloat16", tensor.BFloat16, []int{4, 6}, []int{6, 9}, false),
	}
}

// matmulDims follows numpy.matmul for the shapes of this file: at most one operand has
// batch axes of its own, or both have the same.
func matmulDims(input, weight []int, left bool) []any {
	a, c := input, weight
	if left {
		a, c = weight, input
	}
	batch := a[:max(0, len(a)-2)]
	if len(c) > len(a) {
		batch = c[:len(c)-2]
	}
	var dims []any
	for _, d := range batch {
		dims = append(dims, d)
	}
	if len(a) > 1 {
		dims = append(dims, a[len(a)-2])
	}
	if len(c) > 1 {
		dims = append(dims, c[len(c)-1])
	}
	return dims
}

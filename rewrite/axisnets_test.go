package rewrite_test

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// attention is multi-head attention of rows [N, 7, width], of which groups of heads share keys and values, up to the heads' outputs side
// by side.
func attention(b *testmodels.Builder, x string, width, heads, shared, size int, bias bool) string {
	split := func(name, x string, heads int, perm ...int) string {
		x = b.Node("Reshape", []string{x, b.Ints(name+"_heads", 0, 7, heads, size)})
		return b.Node("Transpose", []string{x}, graph.Ints("perm", perm...))
	}
	repeat := func(name, x string, shape ...int) string {
		if heads == shared {
			return x
		}
		at := append([]int{1, shared, heads / shared}, shape...)
		x = b.Node("Unsqueeze", []string{x, b.Ints(name+"_axes", 2)})
		x = b.Node("Expand", []string{x, b.Ints(name+"_times", at...)})
		return b.Node("Reshape", []string{x, b.Ints(name+"_merged", append([]int{1, heads}, shape...)...)})
	}
	q := split("q", b.Linear(x, width, heads*size, bias), heads, 0, 2, 1, 3)
	k := repeat("k", split("k", b.Linear(x, width, shared*size, bias), shared, 0, 2, 3, 1), size, 7)
	v := repeat("v", split("v", b.Linear(x, width, shared*size, bias), shared, 0, 2, 1, 3), 7, size)
	y := b.Node("MatMul", []string{b.Node("Softmax", []string{b.Node("MatMul", []string{q, k})}), v})
	y = b.Node("Transpose", []string{y}, graph.Ints("perm", 0, 2, 1, 3))
	return b.Node("Reshape", []string{y, b.Ints("joined", 0, 7, heads*size)})
}

// rotary is attention of rows [1, 7, width] whose queries and keys [1, heads, 7, size] are turned by position; groups of heads share keys and
// values, repeated as exporters write it.
func rotary(b *testmodels.Builder, x string, width, heads, shared, size int, queries, keys func(name, x string) string) string {
	layer := b.Node("Identity", []string{x}) // whose name is another one for each layer
	split := func(x string, heads int) string {
		x = b.Node("Reshape", []string{x, b.Ints(x+"_heads", 1, 7, heads, size)})
		return b.Node("Transpose", []string{x}, graph.Ints("perm", 0, 2, 1, 3))
	}
	repeat := func(x string) string {
		if heads == shared {
			return x
		}
		batch := b.Node("Slice", []string{b.Node("Shape", []string{x}), b.Ints(x+"_front", 0), b.Ints(x+"_second", 1)})
		shape := b.Node("Concat", []string{batch, b.Ints(x+"_shape", -1, heads/shared, 7, size)}, graph.Int("axis", 0))
		less, ones := b.Ints(x+"_less", -1, -1, -1, -1, -1), b.Ints(x+"_ones", 1, 1, 1, 1, 1)
		shape = b.Node("Where", []string{b.Node("Equal", []string{shape, less}), ones, shape})
		wide := b.Node("Expand", []string{b.Node("Unsqueeze", []string{x, b.Ints(x+"_axis", 2)}), shape})
		return b.Node("Reshape", []string{wide, b.Ints(x+"_merged", 1, heads, 7, size)})
	}
	q := queries(layer+"_q", split(b.Linear(x, width, heads*size, true), heads))
	k := repeat(keys(layer+"_k", split(b.Linear(x, width, shared*size, false), shared)))
	v := repeat(split(b.Linear(x, width, shared*size, false), shared))
	scores := b.Node("MatMul", []string{q, b.Node("Transpose", []string{k}, graph.Ints("perm", 0, 1, 3, 2))})
	y := b.Node("Transpose", []string{b.Node("MatMul", []string{b.Node("Softmax", []string{scores}), v})}, graph.Ints("perm", 0, 2, 1, 3))
	return b.Node("Reshape", []string{y, b.Ints(layer+"_joined", 1, 7, heads*size)})
}

// axisNets are models that differ in what lies between the sites of an axis, or in why there is none.
func axisNets() map[string]func(b *testmodels.Builder) {
	return map[string]func(b *testmodels.Builder){
		"inverted_residual": func(b *testmodels.Builder) {
			x := image(b, 6)
			x = inverted(b, x, 6, 16)
			finish(b, b.Conv(x, 6, 5, []int{1, 1}), 4)
		},
		"convnext": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 8, []int{1, 1})
			y := b.Conv(x, 8, 8, []int{3, 3}, graph.Int("group", 8), same(1))
			y = b.Node("Transpose", []string{y}, graph.Ints("perm", 0, 2, 3, 1))
			y = b.Node("LayerNormalization", []string{y, b.Random("norm_scale", 0.5, 1.5, 8), b.Random("norm_bias", -1, 1, 8)})
			y = b.Linear(gelu(b, b.Linear(y, 8, 20, true)), 20, 8, true)
			y = b.Node("Transpose", []string{b.Node("Mul", []string{y, b.Random("layer_scale", 0, 1, 8)})}, graph.Ints("perm", 0, 3, 1, 2))
			finish(b, b.Conv(b.Node("Add", []string{x, y}), 8, 5, []int{1, 1}), 4)
		},
		"swiglu": func(b *testmodels.Builder) {
			x := rows(b, 6)
			gate, up := b.Linear(x, 6, 16, false), b.Linear(x, 6, 16, true)
			gate = b.Node("Mul", []string{gate, b.Node("Sigmoid", []string{gate})})
			finish(b, b.Linear(b.Node("Mul", []string{gate, up}), 16, 5, true), 2)
		},
		"gelu_tanh": func(b *testmodels.Builder) {
			number := func(name string, v float64) string { return b.Tensor(name, b.Type(), nil, []float64{v}) }
			x := b.Linear(rows(b, 6), 6, 16, true)
			cube := b.Node("Mul", []string{b.Node("Pow", []string{x, number("three", 3)}), number("cubic", 0.044715)})
			y := b.Node("Tanh", []string{b.Node("Mul", []string{b.Node("Add", []string{x, cube}), number("root", 0.7978846)})})
			y = b.Node("Mul", []string{b.Node("Mul", []string{x, number("half", 0.5)}), b.Node("Add", []string{y, number("one", 1)})})
			finish(b, b.Linear(y, 16, 5, true), 2)
		},
		"glu_fused": func(b *testmodels.Builder) {
			half := b.Several("Split", []string{b.Linear(rows(b, 6), 6, 16, true)}, 2, graph.Int("axis", -1))
			finish(b, b.Linear(b.Node("Mul", []string{half[0], b.Node("Tanh", []string{half[1]})}), 8, 5, true), 2)
		},
		"split_apart": func(b *testmodels.Builder) {
			part := b.Several("Split", []string{b.Linear(rows(b, 6), 6, 12, true)}, 3, graph.Int("axis", -1))
			y := b.Node("Concat", []string{b.Linear(part[0], 4, 6, true), part[1]}, graph.Int("axis", -1))
			b.Output(part[2], tensor.Float32, "N", 4)
			finish(b, b.Linear(b.Node("Relu", []string{y}), 10, 5, true), 2)
		},
		"split_sizes": func(b *testmodels.Builder) {
			part := b.Several("Split", []string{b.Conv(image(b, 6), 6, 12, []int{3, 3}), b.Ints("sizes", 8, 4)}, 2, graph.Int("axis", 1))
			y := b.Node("Add", []string{b.Conv(part[0], 8, 4, []int{1, 1}), part[1]})
			finish(b, b.Conv(y, 4, 5, []int{1, 1}), 4)
		},
		"concat": func(b *testmodels.Builder) {
			x := image(b, 6)
			parts := []string{b.Conv(x, 6, 8, []int{3, 3}, same(1)), x, b.Random("learned", -1, 1, 1, 2, 10, 12), b.Conv(x, 6, 4, []int{1, 1})}
			parts[2] = b.Node("Expand", []string{parts[2], b.Node("Concat", []string{
				b.Node("Slice", []string{b.Node("Shape", []string{x}), b.Ints("zero", 0), b.Ints("one", 1)}), b.Ints("wide", 1, 1, 1),
			}, graph.Int("axis", 0))})
			y := b.Node("Relu", []string{b.Node("Concat", parts, graph.Int("axis", 1))})
			finish(b, b.Conv(y, 20, 5, []int{1, 1}), 4)
		},
		"flatten": func(b *testmodels.Builder) {
			x := b.Node("MaxPool", []string{b.Node("Relu", []string{b.Conv(image(b, 6), 6, 8, []int{3, 3}, same(1))})}, graph.Ints("kernel_shape", 5, 6), graph.Ints("strides", 5, 6))
			finish(b, b.Linear(b.Node("Flatten", []string{x}), 32, 5, true), 2)
		},
		"flatten_reshape": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 8, []int{3, 3}, same(1))
			x = b.Node("Reshape", []string{b.Node("Relu", []string{x}), b.Ints("rows_of", -1, 960)})
			x = b.Node("Gemm", []string{x, b.Weight("w1", 960, 16, 960), b.Weight("c1", 16, 16)}, graph.Int("transB", 1), graph.Float("alpha", 2))
			b.Node("Gemm", []string{b.Node("Relu", []string{x}), b.Weight("w2", 16, 16, 5)})
			b.Output(b.Rename("y"), b.Type(), "N", 5)
		},
		"flatten_added": func(b *testmodels.Builder) {
			x := image(b, 6)
			y := b.Node("Flatten", []string{b.Conv(x, 6, 4, []int{9, 11})})
			z := b.Linear(b.Node("Flatten", []string{b.Node("GlobalMaxPool", []string{x})}), 6, 16, true)
			finish(b, b.Linear(b.Node("Sub", []string{z, y}), 16, 5, true), 2)
		},
		"line": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), "N", 6, 15)
			x = b.Conv(x, 6, 8, []int{3}, graph.Ints("pads", 1, 1))
			x = b.Node("PRelu", []string{x, b.Random("slope", 0, 1, 8, 1)})
			x = b.Node("InstanceNormalization", []string{x, b.Random("norm_scale", 0.5, 1.5, 8), b.Random("norm_bias", -1, 1, 8)})
			x = b.Node("AveragePool", []string{x}, graph.Ints("kernel_shape", 3), graph.Ints("strides", 3))
			x = b.ConvTranspose(x, 8, 12, []int{4}, graph.Ints("strides", 2))
			x = b.Node("Dropout", []string{b.Node("LeakyRelu", []string{x})})
			finish(b, b.Conv(x, 12, 5, []int{1}), 3)
		},
		"grouped": func(b *testmodels.Builder) {
			x := b.Node("Relu", []string{b.Conv(image(b, 6), 6, 16, []int{1, 1})})
			x = b.Node("Relu", []string{b.Conv(x, 16, 24, []int{3, 3}, graph.Int("group", 8), same(1))})
			x = b.ConvTranspose(x, 24, 32, []int{2, 2}, graph.Int("group", 8), graph.Ints("strides", 2, 2))
			finish(b, b.Conv(x, 32, 5, []int{1, 1}), 4)
		},
		"shuffle": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 16, []int{3, 3}, same(1))
			x = b.Node("DepthToSpace", []string{x}, graph.Int("blocksize", 2), graph.String("mode", "CRD"))
			x = b.Node("SpaceToDepth", []string{b.Conv(x, 4, 6, []int{1, 1})}, graph.Int("blocksize", 2))
			x = b.Node("DepthToSpace", []string{b.Conv(x, 24, 12, []int{1, 1})}, graph.Int("blocksize", 2))
			finish(b, b.Conv(x, 3, 5, []int{1, 1}), 4)
		},
		"picks": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 12, []int{3, 3}, same(1))
			ends := b.Node("Constant", nil, graph.Ints("value_ints", math.MaxInt64, -6))
			low := b.Node("Slice", []string{x, b.Ints("low_start", 1, 0), ends, b.Ints("low_axes", 2, 1)})
			low = b.Node("Pad", []string{low, b.Ints("pads", 0, 0, 1, 0, 0, 0, 0, 0)})
			high := b.Node("Slice", []string{x, b.Ints("high_start", 6), b.Ints("high_end", 1<<40), b.Ints("channel_too", 1)})
			some := b.Node("Gather", []string{x, b.Ints("indices", 11, 7, 0, -5)}, graph.Int("axis", 1))
			one := b.Node("Gather", []string{x, b.Tensor("index", tensor.Int64, nil, []float64{3})}, graph.Int("axis", 1))
			b.Output(one, tensor.Float32, "N", 10, 12)
			finish(b, b.Node("Sum", []string{b.Conv(low, 6, 5, []int{1, 1}), b.Conv(high, 6, 5, []int{1, 1}), b.Conv(some, 4, 5, []int{1, 1})}), 4)
		},
		"pad_shortcut": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 4, []int{3, 3}, same(1))
			y := b.Conv(b.Node("Relu", []string{x}), 4, 8, []int{3, 3}, same(1))
			x = b.Node("Pad", []string{x, b.Ints("pads", 0, 2, 0, 0, 0, 2, 0, 0)})
			finish(b, b.Conv(b.Node("Add", []string{x, y}), 8, 5, []int{1, 1}), 4)
		},
		"pad_computed": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 4, []int{3, 3}, same(1))
			y := b.Conv(x, 4, 8, []int{3, 3}, same(1))
			pads := b.Node("Concat", []string{b.Ints("pads_begin", 0, 2, 0, 0), b.Ints("pads_end", 0, 2, 0, 0)}, graph.Int("axis", 0))
			x = b.Node("Pad", []string{x, b.Node("Cast", []string{pads}, graph.Int("to", int(tensor.Int64)))})
			finish(b, b.Conv(b.Node("Add", []string{x, y}), 8, 5, []int{1, 1}), 4)
		},
		"sizes_computed": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 8, []int{3, 3}, same(1))
			shape := b.Node("Shape", []string{x})
			batch := b.Node("Unsqueeze", []string{b.Node("Gather", []string{shape, b.Tensor("first", tensor.Int64, nil, []float64{0})}), b.Ints("front", 0)})
			channels := b.Node("Slice", []string{shape, b.Ints("one", 1), b.Ints("two", 2)})
			flat := b.Node("Reshape", []string{x, b.Node("Concat", []string{batch, channels, b.Ints("rest", -1)}, graph.Int("axis", 0))})
			y := b.Linear(b.Node("Transpose", []string{flat}, graph.Ints("perm", 0, 2, 1)), 8, 12, true)
			y = b.Node("Transpose", []string{b.Node("Relu", []string{y})}, graph.Ints("perm", 0, 2, 1))
			y = b.Node("Reshape", []string{y, b.Node("Concat", []string{batch, b.Ints("twelve", 12), b.Ints("plane", 10, 12)}, graph.Int("axis", 0))})
			finish(b, b.Conv(y, 12, 5, []int{1, 1}), 4)
		},
		"sizes_counted": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 8, []int{3, 3}, same(1))
			channels := b.Node("Gather", []string{b.Node("Shape", []string{x}), b.Tensor("second", tensor.Int64, nil, []float64{1})})
			scaled := b.Node("Div", []string{x, b.Node("Cast", []string{channels}, graph.Int("to", int(tensor.Float32)))})
			finish(b, b.Conv(scaled, 8, 5, []int{1, 1}), 4)
		},
		"resized": func(b *testmodels.Builder) {
			x := b.Node("Sigmoid", []string{b.Conv(image(b, 6), 6, 8, []int{3, 3})})
			front := b.Node("Slice", []string{b.Node("Shape", []string{x}), b.Ints("zero", 0), b.Ints("two", 2)})
			x = b.Node("Resize", []string{x, "", "", b.Node("Concat", []string{front, b.Ints("plane", 16, 20)}, graph.Int("axis", 0))})
			x = b.Node("Resize", []string{b.Conv(x, 8, 12, []int{1, 1}), "", b.Tensor("scales", tensor.Float32, []int{4}, []float64{1, 1, 0.5, 0.5})})
			x = b.Node("Pad", []string{x, b.Ints("pads", 0, 0, 1, 1, 0, 0, 1, 1)})
			finish(b, b.Conv(b.Node("ReduceMean", []string{x}, graph.Ints("axes", 2), graph.Int("keepdims", 1)), 12, 5, []int{1, 1}), 4)
		},
		"reduced": func(b *testmodels.Builder) {
			x := b.Node("Relu", []string{b.Conv(image(b, 6), 6, 8, []int{3, 3})})
			x = b.Node("ReduceMax", []string{b.Node("ReduceSum", []string{x, b.Ints("rows", -2)}, graph.Int("keepdims", 0))}, graph.Ints("axes", 2), graph.Int("keepdims", 0))
			x = b.Linear(x, 8, 12, true)
			x = b.Node("Unsqueeze", []string{x, b.Ints("middle", 1)})
			x = b.Node("Softmax", []string{b.Node("Tile", []string{x, b.Ints("twice", 1, 2, 1)})}, graph.Int("axis", 1))
			x = b.Node("Squeeze", []string{b.Node("ReduceL2", []string{x}, graph.Ints("axes", 1)), b.Ints("middle_too", 1)})
			finish(b, b.Linear(x, 12, 5, true), 2)
		},
		"single_head": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), "N", 7, 6)
			q, k, v := b.Linear(x, 6, 8, true), b.Linear(x, 6, 8, true), b.Linear(x, 6, 10, true)
			scores := b.Node("Softmax", []string{b.Node("MatMul", []string{q, b.Node("Transpose", []string{k}, graph.Ints("perm", 0, 2, 1))})})
			finish(b, b.Linear(b.Node("MatMul", []string{scores, v}), 10, 5, true), 3)
		},
		"heads": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), "N", 7, 6)
			finish(b, b.Linear(attention(b, x, 6, 2, 2, 4, true), 8, 5, true), 3)
		},
		"heads_grouped": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), 1, 7, 6)
			finish(b, b.Linear(attention(b, x, 6, 4, 2, 4, false), 16, 5, false), 3)
		},
		"heads_gated": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), "N", 7, 6)
			y := b.Node("Sigmoid", []string{attention(b, x, 6, 2, 2, 4, true)})
			finish(b, b.Linear(y, 8, 5, true), 3)
		},
		"heads_rotary": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), 1, 7, 6)
			at := b.Tensor("positions", b.Type(), []int{7, 1}, []float64{0, 1, 2, 3, 4, 5, 6})
			angles := b.Node("Mul", []string{at, b.Tensor("frequencies", b.Type(), []int{1, 4}, []float64{1, 0.5, 0.25, 0.125})})
			angles = b.Node("Concat", []string{angles, angles}, graph.Int("axis", -1))
			cos, sin := b.Node("Cos", []string{angles}), b.Node("Sin", []string{angles})
			turn := func(name, x string) string {
				size := b.Node("Gather", []string{b.Node("Shape", []string{x}), b.Tensor(name+"_last", tensor.Int64, nil, []float64{3})})
				half := b.Node("Cast", []string{b.Node("Div", []string{size, b.Tensor(name+"_two", tensor.Int64, nil, []float64{2})})}, graph.Int("to", int(tensor.Int64)))
				half = b.Node("Unsqueeze", []string{half, b.Ints(name+"_one", 0)})
				low := b.Node("Slice", []string{x, b.Ints(name+"_zero", 0), half, b.Ints(name+"_low", 3)})
				high := b.Node("Slice", []string{x, half, b.Ints(name+"_end", 1<<40), b.Ints(name+"_high", 3)})
				beside := b.Node("Concat", []string{b.Node("Neg", []string{high}), low}, graph.Int("axis", -1))
				return b.Node("Add", []string{b.Node("Mul", []string{x, cos}), b.Node("Mul", []string{beside, sin})})
			}
			for range 2 {
				x = b.Node("Add", []string{x, b.Linear(rotary(b, x, 6, 4, 2, 8, turn, turn), 32, 6, false)})
			}
			finish(b, b.Linear(b.Node("LpNormalization", []string{x}), 6, 5, false), 3)
		},
		"heads_rotary_table": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), 1, 7, 6)
			at := b.Input("at", tensor.Int64, 7)
			cosines, sines := b.Random("cosines", -1, 1, 9, 4), b.Random("sines", -1, 1, 9, 4)
			turn := func(name, x string) string { // neighbours, and only half of the channels
				cos, sin := b.Node("Gather", []string{cosines, at}), b.Node("Gather", []string{sines, at})
				every := func(part string, start int) string {
					return b.Node("Slice", []string{x, b.Ints(name+part, start), b.Ints(name+part+"_end", 8), b.Ints(name+part+"_axis", 3), b.Ints(name+part+"_step", 2)})
				}
				first, second := every("_first", 0), every("_second", 1)
				left := b.Node("Sub", []string{b.Node("Mul", []string{first, cos}), b.Node("Mul", []string{second, sin})})
				right := b.Node("Add", []string{b.Node("Mul", []string{first, sin}), b.Node("Mul", []string{second, cos})})
				y := b.Node("Concat", []string{b.Node("Unsqueeze", []string{left, b.Ints(name+"_left", 4)}), b.Node("Unsqueeze", []string{right, b.Ints(name+"_right", 4)})}, graph.Int("axis", 4))
				y = b.Node("Reshape", []string{y, b.Ints(name+"_joined", 0, 0, 0, 8)})
				rest := b.Node("Slice", []string{x, b.Ints(name+"_rest", 8), b.Ints(name+"_all", 12), b.Ints(name+"_of", 3)})
				return b.Node("Concat", []string{y, rest}, graph.Int("axis", 3))
			}
			for range 2 {
				x = b.Node("Add", []string{x, b.Linear(rotary(b, x, 6, 2, 1, 12, turn, turn), 24, 6, true)})
			}
			finish(b, b.Linear(b.Node("LpNormalization", []string{x}), 6, 5, false), 3)
		},
		"heads_rotary_cached": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), 1, 7, 6)
			cos := b.Random("cosines", -1, 1, 7, 8)
			turn := func(_, x string) string { return b.Node("Mul", []string{x, cos}) }
			y := rotary(b, x, 6, 2, 2, 8, turn, func(name, x string) string {
				b.Node("Identity", []string{turn(name, x)})
				b.Output(b.Rename("present.key"), b.Type(), 1, 2, 7, 8)
				return "present.key"
			})
			finish(b, b.Linear(y, 16, 5, false), 3)
		},
		"groups_shuffled": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 8, []int{1, 1})
			x = b.Node("Reshape", []string{x, b.Ints("apart", 0, 2, 4, 10, 12)})
			x = b.Node("Transpose", []string{x}, graph.Ints("perm", 0, 2, 1, 3, 4))
			x = b.Node("Reshape", []string{x, b.Ints("together", 0, -1, 10, 12)})
			finish(b, b.Conv(x, 8, 5, []int{1, 1}), 4)
		},
		"bias_shared": func(b *testmodels.Builder) {
			x := rows(b, 6)
			bias := b.Random("bias", -1, 1, 8)
			y := b.Node("Add", []string{b.Linear(x, 6, 8, false), bias})
			z := b.Node("Add", []string{b.Linear(x, 6, 8, false), bias})
			b.Output(z, b.Type(), "N", 8)
			finish(b, b.Linear(b.Node("Relu", []string{y}), 8, 5, true), 2)
		},
		"weight_shared_alike": func(b *testmodels.Builder) {
			x, w := rows(b, 6), b.Weight("weight", 6, 8, 6)
			turned := b.Node("Transpose", []string{w})
			y := b.Node("Add", []string{b.Node("MatMul", []string{x, turned}), b.Node("Tanh", []string{b.Node("Gemm", []string{x, w}, graph.Int("transB", 1))})})
			finish(b, b.Linear(y, 8, 5, true), 2)
		},
		"left": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), 6, "N")
			y := b.Node("Gemm", []string{b.Weight("w1", 6, 6, 8), x, b.Random("c1", -1, 1, 8, 1)}, graph.Int("transA", 1))
			y = b.Node("MatMul", []string{b.Weight("w2", 8, 12, 8), b.Node("Relu", []string{y})})
			y = b.Node("Gemm", []string{y, b.Weight("w3", 12, 12, 10)}, graph.Int("transA", 1))
			y = b.Node("Gemm", []string{b.Weight("w4", 10, 5, 10), b.Node("Relu", []string{y})}, graph.Int("transB", 1))
			b.Node("Identity", []string{y})
			b.Output(b.Rename("y"), b.Type(), 5, "N")
		},
		"mixer": func(b *testmodels.Builder) {
			x := b.Linear(b.Input("x", b.Type(), "N", 7, 6), 6, 8, true)
			y := b.Node("Tanh", []string{b.Node("MatMul", []string{b.Weight("mix_up", 7, 9, 7), x})})
			y = b.Node("MatMul", []string{b.Weight("mix_down", 9, 7, 9), y})
			finish(b, b.Linear(b.Node("Add", []string{x, y}), 8, 5, true), 3)
		},
		"attributes_opset9": func(b *testmodels.Builder) {
			x := b.Conv(image(b, 6), 6, 12, []int{3, 3}, same(1))
			part := b.Several("Split", []string{x}, 2, graph.Int("axis", 1))
			y := b.Node("Slice", []string{part[0]}, graph.Ints("axes", 1, 2), graph.Ints("starts", 2, 0), graph.Ints("ends", -1, 9))
			y = b.Node("Pad", []string{b.Conv(y, 3, 8, []int{2, 1})}, graph.Ints("pads", 0, 2, 1, 0, 0, 2, 1, 0))
			z := b.Several("Split", []string{b.Conv(part[1], 6, 15, []int{1, 1})}, 2, graph.Int("axis", 1), graph.Ints("split", 12, 3))
			finish(b, b.Conv(b.Node("Add", []string{y, z[0]}), 12, 5, []int{1, 1}), 4)
			b.Output(z[1], b.Type(), "N", 3, 10, 12)
		},
		"stack": func(b *testmodels.Builder) {
			x := b.Input("x", b.Type(), 2, 3, 6)
			y := b.Linear(x, 6, 8, true)
			b.Node("MatMul", []string{y, b.Weight("stack", 8, 2, 8, 5)})
			b.Output(b.Rename("y"), b.Type(), 2, 3, 5)
		},
		"refused": func(b *testmodels.Builder) {
			x := image(b, 6)
			choice := b.Input("choice", tensor.Bool)
			normal := b.Node("LRN", []string{b.Conv(x, 6, 8, []int{1, 1})}, graph.Int("size", 3))
			summed := b.Node("ReduceSum", []string{b.Conv(x, 6, 8, []int{1, 1}), b.Ints("channel", 1)})
			first := b.Node("Add", []string{b.Conv(x, 6, 6, []int{1, 1}), x})
			heads := b.Node("Reshape", []string{b.Conv(x, 6, 8, []int{1, 1}), b.Ints("heads", 0, 2, 4, -1)})
			heads = b.Node("Reshape", []string{heads, b.Ints("joined", 0, 8, 10, 12)})
			inner := b.Conv(x, 6, 8, []int{1, 1})
			body := func(name string) graph.Attr {
				return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
					body.Output(body.Node("Neg", []string{inner}), tensor.Float32, nil, 8, 10, 12)
				}))
			}
			nested := b.Node("If", []string{choice}, body("then_branch"), body("else_branch"))
			one := b.Conv(x, 6, 1, []int{1, 1})
			finish(b, b.Conv(b.Node("Concat", []string{normal, summed, first, heads, nested, one}, graph.Int("axis", 1)), 32, 5, []int{1, 1}), 4)
		},
	}
}

func image(b *testmodels.Builder, channels int) string {
	return b.Input("x", b.Type(), "N", channels, 10, 12)
}

func rows(b *testmodels.Builder, width int) string { return b.Input("x", b.Type(), "N", width) }

// finish makes a value of five channels, along axis 1 or, of matrices, the last, the output.
func finish(b *testmodels.Builder, x string, rank int) {
	b.Node("Identity", []string{x})
	b.Output(b.Rename("y"), b.Type(), append([]any{"N"}, make([]any, rank-1)...)...)
}

func same(pad int) graph.Attr { return graph.Ints("pads", pad, pad, pad, pad) }

func gelu(b *testmodels.Builder, x string) string {
	one := b.Tensor("one", b.Type(), nil, []float64{1})
	y := b.Node("Erf", []string{b.Node("Div", []string{x, b.Tensor("root", b.Type(), []int{1}, []float64{1.4142135})})})
	return b.Node("Mul", []string{x, b.Node("Add", []string{y, one})})
}

// inverted adds an inverted residual block with squeeze and excite.
func inverted(b *testmodels.Builder, x string, channels, wide int) string {
	y := b.Node("HardSwish", []string{b.BatchNorm(b.ConvBias(x, channels, wide, []int{1, 1}, ""), wide)})
	y = b.Node("Relu", []string{b.BatchNorm(b.ConvBias(y, wide, wide, []int{3, 3}, "", graph.Int("group", wide), same(1)), wide)})
	s := b.Node("Relu", []string{b.Conv(b.Node("GlobalAveragePool", []string{y}), wide, wide/2, []int{1, 1})})
	y = b.Node("Mul", []string{y, b.Node("HardSigmoid", []string{b.Conv(s, wide/2, wide, []int{1, 1})})})
	return b.Node("Add", []string{x, b.BatchNorm(b.ConvBias(y, wide, channels, []int{1, 1}, ""), channels)})
}

package grad

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func reshapeCases() []ruleCase {
	all := []int{7, 13}
	squeeze := func(op string, shape, axes []int) ruleCase {
		return ruleCase{op, fmt.Sprint(shape, axes), all, false, func(n *net) {
			x := n.in(normal, shape...)
			if n.opset >= 13 {
				n.out(n.op(op, []string{x, n.ints(axes...)}))
				return
			}
			n.out(n.op(op, []string{x}, graph.Ints("axes", axes...)))
		}}
	}
	tile := func(shape, repeats []int) ruleCase {
		return ruleCase{"Tile", fmt.Sprint(shape, repeats), all, false, func(n *net) {
			n.out(n.op("Tile", []string{n.in(normal, shape...), n.ints(repeats...)}))
		}}
	}
	expand := func(from, to []int) ruleCase {
		return ruleCase{"Expand", fmt.Sprint(from, to), []int{8, 13}, false, func(n *net) {
			n.out(n.op("Expand", []string{n.in(normal, from...), n.ints(to...)}))
		}}
	}
	return []ruleCase{
		{"Reshape", "fixed", all, false, func(n *net) {
			n.out(n.op("Reshape", []string{n.in(normal, 2, 3, 4), n.ints(0, -1)}))
		}},
		{"Reshape", "by shape arithmetic", []int{7, 10, 13, 18}, false, func(n *net) {
			x := n.in(normal, 2, 3, 4)
			first := n.op("Gather", []string{n.op("Shape", []string{x}), n.ints(0)}, graph.Int("axis", 0))
			n.out(n.op("Reshape", []string{x, n.op("Concat", []string{first, n.ints(-1)}, graph.Int("axis", 0))}))
		}},
		{"Flatten", "axis 1", all, false, func(n *net) { n.out(n.op("Flatten", []string{n.in(normal, 2, 3, 4)})) }},
		{"Flatten", "axis 0", all, false, func(n *net) {
			n.out(n.op("Flatten", []string{n.in(normal, 2, 3)}, graph.Int("axis", 0)))
		}},
		squeeze("Squeeze", []int{1, 3, 1}, []int{0, 2}),
		squeeze("Unsqueeze", []int{3, 2}, []int{0, 2}),
		{"Squeeze", "all", all, false, func(n *net) { n.out(n.op("Squeeze", []string{n.in(normal, 1, 3, 1)})) }},
		unary("Identity", false, normal, all),
		{"Cast", "to float32 and back", all, true, func(n *net) {
			y := n.op("Cast", []string{n.in(normal, 3)}, graph.Int("to", int(tensor.Float64)))
			n.out(n.op("Cast", []string{n.op("Mul", []string{y, y})}, graph.Int("to", int(tensor.Float32))))
		}},
		{"CastLike", "to float64 and back", []int{15, 19}, true, func(n *net) {
			x := n.in(normal, 3)
			y := n.op("CastLike", []string{x, n.constant(tensor.Float64, []int{1}, []float64{0})})
			n.out(n.op("Cast", []string{n.op("Mul", []string{y, y})}, graph.Int("to", int(tensor.Float32))))
		}},
		{"Dropout", "inference", []int{7, 10, 12, 13}, false, func(n *net) {
			n.out(n.op("Dropout", []string{n.in(normal, 3)}))
		}},
		{"Dropout", "ratio and mode", []int{12, 13}, false, func(n *net) {
			n.out(n.op("Dropout", []string{n.in(normal, 3), n.constant(tensor.Float32, []int{}, []float64{0.5}), n.constant(tensor.Bool, []int{}, []float64{0})}))
		}},
		{"Transpose", "reversed", all, false, func(n *net) { n.out(n.op("Transpose", []string{n.in(normal, 2, 3, 4)})) }},
		{"Transpose", "cyclic", all, false, func(n *net) {
			n.out(n.op("Transpose", []string{n.in(normal, 2, 3, 4)}, graph.Ints("perm", 1, 2, 0)))
		}},
		{"DepthToSpace", "DCR", []int{7, 11, 13}, true, func(n *net) {
			n.out(n.op("DepthToSpace", []string{n.in(normal, 2, 8, 2, 3)}, graph.Int("blocksize", 2)))
		}},
		{"DepthToSpace", "CRD", []int{11, 13}, true, func(n *net) {
			n.out(n.op("DepthToSpace", []string{n.in(normal, 2, 8, 2, 3)}, graph.Int("blocksize", 2), graph.String("mode", "CRD")))
		}},
		{"SpaceToDepth", "blocks of 2", []int{7, 13}, true, func(n *net) {
			n.out(n.op("SpaceToDepth", []string{n.in(normal, 2, 2, 4, 6)}, graph.Int("blocksize", 2)))
		}},
		expand([]int{3, 1}, []int{2, 3, 4}), expand([]int{1}, []int{3}), expand([]int{2, 3}, []int{1, 1}), expand([]int{}, []int{2, 2}),
		tile([]int{2, 3}, []int{2, 1}), tile([]int{2, 1, 3}, []int{1, 4, 2}), tile([]int{2}, []int{1}),
	}
}

func moveCases() []ruleCase {
	slice := func(shape, starts, ends, axes, steps []int) ruleCase {
		opsets := []int{10, 11, 13}
		if steps == nil {
			opsets = []int{7, 10, 13}
		}
		return ruleCase{"Slice", fmt.Sprint(shape, starts, ends, axes, steps), opsets, false, func(n *net) {
			x := n.in(normal, shape...)
			if n.opset >= 10 {
				inputs := []string{x, n.ints(starts...), n.ints(ends...)}
				if axes != nil || steps != nil {
					inputs = append(inputs, "")
				}
				if axes != nil {
					inputs[3] = n.ints(axes...)
				}
				if steps != nil {
					inputs = append(inputs, n.ints(steps...))
				}
				n.out(n.op("Slice", inputs))
				return
			}
			attributes := attrs{graph.Ints("starts", starts...), graph.Ints("ends", ends...)}
			if axes != nil {
				attributes = append(attributes, graph.Ints("axes", axes...))
			}
			n.out(n.op("Slice", []string{x}, attributes...))
		}}
	}
	pad := func(mode string, pads []int, opsets ...int) ruleCase {
		return ruleCase{"Pad", fmt.Sprint(mode, pads), opsets, false, func(n *net) {
			n.padded(mode, pads)
		}}
	}
	// Images of float32 take a way of their own.
	image := func(c ruleCase) ruleCase {
		c.single = true
		return c
	}
	const far = 1 << 40
	cases := []ruleCase{
		{"Concat", "axis 1", []int{7, 11, 13}, false, func(n *net) {
			n.out(n.op("Concat", []string{n.in(normal, 2, 1, 3), n.data(normal, 2, 2, 3), n.in(normal, 2, 3, 3)}, graph.Int("axis", 1)))
		}},
		{"Concat", "an empty part", []int{11, 13}, false, func(n *net) {
			n.out(n.op("Concat", []string{n.data(normal, 2, 0, 3), n.in(normal, 2, 3, 3)}, graph.Int("axis", 1)))
		}},
		{"Concat", "one", []int{7}, false, func(n *net) {
			n.out(n.op("Concat", []string{n.in(normal, 2, 3)}, graph.Int("axis", 0)))
		}},
		{"Concat", "negative axis, twice the same", []int{11, 13}, false, func(n *net) {
			x := n.in(normal, 2, 3)
			n.out(n.op("Concat", []string{x, x}, graph.Int("axis", -1)))
		}},
		{"Split", "all read", []int{7, 11, 13, 18}, false, func(n *net) {
			parts := n.split(n.in(normal, 2, 6), 1, 1, 3, 2)
			n.out(n.op("Mul", []string{parts[0], parts[2]}), parts[1])
		}},
		{"Split", "two of three read", []int{7, 13}, false, func(n *net) {
			parts := n.split(n.in(normal, 6, 2), 0, 1, 3, 2)
			n.out(parts[0], parts[2])
		}},
		{"Split", "one read", []int{7, 11, 13}, false, func(n *net) {
			n.out(n.split(n.in(normal, 2, 6), 1, 1, 3, 2)[1])
		}},
		{"Split", "into equal parts", []int{18, 21}, false, func(n *net) {
			n.out(n.ops("Split", 3, []string{n.in(normal, 5, 2)}, graph.Int("num_outputs", 3))...)
		}},
		slice([]int{4, 5}, []int{1, 2}, []int{3, 5}, nil, nil),
		slice([]int{4, 5}, []int{-3}, []int{far}, []int{1}, nil),
		slice([]int{4, 5, 3}, []int{0, -2}, []int{-1, far}, []int{2, 0}, nil),
		slice([]int{2, 7, 8}, []int{0, 1}, []int{far, far}, []int{1, 2}, []int{2, 3}),
		slice([]int{7, 5}, []int{1}, []int{6}, []int{0}, []int{2}),
		slice([]int{7, 5}, []int{-1}, []int{-far}, []int{0}, []int{-1}),
		slice([]int{7, 5}, []int{5, 9}, []int{0, 0}, []int{0, 1}, []int{-2, -3}),
		slice([]int{3, 4}, []int{3}, []int{4}, []int{1}, []int{5}),
		slice([]int{6, 2}, []int{0}, []int{far}, nil, []int{1}),
		slice([]int{1, 2, 7, 8}, []int{0, 1}, []int{far, far}, []int{2, 3}, []int{2, 3}),
		image(slice([]int{1, 2, 7, 8}, []int{0, 1}, []int{far, far}, []int{2, 3}, []int{2, 3})),
		image(slice([]int{1, 2, 5, 8}, []int{1, 0, 1}, []int{2, far, far}, []int{1, 2, 3}, []int{1, 2, 1})),
		image(slice([]int{2, 2, 5, 4}, []int{0, -1}, []int{far, -far}, []int{0, 3}, []int{2, -2})),
		pad("constant", []int{0, 1, 2, 0, 3, 0}, 7, 10, 11, 13, 18),
		pad("constant", []int{0, -1, 2, 0, 1, -1}, 7, 11, 13, 18),
		pad("reflect", []int{0, 1, 2, 0, 2, 1}, 7, 11, 13, 18),
		pad("edge", []int{0, 1, 4, 0, 3, 5}, 7, 11, 13, 18),
		pad("wrap", []int{0, 1, 2, 0, 3, 4}, 19),
		{"Pad", "axes", []int{18, 21}, false, func(n *net) {
			x := n.in(normal, 2, 3, 4)
			n.out(n.op("Pad", []string{x, n.ints(1, 2, 3, 0), "", n.ints(-1, 0)}))
		}},
	}
	return cases
}

// padded pads an input [2, 3, 4].
func (n *net) padded(mode string, pads []int) {
	x := n.in(normal, 2, 3, 4)
	kind := graph.String("mode", mode)
	if n.opset >= 11 {
		n.out(n.op("Pad", []string{x, n.ints(pads...)}, kind))
		return
	}
	n.out(n.op("Pad", []string{x}, kind, graph.Ints("pads", pads...)))
}

// split is a Split into parts of given sizes.
func (n *net) split(x string, axis int, sizes ...int) []string {
	at := graph.Int("axis", axis)
	if n.opset >= 13 {
		return n.ops("Split", len(sizes), []string{x, n.ints(sizes...)}, at)
	}
	return n.ops("Split", len(sizes), []string{x}, at, graph.Ints("split", sizes...))
}

func indexCases() []ruleCase {
	gather := func(name string, data []int, axis int, shape []int, indices []float64, typ tensor.Type, fed bool, opsets ...int) ruleCase {
		return ruleCase{"Gather", name, opsets, false, func(n *net) {
			x := n.in(normal, data...)
			var i string
			if fed {
				i = n.feed(typ, shape, indices)
			} else {
				i = n.constant(typ, shape, indices)
			}
			n.out(n.op("Gather", []string{x, i}, graph.Int("axis", axis)))
		}}
	}
	i64, i32 := tensor.Int64, tensor.Int32
	where := func(cond, a, b []int) ruleCase {
		return ruleCase{"Where", fmt.Sprint(cond, a, b), []int{9, 13, 16}, false, func(n *net) {
			v := make([]float64, tensor.Product(cond))
			for i := range v {
				v[i] = float64(n.random.IntN(2))
			}
			n.out(n.op("Where", []string{n.feed(tensor.Bool, cond, v), n.in(normal, a...), n.weight(normal, b...)}))
		}}
	}
	elements := func(name string, data []int, axis int, shape []int, indices []float64, typ tensor.Type, opsets ...int) ruleCase {
		return ruleCase{"GatherElements", name, opsets, false, func(n *net) {
			n.out(n.op("GatherElements", []string{n.in(normal, data...), n.feed(typ, shape, indices)}, graph.Int("axis", axis)))
		}}
	}
	return slices.Concat([]ruleCase{
		elements("along the last axis", []int{2, 4}, -1, []int{2, 5}, []float64{0, 3, 3, -1, 1, 2, 2, 2, 0, 1}, i64, 11, 13, 16, 18),
		elements("along a middle axis", []int{2, 3, 2}, 1, []int{2, 2, 2}, []float64{0, 2, 1, 2, 1, 1, 1, 0}, i32, 11, 13, 18),
		elements("of a part", []int{3, 4}, 1, []int{2, 2}, []float64{0, 3, 3, 3}, i64, 16, 18),
		gather("one, constant", []int{3, 4, 2}, 1, []int{}, []float64{2}, i64, false, 7, 13, 16),
		gather("one, negative", []int{3, 4, 2}, 1, []int{}, []float64{-1}, i64, false, 11, 16),
		gather("a run of constants", []int{5, 2}, 0, []int{3}, []float64{1, 2, 3}, i32, false, 7, 16),
		gather("mixed constants", []int{2, 5}, 1, []int{2, 2}, []float64{4, 0, 1, 3}, i64, false, 7, 13, 16),
		gather("repeated constants", []int{2, 5}, 1, []int{2, 2}, []float64{4, 0, 0, 3}, i64, false, 7, 9, 11, 13, 16, 18),
		gather("a table", []int{6, 3}, 0, []int{2, 4}, []float64{1, 5, 1, 0, 3, 1, 5, 5}, i64, true, 7, 9, 11, 13, 16, 18),
		gather("a middle axis", []int{2, 4, 3}, 1, []int{2, 2}, []float64{1, -1, 0, 3}, i64, true, 11, 13, 16, 18),
		gather("int32", []int{4, 3}, 0, []int{3}, []float64{1, 0, 1}, i32, true, 7, 13, 18),
		gather("one, fed", []int{4, 3}, 0, []int{}, []float64{2}, i64, true, 7, 13, 18),
	}, []ruleCase{
		where([]int{3, 4}, []int{3, 4}, []int{3, 4}),
		where([]int{3, 1}, []int{4}, []int{2, 1, 1}),
		where([]int{2, 3}, []int{}, []int{3}),
	})
}

package grad

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

func normCases() []ruleCase {
	var cases []ruleCase
	for _, shape := range [][]int{{2, 3, 4, 2}, {4, 3}, {2, 3, 5}} {
		cases = append(cases, ruleCase{"BatchNormalization", fmt.Sprint(shape), []int{7, 9, 14, 15}, true, func(n *net) {
			c := shape[1]
			n.out(n.op("BatchNormalization", []string{
				n.in(normal, shape...), n.weight(normal, c), n.weight(normal, c), n.weight(normal, c), n.weight(large, c),
			}, graph.Float("epsilon", 0.01)))
		}})
	}
	for _, axis := range []int{-1, 1, 2} {
		cases = append(cases, ruleCase{"LayerNormalization", fmt.Sprint("axis ", axis), []int{17, 18}, false, func(n *net) {
			shape := []int{2, 3, 5}
			over := shape[(axis+3)%3:]
			n.out(n.op("LayerNormalization", []string{n.in(normal, shape...), n.weight(normal, over...), n.weight(normal, over...)},
				graph.Int("axis", axis), graph.Float("epsilon", 0.01)))
		}})
	}
	cases = append(cases,
		ruleCase{"LayerNormalization", "no bias", []int{17}, false, func(n *net) {
			n.out(n.op("LayerNormalization", []string{n.in(normal, 3, 6), n.weight(normal, 6)}))
		}},
		ruleCase{"RMSNormalization", "last axis", []int{23}, true, func(n *net) {
			n.out(n.op("RMSNormalization", []string{n.in(normal, 2, 3, 5), n.weight(normal, 5)}, graph.Float("epsilon", 0.01)))
		}},
		ruleCase{"RMSNormalization", "two axes", []int{23}, true, func(n *net) {
			n.out(n.op("RMSNormalization", []string{n.in(normal, 2, 3, 5), n.weight(normal, 3, 5)}, graph.Int("axis", 1)))
		}},
	)
	for _, shape := range [][]int{{2, 3, 4, 2}, {2, 3, 7}} {
		cases = append(cases, ruleCase{"InstanceNormalization", fmt.Sprint(shape), []int{7, 13, 22}, true, func(n *net) {
			n.out(n.op("InstanceNormalization", []string{n.in(normal, shape...), n.weight(normal, 3), n.weight(normal, 3)},
				graph.Float("epsilon", 0.01)))
		}})
	}
	group := func(name string, opset int, params int) ruleCase {
		return ruleCase{"GroupNormalization", name, []int{opset}, true, func(n *net) {
			n.out(n.op("GroupNormalization", []string{n.in(normal, 2, 6, 3, 2), n.weight(normal, params), n.weight(normal, params)},
				graph.Int("num_groups", 3), graph.Float("epsilon", 0.01)))
		}}
	}
	cases = append(cases, group("per group", 18, 3), group("per channel", 21, 6))
	for _, p := range []int{1, 2} {
		for _, axis := range []int{-1, 1} {
			cases = append(cases, ruleCase{"LpNormalization", fmt.Sprint("p ", p, " axis ", axis), []int{7, 22}, false, func(n *net) {
				n.out(n.op("LpNormalization", []string{n.in(away, 2, 3, 4)}, graph.Int("p", p), graph.Int("axis", axis)))
			}})
		}
	}
	return cases
}

func reduceCases() []ruleCase {
	var cases []ruleCase
	ops := []struct {
		op     string
		draw   fill
		single bool
	}{
		{"ReduceSum", normal, false},
		{"ReduceMean", normal, false},
		{"ReduceMax", apart, false},
		{"ReduceMin", apart, false},
		{"ReduceL1", away, true},
		{"ReduceL2", away, true},
		{"ReduceSumSquare", normal, false},
		{"ReduceLogSum", above, true},
		{"ReduceLogSumExp", normal, false},
	}
	for _, o := range ops {
		for _, axes := range [][]int{nil, {1}, {-1, 0}, {0, 1, 2}} {
			for keep := range 2 {
				cases = append(cases, ruleCase{o.op, fmt.Sprint("axes ", axes, " keep ", keep), []int{7, 11, 13, 18}, o.single, func(n *net) {
					inputs := []string{n.in(o.draw, 2, 3, 4)}
					attributes := attrs{graph.Int("keepdims", keep)}
					if axes != nil {
						if n.opset >= 18 || o.op == "ReduceSum" && n.opset >= 13 {
							inputs = append(inputs, n.ints(axes...))
						} else {
							list := slices.Clone(axes)
							for i, a := range list { // negative axes since operator set 11
								if a < 0 && n.opset < 11 {
									list[i] = a + 3
								}
							}
							attributes = append(attributes, graph.Ints("axes", list...))
						}
					}
					n.out(n.op(o.op, inputs, attributes...))
				}})
			}
		}
	}
	return append(cases,
		ruleCase{"ReduceSum", "no axes, no operation", []int{13}, false, func(n *net) {
			n.out(n.op("ReduceSum", []string{n.in(normal, 2, 3), n.ints()}, graph.Int("noop_with_empty_axes", 1)))
		}},
		ruleCase{"GlobalAveragePool", "2-D", []int{7, 13, 22}, true, func(n *net) {
			n.out(n.op("GlobalAveragePool", []string{n.in(normal, 2, 3, 4, 5)}))
		}},
		ruleCase{"GlobalAveragePool", "1-D", []int{7}, true, func(n *net) {
			n.out(n.op("GlobalAveragePool", []string{n.in(normal, 2, 3, 4)}))
		}},
		ruleCase{"GlobalMaxPool", "2-D", []int{7, 13, 22}, true, func(n *net) {
			n.out(n.op("GlobalMaxPool", []string{n.in(apart, 2, 3, 4, 2)}))
		}},
	)
}

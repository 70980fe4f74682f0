package grad

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
)

func productCases() []ruleCase {
	var cases []ruleCase
	for trans := range 4 {
		a, b := []int{3, 4}, []int{4, 5}
		if trans&1 != 0 {
			a = []int{4, 3}
		}
		if trans&2 != 0 {
			b = []int{5, 4}
		}
		for _, bias := range [][]int{{3, 5}, {5}, {1, 5}, {3, 1}, {1}, {}} {
			cases = append(cases, ruleCase{"Gemm", fmt.Sprint(a, b, bias), []int{7, 9, 11, 13}, false, func(n *net) {
				n.out(n.op("Gemm", []string{n.in(normal, a...), n.weight(normal, b...), n.weight(normal, bias...)},
					graph.Int("transA", trans&1), graph.Int("transB", trans>>1),
					graph.Float("alpha", 0.5), graph.Float("beta", 1.5)))
			}})
		}
	}
	cases = append(cases, ruleCase{"Gemm", "no bias", []int{11, 13}, false, func(n *net) {
		n.out(n.op("Gemm", []string{n.in(normal, 3, 4), n.weight(normal, 4, 5)}))
	}})
	for _, s := range [][2][]int{
		{{3, 4}, {4, 5}},
		{{4}, {4}},
		{{4}, {4, 3}},
		{{3, 4}, {4}},
		{{2, 3, 4}, {4, 2}},
		{{2, 3, 4}, {4}},
		{{4}, {2, 4, 3}},
		{{2, 3, 4}, {2, 4, 3}},
		{{3, 4}, {2, 4, 3}},
		{{2, 1, 3, 4}, {3, 4, 2}},
		{{1, 3, 4}, {2, 2, 4, 2}},
		{{2, 2, 1, 3}, {3, 2}},
	} {
		cases = append(cases, ruleCase{"MatMul", fmt.Sprint(s[0], s[1]), []int{7, 9, 13}, false, func(n *net) {
			n.out(n.op("MatMul", []string{n.in(normal, s[0]...), n.weight(normal, s[1]...)}))
		}})
	}
	for _, e := range []struct {
		equation string
		shapes   [][]int
	}{
		{"ij,jk->ik", [][]int{{3, 4}, {4, 2}}},
		{"ij,kj->ik", [][]int{{3, 4}, {2, 4}}},
		{"ij , jk", [][]int{{3, 4}, {4, 2}}},
		{"bij,bjk->bik", [][]int{{2, 3, 4}, {2, 4, 2}}},
		{"bhqd,bhkd->bhqk", [][]int{{2, 2, 3, 4}, {2, 2, 2, 4}}},
		{"...ij,...jk->...ik", [][]int{{2, 3, 4}, {2, 4, 2}}},
		{"...ij,jk->...ik", [][]int{{2, 2, 3, 4}, {4, 2}}},
		{"bnd,de->bne", [][]int{{2, 3, 4}, {4, 5}}},
		{"ij->ji", [][]int{{3, 4}}},
		{"ij->i", [][]int{{3, 4}}},
		{"i,j->ij", [][]int{{3}, {4}}},
		{"ij,jk->k", [][]int{{3, 4}, {4, 2}}},
		{"ij,jk,kl->il", [][]int{{2, 3}, {3, 4}, {4, 2}}},
		{"i,i->", [][]int{{4}, {4}}},
	} {
		cases = append(cases, ruleCase{"Einsum", e.equation, []int{12}, false, func(n *net) {
			inputs := []string{n.in(normal, e.shapes[0]...)}
			for _, s := range e.shapes[1:] {
				inputs = append(inputs, n.weight(normal, s...))
			}
			n.out(n.op("Einsum", inputs, graph.String("equation", e.equation)))
		}})
	}
	return cases
}

// convCase describes a convolution: input [2, channels, size...], filters of the given
// window.
type convCase struct {
	size, window         []int
	from, to             int
	group                int
	strides, dilations   []int
	pads                 []int
	auto                 string
	outPadding, outShape []int
	noBias               bool
	opsets               bool // many of them
}

func (c convCase) attributes() []graph.Attr {
	var a []graph.Attr
	for _, list := range []struct {
		name string
		v    []int
	}{
		{"strides", c.strides},
		{"dilations", c.dilations},
		{"pads", c.pads},
		{"output_padding", c.outPadding},
		{"output_shape", c.outShape},
	} {
		if list.v != nil {
			a = append(a, graph.Ints(list.name, list.v...))
		}
	}
	if c.auto != "" {
		a = append(a, graph.String("auto_pad", c.auto))
	}
	if c.group > 1 {
		a = append(a, graph.Int("group", int(c.group)))
	}
	return a
}

func (c convCase) name() string {
	return fmt.Sprint(c.size, c.window, c.from, "to", c.to, "g", c.group, "s", c.strides, "d", c.dilations, "p", c.pads, c.auto, c.outPadding, c.outShape)
}

// rule makes the case of a Conv or ConvTranspose.
func (c convCase) rule(op string) ruleCase {
	opsets := []int{11}
	if c.opsets {
		opsets = []int{7, 9, 10, 13, 22}
	}
	return ruleCase{op, c.name(), opsets, true, func(n *net) {
		shape := append([]int{2, c.from}, c.size...)
		weight := append([]int{c.to, c.from / max(c.group, 1)}, c.window...)
		if op == "ConvTranspose" {
			weight[0], weight[1] = c.from, c.to/max(c.group, 1)
		}
		inputs := []string{n.in(normal, shape...), n.weight(normal, weight...)}
		if !c.noBias {
			inputs = append(inputs, n.weight(normal, c.to))
		}
		n.out(n.op(op, inputs, c.attributes()...))
	}}
}

func convCases() []ruleCase {
	var cases []ruleCase
	for _, c := range []convCase{
		{size: []int{5, 6}, window: []int{3, 3}, from: 2, to: 3, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{5, 6}, window: []int{3, 3}, from: 9, to: 2, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{5, 4}, window: []int{3, 2}, from: 8, to: 2, noBias: true},
		{size: []int{7, 6}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{8, 9}, window: []int{3, 2}, from: 2, to: 2, strides: []int{3, 2}, pads: []int{0, 1, 2, 0}},
		{size: []int{9, 9}, window: []int{3, 3}, from: 2, to: 2, dilations: []int{2, 3}, pads: []int{2, 2, 1, 3}},
		{size: []int{9, 8}, window: []int{2, 3}, from: 8, to: 2, dilations: []int{2, 1}, pads: []int{1, 1, 1, 1}},
		{size: []int{9, 9}, window: []int{2, 2}, from: 2, to: 2, strides: []int{2, 3}, dilations: []int{3, 2}, pads: []int{1, 0, 0, 1}},
		{size: []int{5, 5}, window: []int{3, 3}, from: 4, to: 6, group: 2, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{5, 5}, window: []int{3, 3}, from: 16, to: 4, group: 2, pads: []int{1, 1, 1, 1}},
		{size: []int{5, 5}, window: []int{3, 3}, from: 8, to: 8, group: 8, pads: []int{1, 1, 1, 1}},
		{size: []int{6, 6}, window: []int{3, 3}, from: 3, to: 3, group: 3, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}},
		{size: []int{4, 4}, window: []int{3, 3}, from: 2, to: 4, group: 2, pads: []int{1, 1, 1, 1}},
		{size: []int{5, 4}, window: []int{1, 1}, from: 3, to: 2, opsets: true},
		{size: []int{5, 4}, window: []int{1, 1}, from: 9, to: 2},
		{size: []int{5, 4}, window: []int{1, 1}, from: 3, to: 2, strides: []int{2, 2}},
		{size: []int{4, 4}, window: []int{1, 1}, from: 8, to: 2, pads: []int{1, 1, 1, 1}},
		{size: []int{6, 4}, window: []int{2, 2}, from: 2, to: 3, strides: []int{2, 2}, opsets: true},
		{size: []int{6, 4}, window: []int{3, 2}, from: 4, to: 4, group: 2, strides: []int{3, 2}},
		{size: []int{7, 5}, window: []int{2, 2}, from: 2, to: 3, strides: []int{2, 2}},
		{size: []int{7, 6}, window: []int{3, 4}, from: 2, to: 2, strides: []int{2, 2}, auto: "SAME_UPPER"},
		{size: []int{7, 6}, window: []int{2, 3}, from: 2, to: 2, strides: []int{3, 2}, auto: "SAME_LOWER"},
		{size: []int{5, 6}, window: []int{2, 4}, from: 8, to: 2, auto: "SAME_UPPER"},
		{size: []int{5, 6}, window: []int{2, 4}, from: 8, to: 2, auto: "SAME_LOWER"},
		{size: []int{7, 6}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, auto: "VALID"},
		{size: []int{9}, window: []int{3}, from: 2, to: 3, strides: []int{2}, pads: []int{1, 0}, opsets: true},
		{size: []int{9}, window: []int{4}, from: 8, to: 2, dilations: []int{2}, pads: []int{1, 2}},
		{size: []int{4, 3, 5}, window: []int{2, 2, 3}, from: 2, to: 2, strides: []int{2, 1, 2}, pads: []int{0, 1, 1, 1, 0, 1}, opsets: true},
		{size: []int{3, 4, 3}, window: []int{2, 3, 2}, from: 8, to: 2, pads: []int{0, 1, 1, 1, 1, 0}},
		{size: []int{4, 4, 2}, window: []int{2, 2, 2}, from: 2, to: 2, strides: []int{2, 2, 2}},
		// So many channels that one product over batch and positions gives the gradient of the weight.
		{size: []int{4, 3}, window: []int{3, 3}, from: 12, to: 13, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{3, 4}, window: []int{2, 3}, from: 14, to: 12, pads: []int{1, 1, 0, 1}, dilations: []int{2, 1}},
		{size: []int{5, 6}, window: []int{3, 2}, from: 12, to: 12, strides: []int{2, 3}, pads: []int{1, 0, 1, 1}, opsets: true},
		{size: []int{6}, window: []int{3}, from: 13, to: 12, pads: []int{1, 1}},
		{size: []int{2, 3, 2}, window: []int{2, 2, 1}, from: 12, to: 12, pads: []int{0, 1, 0, 1, 0, 0}},
	} {
		cases = append(cases, c.rule("Conv"))
	}
	return append(cases, ruleCase{"Conv", "svd chain", []int{13}, true, func(n *net) {
		mid := n.op("Conv", []string{n.in(normal, 2, 8, 5, 5), n.weight(normal, 2, 8, 3, 3)}, graph.Ints("pads", 1, 1, 1, 1))
		n.out(n.op("Conv", []string{mid, n.weight(normal, 8, 2, 1, 1), n.weight(normal, 8)}))
	}})
}

func convTransposeCases() []ruleCase {
	var cases []ruleCase
	for _, c := range []convCase{
		{size: []int{4, 3}, window: []int{3, 3}, from: 2, to: 3, opsets: true},
		{size: []int{4, 3}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{4, 3}, window: []int{3, 2}, from: 2, to: 2, strides: []int{2, 3}, pads: []int{0, 1, 1, 0}, outPadding: []int{1, 2}},
		{size: []int{4, 3}, window: []int{2, 2}, from: 2, to: 2, strides: []int{2, 2}, noBias: true},
		{size: []int{3, 3}, window: []int{2, 3}, from: 2, to: 2, dilations: []int{2, 2}, pads: []int{1, 1, 0, 2}},
		{size: []int{4, 4}, window: []int{3, 3}, from: 4, to: 6, group: 2, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}, opsets: true},
		{size: []int{4, 4}, window: []int{3, 3}, from: 3, to: 3, group: 3},
		{size: []int{4, 4}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, auto: "SAME_UPPER"},
		{size: []int{4, 4}, window: []int{4, 4}, from: 2, to: 2, strides: []int{3, 3}, auto: "SAME_LOWER"},
		{size: []int{4, 4}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, auto: "VALID"},
		{size: []int{4, 4}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, outShape: []int{8, 8}},
		{size: []int{4, 4}, window: []int{3, 3}, from: 2, to: 2, strides: []int{2, 2}, auto: "SAME_UPPER", outShape: []int{8, 8}},
		{size: []int{5}, window: []int{3}, from: 2, to: 3, strides: []int{2}, pads: []int{1, 0}, opsets: true},
		{size: []int{3, 2, 3}, window: []int{2, 3, 2}, from: 2, to: 2, strides: []int{2, 1, 2}, pads: []int{0, 1, 0, 1, 1, 1}},
		{size: []int{3, 3}, window: []int{3, 3}, from: 12, to: 13, pads: []int{1, 1, 1, 1}},
		{size: []int{3, 2}, window: []int{3, 2}, from: 13, to: 12, strides: []int{2, 2}, pads: []int{1, 0, 0, 1}},
	} {
		cases = append(cases, c.rule("ConvTranspose"))
	}
	return cases
}

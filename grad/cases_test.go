package grad

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// ruleCase is one node, or a few, whose gradients are compared with differences.
type ruleCase struct {
	op, name string
	opsets   []int
	// single is for operators without a float64 kernel in the runtime's CPU provider.
	single bool
	build  func(n *net)
}

func allCases() []ruleCase {
	return slices.Concat(
		flatCases(), pointwiseCases(), activationCases(), arithmeticCases(), softmaxCases(), productCases(), convCases(),
		convTransposeCases(), normCases(), poolCases(), resizeCases(), reduceCases(), reshapeCases(), moveCases(), indexCases(),
	)
}

func TestRules(t *testing.T) {
	l := orttest.Open(t)
	for i, c := range allCases() {
		for _, opset := range c.opsets {
			t.Run(fmt.Sprintf("%s/%s/%d", c.op, c.name, opset), func(t *testing.T) {
				typ := tensor.Float64
				if c.single {
					typ = tensor.Float32
				}
				n := newNet(opset, typ, uint64(i))
				c.build(n)
				if !slices.ContainsFunc(n.parts.Nodes, func(p graph.Node) bool { return p.Op() == c.op }) {
					t.Fatalf("the case has no %s", c.op)
				}
				n.check(t, l)
			})
		}
	}
}

// Every rule is documented, and stands in at least one case, named for it.
func TestEveryRuleHasACase(t *testing.T) {
	cases := map[string]int{}
	for _, c := range allCases() {
		cases[c.op] += len(c.opsets)
	}
	last := ""
	for _, r := range Rules() {
		if cases[r.Op] == 0 {
			t.Errorf("%s has no case", r.Op)
		}
		if r.Formula == "" {
			t.Errorf("%s has no formula", r.Op)
		}
		if r.Op <= last {
			t.Errorf("%s stands after %s", r.Op, last)
		}
		last = r.Op
		delete(cases, r.Op)
	}
	for op := range cases {
		t.Errorf("the cases of %s are for no rule", op)
	}
}

// unary is a case of one operator on one input.
func unary(op string, single bool, draw fill, opsets []int, attributes ...graph.Attr) ruleCase {
	name := "plain"
	for _, a := range attributes {
		name += "," + a.Name()
	}
	return ruleCase{op, name, opsets, single, func(n *net) {
		n.out(n.op(op, []string{n.in(draw, 3, 7)}, attributes...))
	}}
}

func flatCases() []ruleCase {
	// A flat operator's gradient is zero, so that of x·flat(x) is flat(x), away from steps.
	flat := func(op string, opsets []int) ruleCase {
		return ruleCase{op, "times x", opsets, false, func(n *net) {
			x := n.in(off(-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3), 2, 5)
			n.out(n.op("Mul", []string{x, n.op(op, []string{x})}))
		}}
	}
	// Of operators that make numbers of their own, only the shape is x's: with the made
	// value times zero the sum is x.
	made := func(op string, opset int, inputs func(n *net, x string) []string, attributes ...graph.Attr) ruleCase {
		return ruleCase{op, "plus x", []int{opset}, false, func(n *net) {
			x := n.in(above, 3, 3)
			y := n.op(op, inputs(n, x), attributes...)
			n.out(n.op("Add", []string{x, n.op("Mul", []string{y, n.scalar(0)})}))
		}}
	}
	self := func(n *net, x string) []string { return []string{x} }
	return []ruleCase{
		flat("Ceil", []int{7}),
		flat("Floor", []int{7}),
		flat("Round", []int{11}),
		flat("Sign", []int{9}),
		made("Bernoulli", 15, func(n *net, x string) []string { return []string{n.op("Sigmoid", []string{x})} }),
		made("EyeLike", 9, self),
		made("RandomNormalLike", 7, self),
		made("RandomUniformLike", 7, self),
		made("ConstantOfShape", 9, func(n *net, x string) []string { return []string{n.op("Shape", []string{x})} },
			graph.Tensor("value", must(onnxio.NewTensor("", tensor.Float64, []int{1}, []float64{2})))),
		{"OneHot", "of a cast", []int{11}, true, func(n *net) {
			x := n.in(above, 3)
			i := n.op("Cast", []string{x}, graph.Int("to", int(tensor.Int64)))
			y := n.op("OneHot", []string{i, n.constant(tensor.Int64, []int{}, []float64{3}), n.constant(n.typ, []int{2}, []float64{0, 0})})
			n.out(n.op("Add", []string{x, y}))
		}},
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pointwiseCases() []ruleCase {
	all := []int{7, 13}
	return []ruleCase{
		unary("Abs", false, away, []int{7, 9, 13}),
		unary("Cos", false, normal, all),
		unary("Erf", true, normal, []int{9, 13}),
		unary("Exp", false, normal, all),
		unary("Log", false, above, all),
		unary("Neg", false, normal, all),
		unary("Reciprocal", false, above, all),
		unary("Sin", false, normal, all),
		unary("Sqrt", false, above, all),
		unary("Tan", true, small, []int{7}),
		unary("Tanh", false, normal, all),
		unary("Sigmoid", false, normal, all),
		unary("Softplus", true, normal, []int{7, 22}),
		unary("Softsign", true, away, []int{7, 22}),
	}
}

func activationCases() []ruleCase {
	alpha := graph.Float("alpha", 0.4)
	tanh := graph.String("approximate", "tanh")
	slope := func(name string, shape ...int) ruleCase {
		return ruleCase{"PRelu", name, []int{7, 9, 16}, true, func(n *net) {
			n.out(n.op("PRelu", []string{n.in(away, 2, 3, 4, 2), n.weight(normal, shape...)}))
		}}
	}
	return []ruleCase{
		unary("Relu", false, away, []int{7, 14}),
		unary("LeakyRelu", true, away, []int{7, 16}),
		unary("LeakyRelu", true, away, []int{7, 16}, alpha),
		unary("ThresholdedRelu", true, off(1), []int{10, 22}),
		unary("ThresholdedRelu", true, off(0.4), []int{10}, alpha),
		unary("Elu", true, away, []int{7, 22}),
		unary("Elu", true, away, []int{7}, alpha),
		unary("Celu", true, away, []int{12}),
		unary("Celu", true, away, []int{12}, alpha),
		unary("Selu", true, away, []int{7, 22}),
		unary("Selu", true, away, []int{7}, alpha, graph.Float("gamma", 1.3)),
		unary("HardSigmoid", true, off(-2.5, 2.5), []int{7, 22}),
		unary("HardSigmoid", true, off(-1.5, 1), []int{7}, alpha, graph.Float("beta", 0.6)),
		unary("HardSwish", true, off(-3, 3), []int{14, 22}),
		unary("Gelu", true, normal, []int{20}),
		unary("Gelu", true, normal, []int{20}, tanh),
		unary("Mish", true, normal, []int{18, 22}),
		unary("Swish", true, normal, []int{24}),
		unary("Swish", true, normal, []int{24}, alpha),
		slope("one", 1), slope("channels", 3, 1, 1), slope("full", 3, 4, 2),
		{"Clip", "attributes", []int{7, 10}, true, func(n *net) {
			n.out(n.op("Clip", []string{n.in(off(-0.5, 1.2), 5, 6)}, graph.Float("min", -0.5), graph.Float("max", 1.2)))
		}},
		{"Clip", "no bounds", []int{7, 13}, true, func(n *net) { n.out(n.op("Clip", []string{n.in(normal, 5)})) }},
		{"Clip", "bounds wanted", []int{12, 13}, false, func(n *net) {
			x := n.in(off(-0.5, 1.2), 5, 6)
			low, high := n.scalar(-0.5), n.scalar(1.2)
			n.wanted = append(n.wanted, low, high)
			n.out(n.op("Clip", []string{x, low, high}))
		}},
		{"Clip", "upper bound only", []int{12, 13}, false, func(n *net) {
			n.out(n.op("Clip", []string{n.in(off(1.2), 5, 6), "", n.scalar(1.2)}))
		}},
	}
}

// binary is a case of one operator on two inputs that are broadcast together.
func binary(op string, opsets []int, left, right fill, a, b []int) ruleCase {
	return ruleCase{op, fmt.Sprint(a, b), opsets, false, func(n *net) {
		n.out(n.op(op, []string{n.in(left, a...), n.weight(right, b...)}))
	}}
}

func arithmeticCases() []ruleCase {
	var cases []ruleCase
	for _, s := range [][2][]int{
		{{2, 3, 4}, {2, 3, 4}},
		{{2, 3, 4}, {4}},
		{{3, 1}, {2, 1, 4}},
		{{2, 1, 3, 1}, {1, 2, 1, 2}},
		{{1, 1}, {3, 2}},
		{{4}, {}},
		{{}, {2, 2}},
	} {
		for _, op := range []string{"Add", "Sub", "Mul"} {
			cases = append(cases, binary(op, []int{7, 13, 14}, normal, normal, s[0], s[1]))
		}
		cases = append(cases, binary("Div", []int{7, 13, 14}, normal, above, s[0], s[1]))
		cases = append(cases, binary("Pow", []int{7, 13, 15}, above, normal, s[0], s[1]))
	}
	for _, exponent := range []float64{-2, -0.5, 0, 0.5, 1, 2, 3, 4} {
		cases = append(cases, ruleCase{"Pow", fmt.Sprint("to the ", exponent), []int{7, 13}, false, func(n *net) {
			draw := above
			if exponent == float64(int(exponent)) && exponent >= 0 {
				draw = away
			}
			n.out(n.op("Pow", []string{n.in(draw, 3, 4), n.scalar(exponent)}))
		}})
	}
	cases = append(cases,
		ruleCase{"Pow", "integer exponents", []int{13}, false, func(n *net) {
			n.out(n.op("Pow", []string{n.in(away, 2, 3), n.ints(0, 2, 3)}))
		}},
		ruleCase{"Pow", "broadcast by the exponent", []int{13}, false, func(n *net) {
			n.out(n.op("Pow", []string{n.in(above, 3), n.constant(n.typ, []int{1, 1, 1}, []float64{2.5})}))
		}},
		ruleCase{"Mul", "with itself", []int{7, 13}, false, func(n *net) {
			x := n.in(normal, 3, 4)
			n.out(n.op("Mul", []string{x, x}))
		}},
	)
	for _, op := range []string{"Sum", "Mean", "Max", "Min"} {
		opsets := []int{8, 13}
		cases = append(cases,
			ruleCase{op, "three", opsets, op == "Mean", func(n *net) {
				v := make([]float64, 24)
				apart(n.random, v)
				x := n.feed(n.typ, []int{2, 3, 4}, v)
				n.wanted = append(n.wanted, x)
				n.out(n.op(op, []string{x, n.in(off(kinks(v)...), 3, 1), n.constant(n.typ, []int{1}, []float64{0.24})}))
			}},
			ruleCase{op, "one", opsets, op == "Mean", func(n *net) { n.out(n.op(op, []string{n.in(normal, 5)})) }},
		)
	}
	return cases
}

// kinks names what another input must keep away from, thinned out to leave room.
func kinks(v []float64) []float64 {
	out := []float64{0.24}
	for _, x := range v {
		if x > -2 && x < 2 {
			out = append(out, x)
		}
	}
	return out
}

func softmaxCases() []ruleCase {
	var cases []ruleCase
	for _, op := range []string{"Softmax", "LogSoftmax"} {
		cases = append(cases, unary(op, false, normal, []int{7, 11, 13}))
		for _, axis := range []int{0, 1, -1} {
			cases = append(cases, ruleCase{op, fmt.Sprint("axis ", axis), []int{11, 13}, false, func(n *net) {
				n.out(n.op(op, []string{n.in(normal, 2, 3, 4)}, graph.Int("axis", axis)))
			}})
		}
	}
	return cases
}

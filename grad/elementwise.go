package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// elementwise reports whether an operator computes every number from the numbers at the same place, so that it works on
// blocks as it does on any other layout; truth tells that it gives out truth values, which cannot be reordered.
func elementwise(op string) (ok, truth bool) {
	switch op {
	case "Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mul", "Neg",
		"Relu", "Sigmoid", "Sign", "Softplus", "Sqrt", "Sub", "Tanh":
		return true, false
	case "And", "Equal", "Greater", "Less", "Not", "Or":
		return true, true
	}
	return false, false
}

// operands returns the inputs of an elementwise operator in blocks, and the shape of its result: at least one input is
// in blocks already, and the others are of its shape or scalars. Of a value that is not in blocks, shape tells the
// shape if it is of 32-bit numbers, and nil else.
func (e *emitter) operands(inputs []string, shape func(name string) []int) ([]string, []int) {
	if e.layout.block == 0 {
		return nil, nil
	}
	i := slices.IndexFunc(inputs, func(in string) bool { return e.layout.of[in].name != "" })
	if i < 0 {
		return nil, nil
	}
	to := e.layout.of[inputs[i]].shape
	fits := func(in string) bool {
		s := shape(in)
		if b, ok := e.layout.of[in]; ok {
			s = b.shape
		}
		return in == "" || slices.Equal(s, to) || s != nil && len(s) <= len(to) && tensor.Product(s) == 1
	}
	if slices.ContainsFunc(inputs, func(in string) bool { return !fits(in) }) {
		return nil, nil
	}
	out := slices.Clone(inputs)
	for i, in := range inputs {
		if e.layout.of[in].name != "" || slices.Equal(shape(in), to) {
			out[i] = e.blocks(in, to)
		}
	}
	return out, to
}

// relayed emits a node of the forward pass on blocks, where it works number by number on values that are in blocks, or
// joins such values by their channels.
func (e *emitter) relayed(n graph.Node, f *facts) bool {
	ok, truth := elementwise(n.Op())
	joins := n.Op() == "Concat"
	if !(ok && !truth || joins) || len(n.Outputs()) != 1 || f.typ(n.Output(0)) != tensor.Float32 {
		return false
	}
	e.begin(n.Output(0)+"/blocked", tensor.Float32)
	var inputs []string
	var shape []int
	if joins {
		inputs, shape = e.channels(n, f)
	} else {
		inputs, shape = e.operands(n.Inputs(), func(name string) []int {
			if name == "" || f.typ(name) != tensor.Float32 {
				return nil
			}
			return f.shape(name)
		})
	}
	if inputs == nil {
		return false
	}
	y := n.Spec()
	y.Inputs, y.Outputs = inputs, []string{e.Names.Fresh(e.Prefix)}
	e.Nodes = append(e.Nodes, y.Node())
	e.usual(inBlocks{y.Outputs[0], shape}, n.Output(0))
	return true
}

// channels returns the inputs of a Concat in blocks, and the shape of its result, where it joins whole blocks of
// channels and all of them are in blocks: the blocks then follow each other as the channels do.
func (e *emitter) channels(n graph.Node, f *facts) ([]string, []int) {
	shape := f.shape(n.Output(0))
	if axis := n.Int("axis", 0); len(shape) != 4 || axis != 1 && axis != -3 {
		return nil, nil
	}
	var inputs []string
	for _, in := range n.Inputs() {
		if e.layout.of[in].name == "" {
			return nil, nil
		}
		inputs = append(inputs, e.layout.of[in].name)
	}
	return inputs, shape
}

// cut emits whole blocks of channels from begin to end, or returns "" where they are not that or x is not in blocks.
func (e *emitter) cut(x string, axes, begin, end []int) string {
	if e.layout.of[x].name == "" || !slices.Equal(axes, []int{1}) || begin[0]%e.layout.block != 0 || end[0]%e.layout.block != 0 {
		return ""
	}
	shape := slices.Clone(e.layout.of[x].shape)
	shape[1] = end[0] - begin[0]
	return e.usual(inBlocks{e.slice(e.layout.of[x].name, axes, begin, end), shape}, "")
}

// onBlocks is Node for an elementwise operator whose inputs are in blocks, and else returns "".
func (e *emitter) onBlocks(op string, inputs []string, attributes []graph.Attr) string {
	ok, truth := elementwise(op)
	if !ok || e.typ != tensor.Float32 || op == "Cast" && attributes[0].Int() != int(tensor.Float32) {
		return ""
	}
	blocked, shape := e.operands(inputs, func(name string) []int {
		if e.scalars[name] {
			return []int{}
		}
		return nil
	})
	if blocked == nil {
		return ""
	}
	y := e.Builder.Node(op, blocked, attributes...)
	if !truth {
		return e.usual(inBlocks{y, shape}, "")
	}
	plain := e.Builder.Node(op, inputs, attributes...)
	e.layout.of[plain] = inBlocks{y, shape}
	return plain
}

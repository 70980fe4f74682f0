package shapes

import (
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Types finds the element types of a model's values: those that the file declares, and
// what ONNX's own and compound operators make of them. Behind other operators they are open.
func Types(g *graph.Graph) map[string]tensor.Type {
	types := map[string]tensor.Type{}
	for _, t := range g.Initializers() {
		types[t.Name()] = t.Type()
	}
	for _, v := range slices.Concat(g.Inputs(), g.Outputs(), g.Values()) {
		if v.Type() != tensor.Undefined {
			types[v.Name()] = v.Type()
		}
	}
	declared, compounds := maps.Clone(types), compound.NewTable()
	for _, n := range g.Nodes() {
		for i, out := range n.Outputs() {
			if out != "" && declared[out] == tensor.Undefined {
				types[out] = outputType(g, compounds, n, i, types)
			}
		}
	}
	return types
}

// outputType returns the type of a node's output, or Undefined.
func outputType(g *graph.Graph, compounds compound.Table, n graph.Node, output int, types map[string]tensor.Type) tensor.Type {
	input := func(i int) tensor.Type { return types[n.Input(i)] }
	if n.Domain() != "" {
		switch {
		case n.Op() != "com.microsoft::EmbedLayerNormalization":
			if compounds.Has(n.Op()) {
				return input(0)
			}
			return tensor.Undefined
		case output == 1:
			return tensor.Int32
		}
		return input(2)
	}
	switch n.Op() {
	case "Cast":
		return tensor.Type(n.Int("to", 0))
	case "CastLike", "Where", "OneHot":
		return input(len(n.Inputs()) - 1)
	case "DequantizeLinear":
		return input(1)
	case "Shape", "Size", "ArgMax", "ArgMin", "NonZero":
		return tensor.Int64
	case "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Not", "IsNaN", "IsInf":
		return tensor.Bool
	case "MaxPool", "TopK", "Unique":
		if output > 0 {
			return tensor.Int64
		}
	case "Dropout":
		if output > 0 {
			return tensor.Bool
		}
	case "Constant":
		if c, ok := g.Constant(n.Output(output)); ok {
			return c.Tensor.Type()
		}
		if n.Has("value_string") || n.Has("value_strings") {
			return tensor.String
		}
		return tensor.Undefined
	case "ConstantOfShape":
		if t, ok := n.Tensor(g.Model(), "value"); ok {
			return t.Type()
		}
		return tensor.Float32
	case "EyeLike", "RandomNormalLike", "RandomUniformLike":
		return tensor.Type(n.Int("dtype", int(input(0))))
	case "RandomNormal", "RandomUniform":
		return tensor.Type(n.Int("dtype", int(tensor.Float32)))
	case "QuantizeLinear":
		if t := input(2); t != tensor.Undefined {
			return t
		}
		return tensor.Uint8
	case "If", "Loop", "Scan", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul",
		"TfIdfVectorizer", "StringNormalizer", "SequenceAt", "SequenceLength", "OptionalGetElement":
		return tensor.Undefined
	}
	return input(0)
}

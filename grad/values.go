package grad

import (
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Value is what is known about a value of the forward graph in a run.
type Value struct {
	// Type is the type of the elements, Undefined where it is not known.
	Type tensor.Type
	// Shape is nil where it is not known; a scalar has an empty one.
	Shape []int
	// Numbers holds the elements of a value that rules read, such as the bounds of
	// a Slice, row-major. It is nil for all others.
	Numbers []float64
}

// Values says what is known about the inputs and node outputs of a model's main graph,
// by name. Initializers need no entry.
type Values map[string]Value

// Infer finds out about a model's values from the shapes of its inputs, without running
// it. What [shapes.Infer] cannot find stays unknown; [Observe] finds that too.
func Infer(m *onnxio.Model, inputs map[string][]int) Values {
	known := shapes.Infer(m, inputs)
	g := graph.Of(m)
	types := inferTypes(g)
	values := Values{}
	add := func(name string) {
		if name == "" {
			return
		}
		v := Value{Type: types[name]}
		if s, ok := known.Of(name); ok {
			v.Shape = s
		}
		if n, ok := known.Ints(name); ok && !v.Type.IsFloat() {
			v.Numbers = make([]float64, len(n))
			for i, x := range n {
				v.Numbers[i] = float64(x)
			}
		}
		values[name] = v
	}
	for _, in := range g.Feeds() {
		add(in.Name())
	}
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			add(out)
		}
	}
	return values
}

// inferTypes finds the element types of a model's values: those that the file declares, and
// what ONNX's own operators make of them. Behind operators of other domains they are open.
func inferTypes(g *graph.Graph) map[string]tensor.Type {
	types := map[string]tensor.Type{}
	for _, t := range g.Initializers() {
		types[t.Name()] = t.Type()
	}
	for _, v := range slices.Concat(g.Inputs(), g.Outputs(), g.Values()) {
		if v.Type() != tensor.Undefined {
			types[v.Name()] = v.Type()
		}
	}
	declared := maps.Clone(types)
	for _, n := range g.Nodes() {
		for i, out := range n.Outputs() {
			if out != "" && declared[out] == tensor.Undefined {
				types[out] = outputType(g, n, i, types)
			}
		}
	}
	return types
}

// outputType returns the type of a node's output, or Undefined.
func outputType(g *graph.Graph, n graph.Node, output int, types map[string]tensor.Type) tensor.Type {
	if n.Domain() != "" {
		return tensor.Undefined
	}
	input := func(i int) tensor.Type { return types[n.Input(i)] }
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

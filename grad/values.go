package grad

import (
	"maps"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
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
	types := inferTypes(m)
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
	for _, in := range graph.Of(m).Feeds() {
		add(in.Name())
	}
	for _, n := range m.Graph().GetNode() {
		for _, out := range n.Output {
			add(out)
		}
	}
	return values
}

// inferTypes finds the element types of a model's values: those that the file declares, and
// what ONNX's own operators make of them. Behind operators of other domains they are open.
func inferTypes(m *onnxio.Model) map[string]tensor.Type {
	types := map[string]tensor.Type{}
	for _, t := range m.Graph().GetInitializer() {
		types[t.GetName()] = tensor.Type(t.GetDataType())
	}
	for _, list := range [][]*onnxpb.ValueInfoProto{m.Graph().GetInput(), m.Graph().GetOutput(), m.Graph().GetValueInfo()} {
		for _, v := range list {
			if t := v.GetType().GetTensorType().GetElemType(); t != 0 {
				types[v.GetName()] = tensor.Type(t)
			}
		}
	}
	declared := maps.Clone(types)
	for _, n := range m.Graph().GetNode() {
		for i, out := range n.Output {
			if declared[out] == tensor.Undefined {
				types[out] = outputType(n, i, types)
			}
		}
	}
	return types
}

// outputType returns the type of a node's output, or Undefined.
func outputType(n *onnxpb.NodeProto, output int, types map[string]tensor.Type) tensor.Type {
	if !onnxDomain(n.GetDomain()) {
		return tensor.Undefined
	}
	input := func(i int) tensor.Type {
		if i >= 0 && i < len(n.Input) {
			return types[n.Input[i]]
		}
		return tensor.Undefined
	}
	switch op := n.GetOpType(); op {
	case "Cast":
		return tensor.Type(onnxio.AttrInt(n, "to", 0))
	case "CastLike", "Where", "OneHot":
		return input(len(n.Input) - 1)
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
		return constantType(n)
	case "ConstantOfShape":
		if t := onnxio.AttrTensor(n, "value"); t != nil {
			return tensor.Type(t.GetDataType())
		}
		return tensor.Float32
	case "EyeLike", "RandomNormalLike", "RandomUniformLike":
		return tensor.Type(onnxio.AttrInt(n, "dtype", int64(input(0))))
	case "RandomNormal", "RandomUniform":
		return tensor.Type(onnxio.AttrInt(n, "dtype", int64(tensor.Float32)))
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

func constantType(n *onnxpb.NodeProto) tensor.Type {
	switch {
	case onnxio.HasAttr(n, "value"):
		return tensor.Type(onnxio.AttrTensor(n, "value").GetDataType())
	case onnxio.HasAttr(n, "value_int"), onnxio.HasAttr(n, "value_ints"):
		return tensor.Int64
	case onnxio.HasAttr(n, "value_float"), onnxio.HasAttr(n, "value_floats"):
		return tensor.Float32
	case onnxio.HasAttr(n, "value_string"), onnxio.HasAttr(n, "value_strings"):
		return tensor.String
	}
	return tensor.Undefined
}

// onnxDomain reports whether a domain is that of ONNX's own operators.
func onnxDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

package tune

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// parameter is an initializer that is tuned; its numbers are a piece of one vector with all parameters.
type parameter struct {
	name     string
	shape    []int
	from, to int
	// decays tells that weight decay applies: to weights, not to biases and scales.
	decays bool
}

// parameters are the initializers that are tuned, in the order of the model.
type parameters struct {
	list []parameter
	size int // of the vector
}

// trainable says which inputs of an operator are weights that gradient descent may change. The running statistics of
// a BatchNormalization are none: they are no free numbers.
func trainable(n *onnxpb.NodeProto, input int) bool {
	switch n.GetOpType() {
	case "Conv", "ConvTranspose":
		return input == 1 || input == 2
	case "Gemm", "Einsum":
		return true
	case "MatMul":
		return input < 2
	case "Gather":
		return input == 0
	case "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization":
		return input == 1 || input == 2
	case "RMSNormalization", "PRelu":
		return input == 1
	case "Add", "Sub", "Mul":
		return true
	}
	return false
}

// passes says that an operator only arranges its first input, so that a weight in front of it is one behind it too.
func passes(op string) bool {
	switch op {
	case "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast":
		return true
	}
	return false
}

// newParameters finds the float32 initializers of a model that are weights, of more than one number. A filter, where
// given, chooses among them.
func newParameters(m *onnxio.Model, keep func(name string) bool) *parameters {
	p := &parameters{}
	for _, t := range m.Graph().GetInitializer() {
		h := m.Tensor(t)
		name := t.GetName()
		if h.Type() != tensor.Float32 || h.Len() < 2 || !isWeight(m, name, 0) || keep != nil && !keep(name) {
			continue
		}
		shape := h.Shape()
		p.list = append(p.list, parameter{name: name, shape: shape, from: p.size, to: p.size + h.Len(), decays: len(shape) > 1})
		p.size += h.Len()
	}
	return p
}

// isWeight reports whether a node uses a value as a weight, directly or arranged anew.
func isWeight(m *onnxio.Model, value string, depth int) bool {
	const most = 8
	if depth > most {
		return false
	}
	for _, u := range m.Index().Uses(value) {
		if u.Node == nil || u.Node.GetDomain() != "" && u.Node.GetDomain() != "ai.onnx" || u.Nested {
			continue
		}
		if trainable(u.Node, u.Slot) {
			return true
		}
		if passes(u.Node.GetOpType()) && u.Slot == 0 && isWeight(m, u.Node.Output[0], depth+1) {
			return true
		}
	}
	return false
}

func (p *parameters) names() []string {
	out := make([]string, len(p.list))
	for i, v := range p.list {
		out[i] = v.name
	}
	return out
}

// load returns the model's numbers as one vector.
func (p *parameters) load(m *onnxio.Model) ([]float32, error) {
	out := make([]float32, p.size)
	for _, v := range p.list {
		t, ok := m.Index().Initializer(v.name)
		if !ok {
			return nil, fmt.Errorf("the model has no initializer %q", v.name)
		}
		d, err := m.Tensor(t).Dense()
		if err != nil {
			return nil, fmt.Errorf("initializer %q: %w", v.name, err)
		}
		copy(out[v.from:v.to], d.Float32s())
	}
	return out, nil
}

// feeds returns the inputs that carry the parameters; they share memory with the vector.
func (p *parameters) feeds(vector []float32) map[string]tensor.Dense {
	out := map[string]tensor.Dense{}
	for _, v := range p.list {
		out[v.name] = tensor.FromFloat32(v.shape, vector[v.from:v.to:v.to])
	}
	return out
}

// into returns the model with other numbers, which shares all else with m. The caller closes it.
func (p *parameters) into(m *onnxio.Model, vector []float32) *onnxio.Model {
	at := map[string]parameter{}
	for _, v := range p.list {
		at[v.name] = v
	}
	graph := onnxio.Shallow(m.Graph())
	graph.Initializer = slices.Clone(graph.Initializer)
	for i, t := range graph.Initializer {
		v, ok := at[t.GetName()]
		if !ok {
			continue
		}
		swapped := &onnxpb.TensorProto{
			Name: proto.String(v.name), DataType: proto.Int32(int32(tensor.Float32)), DocString: t.DocString,
			RawData: tensor.FromFloat32(v.shape, slices.Clone(vector[v.from:v.to])).Data,
		}
		for _, n := range v.shape {
			swapped.Dims = append(swapped.Dims, int64(n))
		}
		graph.Initializer[i] = swapped
	}
	out := onnxio.Shallow(m.Proto)
	out.Graph = graph
	return m.Derive(out)
}

// finite reports whether all numbers are.
func finite(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) })
}

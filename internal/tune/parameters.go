package tune

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
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
func trainable(n graph.Node, input int) bool {
	switch n.Op() {
	case "Gemm", "Einsum", "Add", "Sub", "Mul":
		return true
	case "MatMul":
		return input < 2
	case "Gather":
		return input == 0
	case "Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization":
		return input == 1 || input == 2
	case "RMSNormalization", "PRelu":
		return input == 1
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
	for _, t := range graph.Of(m).Initializers() {
		name := t.Name()
		if t.Type() != tensor.Float32 || t.Len() < 2 || !isWeight(m, name, 0) || keep != nil && !keep(name) {
			continue
		}
		shape := t.Shape()
		p.list = append(p.list, parameter{name: name, shape: shape, from: p.size, to: p.size + t.Len(), decays: len(shape) > 1})
		p.size += t.Len()
	}
	return p
}

// isWeight reports whether a node uses a value as a weight, directly or arranged anew.
func isWeight(m *onnxio.Model, value string, depth int) bool {
	const most = 8
	if depth > most {
		return false
	}
	for _, u := range graph.Of(m).Uses(value) {
		if u.Node.IsZero() || u.Nested {
			continue
		}
		if trainable(u.Node, u.Slot) {
			return true
		}
		if passes(u.Node.Op()) && u.Slot == 0 && isWeight(m, u.Node.Output(0), depth+1) {
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
		t, ok := graph.Of(m).Initializer(v.name)
		if !ok {
			return nil, fmt.Errorf("the model has no initializer %q", v.name)
		}
		d, err := t.Dense()
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
	parts := graph.Of(m).Parts()
	for i, t := range parts.Initializers {
		if v, ok := at[t.Name()]; ok {
			parts.Initializers[i] = onnxio.DenseTensor(v.name, tensor.FromFloat32(v.shape, slices.Clone(vector[v.from:v.to])))
		}
	}
	return parts.Model()
}

// finite reports whether all numbers are.
func finite(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) })
}

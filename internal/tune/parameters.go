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
		if t.Type() != tensor.Float32 || t.Len() < 2 || keep != nil && !keep(name) {
			continue
		}
		weight, summand := role(graph.Of(m), name, 0)
		if !weight && !summand || !weight && masks(t) {
			continue
		}
		shape := t.Shape()
		p.list = append(p.list, parameter{name: name, shape: shape, from: p.size, to: p.size + t.Len(), decays: len(shape) > 1})
		p.size += t.Len()
	}
	return p
}

// table tells whether a constant is one of embeddings: rows of it are looked up, and nothing else.
func table(g *graph.Graph, constant string) bool {
	uses := g.Uses(constant)
	return len(uses) > 0 && !slices.ContainsFunc(uses, func(u graph.Use) bool {
		return u.Node.IsZero() || u.Node.Op() != "Gather" || u.Slot != 0
	})
}

// How far a constant is followed.
const (
	mostArranged = 8  // nodes that arrange it
	mostScored   = 16 // nodes between it and a softmax
)

// role says what a value is to the nodes that read it, directly or arranged anew: the weight of a layer, or a summand or factor
// of what flows by, such as a bias. What is added to the scores of an attention is neither: a mask, or a bias for how far
// positions lie apart.
func role(g *graph.Graph, value string, depth int) (weight, summand bool) {
	if depth > mostArranged {
		return false, false
	}
	for _, u := range g.Uses(value) {
		if u.Node.IsZero() || u.Nested {
			continue
		}
		switch op := u.Node.Op(); {
		case !trainable(u.Node, u.Slot):
			if passes(op) && u.Slot == 0 {
				w, s := role(g, u.Node.Output(0), depth+1)
				weight, summand = weight || w, summand || s
			}
		case op == "Gather":
			weight = weight || !attends(g, u.Node.Output(0), 0)
		case op == "Add" || op == "Sub" || op == "Mul":
			summand = summand || !attends(g, u.Node.Output(0), 0)
		default:
			weight = true
		}
	}
	return weight, summand
}

// attends tells whether a value is the scores of an attention: it goes through a softmax into a product.
func attends(g *graph.Graph, value string, depth int) bool {
	if depth > mostScored {
		return false
	}
	return slices.ContainsFunc(g.Uses(value), func(u graph.Use) bool {
		if u.Node.IsZero() || u.Nested {
			return false
		}
		switch op := u.Node.Op(); op {
		case "Softmax":
			return multiplied(g, u.Node.Output(0), 0)
		case "Add", "Sub", "Mul", "Div", "Where", "Max", "Min", "Clip":
			return attends(g, u.Node.Output(0), depth+1)
		default:
			return passes(op) && u.Slot == 0 && attends(g, u.Node.Output(0), depth+1)
		}
	})
}

// multiplied tells whether a product of matrices reads a value, arranged or dropped out at most.
func multiplied(g *graph.Graph, value string, depth int) bool {
	return depth <= mostArranged && slices.ContainsFunc(g.Uses(value), func(u graph.Use) bool {
		switch op := u.Node.Op(); {
		case u.Node.IsZero() || u.Nested:
			return false
		case op == "MatMul" || op == "Einsum":
			return true
		default:
			return (passes(op) || op == "Dropout" || op == "Where" || op == "Mul") && multiplied(g, u.Node.Output(0), depth+1)
		}
	})
}

// masking is how large a number is that stands for minus infinity in a mask: no bias or scale comes near, and 16-bit masks
// have it too.
const masking = 1e4

// masks tells whether a constant has numbers as masks have them, which stand for "not at all".
func masks(t onnxio.Tensor) bool {
	d, err := t.Dense()
	if err != nil {
		return false // which loading it says
	}
	return slices.ContainsFunc(d.Float32s(), func(v float32) bool { return !(math.Abs(float64(v)) < masking) })
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

// finite refuses numbers that are not, with the initializer that has them.
func (p *parameters) finite(vector []float32) error {
	for _, v := range p.list {
		if at := slices.IndexFunc(vector[v.from:v.to], infinite); at >= 0 {
			return fmt.Errorf("element %d of the weight %q is %v; want finite numbers", at, v.name, vector[v.from+at])
		}
	}
	return nil
}

// finite reports whether all numbers are.
func finite(v []float32) bool { return !slices.ContainsFunc(v, infinite) }

func infinite(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }

package grad

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// oldest is the first operator set with the broadcasting rules that emitted nodes use.
const oldest = 7

// Options says which gradients a model is to compute.
type Options struct {
	// Values is what is known about the model's values, from Infer or Observe.
	Values Values
	// Outputs names the values that get a cotangent: any floating-point values of the
	// main graph. Nil stands for all graph outputs of a floating-point type.
	Outputs []string
	// Wanted names the values and initializers to differentiate with respect to.
	Wanted []string
	// Keep names further values of the forward pass that the new model gives out.
	Keep []string
	// Feed names initializers that the new model takes as inputs instead, so that
	// they can change from run to run.
	Feed []string
	// Constant names values that count as constants for all that reads them: no gradient goes through them.
	Constant []string
	// Block is how many channels ONNX Runtime puts in a block on this machine (see ChannelBlock); convolutions
	// with weights that are fed then run in blocks where their channels fill them. 0 stands for none: ONNX's operators only.
	Block int
}

// Graph is a model with its gradients.
type Graph struct {
	// Model takes the original's inputs, those named by Options.Feed and one cotangent
	// per output, and gives out Options.Outputs, Options.Keep and the gradients. It shares
	// nodes and tensors with the original, and is the caller's to close.
	Model *onnxio.Model
	// Cotangents names the input of each value of Options.Outputs. The input has the
	// type and shape of the value.
	Cotangents map[string]string
	// Gradients names the output of each value of Options.Wanted, each its own. The output
	// has the type and shape of the value.
	Gradients map[string]string
}

// Build returns a model that computes the gradients of the sum over outputs of
// cotangent · output with respect to the wanted values. A wanted value counts as a variable
// of its own: its gradient goes through everything behind it, whether or not other wanted
// values lie there. Where no output depends on it, the gradient is zero.
//
// The error is a *BlockedError where operators stand in the way.
func Build(m *onnxio.Model, o Options) (*Graph, error) {
	p, err := newRoute(m, o)
	if err != nil {
		return nil, fmt.Errorf("grad: %w", err)
	}
	p.reverse()
	if blocked := p.blocked(); len(blocked) > 0 {
		return nil, &BlockedError{Values: blocked}
	}
	g, err := p.graph(o)
	if err != nil {
		return nil, fmt.Errorf("grad: %w", err)
	}
	return g, nil
}

// Blocked returns for each wanted value that Build could not differentiate with respect
// to the nodes that stand in the way, in the order of the graph. Values without
// hindrance have no entry.
func Blocked(m *onnxio.Model, o Options) (map[string][]Block, error) {
	p, err := newRoute(m, o)
	if err != nil {
		return nil, fmt.Errorf("grad: %w", err)
	}
	p.reverse()
	return p.blocked(), nil
}

// graph puts the new model together.
func (p *route) graph(o Options) (*Graph, error) {
	cotangents := slices.Collect(maps.Values(p.cotangents))
	out := &Graph{Cotangents: p.cotangents, Gradients: map[string]string{}}
	parts, outputs := p.facts.Parts(), []string{}
	parts.Inputs, parts.Outputs, parts.Values = p.inputs(), nil, nil // shapes of values inside may say otherwise
	add := func(name, like string) {
		if !slices.Contains(outputs, name) {
			outputs, parts.Outputs = append(outputs, name), append(parts.Outputs, p.facts.declare(name, like))
		}
	}
	for _, name := range slices.Concat(p.outputs, o.Keep) {
		if !p.facts.exists(name) {
			return nil, fmt.Errorf("the value to keep %q is not in the main graph", name)
		}
		add(name, name)
	}
	for _, name := range p.wanted {
		if _, done := out.Gradients[name]; done {
			continue
		}
		p.emitter.begin("grad/"+name, p.facts.typ(name))
		g := p.total(name)
		switch {
		case g == "":
			g = p.emitter.Op("Sub", name, name)
		case slices.Contains(outputs, g) || p.facts.exists(g) || slices.Contains(cotangents, g):
			g = p.emitter.Op("Identity", g)
		}
		out.Gradients[name] = g
		add(g, name)
	}
	if p.emitter.Err != nil {
		return nil, p.emitter.Err
	}
	parts.Nodes = graph.Needed(slices.Concat(p.forward, p.emitter.Nodes), outputs)
	parts.Initializers = slices.DeleteFunc(parts.Initializers, func(t onnxio.Tensor) bool { return p.facts.fed[t.Name()] })
	if p.emitter.layout.used {
		parts.Opsets = append(parts.Opsets, graph.Opset{Domain: blockedDomain, Version: 1})
	}
	out.Model = parts.Model()
	if err := out.Model.Check(); err != nil {
		return nil, errors.Join(fmt.Errorf("the gradients of this model are not a valid model: %w", err), out.Model.Close())
	}
	return out, nil
}

// inputs returns the inputs of the new model: the original's, with the shapes that the gradients hold for, the initializers
// that are fed, and the cotangents.
func (p *route) inputs() []graph.Value {
	list := p.facts.Inputs()
	for i, in := range list {
		name := in.Name()
		if _, stored := p.facts.Initializer(name); !stored && p.facts.typ(name) != tensor.Undefined && p.facts.shape(name) != nil {
			list[i] = p.facts.declare(name, name)
		}
	}
	for _, t := range p.facts.Initializers() {
		if p.facts.fed[t.Name()] && !p.facts.IsInput(t.Name()) {
			list = append(list, p.facts.declare(t.Name(), t.Name()))
		}
	}
	for _, name := range p.outputs {
		list = append(list, p.facts.declare(p.cotangents[name], name))
	}
	return list
}

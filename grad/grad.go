package grad

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
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
	p, err := newPlan(m, o)
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
	p, err := newPlan(m, o)
	if err != nil {
		return nil, fmt.Errorf("grad: %w", err)
	}
	p.reverse()
	return p.blocked(), nil
}

// graph puts the new model together.
func (p *plan) graph(o Options) (*Graph, error) {
	out := &Graph{Cotangents: p.cotangents, Gradients: map[string]string{}}
	outputs := newOutputs(p.facts)
	for _, name := range p.outputs {
		outputs.add(name, name)
	}
	for _, name := range o.Keep {
		if !p.facts.exists(name) {
			return nil, fmt.Errorf("the value to keep %q is not in the main graph", name)
		}
		outputs.add(name, name)
	}
	for _, name := range p.wanted {
		if _, done := out.Gradients[name]; done {
			continue
		}
		p.emitter.begin("grad/"+name, p.facts.typ(name))
		g := p.total(name)
		switch {
		case g == "":
			g = p.emitter.op("Sub", name, name)
		case outputs.has(g) || p.facts.exists(g) || p.isCotangent(g):
			g = p.emitter.op("Identity", g)
		}
		out.Gradients[name] = g
		outputs.add(g, name)
	}
	if p.emitter.err != nil {
		return nil, p.emitter.err
	}
	graph := onnxio.Shallow(p.m.Graph())
	graph.Node = prune(slices.Concat(p.forward, p.emitter.nodes), outputs.list)
	graph.Output = outputs.list
	graph.ValueInfo = nil // shapes of values that may say otherwise
	p.fix(graph)
	p.feed(graph, o.Feed)
	for _, name := range p.outputs {
		graph.Input = append(graph.Input, valueInfo(p.cotangents[name], p.facts.typ(name), p.facts.shape(name)))
	}
	model := onnxio.Shallow(p.m.Proto)
	model.Graph = graph
	if p.layout.used {
		model.OpsetImport = append(slices.Clone(model.OpsetImport),
			&onnxpb.OperatorSetIdProto{Domain: proto.String(blockedDomain), Version: proto.Int64(1)})
	}
	out.Model = p.m.Derive(model)
	if err := out.Model.Check(); err != nil {
		return nil, errors.Join(fmt.Errorf("the gradients of this model are not a valid model: %w", err), out.Model.Close())
	}
	return out, nil
}

// fix gives the inputs of the new graph the shapes that it holds for.
func (p *plan) fix(graph *onnxpb.GraphProto) {
	for i, in := range graph.Input {
		if _, ok := p.m.Index().Initializer(in.GetName()); ok {
			continue
		}
		if v := p.facts.values[in.GetName()]; v.Shape != nil && v.Type != tensor.Undefined {
			graph.Input[i] = valueInfo(in.GetName(), v.Type, v.Shape)
		}
	}
}

// feed turns initializers of the new graph into inputs.
func (p *plan) feed(graph *onnxpb.GraphProto, names []string) {
	fed := map[string]bool{}
	for _, name := range names {
		fed[name] = true
	}
	inputs := map[string]bool{}
	for _, in := range graph.Input {
		inputs[in.GetName()] = true
	}
	var kept []*onnxpb.TensorProto
	for _, t := range graph.Initializer {
		name := t.GetName()
		switch {
		case !fed[name]:
			kept = append(kept, t)
		case !inputs[name]:
			graph.Input = append(graph.Input, valueInfo(name, p.facts.typ(name), p.facts.shape(name)))
		}
	}
	graph.Initializer = kept
}

// outputs is the list of a new model's outputs, without repetition.
type outputs struct {
	facts *facts
	list  []*onnxpb.ValueInfoProto
	names map[string]bool
}

func newOutputs(f *facts) *outputs { return &outputs{facts: f, names: map[string]bool{}} }

func (o *outputs) has(name string) bool { return o.names[name] }

// add makes a value an output, with the type and shape of the value like.
func (o *outputs) add(name, like string) {
	if o.names[name] {
		return
	}
	o.names[name] = true
	o.list = append(o.list, valueInfo(name, o.facts.typ(like), o.facts.shape(like)))
}

// valueInfo describes an input or output; a nil shape leaves even the rank open.
func valueInfo(name string, t tensor.Type, shape []int) *onnxpb.ValueInfoProto {
	v := &onnxpb.ValueInfoProto{Name: proto.String(name)}
	if t == tensor.Undefined {
		return v
	}
	typ := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(t))}
	if shape != nil {
		typ.Shape = &onnxpb.TensorShapeProto{}
		for _, d := range shape {
			typ.Shape.Dim = append(typ.Shape.Dim, &onnxpb.TensorShapeProto_Dimension{
				Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)},
			})
		}
	}
	v.Type = &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: typ}}
	return v
}

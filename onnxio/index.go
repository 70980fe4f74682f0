package onnxio

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Use is one place where a value of the main graph is read.
type Use struct {
	// Node reads the value. For a value read inside a subgraph it is the node in there.
	Node *onnxpb.NodeProto
	// Slot is the index among Node's inputs. It is -1 where a subgraph of Node
	// returns the value as its own output, and where a graph of the model's training
	// information reads or binds it, in which case Node may be nil.
	Slot int
	// Nested is true for a use outside the main graph's own nodes.
	Nested bool
}

// Origin is where a constant value comes from.
type Origin int

// The origins of a constant.
const (
	Initializer  Origin = iota // an initializer of the main graph
	ConstantNode               // the output of a Constant node
)

// Constant is a value that is known before the model runs.
type Constant struct {
	// Tensor is the value. For a Constant node with a scalar or list attribute
	// it is made up, and part of no message.
	Tensor *onnxpb.TensorProto
	// Origin says what holds it, also where it came through Identity nodes.
	Origin Origin
	// Node is the Constant node, nil for an initializer.
	Node *onnxpb.NodeProto
	// Overridable is true for an initializer that callers may replace, because it is
	// also a graph input: only a default, not a constant proper.
	Overridable bool
}

// Index answers questions about the values of a model's main graph. It is built once
// and does not change.
type Index struct {
	proto        *onnxpb.ModelProto
	producers    map[string]*onnxpb.NodeProto
	uses         map[string][]Use
	initializers map[string]*onnxpb.TensorProto
	inputs       map[string]bool
	outputs      map[string]bool
}

// Producer returns the node of the main graph that has the value among its outputs.
func (x *Index) Producer(value string) (*onnxpb.NodeProto, bool) {
	n, ok := x.producers[value]
	return n, ok
}

// Uses returns every reading of the value: by nodes of the main graph in their order, each
// followed by what its subgraphs read, then by the training information. A graph output
// is not among them, see IsOutput.
func (x *Index) Uses(value string) []Use { return x.uses[value] }

// IsInput reports whether the value is an input of the main graph.
func (x *Index) IsInput(value string) bool { return x.inputs[value] }

// IsOutput reports whether the value is an output of the main graph.
func (x *Index) IsOutput(value string) bool { return x.outputs[value] }

// Initializer returns the main graph's initializer of that name.
func (x *Index) Initializer(name string) (*onnxpb.TensorProto, bool) {
	t, ok := x.initializers[name]
	return t, ok
}

// Overridable reports whether the name is an initializer that is also a graph input
// and so, from IR version 4 on, only a default. Before that every initializer had to
// be an input, and is a constant.
func (x *Index) Overridable(name string) bool {
	_, ok := x.initializers[name]
	return ok && x.inputs[name] && x.proto.GetIrVersion() >= 4
}

// Constant returns what a value is known to be: an initializer, the output of a Constant
// node with a dense numeric value, or one of these through Identity nodes.
func (x *Index) Constant(value string) (Constant, bool) {
	for range len(x.producers) + 1 { // more steps than that would be a cycle
		if t, ok := x.initializers[value]; ok {
			return Constant{Tensor: t, Origin: Initializer, Overridable: x.Overridable(value)}, true
		}
		n, ok := x.producers[value]
		if !ok || !sameDomain(n.GetDomain(), "") {
			return Constant{}, false
		}
		switch n.GetOpType() {
		case "Constant":
			t := constantValue(n)
			return Constant{Tensor: t, Origin: ConstantNode, Node: n}, t != nil
		case "Identity":
			if len(n.Input) != 1 {
				return Constant{}, false
			}
			value = n.Input[0]
		default:
			return Constant{}, false
		}
	}
	return Constant{}, false
}

// constantValue returns the value of a Constant node, or nil for strings and sparse
// tensors (Constant-13: value, value_float(s), value_int(s), value_string(s), sparse_value).
func constantValue(n *onnxpb.NodeProto) *onnxpb.TensorProto {
	for _, a := range n.GetAttribute() {
		if a.GetRefAttrName() != "" {
			return nil
		}
		t := &onnxpb.TensorProto{Name: proto.String(strings.Join(n.Output, ""))}
		switch a.GetName() {
		case "value":
			return a.T
		case "value_float":
			t.DataType = proto.Int32(int32(onnxpb.TensorProto_FLOAT))
			t.FloatData = []float32{a.GetF()}
		case "value_floats":
			t.DataType = proto.Int32(int32(onnxpb.TensorProto_FLOAT))
			t.FloatData, t.Dims = a.Floats, []int64{int64(len(a.Floats))}
		case "value_int":
			t.DataType = proto.Int32(int32(onnxpb.TensorProto_INT64))
			t.Int64Data = []int64{a.GetI()}
		case "value_ints":
			t.DataType = proto.Int32(int32(onnxpb.TensorProto_INT64))
			t.Int64Data, t.Dims = a.Ints, []int64{int64(len(a.Ints))}
		default:
			continue
		}
		return t
	}
	return nil
}

// FreshName returns base, or the first of base_1, base_2, … that nothing in the model
// is called. It does not remember the name: for several use NewNameSet.
func (x *Index) FreshName(base string) string { return newNameSet(x.proto).Fresh(base) }

func newIndex(p *onnxpb.ModelProto) *Index {
	g := p.GetGraph()
	x := &Index{
		proto:        p,
		producers:    map[string]*onnxpb.NodeProto{},
		uses:         map[string][]Use{},
		initializers: map[string]*onnxpb.TensorProto{},
		inputs:       map[string]bool{},
		outputs:      map[string]bool{},
	}
	for _, v := range g.GetInput() {
		x.inputs[v.GetName()] = true
	}
	for _, v := range g.GetOutput() {
		x.outputs[v.GetName()] = true
	}
	for _, t := range g.GetInitializer() {
		x.initializers[t.GetName()] = t
	}
	for _, n := range g.GetNode() {
		for _, out := range n.Output {
			if out != "" {
				x.producers[out] = n
			}
		}
		for slot, in := range n.Input {
			x.use(in, Use{Node: n, Slot: slot})
		}
		captured(n, func(value string, by *onnxpb.NodeProto, slot int) {
			x.use(value, Use{Node: by, Slot: slot, Nested: true})
		})
	}
	x.training(p.GetTrainingInfo())
	return x
}

func (x *Index) use(value string, u Use) {
	if value != "" {
		x.uses[value] = append(x.uses[value], u)
	}
}

// training records what training graphs read of the main graph, and the initializers
// that bindings name.
func (x *Index) training(infos []*onnxpb.TrainingInfoProto) {
	for _, t := range infos {
		for _, g := range []*onnxpb.GraphProto{t.GetInitialization(), t.GetAlgorithm()} {
			free(g, nil, func(value string, by *onnxpb.NodeProto, slot int) {
				x.use(value, Use{Node: by, Slot: slot, Nested: true})
			})
		}
		for _, list := range [][]*onnxpb.StringStringEntryProto{t.GetInitializationBinding(), t.GetUpdateBinding()} {
			for _, b := range list {
				x.use(b.GetKey(), Use{Slot: -1, Nested: true})
			}
		}
	}
}

// captured calls visit for every value that the subgraphs of a node read from around
// them, with the node that reads it and the input slot, or with n itself and -1 where a
// subgraph returns the value.
func captured(n *onnxpb.NodeProto, visit func(value string, by *onnxpb.NodeProto, slot int)) {
	for _, g := range subgraphs(n) {
		free(g, n, visit)
	}
}

// free calls visit for every name that g reads and does not define; owner is the node
// that holds g.
func free(g *onnxpb.GraphProto, owner *onnxpb.NodeProto, visit func(value string, by *onnxpb.NodeProto, slot int)) {
	defined := definitions(g)
	outer := func(value string, by *onnxpb.NodeProto, slot int) {
		if value != "" && !defined[value] {
			visit(value, by, slot)
		}
	}
	for _, n := range g.GetNode() {
		for slot, in := range n.Input {
			outer(in, n, slot)
		}
		captured(n, outer)
	}
	for _, v := range g.GetOutput() {
		outer(v.GetName(), owner, -1)
	}
}

// definitions returns the names that a graph gives values to.
func definitions(g *onnxpb.GraphProto) map[string]bool {
	defined := map[string]bool{}
	for _, v := range g.GetInput() {
		defined[v.GetName()] = true
	}
	for _, t := range g.GetInitializer() {
		defined[t.GetName()] = true
	}
	for _, t := range g.GetSparseInitializer() {
		defined[t.GetValues().GetName()] = true
	}
	for _, n := range g.GetNode() {
		for _, out := range n.Output {
			defined[out] = true
		}
	}
	return defined
}

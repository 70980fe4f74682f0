package graph

import (
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Use is one place where a value of a graph is read.
type Use struct {
	// Node reads the value. For a value read inside a subgraph it is the node in there.
	Node Node
	// Slot is the index among Node's inputs. It is -1 where a subgraph of Node returns the value as its own output, and
	// where a graph of the model's training information reads or binds it, in which case there may be no Node.
	Slot int
	// Nested is true for a use outside the graph's own nodes.
	Nested bool
}

// Constant is a value that is known before the model runs.
type Constant struct {
	// Tensor is the value. For a Constant node with a scalar or list attribute it is made up, and part of no message.
	Tensor onnxio.Tensor
	// Node is the Constant node that holds it, also where it came through Identity nodes; none for an initializer.
	Node Node
	// Overridable is true for an initializer that callers may replace, because it is also a graph input: only a default,
	// not a constant proper.
	Overridable bool
}

// index answers questions about the values of a graph.
type index struct {
	at              map[Node]int // positions
	producers       map[string]Node
	origins         map[string]string // of what Identity nodes make: the value that they pass on
	uses            map[string][]Use
	initializers    map[string]*onnxpb.TensorProto
	sparse          map[string]bool
	inputs, outputs map[string]bool
	functions       map[[3]string]Function // by domain, name and overload
}

func newIndex(g *Graph) *index {
	x := &index{
		at: map[Node]int{}, producers: map[string]Node{}, origins: map[string]string{}, uses: map[string][]Use{}, initializers: map[string]*onnxpb.TensorProto{},
		sparse: map[string]bool{}, inputs: map[string]bool{}, outputs: map[string]bool{}, functions: map[[3]string]Function{},
	}
	for _, v := range g.Inputs() {
		x.inputs[v.Name()] = true
	}
	for _, v := range g.Outputs() {
		x.outputs[v.Name()] = true
	}
	for _, t := range g.p.GetInitializer() {
		x.initializers[t.GetName()] = t
	}
	for _, t := range g.Sparse() {
		x.sparse[t.Name()] = true
	}
	for i, n := range g.Nodes() {
		x.at[n] = i
		for _, out := range n.Outputs() {
			if out != "" {
				x.producers[out] = n
			}
		}
		for slot, in := range n.Inputs() {
			x.use(in, Use{Node: n, Slot: slot})
		}
		captured(n, func(value string, by Node, slot int) { x.use(value, Use{Node: by, Slot: slot, Nested: true}) })
	}
	for _, n := range g.Nodes() {
		if n.Op() == "Identity" {
			x.trace(n.Output(0))
		}
	}
	for _, f := range Functions(g.m) {
		x.functions[[3]string{onnxio.PlainDomain(f.p.GetDomain()), f.p.GetName(), f.p.GetOverload()}] = f
	}
	if g.p == g.m.Proto.GetGraph() {
		x.training(g.m.Proto.GetTrainingInfo())
	}
	return x
}

// trace notes the origin of a value that Identity nodes pass on, and of all on the way to it, so that each is walked past
// once.
func (x *index) trace(value string) {
	var way []string
	for len(way) < len(x.producers) { // more steps than that are a circle, which unsound models may have
		n, ok := x.producers[value]
		if !ok || n.Op() != "Identity" || len(n.Inputs()) != 1 {
			break
		}
		way = append(way, value)
		if origin, known := x.origins[value]; known {
			value = origin
			break
		}
		value = n.Input(0)
	}
	for _, v := range way {
		x.origins[v] = value
	}
}

func (x *index) use(value string, u Use) {
	if value != "" {
		x.uses[value] = append(x.uses[value], u)
	}
}

// training records what training graphs read of the main graph, and the initializers that bindings name.
func (x *index) training(infos []*onnxpb.TrainingInfoProto) {
	for _, t := range infos {
		for _, g := range []*onnxpb.GraphProto{t.GetInitialization(), t.GetAlgorithm()} {
			onnxio.Free(g, nil, func(value string, by *onnxpb.NodeProto, slot int) {
				x.use(value, Use{Node: Node{by}, Slot: slot, Nested: true})
			})
		}
		for _, list := range [][]*onnxpb.StringStringEntryProto{t.GetInitializationBinding(), t.GetUpdateBinding()} {
			for _, b := range list {
				x.use(b.GetKey(), Use{Slot: -1, Nested: true})
			}
		}
	}
}

// Position returns where a node stands among the graph's nodes, -1 where it is none of them.
func (g *Graph) Position(n Node) int {
	if i, ok := g.index().at[n]; ok {
		return i
	}
	return -1
}

// Producer returns the graph's node that has the value among its outputs.
func (g *Graph) Producer(value string) (Node, bool) {
	n, ok := g.index().producers[value]
	return n, ok
}

// Uses returns every reading of the value: by the graph's nodes in their order, each followed by what its subgraphs read,
// then by the training information. A graph output is not among them, see IsOutput.
func (g *Graph) Uses(value string) []Use { return g.index().uses[value] }

// Reader returns the one node of the graph that reads the value, where nothing else does: no second input, no subgraph,
// no output of the graph.
func (g *Graph) Reader(value string) (Use, bool) {
	u := g.Uses(value)
	if len(u) != 1 || u[0].Nested || g.IsOutput(value) {
		return Use{}, false
	}
	return u[0], true
}

// IsInput reports whether the value is an input of the graph.
func (g *Graph) IsInput(value string) bool { return g.index().inputs[value] }

// IsOutput reports whether the value is an output of the graph.
func (g *Graph) IsOutput(value string) bool { return g.index().outputs[value] }

// IsSparse reports whether the value is a sparse initializer.
func (g *Graph) IsSparse(value string) bool { return g.index().sparse[value] }

// Initializer returns the dense initializer of a name.
func (g *Graph) Initializer(name string) (onnxio.Tensor, bool) {
	t, ok := g.index().initializers[name]
	if !ok {
		return onnxio.Tensor{}, false
	}
	return g.m.Tensor(t), true
}

// Overridable reports whether the name is an initializer that is also a graph input and so, from IR version 4 on, only a
// default. Before that every initializer had to be an input, and is a constant.
func (g *Graph) Overridable(name string) bool {
	_, ok := g.Initializer(name)
	return ok && g.IsInput(name) && g.m.Proto.GetIrVersion() >= 4
}

// Origin returns the value that a value is through Identity nodes: itself where no Identity node makes it.
func (g *Graph) Origin(value string) string {
	if origin, ok := g.index().origins[value]; ok {
		return origin
	}
	return value
}

// Constant returns what a value is known to be: an initializer, the output of a Constant node with a dense numeric value,
// or one of these through Identity nodes.
func (g *Graph) Constant(value string) (Constant, bool) {
	if t, ok := g.Initializer(value); ok { // before its producer: unsound models have both
		return Constant{Tensor: t, Overridable: g.Overridable(value)}, true
	}
	value = g.Origin(value)
	if t, ok := g.Initializer(value); ok {
		return Constant{Tensor: t, Overridable: g.Overridable(value)}, true
	}
	if n, ok := g.Producer(value); ok && n.Op() == "Constant" {
		t, ok := n.Value(g.m)
		return Constant{Tensor: t, Node: n}, ok
	}
	return Constant{}, false
}

// Value returns the numbers of a Constant node of m; false for strings and sparse tensors (Constant-13: value,
// value_float(s), value_int(s), value_string(s), sparse_value).
func (n Node) Value(m *onnxio.Model) (onnxio.Tensor, bool) {
	for _, a := range n.p.GetAttribute() {
		if a.GetRefAttrName() != "" {
			return onnxio.Tensor{}, false
		}
		t := &onnxpb.TensorProto{Name: text(nil, n.Output(0))}
		number := func(typ tensor.Type) { i := int32(typ); t.DataType = &i }
		switch a.GetName() {
		case "value":
			return m.Tensor(a.T), a.T != nil
		case "value_float":
			number(tensor.Float32)
			t.FloatData = []float32{a.GetF()}
		case "value_floats":
			number(tensor.Float32)
			t.FloatData, t.Dims = a.Floats, []int64{int64(len(a.Floats))}
		case "value_int":
			number(tensor.Int64)
			t.Int64Data = []int64{a.GetI()}
		case "value_ints":
			number(tensor.Int64)
			t.Int64Data, t.Dims = a.Ints, []int64{int64(len(a.Ints))}
		default:
			continue
		}
		return m.Tensor(t), true
	}
	return onnxio.Tensor{}, false
}

package graph

import (
	"iter"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Place is where a node stands in a model.
type Place struct {
	// Index is the position in the main graph of the node, or of the node whose subgraph holds it; for a local function's
	// nodes the number of the main graph's nodes.
	Index int
	// Path is empty in the main graph. Inside it leads there: the labels of the nodes that hold the subgraphs, with a
	// slash between them, and "function OP" in front for a local function's nodes.
	Path string
	// Holder is the node whose subgraph holds the node: none in the main graph and at the top of a local function.
	Holder Node
}

// Walk visits every node of a model: those of the main graph in their order, each followed by those of its subgraphs, and
// then those of the local functions.
func Walk(m *onnxio.Model) iter.Seq2[Place, Node] {
	return func(yield func(Place, Node) bool) {
		nodes := Of(m).Nodes()
		for i, n := range nodes {
			if !yield(Place{Index: i}, n) || !inside(Place{Index: i, Path: n.Label(), Holder: n}, yield) {
				return
			}
		}
		for _, f := range Functions(m) {
			if !walk(Place{Index: len(nodes), Path: "function " + f.Op()}, f.Nodes(), yield) {
				return
			}
		}
	}
}

// walk visits nodes that are not the main graph's, false where the visit is over.
func walk(at Place, nodes []Node, yield func(Place, Node) bool) bool {
	for _, n := range nodes {
		if !yield(at, n) || !inside(Place{at.Index, at.Path + "/" + n.Label(), n}, yield) {
			return false
		}
	}
	return true
}

// inside visits the nodes in the subgraphs of at.Holder.
func inside(at Place, yield func(Place, Node) bool) bool {
	for _, g := range onnxio.Subgraphs(at.Holder.p) {
		if !walk(at, nodesOf(g.GetNode()), yield) {
			return false
		}
	}
	return true
}

// Tensors visits every tensor that a model stores: initializers and attributes of the main graph, of all subgraphs and of
// the local functions, and the numbers that Constant nodes have as plain attributes. The sparse ones come as their
// indices, for which the second value is true, and their values.
func Tensors(m *onnxio.Model) iter.Seq2[onnxio.Tensor, bool] {
	return func(yield func(onnxio.Tensor, bool) bool) {
		visit := func(t *onnxpb.TensorProto) bool { return t == nil || yield(m.Tensor(t), false) }
		sparse := func(t *onnxpb.SparseTensorProto) bool {
			return t == nil || yield(m.Tensor(t.GetIndices()), true) && visit(t.GetValues())
		}
		graph := func(g *onnxpb.GraphProto) bool {
			return every(g.GetInitializer(), visit) && every(g.GetSparseInitializer(), sparse)
		}
		if !graph(m.Proto.GetGraph()) {
			return
		}
		for _, n := range Walk(m) {
			for _, a := range n.p.GetAttribute() {
				if !visit(a.GetT()) || !every(a.GetTensors(), visit) || !sparse(a.GetSparseTensor()) || !every(a.GetSparseTensors(), sparse) {
					return
				}
			}
			if t, ok := n.Value(m); n.Op() == "Constant" && ok && !n.Has("value") && !yield(t, false) {
				return
			}
			if !every(onnxio.Subgraphs(n.p), graph) {
				return
			}
		}
	}
}

func every[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !ok(v) })
}

// Reads returns the values that the node reads, each once, in order: its inputs, and what its subgraphs read from around
// them.
func (n Node) Reads() []string {
	var out []string
	seen := map[string]bool{"": true}
	add := func(value string, _ Node, _ int) {
		if !seen[value] {
			seen[value] = true
			out = append(out, value)
		}
	}
	for slot, in := range n.Inputs() {
		add(in, n, slot)
	}
	captured(n, add)
	return out
}

// captured calls visit for every value that the subgraphs of a node read from around them, with the node that reads it
// and the input slot, or with n itself and -1 where a subgraph returns the value.
func captured(n Node, visit func(value string, by Node, slot int)) {
	onnxio.Captured(n.p, func(value string, by *onnxpb.NodeProto, slot int) { visit(value, Node{by}, slot) })
}

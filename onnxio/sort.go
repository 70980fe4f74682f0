package onnxio

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// sortModel brings the nodes of a model that is being read into topological order: those of the graph, of the graphs in
// attributes and of local functions. Some converters append nodes whose readers stand before them; ONNX Runtime
// loads such models too, though the specification wants them sorted. What is in order stays as it is, and so does what has a
// cycle, which Check refuses.
func sortModel(p *onnxpb.ModelProto) {
	sortList(p.GetGraph().GetNode())
	for _, f := range p.GetFunctions() {
		sortList(f.Node)
	}
}

// sortList sorts nodes in their place, those of their subgraphs first.
func sortList(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		for _, g := range Subgraphs(n) {
			sortList(g.GetNode())
		}
	}
	maker := makers(nodes)
	if inOrder(nodes, maker) {
		return
	}
	sorted := orderOf(nodes, maker).sort()
	if len(sorted) < len(nodes) {
		return
	}
	before := slices.Clone(nodes)
	for k, i := range sorted {
		nodes[k] = before[i]
	}
}

// inOrder tells whether every node stands behind those that make what it reads.
func inOrder(nodes []*onnxpb.NodeProto, maker map[string]int) bool {
	for i, n := range nodes {
		late := false
		look := func(value string) {
			j, ok := maker[value]
			late = late || ok && j >= i
		}
		for _, in := range n.Input {
			look(in)
		}
		Captured(n, func(value string, _ *onnxpb.NodeProto, _ int) { look(value) })
		if late {
			return false
		}
	}
	return true
}

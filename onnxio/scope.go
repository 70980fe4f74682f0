package onnxio

import "github.com/onnx-compress/onnx-compress/onnxio/onnxpb"

// What scopes are is written here once, for Check and for package graph.

// PlainDomain returns a domain's one spelling: ONNX's own operators have "".
func PlainDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// Subgraphs returns the graphs in a node's attributes.
func Subgraphs(n *onnxpb.NodeProto) []*onnxpb.GraphProto {
	var out []*onnxpb.GraphProto
	for _, a := range n.GetAttribute() {
		if a.G != nil {
			out = append(out, a.G)
		}
		out = append(out, a.Graphs...)
	}
	return out
}

// Captured calls visit for every value that the subgraphs of a node read from around
// them, with the node that reads it and the input slot, or with n itself and -1 where a
// subgraph returns the value.
func Captured(n *onnxpb.NodeProto, visit func(value string, by *onnxpb.NodeProto, slot int)) {
	for _, g := range Subgraphs(n) {
		Free(g, n, visit)
	}
}

// Free calls visit for every name that g reads and does not define; owner is the node
// that holds g.
func Free(g *onnxpb.GraphProto, owner *onnxpb.NodeProto, visit func(value string, by *onnxpb.NodeProto, slot int)) {
	defined := Definitions(g)
	outer := func(value string, by *onnxpb.NodeProto, slot int) {
		if value != "" && !defined[value] {
			visit(value, by, slot)
		}
	}
	for _, n := range g.GetNode() {
		for slot, in := range n.Input {
			outer(in, n, slot)
		}
		Captured(n, outer)
	}
	for _, v := range g.GetOutput() {
		outer(v.GetName(), owner, -1)
	}
}

// Definitions returns the names that a graph gives values to.
func Definitions(g *onnxpb.GraphProto) map[string]bool {
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

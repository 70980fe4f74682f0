package onnxio

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// MaxNodes is how many nodes a model may have, those of subgraphs among them and those of local functions once for every
// call and the call itself, as runtimes put them in its place: a few functions that call each other twice come to more than memory holds.
const MaxNodes = 1 << 20

// checkSize counts the nodes of a model whose functions do not call themselves.
func checkSize(p *onnxpb.ModelProto) error {
	s := sizes{functions: map[functionID]*onnxpb.FunctionProto{}, known: map[functionID]int{}}
	for _, f := range p.Functions {
		s.functions[functionID{PlainDomain(f.GetDomain()), f.GetName(), f.GetOverload()}] = f
	}
	total, largest, most := 0, 0, 0
	for i, n := range p.GetGraph().GetNode() {
		own := s.node(n)
		if total = added(total, own); own > most {
			largest, most = i, own
		}
	}
	if total <= MaxNodes {
		return nil
	}
	return fmt.Errorf("the graph comes to %s nodes, with those of local functions at every call (%s alone to %s); at most %d are read",
		countText(total), describe(p.Graph.Node[largest], largest), countText(most), MaxNodes)
}

// sizes counts nodes; sums that no integer holds stay at the largest.
type sizes struct {
	functions map[functionID]*onnxpb.FunctionProto
	known     map[functionID]int
}

func (s *sizes) nodes(list []*onnxpb.NodeProto) int {
	total := 0
	for _, n := range list {
		total = added(total, s.node(n))
	}
	return total
}

// node counts a node, or those of the function that it calls, and those of its subgraphs.
func (s *sizes) node(n *onnxpb.NodeProto) int {
	id := functionID{PlainDomain(n.GetDomain()), n.GetOpType(), n.GetOverload()}
	total, known := s.known[id]
	if f, call := s.functions[id]; !call {
		total = 1
	} else if !known {
		total = added(1, s.nodes(f.Node)) // with the call, since a function may be empty
		s.known[id] = total
	}
	for _, g := range Subgraphs(n) {
		total = added(total, s.nodes(g.GetNode()))
	}
	return total
}

func added(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func countText(n int) string {
	if n == math.MaxInt {
		return fmt.Sprintf("more than %d", n)
	}
	return fmt.Sprint(n)
}

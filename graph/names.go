package graph

import (
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// NameSet is a set of names taken in a model, from which fresh ones are drawn. Values, nodes and initializers of the
// graph, of every subgraph and of every local function count together, because ONNX allows no name to hide one of an
// outer scope. A NameSet belongs to its caller and is not safe for several goroutines.
type NameSet struct{ taken map[string]bool }

// NewNameSet returns the set of all names that a model uses.
func NewNameSet(m *onnxio.Model) *NameSet {
	s := &NameSet{taken: map[string]bool{}}
	s.graph(m.Proto.GetGraph())
	for _, t := range m.Proto.GetTrainingInfo() {
		s.graph(t.GetInitialization())
		s.graph(t.GetAlgorithm())
	}
	for _, f := range m.Proto.GetFunctions() {
		s.Add(f.GetInput()...)
		s.nodes(f.GetNode())
	}
	return s
}

// Add takes names.
func (s *NameSet) Add(names ...string) {
	for _, n := range names {
		s.taken[n] = true
	}
}

// Has reports whether a name is taken.
func (s *NameSet) Has(name string) bool { return s.taken[name] }

// begins tells whether any of the names does so with a prefix.
func (s *NameSet) begins(prefix string) bool {
	for name := range s.taken {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Fresh takes and returns base, or where that is taken the first of base_1, base_2, … that is not.
func (s *NameSet) Fresh(base string) string {
	name := base
	for i := 1; name == "" || s.taken[name]; i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	s.taken[name] = true
	return name
}

func (s *NameSet) graph(g *onnxpb.GraphProto) {
	for _, list := range [][]*onnxpb.ValueInfoProto{g.GetInput(), g.GetOutput(), g.GetValueInfo()} {
		for _, v := range list {
			s.Add(v.GetName())
		}
	}
	for _, t := range g.GetInitializer() {
		s.Add(t.GetName())
	}
	for _, t := range g.GetSparseInitializer() {
		s.Add(t.GetValues().GetName())
	}
	s.nodes(g.GetNode())
}

func (s *NameSet) nodes(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		s.Add(n.GetName())
		s.Add(n.GetInput()...)
		s.Add(n.GetOutput()...)
		for _, g := range onnxio.Subgraphs(n) {
			s.graph(g)
		}
	}
}

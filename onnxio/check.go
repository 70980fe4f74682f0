package onnxio

import (
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Check reports the first structural fault of the model, naming the node and tensor. It
// reads no weights. It checks what ONNX's IR specification requires:
//
//   - a graph, an IR version, and an operator-set import for every domain used;
//   - single static assignment: inputs, initializers and node outputs have distinct
//     names, and no node output hides a name of an outer graph;
//   - nodes in topological order, without cycles, reading only what is defined;
//   - tensors of a known type with as much data as their shape asks for;
//   - external data inside the model's folder, present and large enough;
//   - up to IR version 3, every initializer also a graph input;
//   - local functions with distinct names that do not call themselves.
//
// And it refuses models of more than MaxNodes nodes.
//
// Operators are not checked against their schemas, so custom ones are welcome.
func (m *Model) Check() error {
	p := m.Proto
	if p.GetGraph() == nil {
		return errors.New("no graph: this is not an ONNX model, or it is cut short")
	}
	if p.GetIrVersion() < 1 {
		return fmt.Errorf("ir_version is %d: this is not an ONNX model, or a damaged one", p.GetIrVersion())
	}
	imports, err := importSet(p.GetOpsetImport())
	if err != nil {
		return err
	}
	if len(imports) == 0 {
		if p.GetIrVersion() >= 3 {
			return fmt.Errorf("no opset_import, which IR version %d requires", p.GetIrVersion())
		}
		imports[""] = 1
	}
	c := &checker{model: m, imports: imports}
	if err := c.main(p.Graph); err != nil {
		return err
	}
	if err := c.functions(p.Functions); err != nil {
		return err
	}
	if err := checkSize(p); err != nil {
		return err
	}
	for _, t := range p.TrainingInfo {
		for _, g := range []*onnxpb.GraphProto{t.GetInitialization(), t.GetAlgorithm()} {
			if err := c.graphTensors(g); err != nil {
				return fmt.Errorf("training information: %w", err)
			}
		}
	}
	return nil
}

// importSet returns the version imported for each domain.
func importSet(list []*onnxpb.OperatorSetIdProto) (map[string]int64, error) {
	imports := map[string]int64{}
	for _, o := range list {
		domain := PlainDomain(o.GetDomain())
		if v, ok := imports[domain]; ok && v != o.GetVersion() {
			return nil, fmt.Errorf("domain %q is imported both in version %d and in version %d", o.GetDomain(), v, o.GetVersion())
		}
		if domain == "" && o.GetVersion() < 1 {
			return nil, fmt.Errorf("opset_import names version %d of ONNX's operators, which does not exist", o.GetVersion())
		}
		imports[domain] = o.GetVersion()
	}
	return imports, nil
}

// checker walks a model's graphs. The imports are those of the model, or of the function
// that it is in.
type checker struct {
	model   *Model
	imports map[string]int64
}

// scope holds the names defined so far in a graph or function, and the graph around it.
type scope struct {
	outer *scope
	nodes []*onnxpb.NodeProto
	names map[string]int // name → the node that makes it, or one of the values below
}

const (
	byInput       = -1
	byInitializer = -2
)

// has reports whether a name is defined here or around.
func (s *scope) has(name string) bool {
	_, ok := s.maker(name)
	return ok
}

// maker returns in words what defines a name here or around.
func (s *scope) maker(name string) (func() string, bool) {
	for ; s != nil; s = s.outer {
		i, ok := s.names[name]
		if !ok {
			continue
		}
		return func() string {
			switch i {
			case byInput:
				return "an input"
			case byInitializer:
				return "an initializer"
			}
			return "an output of " + describe(s.nodes[i], i)
		}, true
	}
	return nil, false
}

// main checks the main graph, whose inputs and outputs, unlike a subgraph's, must have
// types.
func (c *checker) main(g *onnxpb.GraphProto) error {
	for _, v := range g.Input {
		if v.GetType() == nil && v.GetName() != "" {
			return fmt.Errorf("graph input %q has no type", v.GetName())
		}
	}
	for _, v := range g.Output {
		if v.GetType() == nil && v.GetName() != "" {
			return fmt.Errorf("graph output %q has no type", v.GetName())
		}
	}
	return c.graph(g, nil)
}

// graph checks a graph whose nodes may also read the names of the scopes around it.
func (c *checker) graph(g *onnxpb.GraphProto, outer *scope) error {
	s := &scope{outer: outer, nodes: g.Node, names: map[string]int{}}
	for i, v := range g.Input {
		if v.GetName() == "" {
			return fmt.Errorf("graph input %d has no name", i)
		}
		if _, ok := s.names[v.GetName()]; ok {
			return fmt.Errorf("two graph inputs are named %q", v.GetName())
		}
		s.names[v.GetName()] = byInput
	}
	if err := c.initializers(g, s); err != nil {
		return err
	}
	if err := c.nodes(s); err != nil {
		return err
	}
	for i, v := range g.Output {
		if v.GetName() == "" {
			return fmt.Errorf("graph output %d has no name", i)
		}
		if !s.has(v.GetName()) {
			return fmt.Errorf("graph output %q is made by no node and is neither an input nor an initializer", v.GetName())
		}
	}
	return nil
}

// initializers checks a graph's constants and adds their names to the scope.
func (c *checker) initializers(g *onnxpb.GraphProto, s *scope) error {
	seen := map[string]bool{}
	add := func(name string, i int, kind string) error {
		if name == "" {
			return fmt.Errorf("%s %d has no name", kind, i)
		}
		if seen[name] {
			return fmt.Errorf("two initializers are named %q", name)
		}
		seen[name] = true
		if _, ok := s.names[name]; !ok && c.model.Proto.GetIrVersion() <= 3 {
			return fmt.Errorf("initializer %q is not a graph input, as IR version %d requires; raise ir_version to 4 or list it among the inputs",
				name, c.model.Proto.GetIrVersion())
		}
		s.names[name] = byInitializer
		return nil
	}
	for i, t := range g.Initializer {
		if err := add(t.GetName(), i, "initializer"); err != nil {
			return err
		}
	}
	for i, t := range g.SparseInitializer {
		if err := add(t.GetValues().GetName(), i, "sparse initializer"); err != nil {
			return err
		}
	}
	return c.ownTensors(g)
}

// nodes checks a scope's nodes in order, adding their outputs to its names.
func (c *checker) nodes(s *scope) error {
	for i, n := range s.nodes {
		if err := c.node(n, i, s); err != nil {
			return fmt.Errorf("%s: %w", describe(n, i), err)
		}
	}
	return nil
}

func (c *checker) node(n *onnxpb.NodeProto, i int, s *scope) error {
	if n.GetOpType() == "" {
		return errors.New("there is no op_type")
	}
	if _, ok := c.imports[PlainDomain(n.GetDomain())]; !ok {
		return fmt.Errorf("there is no opset_import for its domain %q", n.GetDomain())
	}
	for slot, in := range n.Input {
		if in != "" && !s.has(in) {
			return fmt.Errorf("input %d: %w", slot, undefined(s.nodes, in))
		}
	}
	if err := c.attributes(n, s); err != nil {
		return err
	}
	for slot, out := range n.Output {
		if out == "" {
			continue
		}
		if by, ok := s.maker(out); ok {
			return fmt.Errorf("output %d: the name %q is already that of %s", slot, out, by())
		}
		s.names[out] = i
	}
	return nil
}

// attributes checks a node's attributes, with the tensors and graphs in them.
func (c *checker) attributes(n *onnxpb.NodeProto, s *scope) error {
	seen := make(map[string]bool, len(n.Attribute))
	for i, a := range n.Attribute {
		if a.GetName() == "" {
			return fmt.Errorf("attribute %d has no name", i)
		}
		if seen[a.GetName()] {
			return fmt.Errorf("two attributes are named %q", a.GetName())
		}
		seen[a.GetName()] = true
		if err := c.attributeTensors(a); err != nil {
			return fmt.Errorf("attribute %q: %w", a.GetName(), err)
		}
		graphs := a.Graphs
		if a.G != nil {
			graphs = append([]*onnxpb.GraphProto{a.G}, graphs...)
		}
		for _, g := range graphs {
			if err := c.graph(g, s); err != nil {
				return fmt.Errorf("attribute %q: graph %q: %w", a.GetName(), g.GetName(), err)
			}
		}
	}
	return nil
}

// describe names a node for an error message: its name where it has one, its operator,
// and its place in the graph.
func describe(n *onnxpb.NodeProto, index int) string {
	op := n.GetOpType()
	if n.GetDomain() != "" {
		op = n.GetDomain() + "." + op
	}
	if n.GetName() == "" {
		return fmt.Sprintf("node %d (%s)", index, op)
	}
	return fmt.Sprintf("node %q (%s, number %d)", n.GetName(), op, index)
}

package onnxio

import (
	"fmt"
	"maps"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// functionID is what tells local functions apart (the overload from IR version 10 on).
type functionID struct{ domain, name, overload string }

func (id functionID) String() string {
	s := id.domain + "::" + id.name
	if id.overload != "" {
		s += "::" + id.overload
	}
	return s
}

// functions checks the model's local functions.
func (c *checker) functions(list []*onnxpb.FunctionProto) error {
	calls := make([]*onnxpb.NodeProto, len(list)) // a graph of who calls whom
	seen := map[functionID]bool{}
	for i, f := range list {
		if f.GetName() == "" {
			return fmt.Errorf("function %d has no name", i)
		}
		id := functionID{PlainDomain(f.GetDomain()), f.GetName(), f.GetOverload()}
		if seen[id] {
			return fmt.Errorf("two functions are named %v", id)
		}
		seen[id] = true
		if err := c.function(f); err != nil {
			return fmt.Errorf("function %v: %w", id, err)
		}
		calls[i] = &onnxpb.NodeProto{Output: []string{id.String()}, Input: callees(f.Node, nil)}
	}
	if cycle := findCycle(calls, makers(calls)); len(cycle) > 0 {
		names := make([]string, len(cycle))
		for k, i := range cycle {
			names[k] = calls[i].Output[0]
		}
		return fmt.Errorf("functions call each other in a circle: %s", strings.Join(names, ", "))
	}
	return nil
}

// callees adds to out what operators nodes and their subgraphs use, written as functions.
func callees(nodes []*onnxpb.NodeProto, out []string) []string {
	for _, n := range nodes {
		out = append(out, functionID{PlainDomain(n.GetDomain()), n.GetOpType(), n.GetOverload()}.String())
		for _, g := range Subgraphs(n) {
			out = callees(g.GetNode(), out)
		}
	}
	return out
}

// function checks the nodes of one function, which see its inputs only.
func (c *checker) function(f *onnxpb.FunctionProto) error {
	own, err := importSet(f.GetOpsetImport())
	if err != nil {
		return err
	}
	imports := maps.Clone(c.imports)
	maps.Copy(imports, own)
	inner := &checker{model: c.model, imports: imports}
	s := &scope{nodes: f.Node, names: map[string]int{}}
	for _, in := range f.Input {
		if _, ok := s.names[in]; ok {
			return fmt.Errorf("two inputs are named %q", in)
		}
		s.names[in] = byInput
	}
	if err := inner.nodes(s); err != nil {
		return err
	}
	for _, out := range f.Output {
		if !s.has(out) {
			return fmt.Errorf("output %q is made by no node", out)
		}
	}
	return nil
}

package graph

import (
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// renaming gives values other names.
type renaming map[string]string

func (r renaming) of(name string) string {
	if to, ok := r[name]; ok {
		return to
	}
	return name
}

func (r renaming) all(list []string) []string { return wrap(list, r.of) }

// Reading returns a node that reads values under other names, inside of its subgraphs too; itself where it reads none of them.
func Reading(n Node, names map[string]string) Node { return Node{renaming(names).node(n.p)} }

// node returns the node under the new names, what its subgraphs read of them included: the node itself where it has none of them.
func (r renaming) node(n *onnxpb.NodeProto) *onnxpb.NodeProto {
	if len(r) == 0 {
		return n
	}
	in, out := r.all(n.GetInput()), r.all(n.GetOutput())
	attrs := r.attributes(n.GetAttribute())
	if slices.Equal(in, n.GetInput()) && slices.Equal(out, n.GetOutput()) && attrs == nil {
		return n
	}
	own := onnxio.Shallow(n)
	own.Input, own.Output = in, out
	if attrs != nil {
		own.Attribute = attrs
	}
	return own
}

// attributes returns them with other bodies, nil where no body changes.
func (r renaming) attributes(list []*onnxpb.AttributeProto) []*onnxpb.AttributeProto {
	var changed []*onnxpb.AttributeProto
	for i, a := range list {
		own := a
		if g := a.GetG(); g != nil {
			if body := r.inside(g); body != g {
				own = onnxio.Shallow(a)
				own.G = body
			}
		}
		if own == a {
			continue
		}
		if changed == nil {
			changed = slices.Clone(list)
		}
		changed[i] = own
	}
	return changed
}

// inside returns a body in which what it reads from around it has the new names: the body itself where it reads none of them.
func (r renaming) inside(g *onnxpb.GraphProto) *onnxpb.GraphProto {
	within := maps.Clone(r)
	for name := range onnxio.Definitions(g) {
		delete(within, name)
	}
	return within.graph(g, false)
}

// graph returns a graph under the new names; with its own too where it is asked for what the graph itself defines.
func (r renaming) graph(g *onnxpb.GraphProto, own bool) *onnxpb.GraphProto {
	changed := false
	nodes := wrap(g.GetNode(), func(n *onnxpb.NodeProto) *onnxpb.NodeProto {
		to := r.node(n)
		changed = changed || to != n
		return to
	})
	outputs := wrap(g.GetOutput(), func(v *onnxpb.ValueInfoProto) *onnxpb.ValueInfoProto {
		to := r.value(v)
		changed = changed || to != v
		return to
	})
	if !changed && !own {
		return g
	}
	next := onnxio.Shallow(g)
	next.Node, next.Output = nodes, outputs
	if own {
		next.ValueInfo = wrap(g.GetValueInfo(), r.value)
		next.Initializer = wrap(g.GetInitializer(), r.tensor)
		next.SparseInitializer = wrap(g.GetSparseInitializer(), r.sparse)
	}
	return next
}

func (r renaming) value(v *onnxpb.ValueInfoProto) *onnxpb.ValueInfoProto {
	name := r.of(v.GetName())
	if name == v.GetName() {
		return v
	}
	own := onnxio.Shallow(v)
	own.Name = &name
	return own
}

func (r renaming) tensor(t *onnxpb.TensorProto) *onnxpb.TensorProto {
	name := r.of(t.GetName())
	if name == t.GetName() {
		return t
	}
	own := onnxio.Shallow(t)
	own.Name = &name
	return own
}

func (r renaming) sparse(t *onnxpb.SparseTensorProto) *onnxpb.SparseTensorProto {
	values := r.tensor(t.GetValues())
	if values == t.GetValues() {
		return t
	}
	own := onnxio.Shallow(t)
	own.Values = values
	return own
}

package graph

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// behindName is put before names that the model in front has already.
const behindName = "decoder_"

// Behind returns a model under names with which it can stand behind another: fed says of inputs which outputs or inputs of the one in front they
// are, and they have these names. Its other inputs, its outputs and dimensions keep their names, with "decoder_" before those that the one in front has too;
// all else is named so that nothing there, nor anything that is made of it, is called the same. Weights in
// files beside the model are in its message.
//
// It is used no longer than back. Operator sets or functions that the two have in different versions are an error.
func Behind(front, back *onnxio.Model, fed map[string]string) (*onnxio.Model, error) {
	for _, s := range opsets(back.Proto.GetOpsetImport()) {
		if v := int(front.Opset(s.Domain)); v != 0 && v != s.Version && usesDomain(back, s.Domain) {
			return nil, fmt.Errorf("%s is written in version %d of the operators of %s, %s in version %d; export both with the same one",
				front.Path, v, domainText(s.Domain), back.Path, s.Version)
		}
	}
	for _, f := range back.Proto.GetFunctions() {
		if slices.ContainsFunc(front.Proto.GetFunctions(), func(g *onnxpb.FunctionProto) bool { return sameFunction(f, g) && !proto.Equal(f, g) }) {
			return nil, fmt.Errorf("%s and %s have different local functions %s; export both together", front.Path, back.Path, Function{f}.Op())
		}
	}
	inlined, err := back.Inlined()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", back.Path, err)
	}
	b := newBehind(front, inlined, fed)
	p := Of(inlined).Parts()
	p.Inputs, p.Annotations = Of(inlined).Feeds(), nil
	next := p.message(inlined.Proto)
	next.Graph = b.graph(next.Graph)
	return inlined.View(next), nil
}

// Join returns a model with another behind it, which Behind has made for it or for a model that it was made of: its inputs are those of both, its
// outputs those of the one behind. The nodes of the one in front are the same ones, and come first. It is used no longer than both.
func Join(front, behind *onnxio.Model) *onnxio.Model {
	p, b := Of(front).Parts(), Of(behind).Parts()
	known := map[string]bool{}
	for _, v := range slices.Concat(p.Inputs, p.Outputs) {
		known[v.Name()] = true
	}
	p.IR = max(p.IR, b.IR)
	for _, s := range b.Opsets {
		if !slices.ContainsFunc(p.Opsets, func(own Opset) bool { return own.Domain == s.Domain }) {
			p.Opsets = append(p.Opsets, s)
		}
	}
	for _, f := range b.Functions {
		if !slices.ContainsFunc(p.Functions, func(own Function) bool { return sameFunction(own.p, f.p) }) {
			p.Functions = append(p.Functions, f)
		}
	}
	p.Values = slices.Concat(p.Values, p.Outputs, b.Values)
	for _, v := range b.Inputs {
		if !known[v.Name()] {
			p.Inputs = append(p.Inputs, v)
		}
	}
	p.Outputs = b.Outputs
	p.Initializers, p.Sparse = slices.Concat(p.Initializers, b.Initializers), slices.Concat(p.Sparse, b.Sparse)
	p.Nodes = slices.Concat(p.Nodes, b.Nodes)
	return front.View(p.message(front.Proto))
}

// usesDomain tells whether a model has operators of a domain: some import domains that they have none of.
func usesDomain(m *onnxio.Model, domain string) bool {
	for _, n := range Walk(m) {
		if n.Domain() == domain {
			return true
		}
	}
	return false
}

func domainText(domain string) string {
	if domain == "" {
		return "ONNX"
	}
	return domain
}

func sameFunction(f, g *onnxpb.FunctionProto) bool {
	return onnxio.PlainDomain(f.GetDomain()) == onnxio.PlainDomain(g.GetDomain()) && f.GetName() == g.GetName() && f.GetOverload() == g.GetOverload()
}

// behind renames all of a model.
type behind struct {
	names  map[string]string // of inputs and outputs
	prefix string            // of all others
	sizes  map[string]string // of dimensions
}

func newBehind(front, back *onnxio.Model, fed map[string]string) *behind {
	b := &behind{names: map[string]string{}, prefix: behindName, sizes: map[string]string{}}
	taken := NewNameSet(front)
	for taken.begins(b.prefix + "/") {
		b.prefix += "_"
	}
	b.prefix += "/"
	g := Of(back)
	for _, v := range g.Feeds() {
		if name, ok := fed[v.Name()]; ok {
			b.names[v.Name()] = name
		} else {
			b.own(taken, v.Name())
		}
	}
	for _, v := range g.Outputs() {
		if _, known := b.names[v.Name()]; !known {
			b.own(taken, v.Name())
		}
	}
	b.dimensions(Of(front), g)
	return b
}

// own gives an input or output its own name, or where that is taken another.
func (b *behind) own(taken *NameSet, name string) {
	if !taken.Has(name) {
		taken.Add(name)
		b.names[name] = name
		return
	}
	b.names[name] = taken.Fresh(behindName + name)
}

// dimensions renames those that the model in front has too, for they may have another size here, but that of the samples.
func (b *behind) dimensions(front, back *Graph) {
	batch := map[string]bool{}
	for _, v := range front.Feeds() {
		if d := v.Dims(); len(d) > 0 {
			batch[d[0].Name] = true
		}
	}
	taken := map[string]bool{}
	for _, v := range slices.Concat(front.Inputs(), front.Outputs()) {
		for _, d := range v.Dims() {
			taken[d.Name] = true
		}
	}
	first := map[string]bool{}
	for _, v := range back.Feeds() {
		if d := v.Dims(); len(d) > 0 {
			first[d[0].Name] = true
		}
	}
	for name := range taken {
		if name != "" && !(batch[name] && first[name]) {
			b.sizes[name] = behindName + name
		}
	}
}

func (b *behind) of(name string) string {
	if name == "" {
		return ""
	}
	if to, ok := b.names[name]; ok {
		return to
	}
	return b.prefix + name
}

func (b *behind) all(list []string) []string { return wrap(list, b.of) }

// graph renames all that a graph defines and reads, in the graphs inside of it too.
func (b *behind) graph(g *onnxpb.GraphProto) *onnxpb.GraphProto {
	next := onnxio.Shallow(g)
	next.Input, next.Output, next.ValueInfo = wrap(g.GetInput(), b.value), wrap(g.GetOutput(), b.value), wrap(g.GetValueInfo(), b.value)
	next.Initializer = wrap(g.GetInitializer(), b.tensor)
	next.SparseInitializer = wrap(g.GetSparseInitializer(), func(t *onnxpb.SparseTensorProto) *onnxpb.SparseTensorProto {
		own := onnxio.Shallow(t)
		own.Values = b.tensor(t.GetValues())
		return own
	})
	next.Node = wrap(g.GetNode(), b.node)
	return next
}

func (b *behind) node(n *onnxpb.NodeProto) *onnxpb.NodeProto {
	own := onnxio.Shallow(n)
	if n.GetName() != "" {
		own.Name = proto.String(b.prefix + n.GetName())
	}
	own.Input, own.Output = b.all(n.GetInput()), b.all(n.GetOutput())
	own.Attribute = wrap(n.GetAttribute(), func(a *onnxpb.AttributeProto) *onnxpb.AttributeProto {
		if a.GetG() == nil {
			return a
		}
		own := onnxio.Shallow(a)
		own.G = b.graph(a.GetG())
		return own
	})
	return own
}

func (b *behind) tensor(t *onnxpb.TensorProto) *onnxpb.TensorProto {
	own := onnxio.Shallow(t)
	own.Name = proto.String(b.of(t.GetName()))
	return own
}

// value is what one is declared as, under its new name.
func (b *behind) value(p *onnxpb.ValueInfoProto) *onnxpb.ValueInfoProto {
	v := Value{p}
	if dims := v.Dims(); dims != nil {
		for i, d := range dims {
			if to, ok := b.sizes[d.Name]; ok {
				dims[i].Name = to
			}
		}
		return NewValue(b.of(v.Name()), v.Type(), dims).p
	}
	own := onnxio.Shallow(p)
	own.Name = proto.String(b.of(v.Name()))
	return own
}

package graph

import (
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Twin is a node in the body of a Loop or Scan, and what holds that body in the open model.
type Twin struct{ Node, Holder Node }

// Twins returns what a node of the open model, that belongs to the last iteration of a Loop or Scan, is in the iterations before: one node, or one
// more for each Loop or Scan around that one. None has what is there as a part of something else; inside tells whether it belongs to one at all.
func (o *Opened) Twins(n Node) (twins []Twin, inside bool) {
	if list := o.twins[n]; list != nil {
		return list, true
	}
	made := o.made[n.Output(0)]
	return nil, made != nil && made.repeats()
}

// Loops tells whether the last iteration of a Loop or Scan lies open.
func (o *Opened) Loops() bool { return len(o.twins) > 0 }

// repeats tells whether a node runs its body several times.
func repeats(n Node) bool { return n.Op() == "Loop" || n.Op() == "Scan" }

// peelable tells whether the last iteration of a node can stand by itself.
func (o *opener) peelable(n Node) bool {
	a, ok := n.Attr("body")
	if !ok || !repeats(n) || o.parts.IR <= 3 || o.opset() < 11 {
		return false
	}
	g := a.p.GetG()
	given := len(n.Inputs())
	carried := given - n.Int("num_scan_inputs", 0)
	out := len(n.Outputs())
	if n.Op() == "Loop" {
		carried, out = given-2, out+1
	}
	values := slices.Concat(valuesOf(g.GetInput()), valuesOf(g.GetOutput()))
	other := slices.ContainsFunc(values, func(v Value) bool { return v.Declared() && !v.Dense() })
	return !other && len(g.GetSparseInitializer()) == 0 && carried >= 0 && len(g.GetInput()) == given && len(g.GetOutput()) == out && n.Input(0) != "" && out >= carried
}

func (o *opener) opset() int {
	for _, s := range o.parts.Opsets {
		if s.Domain == "" {
			return s.Version
		}
	}
	return 0
}

// peel puts the iterations of a Loop or Scan before the last, and the nodes of the last, in its place.
func (o *opener) peel(n Node, parent *region) {
	a, _ := n.Attr("body")
	p := &peeling{
		Builder: NewBuilder(o.names, o.opset(), n.Label()+"/last"), node: n, body: a.p.G, loop: n.Op() == "Loop",
		op: &opening{node: n, parent: parent, last: true},
	}
	p.carried = len(n.Inputs()) - n.Int("num_scan_inputs", 0)
	if p.loop {
		p.carried = len(n.Inputs()) - 2
	}
	s := n.Spec()
	starts := p.before(&s)
	for i := range s.Outputs {
		s.Outputs[i] = o.names.Fresh(n.Label() + "/before")
	}
	p.op.rest = s.Node()
	r := o.iteration(p, append(starts, s.Outputs[:p.carried]...))
	o.out.rests[p.op.rest.Output(0)] = p.op
	for _, seam := range p.Nodes {
		o.emit(seam, r)
	}
	o.place(p.op.rest, parent)
	own := o.nodes(p, r)
	p.Nodes = nil
	results := p.results(own)
	for _, seam := range p.Nodes {
		o.emit(seam, r)
	}
	for i, out := range n.Outputs() {
		if out == "" {
			continue
		}
		o.out.exits[out] = p.op
		o.place(NewNode("Identity", "", []string{results[i]}, []string{out}), parent)
	}
}

// peeling is a Loop or Scan on its way into two.
type peeling struct {
	*Builder
	node    Node
	body    *onnxpb.GraphProto
	op      *opening
	loop    bool
	carried int
	inputs  []string // of the last iteration
	names   renaming
}

// entry is an attribute's number for one of several inputs or outputs.
func (p *peeling) entry(attr string, i int) int {
	if list := p.node.Ints(attr); i < len(list) {
		return list[i]
	}
	return 0
}

// before has a node run once less, and returns what the last iteration is given but for what is carried on.
func (p *peeling) before(s *Spec) []string {
	if p.loop {
		s.Inputs[0] = p.Op("Sub", p.node.Input(0), p.Constant(tensor.Int64, []int{}, []float64{1}))
		return []string{p.Op("Reshape", s.Inputs[0], p.Constant(tensor.Int64, []int{0}, nil)), p.Constant(tensor.Bool, []int{}, []float64{1})}
	}
	for i, v := range p.node.Inputs()[p.carried:] {
		axis, first, last := p.entry("scan_input_axes", i), []int{0, -1}, -1
		if p.entry("scan_input_directions", i) != 0 {
			first, last = []int{1, 1<<31 - 1}, 0
		}
		s.Inputs[p.carried+i] = p.Op("Slice", v, p.Ints(first[0]), p.Ints(first[1]), p.Ints(axis))
		p.inputs = append(p.inputs, p.Node("Gather", []string{v, p.Constant(tensor.Int64, []int{}, []float64{float64(last)})}, Int("axis", axis)))
	}
	return nil
}

// iteration makes the region of the last iteration, whose body begins with the given values.
func (o *opener) iteration(p *peeling, starts []string) *region {
	p.inputs = append(starts, p.inputs...)
	p.names = renaming{}
	for _, name := range slices.Sorted(maps.Keys(onnxio.Definitions(p.body))) {
		if name != "" {
			p.names[name] = o.names.Fresh(name)
		}
	}
	for i, in := range p.body.GetInput() {
		p.names[in.GetName()] = p.inputs[i]
	}
	body := p.names.graph(p.body, true)
	body.Node = o.pair(p.body.GetNode(), body.GetNode(), p.op.rest)
	return o.begin(p.op, "body", body)
}

// pair returns copies of nodes, no node of which or of whose bodies is one of the others, and notes these as their twins beside those that they have.
func (o *opener) pair(before, copies []*onnxpb.NodeProto, holder Node) []*onnxpb.NodeProto {
	out := make([]*onnxpb.NodeProto, len(copies))
	for i, p := range before {
		own := onnxio.Shallow(copies[i])
		own.Attribute = slices.Clone(own.GetAttribute())
		for k, a := range own.Attribute {
			if a.GetG() == nil {
				continue
			}
			attr := onnxio.Shallow(a)
			attr.G = onnxio.Shallow(a.G)
			attr.G.Node = o.pair(p.GetAttribute()[k].GetG().GetNode(), a.G.GetNode(), holder)
			own.Attribute[k] = attr
		}
		o.origins[own] = append(slices.Clone(o.origins[p]), Twin{Node{p}, holder})
		out[i] = own
	}
	return out
}

// nodes puts those of the last iteration into the open model, Loops and Scans among them open again, and returns the values that it gives.
func (o *opener) nodes(p *peeling, r *region) []string {
	for _, t := range r.body.GetInitializer() {
		o.out.held[t.GetName()] = holding{r, t}
		o.out.made[t.GetName()] = r
		o.parts.Initializers = append(o.parts.Initializers, o.graph.m.Tensor(t))
	}
	o.parts.Values = append(o.parts.Values, valuesOf(r.body.GetValueInfo())...)
	o.body(r.body.GetNode(), r, nil)
	return wrap(r.body.GetOutput(), (*onnxpb.ValueInfoProto).GetName)
}

// results are the outputs of the node: what the last iteration carries on, and what it stacks behind what those before have.
func (p *peeling) results(own []string) []string {
	if p.loop {
		own = own[1:]
	}
	for i := p.carried; i < len(own); i++ {
		axis := 0
		if !p.loop {
			axis = p.entry("scan_output_axes", i-p.carried)
		}
		one := ""
		if p.Opset >= 13 {
			one = p.Op("Unsqueeze", own[i], p.Ints(axis))
		} else {
			one = p.Node("Unsqueeze", []string{own[i]}, Ints("axes", axis))
		}
		both := []string{p.op.rest.Output(i), one}
		if p.entry("scan_output_directions", i-p.carried) != 0 {
			slices.Reverse(both)
		}
		own[i] = p.Node("Concat", both, Int("axis", axis))
	}
	return own
}

package graph

import (
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Branches says what of an If, Loop or Scan is to lie open.
type Branches int

// The branches of an If, and the body of a Loop or Scan.
const (
	Closed     Branches = iota // none
	Then                       // the one that is taken where the condition holds
	Else                       // the other one
	Both                       // both; what reads the outputs reads those of Then
	AlwaysThen                 // Then, under a condition that does not depend on the inputs
	AlwaysElse                 // Else, likewise
	Last                       // the last iteration of a Loop or Scan, which has two at least and is not ended by its condition
)

// Opened is a model, and another that computes the same where conditions are as they were said to be: the nodes of local functions
// and of branches lie in its main graph, among which sites are found, measured and replaced as all others. Close puts what was
// changed there back to where it came from.
//
// A call's nodes stand in its place, under names of their own for each call; constants of a function are there once. An If that lies open
// leaves behind, in front of an Identity for each of its outputs, an If that nothing reads: with the branch that is not taken, and what
// lies open of the other, so that what these use counts as used. Of a Loop or Scan the last iteration lies open, behind one of the others: what
// replaces nodes of it has to replace their twins there too, for these are what Close keeps.
type Opened struct {
	// Model is the model that lies open. It is used no longer than the model that it was made of, and need not be closed.
	Model *onnxio.Model

	whole  *onnxio.Model
	root   *region
	of     map[Node]*region   // the nodes of Model, but for those of seams
	made   map[string]*region // values of Model
	held   map[string]holding // initializers of Model that came from branches
	exits  map[string]*opening
	rests  map[string]*opening // by their first output
	shared map[Node]bool       // constants of functions
	twins  map[Node][]Twin     // of nodes of last iterations
}

// region is the main graph, or a body of which the nodes lie open.
type region struct {
	from  *opening // nil of the main graph
	depth int
	attr  string             // of the If
	body  *onnxpb.GraphProto // of an If, under the names that it has in the open model
	nodes int
}

// repeats tells whether a region belongs to the last iteration of a Loop or Scan.
func (r *region) repeats() bool {
	for ; r.from != nil; r = r.from.parent {
		if r.from.last {
			return true
		}
	}
	return false
}

// opening is a call or an If whose nodes lie open.
type opening struct {
	node     Node // under the names that it has in the open model
	parent   *region
	branches []*region
	always   bool // what is changed of it stays open
	rest     Node // what is left of an If, or the iterations before the last
	last     bool // it is a Loop or Scan
}

// holding is an initializer of a body.
type holding struct {
	in     *region
	tensor *onnxpb.TensorProto
}

// Open returns the model that lies open, nil where there is nothing to open. decide is asked for every If, Loop and Scan that can be opened and whose outputs are read: of
// its node in the open model, and whether its first input, such as the condition of an If, does not depend on the model's inputs.
//
// A function that imports other versions of operators than the model stays as it is, and so do branches up to IR version 3, in which constants
// of theirs are inputs.
func Open(m *onnxio.Model, decide func(n Node, fixed bool) Branches) *Opened {
	g := Of(m)
	bodied := func(n Node) bool { _, call := g.Called(n); return call || n.Op() == "If" || repeats(n) }
	if !slices.ContainsFunc(g.Nodes(), bodied) {
		return nil
	}
	o := &opener{
		out: &Opened{
			whole: m, root: &region{}, of: map[Node]*region{}, made: map[string]*region{}, held: map[string]holding{},
			exits: map[string]*opening{}, rests: map[string]*opening{}, shared: map[Node]bool{}, twins: map[Node][]Twin{},
		},
		graph: g, decide: decide, names: NewNameSet(m), times: map[string]int{}, used: map[string]bool{}, constants: map[Node]string{},
		parts: g.Parts(), varies: map[string]bool{}, origins: map[*onnxpb.NodeProto][]Twin{},
	}
	o.parts.Nodes = nil
	o.count(m.Proto.GetGraph())
	for _, n := range g.Nodes() {
		for _, inner := range onnxio.Subgraphs(n.p) {
			o.countInside(inner)
		}
	}
	for _, v := range g.Inputs() {
		o.varies[v.Name()] = true
	}
	for _, t := range g.Initializers() {
		o.varies[t.Name()] = g.Overridable(t.Name())
	}
	o.body(g.p.GetNode(), o.out.root, nil)
	if !o.opened {
		return nil
	}
	called := calls(o.parts.Functions, o.parts.Nodes)
	o.parts.Functions = slices.DeleteFunc(o.parts.Functions, func(f Function) bool { return !called[f.p] })
	o.out.Model = m.View(o.parts.message(m.Proto))
	return o.out
}

// Rest tells whether a node of the open model, or of one made from it, is what is left of an If.
func (o *Opened) Rest(n Node) bool {
	op := o.rests[n.Output(0)]
	return op != nil && !op.last
}

// opener is a call of Open on its way.
type opener struct {
	out       *Opened
	graph     *Graph
	decide    func(Node, bool) Branches
	parts     Parts
	names     *NameSet
	times     map[string]int               // how many graphs define a name
	used      map[string]bool              // names that bodies have brought
	constants map[Node]string              // of functions, the names that they have
	varies    map[string]bool              // values that depend on the inputs
	origins   map[*onnxpb.NodeProto][]Twin // of nodes of last iterations, those in their bodies too
	opened    bool
}

// count notes the names that a graph and those inside it define.
func (o *opener) count(g *onnxpb.GraphProto) {
	for name := range onnxio.Definitions(g) {
		o.times[name]++
	}
}

func (o *opener) countInside(g *onnxpb.GraphProto) {
	o.count(g)
	for _, n := range g.GetNode() {
		for _, inner := range onnxio.Subgraphs(n) {
			o.countInside(inner)
		}
	}
}

// emit adds a node as it is.
func (o *opener) emit(n Node, r *region) {
	o.place(n, r)
	o.out.of[n] = r
	r.nodes++
	if list := o.origins[n.p]; list != nil {
		o.out.twins[n] = list
	}
}

// place adds a node of a seam.
func (o *opener) place(n Node, r *region) {
	o.parts.Nodes = append(o.parts.Nodes, n)
	varies := random(n) || slices.ContainsFunc(n.Reads(), func(v string) bool { return o.varies[v] })
	for _, v := range n.Outputs() {
		o.out.made[v] = r
		o.varies[v] = varies
	}
}

// random tells whether a node may give something else at every run: of other domains it is not known.
func random(n Node) bool { return n.Random() || n.Op() == "Dropout" || n.Domain() != "" }

// body adds the nodes of a body under new names.
func (o *opener) body(list []*onnxpb.NodeProto, r *region, names renaming) {
	for _, p := range list {
		n := Node{names.node(p)}
		again := r.repeats()
		if f, ok := o.graph.Called(n); ok && !again && o.agree(f) {
			o.call(n, f, r)
			continue
		}
		if n.Op() == "If" && !again && o.parts.IR > 3 && o.read(n, r) && sound(n) {
			if b := o.decide(n, !o.varies[n.Input(0)]); b != Closed {
				o.branch(n, b, r)
				continue
			}
		}
		if o.peelable(n) && o.read(n, r) && o.decide(n, !o.varies[n.Input(0)]) == Last {
			o.peel(n, r)
			continue
		}
		o.emit(n, r)
	}
}

// read tells whether anything reads what a node makes.
func (o *opener) read(n Node, r *region) bool {
	return r.depth > 0 || slices.ContainsFunc(n.Outputs(), func(v string) bool { return o.graph.IsOutput(v) || len(o.graph.Uses(v)) > 0 })
}

// agree tells whether a function's operators are of the versions that the model imports, and imports those that it does not.
func (o *opener) agree(f Function) bool {
	missing := []Opset(nil)
	for _, s := range f.Opsets() {
		i := slices.IndexFunc(o.parts.Opsets, func(have Opset) bool { return have.Domain == s.Domain })
		switch {
		case i < 0:
			missing = append(missing, s)
		case o.parts.Opsets[i].Version != s.Version:
			return false
		}
	}
	o.parts.Opsets = append(o.parts.Opsets, missing...)
	return true
}

// begin makes a region of an opening.
func (o *opener) begin(op *opening, attr string, body *onnxpb.GraphProto) *region {
	r := &region{from: op, depth: op.parent.depth + 1, attr: attr, body: body}
	op.branches = append(op.branches, r)
	o.opened = true
	return r
}

// call puts a function's nodes in the place of a call.
func (o *opener) call(n Node, f Function, parent *region) {
	r := o.begin(&opening{node: n, parent: parent, always: true}, "", nil)
	label := n.Label()
	names, passed := renaming{}, [][2]string(nil)
	for i, in := range f.Inputs() {
		names[in] = n.Input(i)
	}
	for i, out := range f.Outputs() {
		name := n.Output(i)
		if name == "" {
			name = o.names.Fresh(label + "/" + out)
		}
		if _, taken := names[out]; taken { // an input, or given twice
			passed = append(passed, [2]string{out, name})
			continue
		}
		names[out] = name
	}
	nodes := f.Expand(n)
	list := make([]*onnxpb.NodeProto, 0, len(nodes))
	for i, inner := range nodes {
		if o.share(inner, f, f.p.GetNode()[i], names) {
			continue
		}
		for _, out := range inner.Outputs() {
			if _, known := names[out]; !known && out != "" {
				names[out] = o.names.Fresh(label + "/" + out)
			}
		}
		if inner.Name() != "" {
			s := inner.Spec()
			s.Name = label + "/" + inner.Name()
			inner = s.Node()
		}
		list = append(list, inner.p)
	}
	o.body(list, r, names)
	for _, p := range passed {
		o.emit(NewNode("Identity", "", []string{names.of(p[0])}, []string{p[1]}), r)
	}
}

// share puts a constant of a function before its first call, and has all calls read that.
func (o *opener) share(inner Node, f Function, own *onnxpb.NodeProto, names renaming) bool {
	if inner.Op() != "Constant" || inner.p != own || slices.Contains(f.Outputs(), inner.Output(0)) {
		return false
	}
	name, known := o.constants[inner]
	if !known {
		name = o.names.Fresh(f.p.GetName() + "/" + inner.Output(0))
		o.constants[inner] = name
		n := Node{renaming{inner.Output(0): name}.node(inner.p)}
		o.place(n, o.out.root)
		o.out.of[n], o.out.shared[n] = o.out.root, true
	}
	names[inner.Output(0)] = name
	return true
}

// sound tells whether both branches of an If give a value for each of its outputs, and nothing that is declared as anything but a tensor.
func sound(n Node) bool {
	for _, name := range []string{"then_branch", "else_branch"} {
		a, _ := n.Attr(name)
		results := valuesOf(a.p.GetG().GetOutput())
		if len(results) != len(n.Outputs()) || slices.ContainsFunc(results, func(v Value) bool { return v.Declared() && !v.Dense() }) {
			return false
		}
	}
	return true
}

// branch puts the nodes of branches before what is left of an If.
func (o *opener) branch(n Node, b Branches, parent *region) {
	op := &opening{node: n, parent: parent, always: b == AlwaysThen || b == AlwaysElse}
	attrs := map[Branches][]string{Then: {"then_branch"}, AlwaysThen: {"then_branch"}, Else: {"else_branch"}, AlwaysElse: {"else_branch"}, Both: {"then_branch", "else_branch"}}[b]
	var results [][]string
	for _, name := range attrs {
		a, _ := n.Attr(name)
		results = append(results, o.hoist(op, name, a.p.G))
	}
	if !op.always {
		op.rest = o.rest(n, op, results)
		o.out.rests[op.rest.Output(0)] = op
		o.place(op.rest, parent)
	}
	for i, out := range n.Outputs() {
		if out == "" {
			continue
		}
		o.out.exits[out] = op
		o.place(NewNode("Identity", "", []string{results[0][i]}, []string{out}), parent)
	}
}

// hoist puts a branch into the main graph, and returns the values that it gives.
func (o *opener) hoist(op *opening, attr string, g *onnxpb.GraphProto) []string {
	names := renaming{}
	for _, name := range slices.Sorted(maps.Keys(onnxio.Definitions(g))) {
		if name == "" {
			continue
		}
		if o.times[name] > 1 || o.used[name] {
			names[name] = o.names.Fresh(name)
		}
		o.used[names.of(name)] = true
	}
	body := names.graph(g, true)
	r := o.begin(op, attr, body)
	for _, t := range body.GetInitializer() {
		o.out.held[t.GetName()] = holding{r, t}
		o.out.made[t.GetName()] = r
		o.parts.Initializers = append(o.parts.Initializers, o.graph.m.Tensor(t))
	}
	for _, t := range body.GetSparseInitializer() {
		o.out.made[t.GetValues().GetName()] = r
		o.parts.Sparse = append(o.parts.Sparse, Sparse{t})
	}
	o.parts.Values = append(o.parts.Values, valuesOf(body.GetValueInfo())...)
	o.body(body.GetNode(), r, nil)
	return wrap(body.GetOutput(), (*onnxpb.ValueInfoProto).GetName)
}

// rest is an If that nothing reads, in whose branches is what keeps in use whatever the real one uses. Where one branch lies open, the other
// is there as it is, and the one that is taken does nothing.
func (o *opener) rest(n Node, op *opening, results [][]string) Node {
	out := o.names.Fresh(n.Label() + "/rest")
	s := n.Spec()
	s.Outputs = []string{out}
	s.Attrs = nil
	for _, name := range []string{"then_branch", "else_branch"} {
		open := slices.IndexFunc(op.branches, func(r *region) bool { return r.attr == name })
		a, _ := n.Attr(name)
		body := &onnxpb.GraphProto{Name: a.p.G.Name}
		switch {
		case len(op.branches) == 2:
			o.keep(body, out, results[open])
		case open < 0:
			body = onnxio.Shallow(a.p.G)
			o.keep(body, out, results[0])
		}
		given := NewNode("Identity", "", n.Inputs(), []string{o.names.Fresh(out)})
		body.Node = append(slices.Clone(body.GetNode()), given.p)
		body.Output = []*onnxpb.ValueInfoProto{NewValue(given.Output(0), tensor.Bool, nil).p}
		s.Attrs = append(s.Attrs, Attr{&onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: body}})
	}
	return s.Node()
}

// keep has a body read values.
func (o *opener) keep(body *onnxpb.GraphProto, root string, values []string) {
	body.Node = slices.Clone(body.GetNode())
	for i, v := range values {
		body.Node = append(body.Node, NewNode("Identity", "", []string{v}, []string{o.names.Fresh(root + "/" + strconv.Itoa(i))}).p)
	}
}

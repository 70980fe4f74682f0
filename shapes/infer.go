package shapes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Infer finds the shapes of all values that follow from the given input shapes,
// the model's constants and, where neither reaches, the concrete shapes stored in
// the file (unless the given shapes contradict the declared ones, so that stored
// shapes speak of another size).
func Infer(m *onnxio.Model, inputs map[string][]int) *Shapes { return InferSeen(m, inputs, nil) }

// InferSeen is Infer where the shapes of some values are known from a run for these inputs. They stand in where no rule tells,
// before what the file says.
func InferSeen(m *onnxio.Model, inputs, seen map[string][]int) *Shapes {
	g := graph.Of(m)
	w := &walker{model: m, rules: rules(), bodies: &bodies{table: compound.NewTable()}, opset: int(m.Opset("")), limits: newLimits(), values: map[string]*value{}, why: map[string]string{}, stored: map[string][]int{}}
	agree := true
	for _, in := range g.Feeds() {
		shape, ok := inputs[in.Name()]
		if !ok {
			if d := concrete(in); d != nil {
				w.values[in.Name()] = &value{shape: d}
				continue
			}
			w.why[in.Name()] = fmt.Sprintf("the shape of input %q is not known", in.Name())
			continue
		}
		w.hold(in.Name(), &value{shape: slices.Clone(shape)})
		agree = agree && fits(in, shape)
	}
	if agree {
		for _, v := range slices.Concat(g.Values(), g.Outputs()) {
			if d := concrete(v); d != nil {
				w.stored[v.Name()] = d
			}
		}
	}
	maps.Copy(w.stored, seen)
	w.graph(g)
	return w.found()
}

// concrete returns the shape of a value whose every dimension is a number, else nil.
func concrete(v graph.Value) []int {
	if v.Dims() == nil {
		return nil
	}
	shape := []int{}
	for _, d := range v.Dims() {
		if d.Size <= 0 {
			return nil
		}
		shape = append(shape, d.Size)
	}
	return shape
}

// fits tells whether a shape agrees with the fixed dimensions that an input declares.
func fits(in graph.Value, shape []int) bool {
	dims := in.Dims()
	for i, d := range dims {
		if len(dims) == len(shape) && d.Size > 0 && d.Size != shape[i] {
			return false
		}
	}
	return dims == nil || len(dims) == len(shape)
}

// walker carries what is known while the nodes of a graph are visited in order.
type walker struct {
	model  *onnxio.Model
	rules  map[string]rule
	bodies *bodies
	opset  int
	depth  int // of calls of local functions
	limits *limits
	outer  *walker // of the graph around a subgraph, whose values its nodes see
	values map[string]*value
	why    map[string]string
	stored map[string][]int
	inside map[graph.Node]Inside // bodies of Loops and Scans
}

// found is what is known of the graph, in the one around it.
func (w *walker) found() *Shapes {
	if w == nil {
		return nil
	}
	return &Shapes{known: w.values, why: w.why, inside: w.inside, outer: w.outer.found()}
}

// graph visits the initializers and nodes of a graph.
func (w *walker) graph(g *graph.Graph) {
	for _, t := range g.Initializers() {
		w.hold(t.Name(), w.constant(t))
	}
	for _, t := range g.Sparse() {
		w.hold(t.Name(), &value{shape: t.Shape()})
	}
	w.nodes(g.Nodes())
}

// value returns what is known of a value of the graph or of those around it.
func (w *walker) value(name string) *value {
	for ; w != nil; w = w.outer {
		if v := w.values[name]; v != nil {
			return v
		}
	}
	return nil
}

// reasonFor says what stopped inference of a value of the graph or of those around it.
func (w *walker) reasonFor(name string) string {
	for ; w != nil; w = w.outer {
		if why := w.why[name]; why != "" {
			return why
		}
	}
	return ""
}

// hold notes a value that is not computed, unless its shape is impossible.
func (w *walker) hold(name string, v *value) {
	if !valid(v.shape) {
		w.why[name] = fmt.Sprintf("%q has the impossible shape %v", name, v.shape)
		return
	}
	w.values[name] = v
}

func (w *walker) nodes(nodes []graph.Node) {
	for _, n := range nodes {
		out, err := w.node(n)
		for i, name := range n.Outputs() {
			if name == "" {
				continue
			}
			if err == nil && i < len(out) && out[i] != nil {
				w.values[name] = out[i]
				continue
			}
			if shape, ok := w.stored[name]; ok {
				w.values[name] = &value{shape: shape}
				continue
			}
			w.why[name] = w.reason(n, i, err)
		}
	}
}

// blocked is a rule's stop at an input that is not known: the fault lies further up.
type blocked struct{ input string }

func (b blocked) Error() string { return fmt.Sprintf("input %q is not known", b.input) }

func (w *walker) reason(n graph.Node, output int, err error) string {
	if b, ok := err.(blocked); ok {
		if why := w.reasonFor(b.input); why != "" {
			return why
		}
	}
	if err == nil {
		err = fmt.Errorf("the rule gives no shape for output %d", output)
	}
	return fmt.Sprintf("%s: %v", describe(n), err)
}

// describe names a node and its operator for people.
func describe(n graph.Node) string {
	if n.Name() != "" {
		return fmt.Sprintf("node %q (%s)", n.Name(), n.Op())
	}
	return fmt.Sprintf("node of output %q (%s)", strings.Join(n.Outputs(), ", "), n.Op())
}

// node applies the rule of one node.
func (w *walker) node(n graph.Node) ([]*value, error) {
	if err := w.limits.visit(); err != nil {
		return nil, err
	}
	if f, ok := graph.Of(w.model).Called(n); ok {
		return w.callFunction(n, f)
	}
	r, ok := w.rules[n.Op()]
	switch {
	case ok:
	case w.bodies.table.Has(n.Op()):
		return w.callBody(n)
	case n.Domain() != "":
		return nil, fmt.Errorf("operators of domain %q have no shape rule", n.Domain())
	default:
		return nil, errors.New("the operator has no shape rule")
	}
	if len(n.Outputs()) == 0 {
		return nil, nil
	}
	c := &call{walker: w, node: n, opset: w.opset, in: make([]*value, max(r.min, len(n.Inputs()))), out: make([]*value, len(n.Outputs()))}
	for i, name := range n.Inputs() {
		if name == "" {
			continue
		}
		c.in[i] = w.limits.fold(w.value(name))
		if c.in[i] == nil && !r.partial {
			return nil, blocked{name}
		}
	}
	for i := range r.min {
		if n.Input(i) == "" {
			return nil, fmt.Errorf("input %d is missing", i)
		}
	}
	if err := r.infer(c); err != nil {
		return nil, err
	}
	return c.out, c.check()
}

// constant returns shape and, where small, numbers of a constant tensor.
func (w *walker) constant(t onnxio.Tensor) *value {
	v := &value{shape: t.Shape()}
	if !foldable(t.Type()) || !valid(v.shape) || !small(v.shape) {
		return v
	}
	if d, err := t.Dense(); err == nil {
		v.data = numbersOf(d)
	}
	return v
}

// numbersOf converts a dense tensor of a type that is folded; nil for others.
func numbersOf(d tensor.Dense) *numbers {
	n := &numbers{typ: d.Type}
	var err error
	switch {
	case isInteger(d.Type):
		n.i, err = d.Int64s()
	case isReal(d.Type):
		n.f, err = d.Float64s()
	}
	if err == nil && foldable(d.Type) {
		return n
	}
	return nil
}

func toInts(v []int64) []int {
	if v == nil {
		return nil
	}
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

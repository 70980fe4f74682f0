package shapes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Infer finds the shapes of all values that follow from the given input shapes,
// the model's constants and, where neither reaches, the concrete shapes stored in
// the file (unless the given shapes contradict the declared ones, so that stored
// shapes speak of another size).
func Infer(m *onnxio.Model, inputs map[string][]int) *Shapes {
	g := m.Proto.GetGraph()
	w := &walker{model: m, rules: rules(), values: map[string]*value{}, why: map[string]string{}, stored: map[string][]int{}}
	w.opset = m.Opset("")
	agree := true
	for _, in := range Inputs(m) {
		shape, ok := inputs[in.GetName()]
		if !ok {
			if d := concrete(in); d != nil {
				w.values[in.GetName()] = &value{shape: d}
				continue
			}
			w.why[in.GetName()] = fmt.Sprintf("the shape of input %q is not known", in.GetName())
			continue
		}
		w.hold(in.GetName(), &value{shape: slices.Clone(shape)})
		agree = agree && fits(in, shape)
	}
	if agree {
		for _, v := range slices.Concat(g.GetValueInfo(), g.GetOutput()) {
			if d := concrete(v); d != nil {
				w.stored[v.GetName()] = d
			}
		}
	}
	w.graph(g)
	return &Shapes{known: w.values, why: w.why}
}

// concrete returns the shape of a value whose every dimension is a number, else nil.
func concrete(v *onnxpb.ValueInfoProto) []int {
	t := v.GetType().GetTensorType()
	if t.GetShape() == nil {
		return nil
	}
	shape := make([]int, len(t.GetShape().GetDim()))
	for i, d := range t.GetShape().GetDim() {
		if d.GetDimValue() <= 0 {
			return nil
		}
		shape[i] = int(d.GetDimValue())
	}
	return shape
}

// fits tells whether a shape agrees with the fixed dimensions that an input declares.
func fits(in *onnxpb.ValueInfoProto, shape []int) bool {
	if in.GetType().GetTensorType().GetShape() == nil {
		return true
	}
	dims := declared(in)
	if len(dims) != len(shape) {
		return false
	}
	for i, d := range dims {
		if d.GetDimValue() > 0 && int(d.GetDimValue()) != shape[i] {
			return false
		}
	}
	return true
}

// walker carries what is known while the nodes of a graph are visited in order.
type walker struct {
	model  *onnxio.Model
	rules  map[string]rule
	opset  int64
	depth  int // of calls of local functions
	values map[string]*value
	why    map[string]string
	stored map[string][]int
}

// graph visits the initializers and nodes of a graph.
func (w *walker) graph(g *onnxpb.GraphProto) {
	for _, t := range g.GetInitializer() {
		w.hold(t.GetName(), w.constant(t))
	}
	for _, t := range g.GetSparseInitializer() {
		w.hold(t.GetValues().GetName(), &value{shape: toInts(t.GetDims())})
	}
	w.nodes(g.GetNode())
}

// hold notes a value that is not computed, unless its shape is impossible.
func (w *walker) hold(name string, v *value) {
	if !valid(v.shape) {
		w.why[name] = fmt.Sprintf("%q has the impossible shape %v", name, v.shape)
		return
	}
	w.values[name] = v
}

func (w *walker) nodes(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		out, err := w.node(n)
		for i, name := range n.GetOutput() {
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

func (w *walker) reason(n *onnxpb.NodeProto, output int, err error) string {
	if b, ok := err.(blocked); ok {
		if why := w.why[b.input]; why != "" {
			return why
		}
	}
	if err == nil {
		err = fmt.Errorf("the rule gives no shape for output %d", output)
	}
	return fmt.Sprintf("%s: %v", describe(n), err)
}

// describe names a node and its operator for people.
func describe(n *onnxpb.NodeProto) string {
	op := n.GetOpType()
	if d := plain(n.GetDomain()); d != "" {
		op = d + "::" + op
	}
	if n.GetName() != "" {
		return fmt.Sprintf("node %q (%s)", n.GetName(), op)
	}
	return fmt.Sprintf("node of output %q (%s)", strings.Join(n.GetOutput(), ", "), op)
}

// node applies the rule of one node.
func (w *walker) node(n *onnxpb.NodeProto) ([]*value, error) {
	if f := w.function(n); f != nil {
		return w.callFunction(n, f)
	}
	if d := plain(n.GetDomain()); d != "" {
		return nil, fmt.Errorf("operators of domain %q have no shape rule", d)
	}
	r, ok := w.rules[n.GetOpType()]
	if !ok {
		return nil, errors.New("the operator has no shape rule")
	}
	if len(n.GetOutput()) == 0 {
		return nil, nil
	}
	c := &call{walker: w, node: n, opset: w.opset, in: make([]*value, max(r.min, len(n.GetInput()))), out: make([]*value, len(n.GetOutput()))}
	for i, name := range n.GetInput() {
		if name == "" {
			continue
		}
		c.in[i] = w.values[name]
		if c.in[i] == nil && !r.partial {
			return nil, blocked{name}
		}
	}
	for i := range r.min {
		if i >= len(n.GetInput()) || n.GetInput()[i] == "" {
			return nil, fmt.Errorf("input %d is missing", i)
		}
	}
	if err := r.infer(c); err != nil {
		return nil, err
	}
	return c.out, c.check()
}

// constant returns shape and, where small, numbers of a constant tensor.
func (w *walker) constant(t *onnxpb.TensorProto) *value {
	v := &value{shape: toInts(t.GetDims())}
	typ := tensor.Type(t.GetDataType())
	if !foldable(typ) || !valid(v.shape) || !small(v.shape) {
		return v
	}
	d, err := w.model.Tensor(t).Dense()
	if err != nil {
		return v
	}
	v.data = numbersOf(d)
	return v
}

// numbersOf converts a dense tensor of a type that is folded; nil for others.
func numbersOf(d tensor.Dense) *numbers {
	if isInteger(d.Type) {
		if i, err := d.Int64s(); err == nil {
			return &numbers{typ: d.Type, i: i}
		}
	}
	if isReal(d.Type) {
		if f, err := d.Float64s(); err == nil {
			return &numbers{typ: d.Type, f: f}
		}
	}
	return nil
}

func toInts[T int32 | int64](v []T) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

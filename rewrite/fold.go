package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// maxParts bounds the bytes of the constants that an expansion makes. Parts of a constant are made once, however many read them;
// what is beyond stays as it is.
const maxParts = 2 << 30

// folding computes constants of one body.
type folding struct {
	*expander
	known map[string]tensor.Dense
	from  map[string]string // how a known value comes of the model's constants
	made  map[string]tensor.Dense
}

// fold computes those of a body's nodes that read constants alone, but for a Transpose that a weight may stand behind. Bodies that
// take the same of a constant share what comes out.
func (e *expander) fold(nodes []graph.Node, outputs []string) ([]graph.Node, []onnxio.Tensor) {
	f := &folding{expander: e, known: map[string]tensor.Dense{}, from: map[string]string{}, made: map[string]tensor.Dense{}}
	var open []graph.Node
	for _, n := range nodes {
		if !f.takes(n) || n.Op() == "Transpose" {
			open = append(open, n)
		}
	}
	open = graph.Needed(open, outputs)
	there := map[string]bool{}
	for _, n := range open {
		for _, v := range n.Outputs() {
			there[v] = true
		}
	}
	var constants []onnxio.Tensor
	for i, n := range open {
		s := n.Spec()
		for k, v := range s.Inputs {
			d, ok := f.made[v]
			if !ok || there[v] {
				continue
			}
			t, ok := e.parts[f.from[v]]
			if !ok {
				t = onnxio.DenseTensor(v, d)
				e.parts[f.from[v]] = t
			}
			s.Inputs[k] = t.Name()
			if !slices.Contains(constants, t) {
				constants = append(constants, t)
			}
		}
		if !slices.Equal(s.Inputs, n.Inputs()) {
			open[i] = s.Node()
		}
	}
	return open, constants
}

// takes computes a node where it can.
func (f *folding) takes(n graph.Node) bool {
	if n.Op() == "Constant" {
		if t, ok := n.Value(f.model); ok {
			d, err := t.Dense()
			if err == nil {
				f.known[n.Output(0)], f.from[n.Output(0)] = d, fmt.Sprint(d.Type, d.Shape, d.Data)
			}
		}
		return false
	}
	var in []tensor.Dense
	var from []string
	for _, v := range n.Inputs() {
		d, how, ok := f.constant(v)
		if !ok {
			return false
		}
		in, from = append(in, d), append(from, how)
	}
	d, ok := evaluate(n, in)
	if !ok || f.budget < len(d.Data) {
		return false
	}
	v := n.Output(0)
	f.known[v], f.made[v], f.from[v] = d, d, fmt.Sprint(n.Op(), n.Ints("perm"), n.Ints("axes"), n.Ints("starts"), n.Ints("ends"), "(", strings.Join(from, ","), ")")
	if len(in) > 0 && n.Op() != "Reshape" && f.parts[f.from[v]].Proto() == nil { // a Reshape has the same numbers
		f.budget -= len(d.Data)
	}
	return true
}

// constant returns a value that is the same in every run, and how it comes of the model's constants.
func (f *folding) constant(value string) (tensor.Dense, string, bool) {
	if d, ok := f.known[value]; ok || value == "" {
		return d, f.from[value], ok
	}
	c, ok := f.graph.Constant(value)
	if !ok || c.Overridable {
		return tensor.Dense{}, "", false
	}
	d, err := c.Tensor.Dense()
	return d, fmt.Sprintf("%q", f.graph.Origin(value)), err == nil
}

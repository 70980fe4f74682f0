package grad

import (
	"errors"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// program reads choices from bytes; past their end everything is 0.
type program struct{ data []byte }

func (p *program) next(n int) int {
	if len(p.data) == 0 || n <= 0 {
		return 0
	}
	b := int(p.data[0])
	p.data = p.data[1:]
	return b % n
}

// ints returns up to n small numbers, some of them far too large or negative.
func (p *program) ints(n int) []int {
	v := make([]int, p.next(n+1))
	for i := range v {
		v[i] = p.next(11) - 4
		if v[i] == 6 {
			v[i] = 1 << (3 * p.next(21))
		}
	}
	return v
}

func (p *program) shape() []int {
	v := make([]int, p.next(6))
	for i := range v {
		v[i] = p.next(7)
	}
	return v
}

// graph makes a graph of known operators with any inputs, attributes and shapes.
func (p *program) graph() (m *onnxio.Model, o Options) {
	n := newNet(7+p.next(18), tensor.Float32, 1)
	if p.next(8) == 7 {
		n.typ = []tensor.Type{tensor.Float64, tensor.Float16, tensor.BFloat16}[p.next(3)]
	}
	rules := Rules()
	var values []string
	for range 1 + p.next(3) {
		values = append(values, n.in(normal, p.shape()...))
	}
	names := []string{
		"axis", "axes", "pads", "strides", "dilations", "kernel_shape", "group", "perm", "keepdims", "starts", "ends", "split",
		"blocksize", "num_groups", "scales", "output_padding", "output_shape", "epsilon", "alpha", "mode", "auto_pad",
		"equation", "transA", "count_include_pad", "ceil_mode", "p", "noop_with_empty_axes", "coordinate_transformation_mode", "to",
	}
	texts := []string{
		"", "linear", "cubic", "reflect", "wrap", "CRD", "SAME_UPPER", "SAME_LOWER", "VALID", "ij,jk->ik", "...i,i...->", "ab->ba", ",->",
		"tanh", "align_corners", "half_pixel_symmetric", "\xff,.",
	}
	for range 1 + p.next(5) {
		var inputs []string
		for range p.next(6) {
			switch p.next(6) {
			case 0:
				inputs = append(inputs, n.ints(p.ints(5)...))
			case 1:
				inputs = append(inputs, n.weight(normal, p.shape()...))
			case 2:
				inputs = append(inputs, "")
			default:
				inputs = append(inputs, values[p.next(len(values))])
			}
		}
		var a []graph.Attr
		for range p.next(5) {
			name := names[p.next(len(names))]
			switch p.next(4) {
			case 0:
				a = append(a, graph.Ints(name, p.ints(6)...))
			case 1:
				a = append(a, graph.Int(name, int(p.next(12)-3)))
			case 2:
				a = append(a, graph.String(name, texts[p.next(len(texts))]))
			default:
				a = append(a, graph.Floats(name, 1, float32(p.next(5)), 0.5))
			}
		}
		values = append(values, n.ops(rules[p.next(len(rules))].Op, 1+p.next(3), inputs, a...)...)
	}
	n.out(values[len(values)-1])
	m = n.model()
	o = Options{Values: n.inferred(m), Wanted: n.wanted}
	// Values may also be wrong.
	for range p.next(4) {
		o.Values[values[p.next(len(values))]] = Value{Type: tensor.Type(p.next(12)), Shape: p.shape(), Numbers: []float64{float64(p.next(9)) - 4}}
	}
	if out := values[len(values)-1]; o.Values[out].Shape == nil {
		o.Values[out] = Value{Type: n.typ, Shape: p.shape()}
	}
	return m, o
}

// spoiled takes the graph of a case and changes attributes, inputs, operator set and what
// is said about values.
func (p *program) spoiled(cases []ruleCase) (m *onnxio.Model, o Options) {
	c := cases[(p.next(256)<<8|p.next(256))%len(cases)]
	n := newNet(c.opsets[p.next(len(c.opsets))], tensor.Float32, 1)
	c.build(n)
	m = n.model()
	o = Options{Values: n.inferred(m), Wanted: n.wanted}
	for range 1 + p.next(3) {
		at := p.next(len(n.parts.Nodes))
		node := n.parts.Nodes[at].Spec()
		switch p.next(6) {
		case 0:
			if len(node.Attrs) > 0 {
				i := p.next(len(node.Attrs))
				node.Attrs[i] = p.spoil(node.Attrs[i])
			}
		case 1:
			if len(node.Attrs) > 0 {
				i := p.next(len(node.Attrs))
				node.Attrs = slices.Delete(node.Attrs, i, i+1)
			}
		case 2:
			node.Inputs = node.Inputs[:p.next(len(node.Inputs)+1)]
		case 3:
			node.Inputs[p.next(len(node.Inputs))] = n.ints(p.ints(8)...)
		case 4:
			n.parts.Opsets[0].Version = 7 + p.next(18)
		default:
			name := slices.Concat(node.Inputs, node.Outputs)[p.next(len(node.Inputs)+len(node.Outputs))]
			o.Values[name] = Value{Type: tensor.Float32, Shape: p.shape()}
		}
		n.parts.Nodes[at] = node.Node()
		if len(node.Inputs) == 0 {
			break
		}
	}
	return n.model(), o
}

// spoil returns an attribute of the same name and kind with another value.
func (p *program) spoil(a graph.Attr) graph.Attr {
	name, n := a.Name(), graph.NewNode("", "", nil, nil, a)
	switch list := a.Ints(); {
	case n.Int(name, 0) == n.Int(name, 1):
		return graph.Int(name, p.next(20)-6)
	case list != nil && p.next(2) == 0:
		return graph.Ints(name, p.ints(6)...)
	case list != nil:
		list[p.next(len(list))] = p.next(12) - 4
		return graph.Ints(name, list...)
	case n.Float(name, 0) == n.Float(name, 1):
		return graph.Float(name, float32(p.next(5)-2)/2)
	case n.String(name, "a") == n.String(name, "b"):
		return graph.String(name, "other")
	}
	return a
}

// tryBuild differentiates a graph, in whatever state it is.
func tryBuild(t *testing.T, m *onnxio.Model, o Options) {
	if m.Check() != nil {
		return
	}
	g, err := Build(m, o)
	found, berr := Blocked(m, o)
	var blocked *BlockedError
	switch {
	case err == nil:
		if len(found) > 0 || berr != nil {
			t.Errorf("Build gave a model, Blocked says %v, %v", found, berr)
		}
		g.Model.Close()
	case errors.As(err, &blocked):
		if len(found) == 0 || err.Error() == "" {
			t.Errorf("Build says %v, Blocked %v", err, found)
		}
	}
}

// Whatever the graph, Build gives a model or an error.
func FuzzBuild(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a few bytes that make a graph of some nodes"))
	f.Add([]byte{6, 0, 1, 4, 1, 3, 5, 5, 2, 2, 3, 1, 4, 2, 2, 3, 3, 9, 9, 9, 1, 0, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, o := (&program{data}).graph()
		tryBuild(t, m, o)
	})
}

func FuzzSpoiledCases(f *testing.F) {
	cases := allCases()
	for i := range cases {
		f.Add([]byte{byte(i >> 8), byte(i), 0, 1, 0, byte(i % 6), 2, 3, 4})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, o := (&program{data}).spoiled(cases)
		tryBuild(t, m, o)
	})
}

func FuzzEquation(f *testing.F) {
	f.Add("ij,jk->ik", 2, 2)
	f.Add("...ij,...jk", 3, 2)
	f.Add("...,...->...", 0, 3)
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		if a < 0 || b < 0 || a > 8 || b > 8 {
			return
		}
		e, err := parseEquation(text, [][]int{filled(a, 2), filled(b, 2)})
		if err == nil && (len(e.operands) != 2 || len(e.operands[0]) != a || len(e.operands[1]) != b) {
			t.Errorf("%q for ranks %d and %d gives %q", text, a, b, e)
		}
	})
}

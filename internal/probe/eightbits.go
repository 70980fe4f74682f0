package probe

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// EightBits says how a runtime computes nodes of weights in int8, as ONNX Runtime's quantizer writes them.
type EightBits int

const (
	// Never is for nodes that stay as they are.
	Never EightBits = iota
	// Static is with ranges of activations that are known before: QuantizeLinear and DequantizeLinear stand around every node.
	Static
	// Dynamic is with ranges that every run finds: DynamicQuantizeLinear and MatMulInteger take the place of a product.
	Dynamic
)

// Int8 is the type of weights of a piece that is computed in eight bits.
const Int8 = "int8"

// takes tells whether a runtime has a kernel of eight bits for an operator.
func (e EightBits) takes(op string) bool {
	switch e {
	case Static:
		return op == "Conv" || op == "MatMul" || op == "Gemm"
	case Dynamic:
		return op == "MatMul" || op == "Gemm"
	}
	return false
}

// Type is the type of the weights of a node of an operator whose constants have that type.
func (e EightBits) Type(op string, t tensor.Type) string {
	if t == tensor.Float32 && e.takes(op) {
		return Int8
	}
	return t.String()
}

// leastOpset is the operator set that has scales of channels.
const leastOpset = 13

// quantized is a model of nodes in eight bits that is being put together. Numbers do not matter, but scales keep them from saturating.
type quantized struct {
	parts graph.Parts
	err   error
}

// eight is plain with the node in eight bits, from values of float32 to such.
func (p *Probe) eight(parts graph.Parts, _ tensor.Type, in string) (graph.Parts, string, error) {
	q := &quantized{parts: parts}
	q.parts.Opsets = slices.Clone(parts.Opsets)
	for i, o := range q.parts.Opsets {
		if o.Domain == "" {
			q.parts.Opsets[i].Version = max(o.Version, leastOpset)
		}
	}
	q.parts.IR = max(parts.IR, 7)
	out := piece + "out"
	if p.Eight == Dynamic {
		q.dynamic(p, in, out)
		return q.parts, out, q.err
	}
	q.scalar("scale", tensor.Float32, 1./64)
	q.scalar("zero", tensor.Uint8, 128)
	in = q.rounded(front, in)
	if p.fronted() {
		in = q.rounded(front+"of.", q.convolve(front, in, feeder, p.Piece.Reads[1]))
	}
	out = q.activated(p, q.static(p, in, out))
	out = q.read(behind+"of.", q.round(piece+"of.", out))
	if p.blocked() {
		out = q.rounded(behind, q.convolve(behind, out, p.Piece.Writes[1], feeder))
	}
	return q.parts, out, q.err
}

// op appends a node, and returns the value that it makes.
func (q *quantized) op(op, name string, inputs ...string) string {
	q.parts.Nodes = append(q.parts.Nodes, graph.NewNode(op, name, inputs, []string{name + ".y"}))
	return name + ".y"
}

// constant adds numbers, all of them alike.
func (q *quantized) constant(name string, t tensor.Type, shape []int, v float64) string {
	n, err := tensor.Elements(shape)
	if err != nil {
		q.err = err
		return name
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = v
	}
	c, err := onnxio.NewTensor(name, t, shape, values)
	if err != nil {
		q.err = err
	}
	q.parts.Initializers = append(q.parts.Initializers, c)
	return name
}

func (q *quantized) scalar(name string, t tensor.Type, v float64) string {
	return q.constant(name, t, []int{}, v)
}

// rounded is a value as it is between two nodes: rounded, and read again.
func (q *quantized) rounded(name, value string) string { return q.read(name, q.round(name, value)) }

func (q *quantized) round(name, value string) string {
	return q.op("QuantizeLinear", name+"round", value, "scale", "zero")
}

func (q *quantized) read(name, rounded string) string {
	return q.op("DequantizeLinear", name+"read", rounded, "scale", "zero")
}

// weight is an int8 constant of a shape, read with a scale for each channel along an axis.
func (q *quantized) weight(name string, shape []int, axis int) string {
	n, err := tensor.Elements(shape)
	if err != nil {
		q.err = err
		return name
	}
	values := make([]float64, n)
	Fill(values)
	largest := 0.
	for _, v := range values {
		largest = max(largest, v, -v)
	}
	for i := range values {
		values[i] = float64(int(63 * values[i] / max(largest, 1e-9)))
	}
	c, err := onnxio.NewTensor(name+"weight", tensor.Int8, shape, values)
	if err != nil {
		q.err = err
	}
	q.parts.Initializers = append(q.parts.Initializers, c)
	scale := q.constant(name+"scales", tensor.Float32, []int{shape[axis]}, 1./64)
	zero := q.constant(name+"zeros", tensor.Int8, []int{shape[axis]}, 0)
	q.parts.Nodes = append(q.parts.Nodes, graph.NewNode("DequantizeLinear", name+"weight.read", []string{name + "weight", scale, zero}, []string{name + "weight.y"}, graph.Int("axis", axis)))
	return name + "weight.y"
}

// bias is one of int32, whose scales are those of the weights times that of what is read.
func (q *quantized) bias(name string, channels int) string {
	return q.op("DequantizeLinear", name+"bias.read", q.constant(name+"bias", tensor.Int32, []int{channels}, 0),
		q.constant(name+"bias.scales", tensor.Float32, []int{channels}, 1./64/64), q.constant(name+"bias.zeros", tensor.Int32, []int{channels}, 0))
}

// convolve appends a convolution with one tap.
func (q *quantized) convolve(name, in string, from, to int) string {
	return q.op("Conv", name+"node", in, q.weight(name, []int{to, from, 1, 1}, 0), q.bias(name, to))
}

// shaped is the shape of a constant that the node reads.
func (p *Probe) shaped(name string) []int {
	for _, t := range p.Constants {
		if t.Name() == name {
			return t.Shape()
		}
	}
	return nil
}

// static appends the node with a rounded weight and bias.
func (q *quantized) static(p *Probe, in, out string) string {
	s := p.Node.Spec()
	s.Name, s.Outputs, s.Inputs = piece+"node", []string{out}, slices.Clone(s.Inputs)
	for i, name := range s.Inputs {
		switch shape := p.shaped(name); {
		case name == p.Reads:
			s.Inputs[i] = in
		case len(shape) < 2 && i < 2 || name == "" || shape == nil:
			q.err = fmt.Errorf("input %d of %s is no constant", i, s.Op)
		case i == 2:
			s.Inputs[i] = q.bias(piece, p.Piece.Out)
		default:
			s.Inputs[i] = q.weight(piece, shape, p.channelAxis(len(shape)))
		}
	}
	q.parts.Nodes = append(q.parts.Nodes, s.Node())
	return out
}

// channelAxis is the axis of output channels in a weight of so many axes.
func (p *Probe) channelAxis(axes int) int {
	switch p.Node.Op() {
	case "Conv":
		return 0
	case "Gemm":
		return 1 - int(p.Node.Int("transB", 0))
	}
	return axes - 1
}

// activated appends the activation behind the node; what bounds of a range do costs nothing.
func (q *quantized) activated(p *Probe, out string) string {
	if p.Behind.IsZero() || p.Behind.Op() == "Relu" || p.Behind.Op() == "Clip" {
		return out
	}
	s := p.Behind.Spec()
	s.Name, s.Inputs, s.Outputs = piece+"activation", slices.Clone(s.Inputs), []string{piece + "activated"}
	s.Inputs[0] = q.rounded(piece+"before.", out)
	for _, name := range s.Inputs[1:] {
		for _, t := range p.Constants {
			if t.Name() == name {
				q.parts.Initializers = append(q.parts.Initializers, t)
			}
		}
	}
	q.parts.Nodes = append(q.parts.Nodes, s.Node())
	return piece + "activated"
}

// dynamic appends a product whose input each run rounds by its own range.
func (q *quantized) dynamic(p *Probe, in, out string) {
	n := p.Node
	shape := p.shaped(n.Input(1))
	if n.Input(0) != p.Reads || len(shape) < 2 || n.Int("transA", 0) != 0 {
		q.err = fmt.Errorf("%s, whose weight is not on the right, has no kernel of eight bits", n.Op())
		return
	}
	shape = slices.Clone(shape)
	if n.Int("transB", 0) != 0 {
		slices.Reverse(shape)
	}
	channels := shape[len(shape)-1]
	q.parts.Nodes = append(q.parts.Nodes, graph.NewNode("DynamicQuantizeLinear", piece+"round", []string{in}, []string{piece + "q", piece + "scale", piece + "zero"}))
	c, err := onnxio.NewTensor(piece+"weight", tensor.Int8, shape, make([]float64, tensor.Product(shape)))
	if err != nil {
		q.err = err
		return
	}
	q.parts.Initializers = append(q.parts.Initializers, c)
	product := q.op("MatMulInteger", piece+"node", piece+"q", piece+"weight", piece+"zero", q.constant(piece+"zeros", tensor.Int8, []int{channels}, 0))
	q.parts.Nodes = append(q.parts.Nodes, graph.NewNode("Cast", piece+"cast", []string{product}, []string{piece + "cast.y"}, graph.Int("to", int(tensor.Float32))))
	scales := q.op("Mul", piece+"scales.mul", piece+"scale", q.constant(piece+"scales", tensor.Float32, []int{channels}, 1./64))
	q.parts.Nodes = append(q.parts.Nodes, graph.NewNode("Mul", piece+"mul", []string{piece + "cast.y", scales}, []string{out}))
}

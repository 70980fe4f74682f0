// Package probe measures in ONNX Runtime what single nodes take, each where it stands: behind a node that gives it its input in the
// layout that the runtime computes in, and before one that wants its output so.
package probe

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Probe is a node that is to be measured, with what it needs.
type Probe struct {
	Piece costs.Piece
	// Node is the node, of which Reads is the one input that is no constant; Behind is the activation that reads it alone, zero for
	// none. Constants are all that both read beside.
	Node      graph.Node
	Behind    graph.Node
	Reads     string
	Constants []onnxio.Tensor
	// Eight says how the node is computed where its weights are of eight bits.
	Eight EightBits
	// Count is how many nodes of the model are as the piece is.
	Count int
	// IR and Opsets are those of the model that the node is from.
	IR     int
	Opsets []graph.Opset
}

// The names in the model of a probe begin with what they belong to; the runtime names its kernels after them.
const (
	front  = "front."
	piece  = "piece."
	behind = "behind."
)

// feeder is how many channels the node in front reads: less than a block, so that nothing has to be brought into one.
const feeder = 4

// model is the probe in a model of its own, and what that is run on.
func (p *Probe) model() (data []byte, input map[string]tensor.Dense, err error) {
	t, err := typeNamed(p.Piece.Type)
	if err != nil {
		return nil, nil, err
	}
	reads, kind, build := p.Piece.Reads, t, p.plain
	if p.Piece.Op == "Gather" {
		kind = tensor.Int64
	}
	if p.fronted() {
		reads = append([]int{reads[0], feeder}, reads[2:]...)
	}
	if p.Piece.Type == Int8 {
		build = p.eight
	}
	parts, out, err := build(graph.Parts{IR: p.IR, Opsets: p.Opsets, Name: "probe"}, t, front+"in")
	if err != nil {
		return nil, nil, err
	}
	parts.Inputs = []graph.Value{graph.NewValue(front+"in", kind, graph.Sizes(reads))}
	parts.Outputs = []graph.Value{graph.NewValue(out, t, nil)}
	if data, err = parts.Marshal(); err != nil {
		return nil, nil, err
	}
	given, err := numbers(kind, reads)
	return data, map[string]tensor.Dense{front + "in": given}, err
}

// plain is the probe's model with its node as it is, of a type, from a value to a value.
func (p *Probe) plain(parts graph.Parts, t tensor.Type, in string) (graph.Parts, string, error) {
	parts.Initializers = p.Constants
	out := piece + "out"
	if p.fronted() {
		if err := p.convolve(&parts, front, in, front+"out", feeder, p.Piece.Reads[1], t); err != nil {
			return parts, "", err
		}
		in = front + "out"
	}
	s := p.Node.Spec()
	s.Name, s.Outputs = piece+"node", []string{out}
	for i, name := range s.Inputs {
		if name == p.Reads {
			s.Inputs[i] = in
		}
	}
	parts.Nodes = append(parts.Nodes, s.Node())
	if !p.Behind.IsZero() {
		s := p.Behind.Spec()
		s.Name, s.Inputs[0], s.Outputs = piece+"activation", out, []string{piece + "activated"}
		parts.Nodes = append(parts.Nodes, s.Node())
		out = piece + "activated"
	}
	if p.blocked() {
		if err := p.convolve(&parts, behind, out, behind+"out", p.Piece.Writes[1], feeder, t); err != nil {
			return parts, "", err
		}
		out = behind + "out"
	}
	return parts, out, nil
}

// blocked tells whether the runtime has a layout of blocks for the piece.
func (p *Probe) blocked() bool {
	return len(p.Piece.Reads) == 4 && len(p.Piece.Writes) == 4 && p.Piece.Op == "Conv"
}

// fronted tells whether a node stands in front of the piece.
func (p *Probe) fronted() bool { return p.blocked() && !p.Piece.Raw }

// convolve appends a convolution with one tap.
func (p *Probe) convolve(parts *graph.Parts, name, in, out string, from, to int, t tensor.Type) error {
	w, err := numbers(t, []int{to, from, 1, 1})
	if err != nil {
		return err
	}
	parts.Initializers = append(parts.Initializers, onnxio.DenseTensor(name+"weight", w))
	parts.Nodes = append(parts.Nodes, graph.NewNode("Conv", name+"node", []string{in, name + "weight"}, []string{out}))
	return nil
}

// numbers are some of a type: near one where they have signs and fractions, else zero.
func numbers(t tensor.Type, shape []int) (tensor.Dense, error) {
	n, err := tensor.Elements(shape)
	if err != nil {
		return tensor.Dense{}, err
	}
	v := make([]float64, n)
	if t.IsFloat() {
		Fill(v)
	}
	data, err := tensor.Encode(t, v)
	return tensor.Dense{Type: t, Shape: shape, Data: data}, err
}

// Fill writes numbers of either sign that stay near one through products, the same each time.
func Fill(v []float64) {
	random := rand.New(rand.NewPCG(1, 2))
	size := 1 / math.Sqrt(1+math.Sqrt(float64(len(v))))
	for i := range v {
		v[i] = size * (2*random.Float64() - 1)
	}
}

func typeNamed(name string) (tensor.Type, error) {
	for _, t := range []tensor.Type{tensor.Float32, tensor.Float16, tensor.BFloat16, tensor.Float64} {
		if t.String() == name {
			return t, nil
		}
	}
	if name == Int8 {
		return tensor.Float32, nil
	}
	return tensor.Undefined, fmt.Errorf("weights of the type %s", name)
}

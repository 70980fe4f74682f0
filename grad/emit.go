package grad

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// emitter appends nodes to a graph. Its methods take and return names of values. The
// first error is kept, and everything after it is void.
type emitter struct {
	opset     int64
	names     *onnxio.NameSet
	nodes     []*onnxpb.NodeProto
	constants map[string]string // those emitted so far, by content
	err       error

	// layout, where set, knows which values are in blocks of channels.
	layout  *layout
	scalars map[string]bool // constants of one number

	prefix string
	// typ is the element type of the constants that follow.
	typ tensor.Type
}

func newEmitter(opset int64, names *onnxio.NameSet) *emitter {
	return &emitter{opset: opset, names: names, constants: map[string]string{}, scalars: map[string]bool{}}
}

// begin sets the prefix of the names and the type of the constants that follow.
func (e *emitter) begin(prefix string, t tensor.Type) { e.prefix, e.typ = prefix, t }

func (e *emitter) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// op appends a node without attributes.
func (e *emitter) op(op string, inputs ...string) string { return e.emit(op, inputs) }

// emit appends a node with one output, on blocks of channels where its inputs are in blocks and it works on them.
func (e *emitter) emit(op string, inputs []string, attributes ...*onnxpb.AttributeProto) string {
	if y := e.emitInBlocks(op, inputs, attributes); y != "" {
		return y
	}
	return e.emitAll(op, inputs, 1, attributes...)[0]
}

// emitAll appends one node with several outputs.
func (e *emitter) emitAll(op string, inputs []string, outputs int, attributes ...*onnxpb.AttributeProto) []string {
	name := e.names.Fresh(e.prefix + "/" + strings.ToLower(op))
	n := &onnxpb.NodeProto{
		Name: proto.String(name), OpType: proto.String(op), Input: slices.Clone(inputs), Attribute: attributes,
	}
	for i := range outputs {
		out := name
		if i > 0 {
			out = e.names.Fresh(fmt.Sprintf("%s.%d", name, i))
		}
		n.Output = append(n.Output, out)
	}
	e.nodes = append(e.nodes, n)
	return n.Output
}

// constant returns a constant, made once for each content. Constant nodes are what every
// operator set and IR version has.
func (e *emitter) constant(t tensor.Type, shape []int, v []float64) string {
	p, err := onnxio.NewTensor("", t, shape, v)
	if err != nil {
		e.fail(fmt.Errorf("a constant of the gradient: %w", err))
		return ""
	}
	key := fmt.Sprint(t, shape, ":", string(p.Proto().RawData))
	if name, ok := e.constants[key]; ok {
		return name
	}
	name := e.names.Fresh("grad/constant")
	e.nodes = append(e.nodes, &onnxpb.NodeProto{
		Name: proto.String(name), OpType: proto.String("Constant"), Output: []string{name},
		Attribute: []*onnxpb.AttributeProto{onnxio.MakeTensor("value", p.Proto())},
	})
	e.constants[key] = name
	e.scalars[name] = len(v) == 1 && len(shape) == 0
	return name
}

// scalar returns a constant without axes.
func (e *emitter) scalar(v float64) string { return e.constant(e.typ, []int{}, []float64{v}) }

// floats returns a constant of the current type.
func (e *emitter) floats(shape []int, v []float64) string { return e.constant(e.typ, shape, v) }

// ints returns a 1-D constant of int64.
func (e *emitter) ints(v []int) string {
	f := make([]float64, len(v))
	for i, x := range v {
		f[i] = float64(x)
	}
	return e.constant(tensor.Int64, []int{len(v)}, f)
}

// zeros returns a tensor of zeros.
func (e *emitter) zeros(shape []int) string {
	if e.opset < 9 {
		n, err := tensor.Elements(shape)
		if err != nil {
			e.fail(err)
			return ""
		}
		return e.floats(shape, make([]float64, n))
	}
	zero, err := onnxio.NewTensor("", e.typ, []int{1}, []float64{0})
	if err != nil {
		e.fail(err)
		return ""
	}
	return e.emit("ConstantOfShape", []string{e.ints(shape)}, onnxio.MakeTensor("value", zero.Proto()))
}

// intsAttr returns a list attribute, from the ints that shapes are made of.
func intsAttr(name string, v []int) *onnxpb.AttributeProto {
	return onnxio.MakeInts(name, int64s(v)...)
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
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

// Package testmodels makes small ONNX models in code for tests and benchmarks: the same
// seed gives the same bytes, on every machine. It also holds the trained demo network and
// its images, as files in data/ and embedded in the package.
package testmodels

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Placement says where a Builder puts constants.
type Placement int

// The places where ONNX lets a graph keep constants.
const (
	Initializers  Placement = iota // in the graph's list of initializers
	Overridable                    // there, and named as graph inputs too
	ConstantNodes                  // in the value attribute of Constant nodes
)

// Builder puts a model together node by node. Methods that make a value return its name,
// for use as an input of later nodes. The first error is kept and returned by Model.
type Builder struct {
	shared *shared
	graph  *onnxpb.GraphProto
	place  Placement
	float  tensor.Type
}

// shared is what a builder and the builders of its subgraphs have in common.
type shared struct {
	model  *onnxpb.ModelProto
	random *rand.Rand
	counts map[string]int
	err    error
}

// NewBuilder starts a model for an operator set and IR version, with constants as
// initializers (which IR version 3 and older wants as inputs too) and float32 weights.
func NewBuilder(seed uint64, opset, ir int64) *Builder {
	graph := &onnxpb.GraphProto{Name: proto.String("graph")}
	b := &Builder{
		shared: &shared{
			model: &onnxpb.ModelProto{
				IrVersion:    proto.Int64(ir),
				ProducerName: proto.String("testmodels"),
				Graph:        graph,
			},
			random: rand.New(rand.NewPCG(seed, 0x6f6e6e78)),
			counts: map[string]int{},
		},
		graph: graph,
		float: tensor.Float32,
	}
	if ir <= 3 {
		b.place = Overridable
	}
	return b.Import("", opset)
}

// Import adds a domain's operator set.
func (b *Builder) Import(domain string, version int64) *Builder {
	b.shared.model.OpsetImport = append(b.shared.model.OpsetImport, &onnxpb.OperatorSetIdProto{
		Domain: proto.String(domain), Version: proto.Int64(version),
	})
	return b
}

// Place says where the constants that follow go.
func (b *Builder) Place(p Placement) *Builder {
	b.place = p
	return b
}

// Float sets the element type of the weights and inputs that follow.
func (b *Builder) Float(t tensor.Type) *Builder {
	b.float = t
	return b
}

// Model returns the finished model, checked. The builder must not be used after it.
func (b *Builder) Model() (*onnxio.Model, error) {
	if b.shared.err != nil {
		return nil, b.shared.err
	}
	m := onnxio.New(b.shared.model)
	if err := m.Check(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (b *Builder) fail(err error) {
	if b.shared.err == nil && err != nil {
		b.shared.err = err
	}
}

// fresh numbers names of one kind: conv_1, conv_2, …
func (b *Builder) fresh(kind string) string {
	b.shared.counts[kind]++
	return fmt.Sprintf("%s_%d", kind, b.shared.counts[kind])
}

// Input adds a graph input. A dimension is an int, the name of a free dimension, or nil.
func (b *Builder) Input(name string, t tensor.Type, dims ...any) string {
	b.graph.Input = append(b.graph.Input, b.valueInfo(name, t, dims))
	return name
}

// Output makes a value an output of the graph; dimensions as for Input.
func (b *Builder) Output(name string, t tensor.Type, dims ...any) {
	b.graph.Output = append(b.graph.Output, b.valueInfo(name, t, dims))
}

func (b *Builder) valueInfo(name string, t tensor.Type, dims []any) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case nil:
		case int:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d}
		default:
			b.fail(fmt.Errorf("value %q: a dimension cannot be a %T", name, d))
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{
		Name: proto.String(name),
		Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: proto.Int32(int32(t)), Shape: shape,
		}}},
	}
}

// Tensor adds a constant with the given numbers where Place says.
func (b *Builder) Tensor(name string, t tensor.Type, shape []int, v []float64) string {
	p, err := onnxio.NewTensor(name, t, shape, v)
	if err != nil {
		b.fail(err)
		return name
	}
	if b.place == ConstantNodes {
		p.Proto().Name = nil
		b.named(name+".node", "Constant", nil, []string{name}, onnxio.MakeTensor("value", p.Proto()))
		return name
	}
	b.graph.Initializer = append(b.graph.Initializer, p.Proto())
	if b.place == Overridable {
		dims := make([]any, len(shape))
		for i, d := range shape {
			dims[i] = d
		}
		b.Input(name, t, dims...)
	}
	return name
}

// Ints adds a 1-D constant of int64 numbers, as shapes and axes are given.
func (b *Builder) Ints(name string, v ...int) string {
	floats := make([]float64, len(v))
	for i, x := range v {
		floats[i] = float64(x)
	}
	return b.Tensor(name, tensor.Int64, []int{len(v)}, floats)
}

// Random adds a constant of the builder's float type with entries drawn uniformly from
// [low, high).
func (b *Builder) Random(name string, low, high float64, shape ...int) string {
	n, err := tensor.Elements(shape)
	if err != nil {
		b.fail(err)
		return name
	}
	v := make([]float64, n)
	for i := range v {
		v[i] = low + (high-low)*b.shared.random.Float64()
	}
	return b.Tensor(name, b.float, shape, v)
}

// Weight adds a random constant whose products with fanIn inputs of unit variance have
// unit variance.
func (b *Builder) Weight(name string, fanIn int, shape ...int) string {
	limit := math.Sqrt(3 / float64(fanIn))
	return b.Random(name, -limit, limit, shape...)
}

// Node adds a node with one output, which it returns. An input "" is left out.
func (b *Builder) Node(op string, inputs []string, attributes ...*onnxpb.AttributeProto) string {
	name := b.fresh(op)
	return b.named(name, op, inputs, []string{name + ".out"}, attributes...)[0]
}

// Rename makes the newest node write to a value of the given name, and returns that.
func (b *Builder) Rename(name string) string {
	node := b.graph.Node[len(b.graph.Node)-1]
	node.Output[0] = name
	return name
}

func (b *Builder) named(name, op string, inputs, outputs []string, attributes ...*onnxpb.AttributeProto) []string {
	b.graph.Node = append(b.graph.Node, &onnxpb.NodeProto{
		Name: proto.String(name), OpType: proto.String(op), Input: inputs, Output: outputs, Attribute: attributes,
	})
	return outputs
}

// Conv adds a convolution with bias from in to out channels. The attributes may name
// group, strides, pads, dilations and auto_pad; kernel_shape is added.
func (b *Builder) Conv(x string, in, out int, window []int, attributes ...*onnxpb.AttributeProto) string {
	bias := b.Weight(b.fresh("conv_bias"), in, out)
	return b.ConvBias(x, in, out, window, bias, attributes...)
}

// ConvBias is Conv with a given bias, or none if that is "".
func (b *Builder) ConvBias(x string, in, out int, window []int, bias string, attributes ...*onnxpb.AttributeProto) string {
	group := 1
	for _, a := range attributes {
		if a.GetName() == "group" {
			group = int(a.GetI())
		}
	}
	shape := append([]int{out, in / group}, window...)
	fanIn := in / group
	kernel := make([]int64, len(window))
	for i, k := range window {
		fanIn *= k
		kernel[i] = int64(k)
	}
	inputs := []string{x, b.Weight(b.fresh("conv_weight"), fanIn, shape...)}
	if bias != "" {
		inputs = append(inputs, bias)
	}
	attributes = append([]*onnxpb.AttributeProto{onnxio.MakeInts("kernel_shape", kernel...)}, attributes...)
	return b.Node("Conv", inputs, attributes...)
}

// ConvTranspose adds a transposed convolution with bias from in to out channels. The attributes may name group, strides,
// pads, dilations, output_padding, output_shape and auto_pad; kernel_shape is added.
func (b *Builder) ConvTranspose(x string, in, out int, window []int, attributes ...*onnxpb.AttributeProto) string {
	group := 1
	for _, a := range attributes {
		if a.GetName() == "group" {
			group = int(a.GetI())
		}
	}
	fanIn, kernel := in/group, make([]int64, len(window))
	for i, k := range window {
		fanIn *= k
		kernel[i] = int64(k)
	}
	w := b.Weight(b.fresh("transposed_weight"), fanIn, append([]int{in, out / group}, window...)...)
	bias := b.Weight(b.fresh("transposed_bias"), in, out)
	attributes = append([]*onnxpb.AttributeProto{onnxio.MakeInts("kernel_shape", kernel...)}, attributes...)
	return b.Node("ConvTranspose", []string{x, w, bias}, attributes...)
}

// BatchNorm adds an inference batch normalization with random, healthy parameters.
func (b *Builder) BatchNorm(x string, channels int) string {
	name := b.fresh("norm")
	return b.Node("BatchNormalization", []string{
		x,
		b.Random(name+"_scale", 0.5, 1.5, channels),
		b.Random(name+"_bias", -0.2, 0.2, channels),
		b.Random(name+"_mean", -0.2, 0.2, channels),
		b.Random(name+"_var", 0.5, 1.5, channels),
	}, onnxio.MakeFloat("epsilon", 1e-5))
}

// Linear adds a MatMul with a constant on the right and, if bias is set, an Add.
func (b *Builder) Linear(x string, in, out int, bias bool) string {
	name := b.fresh("linear")
	y := b.Node("MatMul", []string{x, b.Weight(name+"_weight", in, in, out)})
	if bias {
		y = b.Node("Add", []string{y, b.Weight(name+"_bias", in, out)})
	}
	return y
}

// Body makes a graph for an attribute: fill adds its nodes and outputs. The body's nodes
// may use values of the graph around it.
func (b *Builder) Body(name string, fill func(body *Builder)) *onnxpb.GraphProto {
	body := &Builder{shared: b.shared, graph: &onnxpb.GraphProto{Name: proto.String(name)}, float: b.float}
	fill(body)
	return body.graph
}

// Function adds a local function: fill adds its nodes, whose constants must be Constant
// nodes. Call adds a node that calls it.
func (b *Builder) Function(domain, name string, inputs, outputs []string, fill func(body *Builder)) *Builder {
	body := b.Body(name, func(body *Builder) {
		fill(body.Place(ConstantNodes))
	})
	var opsets []*onnxpb.OperatorSetIdProto
	for _, o := range b.shared.model.OpsetImport {
		if o.GetDomain() == "" {
			opsets = append(opsets, o)
		}
	}
	b.shared.model.Functions = append(b.shared.model.Functions, &onnxpb.FunctionProto{
		Name: proto.String(name), Domain: proto.String(domain),
		Input: inputs, Output: outputs, Node: body.Node, OpsetImport: opsets,
	})
	return b
}

// Call adds a node of another domain with one output.
func (b *Builder) Call(domain, op string, inputs ...string) string {
	out := b.Node(op, inputs)
	b.graph.Node[len(b.graph.Node)-1].Domain = proto.String(domain)
	return out
}

// graphAttribute returns an attribute that holds a graph.
func graphAttribute(name string, g *onnxpb.GraphProto) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: g}
}

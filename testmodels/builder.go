// Package testmodels makes small ONNX models in code for tests and benchmarks: the same
// seed gives the same bytes, on every machine. It also holds the trained demo network and
// its images, as files in data/ and embedded in the package.
package testmodels

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
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
	graph  *graph.Parts
	place  Placement
	float  tensor.Type
}

// shared is what a builder and the builders of its subgraphs have in common.
type shared struct {
	model  graph.Parts // but for its graph
	random *rand.Rand
	counts map[string]int
	err    error
}

// NewBuilder starts a model for an operator set and IR version, with constants as
// initializers (which IR version 3 and older wants as inputs too) and float32 weights.
func NewBuilder(seed uint64, opset, ir int64) *Builder {
	b := &Builder{
		shared: &shared{
			model:  graph.Parts{IR: int(ir), About: graph.About{Producer: "testmodels"}},
			random: rand.New(rand.NewPCG(seed, 0x6f6e6e78)),
			counts: map[string]int{},
		},
		graph: &graph.Parts{Name: "graph"},
		float: tensor.Float32,
	}
	if ir <= 3 {
		b.place = Overridable
	}
	return b.Import("", opset)
}

// Import adds a domain's operator set.
func (b *Builder) Import(domain string, version int64) *Builder {
	b.shared.model.Opsets = append(b.shared.model.Opsets, graph.Opset{Domain: domain, Version: int(version)})
	return b
}

// State adds to the model's metadata.
func (b *Builder) State(key, value string) *Builder {
	b.shared.model.About.Metadata = append(b.shared.model.About.Metadata, graph.Pair{Key: key, Value: value})
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

// Type returns the element type of the weights and inputs that follow.
func (b *Builder) Type() tensor.Type { return b.float }

// Model returns the finished model, checked. The builder must not be used after it.
func (b *Builder) Model() (*onnxio.Model, error) {
	if b.shared.err != nil {
		return nil, b.shared.err
	}
	m := b.parts().Model()
	if err := m.Check(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// parts returns all that the model is made of.
func (b *Builder) parts() graph.Parts {
	p, m := *b.graph, b.shared.model
	p.IR, p.Opsets, p.Functions, p.About = m.IR, m.Opsets, m.Functions, m.About
	return p
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
	b.graph.Inputs = append(b.graph.Inputs, b.valueInfo(name, t, dims))
	return name
}

// Output makes a value an output of the graph; dimensions as for Input.
func (b *Builder) Output(name string, t tensor.Type, dims ...any) {
	b.graph.Outputs = append(b.graph.Outputs, b.valueInfo(name, t, dims))
}

func (b *Builder) valueInfo(name string, t tensor.Type, dims []any) graph.Value {
	shape := make([]graph.Dim, len(dims))
	for i, d := range dims {
		shape[i].Size = -1
		switch d := d.(type) {
		case nil:
		case int:
			shape[i].Size = d
		case string:
			shape[i].Name = d
		default:
			b.fail(fmt.Errorf("value %q: a dimension cannot be a %T", name, d))
		}
	}
	return graph.NewValue(name, t, shape)
}

// Tensor adds a constant with the given numbers where Place says.
func (b *Builder) Tensor(name string, t tensor.Type, shape []int, v []float64) string {
	own := name
	if b.place == ConstantNodes {
		own = ""
	}
	p, err := onnxio.NewTensor(own, t, shape, v)
	if err != nil {
		b.fail(err)
		return name
	}
	if b.place == ConstantNodes {
		return b.named(name+".node", "Constant", nil, []string{name}, graph.Tensor("value", p))[0]
	}
	b.graph.Initializers = append(b.graph.Initializers, p)
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
func (b *Builder) Node(op string, inputs []string, attributes ...graph.Attr) string {
	name := b.fresh(op)
	return b.named(name, op, inputs, []string{name + ".out"}, attributes...)[0]
}

// Several adds a node with so many outputs, which it returns.
func (b *Builder) Several(op string, inputs []string, outputs int, attributes ...graph.Attr) []string {
	name := b.fresh(op)
	list := make([]string, outputs)
	for i := range list {
		list[i] = fmt.Sprintf("%s.out%d", name, i)
	}
	return b.named(name, op, inputs, list, attributes...)
}

// Rename makes the newest node write to a value of the given name, and returns that.
func (b *Builder) Rename(name string) string {
	node := &b.graph.Nodes[len(b.graph.Nodes)-1]
	spec := node.Spec()
	spec.Outputs[0] = name
	*node = spec.Node()
	return name
}

func (b *Builder) named(name, op string, inputs, outputs []string, attributes ...graph.Attr) []string {
	b.graph.Nodes = append(b.graph.Nodes, graph.NewNode(op, name, inputs, outputs, attributes...))
	return outputs
}

// Conv adds a convolution with bias from in to out channels. The attributes may name
// group, strides, pads, dilations and auto_pad; kernel_shape is added.
func (b *Builder) Conv(x string, in, out int, window []int, attributes ...graph.Attr) string {
	bias := b.Weight(b.fresh("conv_bias"), in, out)
	return b.ConvBias(x, in, out, window, bias, attributes...)
}

// ConvBias is Conv with a given bias, or none if that is "".
func (b *Builder) ConvBias(x string, in, out int, window []int, bias string, attributes ...graph.Attr) string {
	group := 1
	for _, a := range attributes {
		if a.Name() == "group" {
			group = a.Int()
		}
	}
	shape := append([]int{out, in / group}, window...)
	fanIn := in / group
	for _, k := range window {
		fanIn *= k
	}
	inputs := []string{x, b.Weight(b.fresh("conv_weight"), fanIn, shape...)}
	if bias != "" {
		inputs = append(inputs, bias)
	}
	attributes = append([]graph.Attr{graph.Ints("kernel_shape", window...)}, attributes...)
	return b.Node("Conv", inputs, attributes...)
}

// ConvTranspose adds a transposed convolution with bias from in to out channels. The attributes may name group, strides,
// pads, dilations, output_padding, output_shape and auto_pad; kernel_shape is added.
func (b *Builder) ConvTranspose(x string, in, out int, window []int, attributes ...graph.Attr) string {
	group := 1
	for _, a := range attributes {
		if a.Name() == "group" {
			group = a.Int()
		}
	}
	fanIn := in / group
	for _, k := range window {
		fanIn *= k
	}
	w := b.Weight(b.fresh("transposed_weight"), fanIn, append([]int{in, out / group}, window...)...)
	bias := b.Weight(b.fresh("transposed_bias"), in, out)
	attributes = append([]graph.Attr{graph.Ints("kernel_shape", window...)}, attributes...)
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
	}, graph.Float("epsilon", 1e-5))
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
func (b *Builder) Body(name string, fill func(body *Builder)) graph.Parts {
	body := &Builder{shared: b.shared, graph: &graph.Parts{Name: name}, float: b.float}
	fill(body)
	return *body.graph
}

// Function adds a local function: fill adds its nodes, whose constants must be Constant
// nodes. Call adds a node that calls it.
func (b *Builder) Function(domain, name string, inputs, outputs []string, fill func(body *Builder)) *Builder {
	body := b.Body(name, func(body *Builder) {
		fill(body.Place(ConstantNodes))
	})
	var own []graph.Opset
	for _, o := range b.shared.model.Opsets {
		if o.Domain == "" {
			own = append(own, o)
		}
	}
	b.shared.model.Functions = append(b.shared.model.Functions, graph.NewFunction(domain+"::"+name, inputs, outputs, own, body.Nodes))
	return b
}

// Call adds a node of another domain with one output.
func (b *Builder) Call(domain, op string, inputs ...string) string {
	name := b.fresh(op)
	return b.named(name, domain+"::"+op, inputs, []string{name + ".out"})[0]
}

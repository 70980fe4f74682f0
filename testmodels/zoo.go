package testmodels

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Case is one model of the zoo.
type Case struct {
	Name string
	// Runs tells whether ONNX Runtime's CPU provider can execute the model.
	Runs  bool
	build func(seed uint64) *Builder
}

// Build makes the model: the same seed, the same bytes.
func (c Case) Build(seed uint64) (*onnxio.Model, error) { return c.build(seed).Model() }

// All returns the zoo: small models that between them have every way of placing and using
// weights that a rewriter meets. Sizes differ from axis to axis, so that a swapped pair
// shows.
func All() []Case {
	return slices.Concat(networks(), convolutions(), transposed(), gemms(), matmuls(), placements(), graphs())
}

// Get returns the model of the zoo with the given name.
func Get(name string) (Case, bool) {
	for _, c := range All() {
		if c.Name == name {
			return c, true
		}
	}
	return Case{}, false
}

// networks are whole networks of several layers.
func networks() []Case {
	return []Case{
		{"cnn", true, func(seed uint64) *Builder { return cnn(NewBuilder(seed, 17, 8)) }},
		{"cnn_ir3", true, func(seed uint64) *Builder { return cnn(NewBuilder(seed, 8, 3)) }},
		{"cnn_opset22", true, func(seed uint64) *Builder { return cnn(NewBuilder(seed, 22, 10)) }},
		{"cnn_constant_nodes", true, func(seed uint64) *Builder { return cnn(NewBuilder(seed, 17, 8).Place(ConstantNodes)) }},
		{"cnn_overridable", true, func(seed uint64) *Builder { return cnn(NewBuilder(seed, 13, 7).Place(Overridable)) }},
		{"cnn_float16", true, func(seed uint64) *Builder { return cnn(NewBuilder(seed, 17, 8).Float(tensor.Float16)) }},
		{"transformer", true, transformer},
		{"decoder", true, decoder},
		{"text_classifier", true, textClassifier},
		{"text_tied", true, tiedText},
	}
}

// cnn fills in a small residual network with batch normalizations: input "image"
// [N,3,16,16], output "logits" [N,5], about 0.5 M MACs.
func cnn(b *Builder) *Builder {
	x := b.Input("image", b.float, "N", 3, 16, 16)
	x = b.Node("Relu", []string{convNorm(b, x, 3, 8, 3, 1)})
	x = residual(b, x, 8, 8, 1)
	x = residual(b, x, 8, 12, 2)
	x = residual(b, x, 12, 12, 1)
	x = b.Node("GlobalAveragePool", []string{x})
	x = b.Node("Flatten", []string{x})
	b.Node("Gemm", []string{x, b.Weight("classifier_weight", 12, 5, 12), b.Weight("classifier_bias", 12, 5)},
		graph.Int("transB", 1))
	b.Output(b.Rename("logits"), b.float, "N", 5)
	return b
}

func convNorm(b *Builder, x string, in, out, k, stride int) string {
	pad := k / 2
	x = b.ConvBias(x, in, out, []int{k, k}, "",
		graph.Ints("pads", pad, pad, pad, pad), graph.Ints("strides", stride, stride))
	return b.BatchNorm(x, out)
}

func residual(b *Builder, x string, in, out, stride int) string {
	y := b.Node("Relu", []string{convNorm(b, x, in, out, 3, stride)})
	y = convNorm(b, y, out, out, 3, 1)
	if in != out || stride != 1 {
		x = convNorm(b, x, in, out, 1, stride)
	}
	return b.Node("Relu", []string{b.Node("Add", []string{x, y})})
}

// decoder makes a small generator of images: input "latent" [N,10,4,5], two transposed convolutions that double its
// size and normalizations between, output "image" [N,3,16,20].
func decoder(seed uint64) *Builder {
	b := NewBuilder(seed, 17, 8)
	double := []graph.Attr{graph.Ints("strides", 2, 2), graph.Ints("pads", 1, 1, 1, 1)}
	x := b.Input("latent", b.float, "N", 10, 4, 5)
	x = b.Node("Relu", []string{b.BatchNorm(b.ConvTranspose(x, 10, 16, []int{4, 4}, double...), 16)})
	x = b.Node("Relu", []string{b.BatchNorm(b.ConvTranspose(x, 16, 12, []int{4, 4}, double...), 12)})
	b.Node("Tanh", []string{b.Conv(x, 12, 3, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	b.Output(b.Rename("image"), b.float, "N", 3, 16, 20)
	return b
}

// transformer makes an encoder with one block: token ids "tokens" [N,T] below 32, learned
// positions for T ≤ 16, attention with two heads over 12 features, a GELU network, output
// "logits" [N,5]. Shapes are computed from the input's with Shape, Gather and Concat.
func transformer(seed uint64) *Builder {
	const vocabulary, length, width, heads, hidden, classes = 32, 16, 12, 2, 40, 5
	b := NewBuilder(seed, 17, 8)
	tokens := b.Input("tokens", tensor.Int64, "N", "T")
	x := b.Node("Gather", []string{b.Weight("embedding", 1, vocabulary, width), tokens})
	shape := b.Node("Shape", []string{tokens})
	steps := b.Node("Gather", []string{shape, b.Ints("axis_1", 1)}, graph.Int("axis", 0))
	positions := b.Node("Slice", []string{
		b.Weight("positions", 1, length, width), b.Ints("start", 0), steps, b.Ints("axis_0", 0),
	})
	x = layerNorm(b, b.Node("Add", []string{x, positions}), width)

	attended := b.Linear(attention(b, x, shape, width, heads), width, width, true)
	x = layerNorm(b, b.Node("Add", []string{x, attended}), width)
	grown := b.Linear(gelu(b, b.Linear(x, width, hidden, true)), hidden, width, true)
	x = layerNorm(b, b.Node("Add", []string{x, grown}), width)

	x = b.Node("ReduceMean", []string{x}, graph.Ints("axes", 1), graph.Int("keepdims", 0))
	b.Linear(x, width, classes, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", classes)
	return b
}

func layerNorm(b *Builder, x string, width int) string {
	name := b.fresh("layer_norm")
	return b.Node("LayerNormalization", []string{
		x, b.Random(name+"_scale", 0.5, 1.5, width), b.Random(name+"_bias", -0.2, 0.2, width),
	}, graph.Int("axis", -1))
}

// attention adds softmax(q kᵀ/√d) v over the heads; the scale is folded into q's side as
// a multiplication.
func attention(b *Builder, x, shape string, width, heads int) string {
	batchAndSteps := b.Node("Slice", []string{shape, b.Ints("first", 0), b.Ints("second", 2)})
	apart := b.Node("Concat", []string{batchAndSteps, b.Ints("split_heads", heads, width/heads)}, graph.Int("axis", 0))
	together := b.Node("Concat", []string{batchAndSteps, b.Ints("join_heads", width)}, graph.Int("axis", 0))
	project := func(order ...int) string {
		y := b.Node("Reshape", []string{b.Linear(x, width, width, true), apart})
		return b.Node("Transpose", []string{y}, graph.Ints("perm", order...))
	}
	q, k, v := project(0, 2, 1, 3), project(0, 2, 3, 1), project(0, 2, 1, 3)
	q = b.Node("Mul", []string{q, b.Tensor("scale", tensor.Float32, nil, []float64{0.408248290463863})})
	scores := b.Node("Softmax", []string{b.Node("MatMul", []string{q, k})}, graph.Int("axis", -1))
	y := b.Node("Transpose", []string{b.Node("MatMul", []string{scores, v})}, graph.Ints("perm", 0, 2, 1, 3))
	return b.Node("Reshape", []string{y, together})
}

// gelu adds x·(1 + erf(x/√2))/2.
func gelu(b *Builder, x string) string {
	scalar := func(name string, v float64) string { return b.Tensor(name, tensor.Float32, nil, []float64{v}) }
	y := b.Node("Erf", []string{b.Node("Div", []string{x, scalar("sqrt_2", 1.4142135623730951)})})
	y = b.Node("Mul", []string{x, b.Node("Add", []string{y, scalar("one", 1)})})
	return b.Node("Mul", []string{y, scalar("half", 0.5)})
}

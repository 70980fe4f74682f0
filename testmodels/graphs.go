package testmodels

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// placements are models that keep or share weights in unusual ways.
func placements() []Case {
	return []Case{
		{"weight_identity", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			w := b.Node("Identity", []string{b.Weight("weight", 6, 6, 9)})
			b.Node("MatMul", []string{x, w})
			return b.done(4, 9)
		}},
		{"weight_transposed", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			w := b.Node("Transpose", []string{b.Weight("weight", 6, 9, 6)})
			b.Node("MatMul", []string{x, w})
			return b.done(4, 9)
		}},
		{"weight_input", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			b.Node("MatMul", []string{x, b.Input("weight", tensor.Float32, 6, 9)})
			return b.done(4, 9)
		}},
		{"weight_shared", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			w := b.Weight("weight", 6, 6, 6)
			x = b.Node("Relu", []string{b.Node("MatMul", []string{x, w})})
			b.Node("Gemm", []string{x, w, b.Weight("bias", 6, 6)}, graph.Int("transB", 1))
			return b.done(4, 6)
		}},
		{"weight_used_otherwise", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			w := b.Weight("weight", 6, 6, 6)
			b.Node("Add", []string{b.Node("MatMul", []string{x, w}), b.Node("ReduceSum", []string{w})})
			return b.done(4, 6)
		}},
		{"weight_output", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			w := b.Weight("weight", 6, 6, 9)
			b.Node("MatMul", []string{x, w})
			b.Output(w, tensor.Float32, 6, 9)
			return b.done(4, 9)
		}},
		{"weight_typed_data", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			w := b.Weight("weight", 6, 6, 9)
			b.Node("MatMul", []string{x, w})
			p := b.graph.Initializers[0].Proto()
			p.FloatData = tensor.Dense{Type: tensor.Float32, Shape: []int{54}, Data: p.RawData}.Float32s()
			p.RawData = nil
			return b.done(4, 9)
		}},
		{"weight_value_floats", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			b.named("constant", "Constant", nil, []string{"weight"}, graph.Floats("value_floats", 0.5, -1, 0.25, 2, -0.75, 1))
			b.Node("MatMul", []string{x, "weight"})
			return b.done(4)
		}},
	}
}

// matrix starts a model with an input of four rows and six columns.
func matrix(seed uint64) (b *Builder, x string) {
	b = NewBuilder(seed, 17, 8)
	return b, b.Input("x", tensor.Float32, 4, 6)
}

// done makes the newest node write to the output "y".
func (b *Builder) done(dims ...any) *Builder {
	b.Output(b.Rename("y"), tensor.Float32, dims...)
	return b
}

// graphs are models with structure beyond a plain list of named nodes.
func graphs() []Case {
	return []Case{
		{"if", true, branches},
		{"function", true, localFunction},
		{"quantized", true, quantized},
		{"embedding", true, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8)
			ids := b.Input("ids", tensor.Int64, "N", "T")
			b.Linear(b.Node("Gather", []string{b.Weight("table", 1, 32, 6), ids}), 6, 9, true)
			return b.done("N", "T", 9)
		}},
		{"transposed_conv", true, func(seed uint64) *Builder {
			b := NewBuilder(seed, 17, 8)
			x := b.Input("x", tensor.Float32, "N", 6, 5, 7)
			b.Node("ConvTranspose", []string{x, b.Weight("weight", 6, 6, 4, 3, 3)}, graph.Ints("strides", 2, 2))
			return b.done("N", 4, 11, 15)
		}},
		{"unnamed", true, func(seed uint64) *Builder {
			b, x := matrix(seed)
			b.Linear(b.Node("Relu", []string{b.Linear(x, 6, 9, true)}), 9, 5, true)
			for i, node := range b.graph.Nodes {
				spec := node.Spec()
				spec.Name = ""
				b.graph.Nodes[i] = spec.Node()
			}
			return b.done(4, 5)
		}},
		{"annotated", true, annotated},
		{"custom_operator", false, func(seed uint64) *Builder {
			b, x := matrix(seed)
			b.Import("org.example", 3)
			b.Linear(b.Call("org.example", "Mystery", b.Linear(x, 6, 9, true)), 9, 5, true)
			return b.done(4, 5)
		}},
	}
}

// branches makes an If whose bodies multiply by a weight of the graph around them and by
// weights of their own.
func branches(seed uint64) *Builder {
	b, x := matrix(seed)
	choice := b.Input("choice", tensor.Bool)
	outer := b.Weight("outer", 6, 6, 9)
	x = b.Node("Relu", []string{x})
	branch := func(name string, own bool) graph.Attr {
		return graph.Body(name, b.Body(name, func(body *Builder) {
			y := body.Node("MatMul", []string{x, outer})
			if own {
				y = body.Linear(y, 9, 9, true)
			}
			body.Output(y, tensor.Float32, 4, 9)
		}))
	}
	y := b.Node("If", []string{choice}, branch("then_branch", false), branch("else_branch", true))
	b.Node("MatMul", []string{y, b.Weight("last", 9, 9, 5)})
	return b.done(4, 5)
}

// localFunction makes a model that calls a function of its own twice. The function
// multiplies by a weight that it is given, and by one that it holds.
func localFunction(seed uint64) *Builder {
	b, x := matrix(seed)
	b.Import("local", 1)
	b.Function("local", "Twice", []string{"in", "given"}, []string{"out"}, func(body *Builder) {
		held := body.Weight("held", 6, 6, 6)
		body.Node("MatMul", []string{body.Node("MatMul", []string{"in", "given"}), held})
		body.Rename("out")
	})
	first, second := b.Weight("first", 6, 6, 6), b.Weight("second", 6, 6, 6)
	x = b.Call("local", "Twice", x, first)
	b.Call("local", "Twice", b.Node("Relu", []string{x}), second)
	return b.done(4, 6)
}

// quantized makes a MatMul with an int8 weight behind a DequantizeLinear.
func quantized(seed uint64) *Builder {
	b, x := matrix(seed)
	v := make([]float64, 54)
	for i := range v {
		v[i] = float64(b.shared.random.IntN(255) - 127)
	}
	w := b.Node("DequantizeLinear", []string{
		b.Tensor("quantized", tensor.Int8, []int{6, 9}, v), b.Tensor("step", tensor.Float32, nil, []float64{0.0078125}),
	})
	b.Node("MatMul", []string{x, w})
	return b.done(4, 9)
}

// annotated makes a model that carries everything a graph may say about itself: stored
// shapes, documentation, metadata and quantization annotations.
func annotated(seed uint64) *Builder {
	b := NewBuilder(seed, 21, 10)
	x := b.Input("x", tensor.Float32, 4, 6)
	note := func(key, value string) []graph.Pair { return []graph.Pair{{Key: key, Value: value}} }
	w := b.Weight("weight", 6, 6, 9)
	y := b.Node("MatMul", []string{x, w})
	first := b.graph.Nodes[0].Spec()
	first.Doc, first.Metadata = "the first product", note("layer", "first")
	b.graph.Nodes[0] = first.Node()
	b.graph.Values = append(b.graph.Values, b.valueInfo(y, tensor.Float32, []any{4, 9}))
	scale := b.Tensor("weight_scale", tensor.Float32, nil, []float64{0.25})
	b.graph.Annotations = []graph.Annotation{graph.NewAnnotation(w, graph.Pair{Key: "SCALE_TENSOR", Value: scale})}
	b.Linear(b.Node("Relu", []string{y}), 9, 5, true)
	b.shared.model.About = graph.About{
		Producer: "testmodels", Domain: "org.example", Version: 7, Doc: "a model with notes", Metadata: note("licence", "none"),
	}
	b.graph.Doc, b.graph.Metadata = "a graph with notes", note("kind", "test")
	return b.done(4, 5)
}

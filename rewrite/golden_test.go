package rewrite_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

var update = flag.Bool("update", false, "write the golden files anew")

// situations are the models whose rewriting is on record in testdata: those of the zoo
// that differ in how a node or its weight stands in the graph, and some of their own.
func situations(t *testing.T) map[string]*onnxio.Model {
	list := map[string]*onnxio.Model{}
	for _, name := range []string{
		"conv_plain", "conv_no_bias", "conv_everything", "conv_same_upper", "conv_same_lower", "conv_valid", "conv_line", "conv_volume",
		"transposed_everything", "transposed_same_upper", "transposed_output_shape", "transposed_output_shape_open", "transposed_line",
		"transposed_volume", "conv_depthwise", "conv_dynamic", "conv_bfloat16", "conv_float64",
		"gemm_plain", "gemm_no_c", "gemm_trans_a", "gemm_trans_b", "gemm_trans_both", "gemm_alpha_beta", "gemm_c_scalar", "gemm_c_row",
		"gemm_c_column", "gemm_c_full", "gemm_opset9", "gemm_opset6", "gemm_left",
		"matmul_right_3d", "matmul_right_1d_input", "matmul_right_1d_weight", "matmul_right_batched_weight",
		"matmul_right_broadcast_weight", "matmul_left_3d", "matmul_left_1d_input", "matmul_float16",
		"weight_identity", "weight_transposed", "weight_input", "weight_shared", "weight_used_otherwise", "weight_output",
		"weight_value_floats", "if", "function", "quantized", "embedding", "transposed_conv", "unnamed", "annotated", "custom_operator",
	} {
		list[name] = testkit.Zoo(t, name)
	}
	for name, make := range ownSituations() {
		m, err := make().Model()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list[name] = m
	}
	list["names_taken"] = namesTaken(t)
	list["training"] = training(t)
	list["annotation_binds"] = annotationBinds(t)
	list["stored_shapes"] = storedShapes(t)
	list["sharded"] = sharded(t)
	return list
}

// matrix starts a model with an input "x" of four rows and six columns.
func matrix() (*testmodels.Builder, string) {
	b := testmodels.NewBuilder(1, 17, 8)
	return b, b.Input("x", tensor.Float32, 4, 6)
}

func done(b *testmodels.Builder, dims ...any) *testmodels.Builder {
	b.Output(b.Rename("y"), tensor.Float32, dims...)
	return b
}

func ownSituations() map[string]func() *testmodels.Builder {
	return map[string]func() *testmodels.Builder{
		"weight_overridable": func() *testmodels.Builder {
			b, x := matrix()
			b.Place(testmodels.Overridable).Linear(x, 6, 9, true)
			return done(b, 4, 9)
		},
		"weight_constant_node": func() *testmodels.Builder {
			b, x := matrix()
			b.Place(testmodels.ConstantNodes).Linear(x, 6, 9, true)
			return done(b, 4, 9)
		},
		"weight_behind_three_nodes": func() *testmodels.Builder {
			b, x := matrix()
			w := b.Place(testmodels.ConstantNodes).Weight("weight", 6, 9, 6)
			w = b.Node("Identity", []string{b.Node("Transpose", []string{b.Node("Identity", []string{w})})})
			b.Node("MatMul", []string{x, w})
			return done(b, 4, 9)
		},
		"weight_in_subgraph_too": func() *testmodels.Builder {
			b, x := matrix()
			choice := b.Input("choice", tensor.Bool)
			w := b.Weight("weight", 6, 6, 6)
			x = b.Node("MatMul", []string{x, w})
			body := func(name string, op string) graph.Attr {
				return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
					body.Output(body.Node(op, []string{x, w}), tensor.Float32, 4, 6)
				}))
			}
			b.Node("If", []string{choice}, body("then_branch", "MatMul"), body("else_branch", "Gemm"))
			return done(b, 4, 6)
		},
		"conv_weight_turned": func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			x := b.Input("x", tensor.Float32, "N", 4, 9, 8)
			w := b.Node("Transpose", []string{b.Weight("weight", 36, 3, 2, 4, 5)}, graph.Ints("perm", 1, 2, 3, 0))
			w = b.Node("Transpose", []string{w}, graph.Ints("perm", 2, 1, 3, 0)) // [5, 4, 3, 2]
			b.Node("Conv", []string{x, w}, graph.Ints("strides", 1, 2))
			return done(b, "N", 5, 7, 4)
		},
		"custom_weight": func() *testmodels.Builder {
			b, x := matrix()
			b.Import("org.example", 3)
			b.Call("org.example", "FusedMatMul", x, b.Weight("weight", 6, 6, 9))
			return done(b, 4, 9)
		},
		"product_of_constants": func() *testmodels.Builder {
			b, x := matrix()
			w := b.Node("MatMul", []string{b.Weight("left", 6, 6, 6), b.Weight("right", 6, 6, 9)})
			b.Node("MatMul", []string{x, w})
			return done(b, 4, 9)
		},
		"bias_is_weight": func() *testmodels.Builder {
			b, x := matrix()
			w := b.Weight("weight", 6, 6, 6)
			b.Node("Gemm", []string{x, w, b.Node("ReduceMean", []string{w})})
			return done(b, 4, 6)
		},
		"matmul_stack_left": func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			x := b.Input("x", tensor.Float32, "N", 3, 2, 6, 4)
			b.Node("MatMul", []string{b.Weight("weight", 6, 1, 3, 2, 9, 6), x})
			return done(b, "N", 3, 2, 9, 4)
		},
		"matmul_stack_broadcast": func() *testmodels.Builder {
			b, x := matrix()
			b.Node("MatMul", []string{x, b.Weight("weight", 6, 3, 6, 9)})
			return done(b, 3, 4, 9)
		},
		"integer_gemm": func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			x := b.Input("x", tensor.Int32, 4, 6)
			b.Node("Gemm", []string{x, b.Tensor("weight", tensor.Int32, []int{6, 9}, make([]float64, 54))})
			b.Output(b.Rename("y"), tensor.Int32, 4, 9)
			return b
		},
		"integer_products": func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			x := b.Input("x", tensor.Uint8, 4, 6)
			b.Node("MatMulInteger", []string{x, b.Tensor("weight", tensor.Int8, []int{6, 9}, make([]float64, 54))})
			b.Output(b.Rename("y"), tensor.Int32, 4, 9)
			return b
		},
		"no_gain": func() *testmodels.Builder {
			b, x := matrix()
			b.Linear(x, 6, 1, true)
			return done(b, 4, 1)
		},
		"attention_scores": func() *testmodels.Builder {
			b, x := matrix()
			b.Node("MatMul", []string{x, b.Node("Transpose", []string{x})})
			return done(b, 4, 4)
		},
		"einsum": func() *testmodels.Builder {
			b, x := matrix()
			b.Node("Einsum", []string{x, b.Weight("weight", 6, 6, 9)}, graph.String("equation", "ij,jk->ik"))
			return done(b, 4, 9)
		},
	}
}

// edited makes a model of the zoo and lets edit change its parts before it is used.
func edited(t *testing.T, name string, edit func(p *graph.Parts)) *onnxio.Model {
	t.Helper()
	p := graph.Of(testkit.Zoo(t, name)).Parts()
	edit(&p)
	return checked(t, p.Model())
}

// change puts a node in the place of another.
func change(n *graph.Node, edit func(*graph.Spec)) {
	spec := n.Spec()
	edit(&spec)
	*n = spec.Node()
}

func checked(t *testing.T, m *onnxio.Model) *onnxio.Model {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	return m
}

// namesTaken has the names that a rewriter would choose in use already, one of them
// inside a subgraph, and two nodes of one name.
func namesTaken(t *testing.T) *onnxio.Model {
	return edited(t, "if", func(p *graph.Parts) {
		body, _ := p.Nodes[1].Graph(testkit.Zoo(t, "if"), "else_branch")
		inner := body.Parts()
		change(&inner.Nodes[0], func(n *graph.Spec) { n.Name = "y/svd.first" })
		change(&p.Nodes[1], func(n *graph.Spec) {
			n.Name, n.Attrs[1] = "y/svd.first.weight", graph.Body("else_branch", inner)
		})
		last := p.Nodes[len(p.Nodes)-1]
		change(&p.Nodes[0], func(n *graph.Spec) { n.Name = last.Name() })
		p.Name = "y/svd.last" // graphs have names of their own
	})
}

// training has a weight that the training information updates.
func training(t *testing.T) *onnxio.Model {
	return checked(t, testkit.With(t, testkit.Zoo(t, "matmul_right"), `training_info {
		algorithm {
			name: "algorithm"
			node { op_type: "Neg" name: "step" input: "weight" output: "weight_next" }
			output { name: "weight_next" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } dim { dim_value: 6 } } } } }
		}
		update_binding { key: "weight" value: "weight_next" }
	}`))
}

// annotationBinds has an annotation that names the weight as the scale of the input.
func annotationBinds(t *testing.T) *onnxio.Model {
	return edited(t, "matmul_right", func(p *graph.Parts) {
		p.Annotations = []graph.Annotation{graph.NewAnnotation("x", graph.Pair{Key: "SCALE_TENSOR", Value: "weight"})}
	})
}

// storedShapes has value_info, for the weights too, with symbolic sizes.
func storedShapes(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 6, "H", "W")
	x = b.Conv(x, 6, 10, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))
	x = b.Conv(b.Node("Relu", []string{x}), 10, 8, []int{1, 1})
	b.Output(b.Rename("y"), tensor.Float32, "N", 8, "H", "W")
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	_ = x
	p := graph.Of(m).Parts()
	dims := p.Outputs[0].Dims()
	dims[1].Size = 10
	p.Values = []graph.Value{graph.NewValue(p.Nodes[0].Output(0), tensor.Float32, dims), graph.NewValue(p.Nodes[0].Input(1), tensor.Float32, nil)}
	return p.Model()
}

// sharded has a node whose weight is spread over devices.
func sharded(t *testing.T) *onnxio.Model {
	p := graph.Of(testkit.Zoo(t, "matmul_right")).Parts()
	p.IR, p.Nodes = 11, nil
	return checked(t, testkit.With(t, p.Model(), `
		configuration { name: "two" num_devices: 2 }
		graph { node {
			op_type: "MatMul" name: "MatMul_1" input: "x" input: "weight" output: "y"
			device_configurations { configuration_id: "two" sharding_spec { tensor_name: "weight" device: [0, 1] } }
		} }`))
}

// describe writes what Linear finds in a model.
func describe(w *strings.Builder, sites []rewrite.Site, skips []rewrite.Skip) {
	for _, s := range sites {
		fmt.Fprintf(w, "site %s: %s %v from %s, %v", s.Name, s.Op, s.Kernel, s.Weight, s.Dtype)
		if s.Located {
			fmt.Fprintf(w, ", %d × %v→%v", s.Batch, s.Geometry.In, s.Geometry.Out)
		} else {
			fmt.Fprintf(w, ", not located: %s", s.Why)
		}
		if s.WeightStays {
			fmt.Fprint(w, ", weight stays")
		}
		if s.Note != "" {
			fmt.Fprintf(w, ", note: %s", s.Note)
		}
		fmt.Fprintln(w)
	}
	for _, s := range skips {
		where := ""
		if s.Where != "" {
			where = " in " + s.Where
		}
		fmt.Fprintf(w, "skip %s%s: %s, %s: %s\n", s.Name, where, s.Op, s.Kind, s.Reason)
	}
}

func print(t *testing.T, m *onnxio.Model) string {
	t.Helper()
	var b bytes.Buffer
	if err := onnxio.Print(&b, m); err != nil {
		t.Fatal(err)
	}
	for _, a := range graph.Of(m).Annotations() {
		fmt.Fprintf(&b, "annotation of %s: %v\n", a.Tensor(), a.Parameters()[0])
	}
	for _, n := range graph.Of(m).Nodes() {
		if s := n.Spec(); s.Doc != "" || len(s.Metadata) > 0 {
			fmt.Fprintf(&b, "about %s: %q, %d properties\n", s.Name, s.Doc, len(s.Metadata))
		}
	}
	return b.String()
}

// TestGolden holds the rewriting of every situation, at rank 2, against testdata.
func TestGolden(t *testing.T) {
	seen := map[string]bool{}
	for name, m := range situations(t) {
		seen[name+".golden"] = true
		t.Run(name, func(t *testing.T) {
			before := print(t, m)
			saved := testkit.Bytes(t, m)
			sites, skips := linear(t, m)
			var b strings.Builder
			b.WriteString(before + "--- found\n")
			describe(&b, sites, skips)
			if len(sites) > 0 {
				after := rewritten(t, m, sites, 2)
				b.WriteString("--- rewritten at rank 2\n" + print(t, after))
				untouched(t, m, after)
			}
			if !bytes.Equal(saved, testkit.Bytes(t, m)) {
				t.Error("the original model has changed")
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != b.String() {
				t.Errorf("differs from %s (go test -update writes it anew):\n%s", path, b.String())
			}
		})
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[filepath.Base(f)] {
			t.Errorf("%s belongs to no situation", f)
		}
	}
}

// untouched tells whether two models share every node and tensor that both have.
func untouched(t *testing.T, before, after *onnxio.Model) {
	t.Helper()
	for _, n := range graph.Of(after).Nodes() {
		if !strings.Contains(n.Name(), "/svd.") && graph.Of(before).Position(n) < 0 {
			t.Errorf("node %q is a copy", n.Name())
		}
	}
	for _, p := range graph.Of(after).Initializers() {
		if old, ok := graph.Of(before).Initializer(p.Name()); ok && old.Proto() != p.Proto() {
			t.Errorf("initializer %q is a copy", p.Name())
		}
	}
}

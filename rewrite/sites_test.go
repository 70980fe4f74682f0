package rewrite_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestSitesGain holds the reasons of Sites for nodes that Linear accepts but that cannot
// gain, and takes those that can: a depthwise Conv with many outputs for each input channel
// is a matrix with ranks to lose, and any window of 3×3 can be split along its axes.
func TestSitesGain(t *testing.T) {
	conv := func(in, out, groups int, window ...int) *onnxio.Model {
		b := testmodels.NewBuilder(1, 17, 8)
		b.Conv(b.Input("x", tensor.Float32, "N", in, 9, 9), in, out, window, graph.Int("group", groups))
		return model(t, done(b, "N", out, nil, nil))
	}
	linear := func(in, out int) *onnxio.Model {
		b := testmodels.NewBuilder(1, 17, 8)
		b.Linear(b.Input("x", tensor.Float32, 4, in), in, out, false)
		return model(t, done(b, 4, out))
	}
	for _, c := range []struct {
		name string
		m    *onnxio.Model
		want rewrite.SkipKind
	}{
		{"depthwise", conv(6, 6, 6, 2, 2), rewrite.SkipDepthwise},
		{"depthwise, 3×3", conv(6, 6, 6, 3, 3), ""},
		{"depthwise, 2 outputs each", conv(6, 12, 6, 3, 3), ""},
		{"depthwise, 20 outputs each", conv(2, 40, 2, 3, 3), ""},
		{"one output", conv(6, 1, 1, 1, 1), rewrite.SkipNoGain},
		{"one output, 3×3", conv(6, 1, 1, 3, 3), ""},
		{"plain", conv(6, 6, 1, 3, 3), ""},
		{"one row", linear(6, 1), rewrite.SkipNoGain},
		{"2 by 2", linear(2, 2), rewrite.SkipNoGain},
		{"2 by 3", linear(2, 3), ""},
	} {
		sites, skips, err := rewrite.Sites(c.m, infer(c.m))
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			if len(sites) != 1 || len(skips) != 0 {
				t.Errorf("%s: sites %v, skips %v", c.name, sites, skips)
			}
			continue
		}
		if len(sites) != 0 || len(skips) != 1 || skips[0].Kind != c.want || skips[0].Params == 0 {
			t.Errorf("%s: sites %v, skips %v, wanted one of kind %s", c.name, sites, skips, c.want)
		}
	}
}

func model(t testing.TB, b *testmodels.Builder) *onnxio.Model {
	t.Helper()
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestViewPads: auto_pad shares out the padding that the sizes need; an odd one goes to
// the end for SAME_UPPER, to the begin for SAME_LOWER.
func TestViewPads(t *testing.T) {
	v := rewrite.View{Window: []int{4, 3}, Strides: []int{1, 2}, Dilations: []int{1, 2}, PadBegin: []int{1, 2}, PadEnd: []int{3, 4}}
	for _, c := range []struct {
		auto            string
		begin, end, out []int
	}{
		{"", []int{1, 2}, []int{3, 4}, []int{8, 5}},
		{"SAME_UPPER", []int{1, 1}, []int{2, 2}, []int{7, 4}},
		{"SAME_LOWER", []int{2, 2}, []int{1, 1}, []int{7, 4}},
	} {
		v.AutoPad = c.auto
		begin, end := v.Pads([]int{7, 8})
		if out := v.Output([]int{7, 8}); !slices.Equal(begin, c.begin) || !slices.Equal(end, c.end) || !slices.Equal(out, c.out) {
			t.Errorf("%q: pads %v and %v, output %v; wanted %v, %v, %v", c.auto, begin, end, out, c.begin, c.end, c.out)
		}
	}
	if out := (rewrite.View{Window: []int{5}, Strides: []int{2}, Dilations: []int{1}, PadBegin: []int{0}, PadEnd: []int{0}}).Output([]int{4}); out[0] != 0 {
		t.Errorf("a window that does not fit has %d positions", out[0])
	}
}

// TestSkipsInOrder wants the reasons in the order of the graph, those of a subgraph where
// the node that holds it stands.
func TestSkipsInOrder(t *testing.T) {
	b, x := matrix()
	choice := b.Input("choice", tensor.Bool)
	x = b.Linear(x, 6, 1, false) // cannot gain
	body := func(name string) graph.Attr {
		return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
			body.Output(body.Linear(x, 1, 6, false), tensor.Float32, 4, 6)
		}))
	}
	x = b.Node("If", []string{choice}, body("then_branch"), body("else_branch"))
	b.Node("MatMul", []string{x, b.Node("Transpose", []string{x})})
	m := model(t, done(b, 4, 4))
	_, skips, err := rewrite.Sites(m, infer(m))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range skips {
		names = append(names, s.Name)
	}
	if want := []string{"MatMul_1", "MatMul_2", "MatMul_3", "MatMul_4"}; !slices.Equal(names, want) {
		t.Errorf("skips %v, wanted %v", names, want)
	}
}

// normalized makes Conv → BatchNormalization of an opset, edited before it is used.
func normalized(t *testing.T, opset int64, edit func(p *graph.Parts)) (*onnxio.Model, *rewrite.Site) {
	t.Helper()
	b := testmodels.NewBuilder(5, opset, 4)
	x := b.Input("x", tensor.Float32, "N", 4, 7, 7)
	x = b.ConvBias(x, 4, 6, []int{3, 3}, "")
	b.BatchNorm(x, 6)
	b.Output(b.Rename("y"), tensor.Float32, "N", 6, 5, 5)
	p := graph.Of(model(t, b)).Parts()
	if edit != nil {
		edit(&p)
	}
	m := p.Model()
	sites, _ := linear(t, m)
	if len(sites) != 1 {
		t.Fatalf("%d sites", len(sites))
	}
	return m, &sites[0]
}

// TestOutputScale compares with the definition where the normalization can be folded, and
// wants nothing where it cannot.
func TestOutputScale(t *testing.T) {
	attribute := func(a graph.Attr) func(*graph.Parts) {
		return func(p *graph.Parts) {
			change(&p.Nodes[1], func(n *graph.Spec) { n.Attrs = append(n.Attrs, a) })
		}
	}
	for _, c := range []struct {
		name  string
		opset int64
		edit  func(*graph.Parts)
		folds bool
	}{
		{"opset 6, training", 6, nil, false},
		{"opset 6, is_test", 6, attribute(graph.Int("is_test", 1)), true},
		{"opset 7", 7, nil, true},
		{"opset 7, not spatial", 7, attribute(graph.Int("spatial", 0)), false},
		{"opset 9", 9, nil, true},
		{"opset 9, running means", 9, func(p *graph.Parts) {
			change(&p.Nodes[1], func(n *graph.Spec) { n.Outputs = append(n.Outputs, "mean", "var") })
		}, false},
		{"opset 15", 15, nil, true},
		{"opset 15, training_mode", 15, attribute(graph.Int("training_mode", 1)), false},
		{"other use", 15, func(p *graph.Parts) {
			p.Nodes = append(p.Nodes, graph.NewNode("Relu", "", p.Nodes[0].Outputs(), []string{"z"}))
		}, false},
		{"graph output", 15, func(p *graph.Parts) {
			p.Outputs = append(p.Outputs, graph.NewValue(p.Nodes[0].Output(0), tensor.Float32, p.Outputs[0].Dims()))
		}, false},
		{"computed scale", 15, func(p *graph.Parts) {
			abs := graph.NewNode("Abs", "", []string{p.Nodes[1].Input(1)}, []string{"s"})
			change(&p.Nodes[1], func(n *graph.Spec) { n.Inputs[1] = "s" })
			p.Nodes = slices.Insert(p.Nodes, 1, abs)
		}, false},
		{"negative variance", 15, func(p *graph.Parts) {
			v := p.Initializers[4]
			p.Initializers[4] = onnxio.DenseTensor(v.Name(), tensor.FromFloat32(v.Shape(), slices.Repeat([]float32{-1}, 6)))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, s := normalized(t, c.opset, c.edit)
			if !c.folds {
				if s.OutputScale != nil {
					t.Errorf("the scale is %v, wanted none", s.OutputScale)
				}
				if g := s.OutputMetric(); g != nil {
					t.Errorf("the output metric is %v, wanted the identity", g)
				}
				return
			}
			if len(s.OutputScale) != 6 {
				t.Fatalf("the scale is %v, wanted 6 numbers", s.OutputScale)
			}
			numbers := func(i int) []float64 {
				d, err := graph.Of(m).Initializers()[i].Dense()
				if err != nil {
					t.Fatal(err)
				}
				v, err := d.Float64s()
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			scale, variance := numbers(1), numbers(4)
			for i, got := range s.OutputScale {
				want := math.Abs(scale[i]) / math.Sqrt(variance[i]+float64(float32(1e-5)))
				if math.Abs(got-want) > 1e-12*want {
					t.Errorf("channel %d is scaled by %v, wanted %v", i, got, want)
				}
			}
			for g, metric := range s.OutputMetric() {
				for i, got := range metric.Data {
					row, want := i/metric.Cols, 0.
					if row == i%metric.Cols {
						want = s.OutputScale[g*metric.Rows+row] * s.OutputScale[g*metric.Rows+row]
					}
					if got != want {
						t.Errorf("element %d of group %d of the output metric is %v, wanted %v", i, g, got, want)
					}
				}
			}
			if g := s.OutputMetric(); len(g) != s.Kernel.Groups {
				t.Errorf("%d output metrics, wanted one for each of %d groups", len(g), s.Kernel.Groups)
			}
		})
	}
}

// TestOutputScaleOfProducts: the normalization's channels are axis 1, so only a product of
// two axes has its own there.
func TestOutputScaleOfProducts(t *testing.T) {
	for _, c := range []struct {
		dims  []any
		left  bool
		folds bool
	}{
		{[]any{4, 6}, false, true},
		{[]any{2, 6, 6}, false, false},
		{[]any{6, 6}, true, false},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		operands := []string{b.Input("x", tensor.Float32, c.dims...), b.Weight("weight", 6, 6, 6)}
		if c.left {
			slices.Reverse(operands)
		}
		b.BatchNorm(b.Node("MatMul", operands), 6)
		b.Output(b.Rename("y"), tensor.Float32, c.dims...)
		sites, _ := linear(t, model(t, b))
		if len(sites) != 1 || (sites[0].OutputScale != nil) != c.folds {
			t.Errorf("%v, left %t: sites %+v, scale wanted: %t", c.dims, c.left, sites, c.folds)
		}
	}
}

// TestLoadRefuses names the tensor and the element that is no number.
func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		value, alpha float32
		want         string
	}{
		{float32(math.NaN()), 1, `weight "weight" of node "Gemm_1": element [2 3] is NaN`},
		{float32(math.Inf(-1)), 1, `weight "weight" of node "Gemm_1": element [2 3] is -Inf`},
		{1, float32(math.NaN()), "alpha NaN"},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		v := make([]float64, 42)
		b.Node("Gemm", []string{b.Input("x", tensor.Float32, 4, 7), b.Tensor("weight", tensor.Float32, []int{7, 6}, v)}, graph.Float("alpha", c.alpha))
		b.Output(b.Rename("y"), tensor.Float32, 4, 6)
		p := graph.Of(model(t, b)).Parts()
		numbers := make([]float32, 42)
		numbers[15] = c.value
		p.Initializers[0] = onnxio.DenseTensor("weight", tensor.FromFloat32([]int{7, 6}, numbers))
		sites, _ := linear(t, p.Model())
		if _, err := sites[0].Load(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, wanted %s", err, c.want)
		}
	}
}

// TestMalformed wants a reason, not an error, for nodes whose parts contradict each other.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name string
		a    graph.Attr
	}{
		{"groups", graph.Int("group", 4)},
		{"groups", graph.Int("group", -1)},
		{"strides", graph.Ints("strides", 1)},
		{"strides", graph.Ints("strides", 0, 1)},
		{"dilations", graph.Ints("dilations", 1, 1, 1)},
		{"pads", graph.Ints("pads", 1, 1)},
		{"pads", graph.Ints("pads", 1, -1, 1, 1)},
		{"auto_pad", graph.String("auto_pad", "SAME")},
		{"kernel_shape", graph.Ints("kernel_shape", 2, 2)},
	} {
		m := edited(t, "conv_plain", func(p *graph.Parts) {
			change(&p.Nodes[0], func(n *graph.Spec) { n.Attrs = []graph.Attr{c.a} })
		})
		sites, skips := linear(t, m)
		if len(sites) != 0 || len(skips) != 1 || skips[0].Kind != rewrite.SkipMalformed || !strings.Contains(skips[0].Reason, c.name) {
			t.Errorf("%v: sites %v, skips %v", c.a, sites, skips)
		}
	}
}

// TestCosts counts the multiply-adds of networks whose numbers are known.
func TestCosts(t *testing.T) {
	resnet20 := func() *onnxio.Model {
		b := testmodels.NewBuilder(1, 13, 7)
		x := b.Input("input", tensor.Float32, "batch", 3, 32, 32)
		in := 3
		conv := func(out, stride int) {
			x = b.ConvBias(x, in, out, []int{3, 3}, "", graph.Ints("pads", 1, 1, 1, 1), graph.Ints("strides", stride, stride))
			in = out
		}
		conv(16, 1)
		for stage, out := range []int{16, 32, 64} {
			for block := range 3 {
				conv(out, 1+min(stage, 1)*max(0, 1-block))
				conv(out, 1)
			}
		}
		x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})})
		b.Node("Gemm", []string{x, b.Weight("fc", 64, 10, 64), b.Weight("fc_bias", 64, 10)}, graph.Int("transB", 1))
		b.Output(b.Rename("logits"), tensor.Float32, "batch", 10)
		return model(t, b)
	}()
	for _, c := range []struct {
		name         string
		m            *onnxio.Model
		inputs       map[string][]int
		macs, params int64
		nodes        int
		unlocated    int
	}{
		{"resnet20", resnet20, nil, 40_551_040, 267_696 + 650, 20, 0},
		{"resnet20, batch 4", resnet20, map[string][]int{"input": {4, 3, 32, 32}}, 4 * 40_551_040, 267_696 + 650, 20, 0},
		// Six products with weights of 12·(4·12+2·40) and 12·5, scores and values of 2 heads.
		{"transformer", testkit.Zoo(t, "transformer"), map[string][]int{"tokens": {2, 9}}, 2*9*(4*144+2*480) + 2*60 + 2*2*(2*9*9*6), -1, 9, 0},
		{"conv_groups", testkit.Zoo(t, "conv_groups"), nil, 9 * 2 * 9 * 9 * 11, 9*2*9 + 9, 1, 0},
		{"transposed_conv", testkit.Zoo(t, "transposed_conv"), nil, 6 * 4 * 9 * 5 * 7, 6 * 4 * 9, 1, 0},
		{"gemm_trans_both", testkit.Zoo(t, "gemm_trans_both"), nil, 4 * 5 * 7, 40, 1, 0},
		{"matmul_left_1d_input", testkit.Zoo(t, "matmul_left_1d_input"), nil, 54, 54, 1, 0},
		{"if", testkit.Zoo(t, "if"), nil, 4 * 9 * 5, 54 + 81 + 9 + 45, 1, 3},
		{"function", testkit.Zoo(t, "function"), nil, 0, 3 * 36, 0, 2},
		{"weight_value_floats", testkit.Zoo(t, "weight_value_floats"), nil, 24, 6, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inputs, unknown := shapes.InputShapes(c.m, c.inputs)
			if len(unknown) > 0 {
				t.Fatal(unknown)
			}
			got := rewrite.MeasureCosts(c.m, shapes.Infer(c.m, inputs))
			if got.MACs != c.macs || len(got.Nodes) != c.nodes || len(got.Unlocated) != c.unlocated || c.params >= 0 && got.Params != c.params {
				t.Errorf("%d MACs in %d nodes, %d not located, %d parameters; wanted %d, %d, %d, %d",
					got.MACs, len(got.Nodes), len(got.Unlocated), got.Params, c.macs, c.nodes, c.unlocated, c.params)
			}
		})
	}
}

// TestCostsAgree: the costs of a rewritten model are those that the sites foretold.
func TestCostsAgree(t *testing.T) {
	for _, name := range []string{"cnn", "transformer", "cnn_constant_nodes", "conv_volume", "matmul_left_3d", "weight_shared"} {
		m := testkit.Zoo(t, name)
		s := infer(m)
		sites, _, err := rewrite.Sites(m, s)
		if err != nil {
			t.Fatal(err)
		}
		before := rewrite.MeasureCosts(m, s)
		want := before
		dropped := map[string]bool{}
		for i := range sites {
			c := factor(t, &sites[i], 2)
			want.MACs += sites[i].MACs(c) - sites[i].DenseMACs()
			want.Params += c.Params()
			if !sites[i].WeightStays && !dropped[sites[i].Weight] {
				dropped[sites[i].Weight] = true
				want.Params -= sites[i].Kernel.Params()
			}
		}
		small := rewritten(t, m, sites, 2)
		got := rewrite.MeasureCosts(small, infer(small))
		if got.MACs != want.MACs || got.Params != want.Params || len(sites) == 0 {
			t.Errorf("%s: %d MACs and %d parameters, foretold %d and %d", name, got.MACs, got.Params, want.MACs, want.Params)
		}
	}
}

func TestUnlocatedReason(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, 4, 6)
	kept := b.Node("Compress", []string{x, b.Node("Cast", []string{b.Node("ReduceMax", []string{x}, graph.Ints("axes", 1), graph.Int("keepdims", 0))}, graph.Int("to", 9))}, graph.Int("axis", 0))
	b.Linear(kept, 6, 9, false)
	m := model(t, done(b, nil, 9))
	costs := rewrite.MeasureCosts(m, infer(m))
	if len(costs.Unlocated) != 1 || !strings.Contains(costs.Unlocated[0].Why, "Compress") {
		t.Errorf("not located: %+v", costs.Unlocated)
	}
	sites, _ := linear(t, m)
	if len(sites) != 1 || sites[0].Located || !strings.Contains(sites[0].Why, "Compress") || sites[0].DenseMACs() != 0 {
		t.Errorf("sites %+v", sites)
	}
}

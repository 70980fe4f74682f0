package shapes

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/seeds"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// one is a model of a single node whose operands are inputs, or constants of a type.
type one struct {
	op     string
	opset  int64
	x      []int // shape of the first operand, a float32 input
	more   []operand
	a      []graph.Attr
	want   [][]int // shapes of the outputs
	reason string  // in place of a shape: part of the reason
}

// operand is a further operand: int64 numbers, or float32 with a shape.
type operand struct {
	ints   []int64
	floats []float64
	shape  []int
}

func (c one) model(t *testing.T) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(1, c.opset, 4)
	dims := make([]any, len(c.x))
	for i, d := range c.x {
		dims[i] = d
	}
	inputs := []string{b.Input("x", tensor.Float32, dims...)}
	for i, o := range c.more {
		name := string(rune('a' + i))
		switch {
		case o.ints != nil:
			v := make([]float64, len(o.ints))
			for k, x := range o.ints {
				v[k] = float64(x)
			}
			shape := o.shape
			if shape == nil {
				shape = []int{len(v)}
			}
			inputs = append(inputs, b.Tensor(name, tensor.Int64, shape, v))
		case o.floats != nil:
			inputs = append(inputs, b.Tensor(name, tensor.Float32, []int{len(o.floats)}, o.floats))
		case o.shape != nil:
			inputs = append(inputs, b.Weight(name, 1, o.shape...))
		default:
			inputs = append(inputs, "")
		}
	}
	b.Node(c.op, inputs, c.a...)
	b.Rename("y")
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	p := graph.Of(m).Parts()
	n := p.Nodes[0].Spec()
	for i := 1; i < len(c.want); i++ {
		n.Outputs = append(n.Outputs, "y"+string(rune('0'+i)))
	}
	p.Nodes[0] = n.Node()
	return p.Model()
}

// TestOldForms covers forms of operators that the newest opsets no longer have, so that
// no published test data shows them, and operands that no tensor can have.
func TestOldForms(t *testing.T) {
	ints, number, floats := graph.Ints, graph.Int, graph.Floats
	type list = []graph.Attr
	for _, c := range []one{
		{op: "Reshape", opset: 1, x: []int{2, 6}, a: list{ints("shape", 0, 3, -1)}, want: [][]int{{2, 3, 2}}},
		{op: "Reshape", opset: 5, x: []int{2, 6}, more: []operand{{ints: []int64{4, -1}}}, want: [][]int{{4, 3}}},
		{op: "Reshape", opset: 14, x: []int{0, 6}, more: []operand{{ints: []int64{3, 0}}}, a: list{number("allowzero", 1)}, want: [][]int{{3, 0}}},
		{op: "Reshape", opset: 14, x: []int{2, 6}, more: []operand{{ints: []int64{5, -1}}}, reason: "does not fit"},
		{op: "Reshape", opset: 14, x: []int{2, 6}, more: []operand{{ints: []int64{-1, -1}}}, reason: "does not fit"},
		{op: "Reshape", opset: 14, x: []int{2, 6}, more: []operand{{ints: []int64{1 << 62, 1 << 62}}}, reason: "node \"Reshape_1\""},
		{op: "Slice", opset: 1, x: []int{10, 10}, a: list{ints("starts", -3, 2), ints("ends", 100, -1), ints("axes", 1, 0)}, want: [][]int{{7, 3}}},
		{op: "Slice", opset: 9, x: []int{10, 10}, a: list{ints("starts", 1), ints("ends", 4)}, want: [][]int{{3, 10}}},
		{op: "Slice", opset: 10, x: []int{10}, more: []operand{{ints: []int64{-1}}, {ints: []int64{-1 << 63}}, {ints: []int64{0}}, {ints: []int64{-3}}}, want: [][]int{{4}}},
		{op: "Slice", opset: 10, x: []int{10}, more: []operand{{ints: []int64{0}}, {ints: []int64{1 << 62}}, {}, {ints: []int64{1 << 62}}}, want: [][]int{{1}}},
		{op: "Slice", opset: 10, x: []int{10}, more: []operand{{ints: []int64{0}}, {ints: []int64{5}}, {ints: []int64{1}}}, reason: "axis 1 is out of range"},
		{op: "Slice", opset: 10, x: []int{10}, more: []operand{{ints: []int64{0}}, {ints: []int64{5}}, {}, {ints: []int64{0}}}, reason: "step 0"},
		{op: "Squeeze", opset: 1, x: []int{1, 3, 1}, a: list{ints("axes", 0)}, want: [][]int{{3, 1}}},
		{op: "Squeeze", opset: 11, x: []int{1, 3, 1}, a: list{ints("axes", -1)}, want: [][]int{{1, 3}}},
		{op: "Squeeze", opset: 13, x: []int{1, 3, 1}, want: [][]int{{3}}},
		{op: "Squeeze", opset: 13, x: []int{1, 3, 1}, more: []operand{{ints: []int64{1}}}, reason: "axis 1 has size 3"},
		{op: "Unsqueeze", opset: 1, x: []int{3}, a: list{ints("axes", 0, 2)}, want: [][]int{{1, 3, 1}}},
		{op: "Unsqueeze", opset: 13, x: []int{3}, more: []operand{{ints: []int64{0, 0}}}, reason: "named twice"},
		{op: "Split", opset: 2, x: []int{7, 2}, a: list{ints("split", 3, 4)}, want: [][]int{{3, 2}, {4, 2}}},
		{op: "Split", opset: 11, x: []int{6, 2}, a: list{number("axis", -2)}, want: [][]int{{2, 2}, {2, 2}, {2, 2}}},
		{op: "Split", opset: 13, x: []int{6, 2}, more: []operand{{ints: []int64{1, 5}}}, want: [][]int{{1, 2}, {5, 2}}},
		{op: "Split", opset: 18, x: []int{7, 2}, a: list{number("num_outputs", 3)}, want: [][]int{{3, 2}, {3, 2}, {1, 2}}},
		{op: "Split", opset: 13, x: []int{6, 2}, more: []operand{{ints: []int64{4, 5}}}, reason: "parts"},
		{op: "Pad", opset: 1, x: []int{3, 4}, a: list{ints("paddings", 0, 1, 2, 3)}, want: [][]int{{5, 8}}},
		{op: "Pad", opset: 2, x: []int{3, 4}, a: list{ints("pads", 0, -1, 2, 0)}, want: [][]int{{5, 3}}},
		{op: "Pad", opset: 11, x: []int{3, 4}, more: []operand{{ints: []int64{0, 1, 2, 3}}}, want: [][]int{{5, 8}}},
		{op: "Pad", opset: 18, x: []int{3, 4}, more: []operand{{ints: []int64{1, 2}}, {}, {ints: []int64{-1}}}, want: [][]int{{3, 7}}},
		{op: "Pad", opset: 11, x: []int{3, 4}, more: []operand{{ints: []int64{-9, 0, 0, 0}}}, reason: "not possible"},
		{op: "TopK", opset: 1, x: []int{3, 9}, a: list{number("k", 4)}, want: [][]int{{3, 4}, {3, 4}}},
		{op: "TopK", opset: 10, x: []int{3, 9}, more: []operand{{ints: []int64{4}}}, a: list{number("axis", 1)}, want: [][]int{{3, 4}, {3, 4}}},
		{op: "TopK", opset: 10, x: []int{3, 9}, more: []operand{{ints: []int64{40}}}, reason: "k is 40"},
		{op: "Tile", opset: 1, x: []int{3, 4}, more: []operand{{ints: []int64{2}}, {ints: []int64{1}}}, want: [][]int{{3, 8}}},
		{op: "Tile", opset: 6, x: []int{3, 4}, more: []operand{{ints: []int64{2, 0}}}, want: [][]int{{6, 0}}},
		{op: "Tile", opset: 6, x: []int{3, 4}, more: []operand{{ints: []int64{1 << 60, 1}}}, reason: "times"},
		{op: "Upsample", opset: 7, x: []int{1, 2, 3, 4}, a: list{floats("scales", 1, 1, 2, 2.5)}, want: [][]int{{1, 2, 6, 10}}},
		{op: "Upsample", opset: 9, x: []int{1, 2, 3, 4}, more: []operand{{floats: []float64{1, 1, 2, 2}}}, want: [][]int{{1, 2, 6, 8}}},
		{op: "Resize", opset: 10, x: []int{1, 2, 3, 4}, more: []operand{{floats: []float64{1, 1, 0.5, 2}}}, want: [][]int{{1, 2, 1, 8}}},
		{op: "Resize", opset: 11, x: []int{1, 2, 3, 4}, more: []operand{{}, {floats: []float64{1, 1, 0.5, 2}}}, want: [][]int{{1, 2, 1, 8}}},
		{op: "Resize", opset: 13, x: []int{1, 2, 3, 4}, more: []operand{{}, {}, {ints: []int64{1, 2, 7, 9}}}, want: [][]int{{1, 2, 7, 9}}},
		{op: "Add", opset: 6, x: []int{2, 3, 4}, more: []operand{{shape: []int{3}}}, a: list{number("broadcast", 1), number("axis", 1)}, want: [][]int{{2, 3, 4}}},
		{op: "Add", opset: 7, x: []int{2, 3, 1}, more: []operand{{shape: []int{3, 4}}}, want: [][]int{{2, 3, 4}}},
		{op: "Add", opset: 7, x: []int{2, 3}, more: []operand{{shape: []int{4}}}, reason: "do not broadcast"},
		{op: "ReduceSum", opset: 11, x: []int{2, 3, 4}, a: list{ints("axes", -1, 0), number("keepdims", 0)}, want: [][]int{{3}}},
		{op: "ReduceSum", opset: 13, x: []int{2, 3, 4}, more: []operand{{ints: []int64{1}}}, want: [][]int{{2, 1, 4}}},
		{op: "ReduceMean", opset: 17, x: []int{2, 3}, want: [][]int{{1, 1}}},
		{op: "ReduceMean", opset: 18, x: []int{2, 3}, a: list{number("noop_with_empty_axes", 1)}, want: [][]int{{2, 3}}},
		{op: "Concat", opset: 1, x: []int{2, 3}, more: []operand{{shape: []int{2, 4}}}, want: [][]int{{2, 7}}},
		{op: "Concat", opset: 4, x: []int{2, 3}, more: []operand{{shape: []int{3, 4}}}, a: list{number("axis", 1)}, reason: "differ in axis 0"},
		{op: "Dropout", opset: 6, x: []int{2, 3}, want: [][]int{{2, 3}, {2, 3}}},
		{op: "MaxPool", opset: 10, x: []int{1, 2, 8}, a: list{ints("kernel_shape", 3), ints("strides", 2), number("ceil_mode", 1)}, want: [][]int{{1, 2, 4}, {1, 2, 4}}},
		{op: "MaxPool", opset: 10, x: []int{1, 2, 4}, a: list{ints("kernel_shape", 2), ints("strides", 3), ints("pads", 0, 2), number("ceil_mode", 1)}, want: [][]int{{1, 2, 2}}},
		{op: "MaxPool", opset: 10, x: []int{1, 2, 4}, a: list{ints("kernel_shape", 7)}, reason: "does not fit"},
		{op: "Conv", opset: 11, x: []int{1, 4, 8, 8}, more: []operand{{shape: []int{6, 2, 3, 3}}}, a: list{number("group", 2), ints("pads", 1, 1, 1, 1)}, want: [][]int{{1, 6, 8, 8}}},
		{op: "Conv", opset: 11, x: []int{1, 5, 8, 8}, more: []operand{{shape: []int{6, 2, 3, 3}}}, reason: "channels"},
		{op: "Conv", opset: 11, x: []int{1, 2, 8, 8}, more: []operand{{shape: []int{6, 2, 3, 3}}}, a: list{ints("strides", 0, 1)}, reason: "strides"},
		{op: "Conv", opset: 11, x: []int{1, 2, 8, 8}, more: []operand{{shape: []int{6, 2, 9, 3}}}, reason: "does not fit"},
		{op: "Flatten", opset: 1, x: []int{2, 3, 4}, a: list{number("axis", 0)}, want: [][]int{{1, 24}}},
		{op: "Gather", opset: 1, x: []int{5, 3}, more: []operand{{ints: []int64{4, 0}}}, a: list{number("axis", 1)}, reason: "index 4 is out of range"},
		{op: "Gather", opset: 1, x: []int{5, 3}, more: []operand{{ints: []int64{4}, shape: []int{}}}, want: [][]int{{3}}},
		{op: "Expand", opset: 8, x: []int{3, 1}, more: []operand{{ints: []int64{2, 1, 6}}}, want: [][]int{{2, 3, 6}}},
		{op: "MatMul", opset: 9, x: []int{2, 3}, more: []operand{{shape: []int{4, 5}}}, reason: "do not multiply"},
		{op: "NonZero", opset: 9, x: []int{2, 3}, reason: "depends on data"},
		{op: "ATen", opset: 9, x: []int{2, 3}, reason: `node "ATen_1" (ATen): the operator has no shape rule`},
	} {
		m := c.model(t)
		s := Infer(m, map[string][]int{"x": c.x})
		if c.reason != "" {
			if why := s.Why("y"); !strings.Contains(why, c.reason) {
				got, _ := s.Of("y")
				t.Errorf("%s, opset %d, %v: shape %v, reason %q, wanted %q", c.op, c.opset, c.a, got, why, c.reason)
			}
			continue
		}
		for i, want := range c.want {
			name := graph.Of(m).Nodes()[0].Output(i)
			if got, _ := s.Of(name); !slices.Equal(got, want) || s.Why(name) != "" {
				t.Errorf("%s, opset %d, %v: output %d has the shape %v (%s), wanted %v", c.op, c.opset, c.a, i, got, s.Why(name), want)
			}
		}
	}
}

// TestWhyNamesTheCause: values far behind name the node where inference stopped.
func TestWhyNamesTheCause(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, 4, 6)
	y := b.Node("NonZero", []string{x})
	for range 3 {
		y = b.Node("Abs", []string{y})
	}
	known := b.Node("Reshape", []string{b.Node("Cast", []string{y}, graph.Int("to", 1)), b.Ints("target", 3, 8)})
	b.Output(b.Rename("out"), tensor.Float32, nil, nil)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	_ = known
	s := Infer(m, map[string][]int{"x": {4, 6}})
	if why := s.Why(y); !strings.Contains(why, `"NonZero_1" (NonZero)`) {
		t.Errorf("reason %q", why)
	}
	if shape, ok := s.Of("out"); !ok || !slices.Equal(shape, []int{3, 8}) {
		t.Errorf("the reshaped value has the shape %v: a target of sizes holds whatever comes in", shape)
	}
	if why := s.Why("elsewhere"); !strings.Contains(why, "elsewhere") {
		t.Errorf("reason %q for a name that is no value", why)
	}
	if s.Why("") != "" {
		t.Error("the absent value has a reason")
	}
}

// TestStoredShapes: a shape in the file helps where no rule does, unless the inputs are of
// another size than the file says.
func TestStoredShapes(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, 2, 6)
	b.Import("org.example", 1)
	y := b.Call("org.example", "Mystery", x)
	b.Node("Relu", []string{y})
	b.Output(b.Rename("out"), tensor.Float32, nil, nil)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	p := graph.Of(m).Parts()
	p.Values = append(p.Values, graph.NewValue(y, tensor.Float32, p.Inputs[0].Dims()))
	m = p.Model()
	if shape, ok := Infer(m, map[string][]int{"x": {2, 6}}).Of("out"); !ok || !slices.Equal(shape, []int{2, 6}) {
		t.Errorf("shape %v from the stored one", shape)
	}
	if shape, ok := Infer(m, map[string][]int{"x": {3, 6}}).Of("out"); ok {
		t.Errorf("shape %v from one stored for another size", shape)
	}
}

func TestInputShapes(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	b.Input("ids", tensor.Int64, "batch", "seq")
	b.Input("mask", tensor.Int64, "batch", "seq")
	b.Input("image", tensor.Float32, nil, 3, "h", 7)
	b.Input("scalar", tensor.Float32)
	b.Place(testmodels.Overridable).Weight("weight", 1, 3, 3)
	b.Node("Identity", []string{"ids"})
	b.Output(b.Rename("y"), tensor.Int64, nil, nil)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		given   map[string][]int
		want    map[string][]int
		unknown []string
	}{
		{
			"nothing given", nil,
			map[string][]int{"scalar": {}},
			[]string{`input "ids": size of axis 1 ("seq") is not fixed`, `input "mask": size of axis 1 ("seq") is not fixed`, `input "image": size of axis 2 ("h") is not fixed`},
		},
		{
			"a name counts everywhere",
			map[string][]int{"ids": {2, 9}, "image": {1, 3, 5, 7}},
			map[string][]int{"ids": {2, 9}, "mask": {2, 9}, "image": {1, 3, 5, 7}, "scalar": {}},
			nil,
		},
		{
			"contradictions",
			map[string][]int{"ids": {2, 9}, "mask": {2, 8}, "image": {1, 4, 5, 7}},
			map[string][]int{"ids": {2, 9}, "scalar": {}},
			[]string{`input "mask": given size 8 of axis 1 contradicts 9`, `input "image": given size 4 of axis 1 contradicts 3`},
		},
		{
			"wrong rank",
			map[string][]int{"ids": {2, 9, 1}, "mask": {1, 9}, "image": {1, 3, 5, -7}},
			map[string][]int{"mask": {1, 9}, "scalar": {}},
			[]string{`input "ids": given shape [2 9 1] has 3 axes, the model declares 2`, `input "image": given size -7 of axis 3 is negative`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, unknown := InputShapes(m, c.given)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("shapes %v, wanted %v", got, c.want)
			}
			var text []string
			for _, u := range unknown {
				text = append(text, u.String())
			}
			if !slices.Equal(text, c.unknown) {
				t.Errorf("unknown %q, wanted %q", text, c.unknown)
			}
		})
	}
	if n := len(graph.Of(m).Feeds()); n != 4 {
		t.Errorf("%d inputs to feed", n)
	}
}

// TestFunction follows calls of local functions, with attributes taken from the call and
// from the function's defaults.
func TestFunction(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, 2, 3, 4)
	b.Import("local", 1)
	b.Function("local", "Turn", []string{"in"}, []string{"out"}, func(body *testmodels.Builder) {
		body.Node("Transpose", []string{"in"}, graph.Reference("perm", "order"))
		body.Rename("out")
	})
	plain := b.Call("local", "Turn", x)
	given := b.Call("local", "Turn", x)
	b.Output(b.Rename("y"), tensor.Float32, nil, nil, nil)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	_ = given
	p := graph.Of(m).Parts()
	f := p.Functions[0]
	p.Functions[0] = graph.NewFunction(f.Op(), f.Inputs(), f.Outputs(), f.Opsets(), f.Nodes(), graph.Ints("order", 1, 0, 2))
	second := p.Nodes[1].Spec()
	second.Attrs = []graph.Attr{graph.Ints("order", 0, 2, 1)}
	p.Nodes[1] = second.Node()
	s := Infer(p.Model(), map[string][]int{"x": {2, 3, 4}})
	for name, want := range map[string][]int{plain: {3, 2, 4}, "y": {2, 4, 3}} {
		if got, _ := s.Of(name); !slices.Equal(got, want) {
			t.Errorf("value %q has the shape %v (%s), wanted %v", name, got, s.Why(name), want)
		}
	}
}

// TestRecursion: functions that call themselves, which are not allowed, end.
func TestRecursion(t *testing.T) {
	node := graph.NewNode("local::Loop", "", []string{"x"}, []string{"y"})
	m := graph.Parts{
		Functions: []graph.Function{graph.NewFunction("local::Loop", []string{"x"}, []string{"y"}, nil, []graph.Node{node})},
		Nodes:     []graph.Node{node}, Inputs: []graph.Value{graph.NewValue("x", tensor.Undefined, nil)},
	}.Model()
	if why := Infer(m, map[string][]int{"x": {2}}).Why("y"); !strings.Contains(why, "too deeply") {
		t.Errorf("reason %q", why)
	}
}

// TestIf takes the branch of a known condition, and both where they agree.
func TestIf(t *testing.T) {
	for _, c := range []struct {
		condition string // a constant or the input
		rows      [2]int
		want      []int
	}{
		{"true", [2]int{2, 3}, []int{2, 6}},
		{"false", [2]int{2, 3}, []int{3, 4}},
		{"choice", [2]int{3, 3}, []int{3, 4}},
		{"choice", [2]int{2, 3}, nil},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", tensor.Float32, 12)
		b.Input("choice", tensor.Bool)
		b.Tensor("true", tensor.Bool, nil, []float64{1})
		b.Tensor("false", tensor.Bool, nil, []float64{0})
		branch := func(name string, rows int) graph.Attr {
			return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
				body.Node("Reshape", []string{x, body.Ints(name+"_shape", rows, -1)})
				body.Output(body.Rename(name+"_out"), tensor.Float32, nil, nil)
			}))
		}
		b.Node("If", []string{c.condition}, branch("then_branch", c.rows[0]), branch("else_branch", c.rows[1]))
		b.Output(b.Rename("y"), tensor.Float32, nil, nil)
		m, err := b.Model()
		if err != nil {
			t.Fatal(err)
		}
		s := Infer(m, map[string][]int{"x": {12}, "choice": {}})
		if got, _ := s.Of("y"); !slices.Equal(got, c.want) {
			t.Errorf("condition %s, rows %v: shape %v (%s), wanted %v", c.condition, c.rows, got, s.Why("y"), c.want)
		}
	}
}

func BenchmarkInfer(b *testing.B) {
	c, _ := testmodels.Get("transformer")
	m, err := c.Build(1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if Infer(m, map[string][]int{"tokens": {1, 9}}).Why("logits") != "" {
			b.Fatal("not found")
		}
	}
}

// FuzzInfer reads arbitrary messages as models: inference may stop, but not panic, and the
// shapes that it gives are possible ones.
func FuzzInfer(f *testing.F) {
	for _, data := range slices.Concat(testkit.ZooFiles(f), seeds.Files(f, "models", "")) {
		f.Add(data, uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		m, ok := testkit.Unchecked(data)
		if !ok {
			return
		}
		given := map[string][]int{}
		for _, in := range graph.Of(m).Feeds() {
			given[in.Name()] = slices.Repeat([]int{int(size)}, len(in.Dims()))
		}
		inputs, _ := InputShapes(m, given)
		maps.Copy(given, inputs)
		s := Infer(m, given)
		for _, n := range graph.Of(m).Nodes() {
			for _, v := range n.Outputs() {
				shape, ok := s.Of(v)
				if ok == (s.Why(v) != "") && v != "" {
					t.Errorf("value %q: known %t, reason %q", v, ok, s.Why(v))
				}
				for _, d := range shape {
					if d < 0 {
						t.Errorf("value %q has the shape %v", v, shape)
					}
				}
			}
		}
	})
}

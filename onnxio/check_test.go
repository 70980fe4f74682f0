package onnxio

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestCheckAcceptsSmall(t *testing.T) {
	if err := New(small()).Check(); err != nil {
		t.Error(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	type model = onnxpb.ModelProto
	for _, c := range []struct {
		name  string
		spoil func(p *model)
		want  []string
	}{
		{"no graph", func(p *model) { p.Graph = nil }, []string{"no graph"}},
		{"no IR version", func(p *model) { p.IrVersion = nil }, []string{"ir_version is 0"}},
		{"no opset", func(p *model) { p.OpsetImport = nil }, []string{"no opset_import", "IR version 8 requires"}},
		{"opset 0", func(p *model) { p.OpsetImport[0].Version = nil }, []string{"version 0 of ONNX's operators"}},
		{"two opsets", func(p *model) {
			p.OpsetImport = append(p.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("ai.onnx"), Version: proto.Int64(3)})
		}, []string{`domain "ai.onnx"`, "version 17", "version 3"}},
		{
			"domain without import", func(p *model) { p.Graph.Node[1].Domain = proto.String("com.test") },
			[]string{"node 1 (com.test.Flatten)", "no opset_import", `"com.test"`},
		},
		{"no operator", func(p *model) { p.Graph.Node[0].OpType = nil }, []string{`node "conv"`, "no op_type"}},
		{"untyped input", func(p *model) { p.Graph.Input[0].Type = nil }, []string{`graph input "x" has no type`}},
		{"untyped output", func(p *model) { p.Graph.Output[0].Type = nil }, []string{`graph output "z" has no type`}},
		{"unnamed input", func(p *model) { p.Graph.Input[0].Name = nil }, []string{"graph input 0 has no name"}},
		{"unnamed output", func(p *model) { p.Graph.Output[0].Name = nil }, []string{"graph output 0 has no name"}},
		{"two inputs", func(p *model) { p.Graph.Input = append(p.Graph.Input, value("x")) }, []string{`two graph inputs are named "x"`}},
		{"two initializers", func(p *model) { p.Graph.Initializer[1].Name = proto.String("conv.w") }, []string{`two initializers are named "conv.w"`}},
		{"unnamed initializer", func(p *model) { p.Graph.Initializer[1].Name = nil }, []string{"initializer 1 has no name"}},
		{
			"undefined input", func(p *model) { p.Graph.Node[0].Input[0] = "nowhere" },
			[]string{`node "conv" (Conv, number 0)`, "input 0", `"nowhere" is defined nowhere`},
		},
		{"undefined output", func(p *model) { p.Graph.Output[0].Name = proto.String("nowhere") }, []string{`graph output "nowhere" is made by no node`}},
		{
			"output twice", func(p *model) { p.Graph.Node[1].Output[0] = "c" },
			[]string{"node 1 (Flatten)", `the name "c" is already that of an output of node "conv" (Conv, number 0)`},
		},
		{"output named as an input", func(p *model) { p.Graph.Node[1].Output[0] = "x" }, []string{`"x" is already that of an input`}},
		{"output named as a weight", func(p *model) { p.Graph.Node[1].Output[0] = "shift" }, []string{`"shift" is already that of an initializer`}},
		{
			"cycle", func(p *model) { p.Graph.Node[0].Input[0] = "y" },
			[]string{"cycle", `node "conv" (Conv, number 0) → node 1 (Flatten) → node "fc" (Gemm, number 4)`},
		},
		{"node that feeds itself", func(p *model) { p.Graph.Node[1].Input[0] = "f" }, []string{`the graph has a cycle: node 1 (Flatten), and back`}},
		{
			"cycle through a subgraph", func(p *model) { p.Graph.Node[0].Input[0] = "z" },
			[]string{"cycle", `node "conv" (Conv, number 0)`, `node "if" (If, number 5)`},
		},
		{
			"undefined in a subgraph", func(p *model) { branch(p).Node[0].Input[0] = "nowhere" },
			[]string{`node "if" (If, number 5)`, `attribute "then_branch"`, `graph "yes"`, `node "yes/op" (Add, number 0)`, `"nowhere" is defined nowhere`},
		},
		{
			"subgraph hides an outer name", func(p *model) { branch(p).Node[0].Output[0] = "c" },
			[]string{`graph "yes"`, `"c" is already that of an output of node "conv"`},
		},
		{"subgraph without its output", func(p *model) { branch(p).Output[0].Name = proto.String("nowhere") }, []string{`graph "yes": graph output "nowhere"`}},
		{"unnamed attribute", func(p *model) { p.Graph.Node[0].Attribute[1].Name = nil }, []string{`node "conv"`, "attribute 1 has no name"}},
		{"two attributes", func(p *model) { p.Graph.Node[0].Attribute[1].Name = proto.String("pads") }, []string{`two attributes are named "pads"`}},
		{
			"initializer no input in IR 3", func(p *model) { p.IrVersion = proto.Int64(3) },
			[]string{`initializer "conv.w" is not a graph input`, "IR version 3"},
		},
		{
			"short weight", func(p *model) { w := p.Graph.Initializer[0]; w.RawData = w.RawData[1:] },
			[]string{`tensor "conv.w"`, "float32 tensor of shape [3 2 3 3] takes 216 entries of raw_data, has 215"},
		},
		{
			"short weight in a node", func(p *model) { p.Graph.Node[2].Attribute[0].T.Dims[0] = 49 },
			[]string{`node "weight"`, `attribute "value"`, "takes 980 entries of raw_data, has 960"},
		},
		{
			"short weight in a subgraph", func(p *model) {
				branch(p).Initializer = []*onnxpb.TensorProto{{Name: proto.String("w"), DataType: proto.Int32(1)}}
			},
			[]string{`graph "yes"`, `tensor "w": float32 tensor of shape [] has no data`},
		},
		{"training tensor", func(p *model) {
			p.TrainingInfo = []*onnxpb.TrainingInfoProto{{Algorithm: &onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{{Name: proto.String("w")}}}}}
		}, []string{"training information", `tensor "w"`, "element type 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := small()
			c.spoil(p)
			refused(t, New(p).Check(), c.want...)
			b, err := proto.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(b, ""); err == nil {
				t.Error("Parse accepts it")
			}
		})
	}
}

// branch returns the then-branch of the small model.
func branch(p *onnxpb.ModelProto) *onnxpb.GraphProto { return p.Graph.Node[5].Attribute[0].G }

func TestCheckAccepts(t *testing.T) {
	type model = onnxpb.ModelProto
	for _, c := range []struct {
		name   string
		change func(p *model)
	}{
		{"no graph name", func(p *model) { p.Graph.Name = nil }},
		{"optional output left out", func(p *model) { p.Graph.Node[0].Output = []string{"c", "", ""} }},
		{"same opset twice", func(p *model) {
			p.OpsetImport = append(p.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("ai.onnx"), Version: proto.Int64(17)})
		}},
		{"domain written out", func(p *model) { p.Graph.Node[0].Domain = proto.String("ai.onnx") }},
		{"unknown operator", func(p *model) { p.Graph.Node[1].OpType = proto.String("Nonsense") }},
		{"newer IR version", func(p *model) { p.IrVersion = proto.Int64(99) }},
		{"initializer as graph output", func(p *model) { p.Graph.Output[0].Name = proto.String("conv.w") }},
		{"input as graph output", func(p *model) { p.Graph.Output[0].Name = proto.String("x") }},
		{"subgraph returns an outer value", func(p *model) { branch(p).Output[0].Name = proto.String("y") }},
		{"subgraph input with an outer name", func(p *model) { branch(p).Input = []*onnxpb.ValueInfoProto{value("c")} }},
		{"initializer that is an input", func(p *model) { p.Graph.Input = append(p.Graph.Input, value("conv.w", 3, 2, 3, 3)) }},
		{"IR 2 without imports", func(p *model) {
			p.IrVersion, p.OpsetImport = proto.Int64(2), nil
			p.Graph.Input = append(p.Graph.Input, value("conv.w"), value("shift"), value("flag"))
		}},
		{"reference in training", func(p *model) {
			p.TrainingInfo = []*onnxpb.TrainingInfoProto{{Algorithm: &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{node("", "Neg", "conv.w", "n")}}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := small()
			c.change(p)
			if err := New(p).Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckFunctions(t *testing.T) {
	function := func(name string, nodes ...*onnxpb.NodeProto) *onnxpb.FunctionProto {
		for _, n := range nodes {
			if n.GetOpType()[0] == 'F' {
				n.Domain = proto.String("local")
			}
		}
		return &onnxpb.FunctionProto{
			Name: proto.String(name), Domain: proto.String("local"), Input: []string{"a"}, Output: []string{"b"}, Node: nodes,
			OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(17)}, {Domain: proto.String("local"), Version: proto.Int64(1)}},
		}
	}
	inLoop := node("", "Loop", "a a", "b", &onnxpb.AttributeProto{
		Name: proto.String("body"), G: &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{{
			OpType: proto.String("F"), Domain: proto.String("local"), Input: []string{"a"}, Output: []string{"in_loop"},
		}}},
	})
	overload := function("F", node("", "Neg", "a", "b"))
	overload.Overload = proto.String("int")
	other := function("F", node("", "Neg", "a", "b"))
	other.OpsetImport[0].Version = proto.Int64(-1)
	two := function("F", node("", "Neg", "a", "b"))
	two.Input = []string{"a", "a"}
	for _, c := range []struct {
		name string
		list []*onnxpb.FunctionProto
		want []string
	}{
		{"fine", []*onnxpb.FunctionProto{function("F", node("", "FG", "a", "b")), function("FG", node("", "Neg", "a", "b")), overload}, nil},
		{"unnamed", []*onnxpb.FunctionProto{{}}, []string{"function 0 has no name"}},
		{"twice", []*onnxpb.FunctionProto{function("F", node("", "Neg", "a", "b")), function("F", node("", "Neg", "a", "b"))}, []string{"two functions are named local::F"}},
		{"two inputs", []*onnxpb.FunctionProto{two}, []string{"function local::F", `two inputs are named "a"`}},
		{"undefined", []*onnxpb.FunctionProto{function("F", node("n", "Neg", "x", "b"))}, []string{"function local::F", `node "n"`, `"x" is defined nowhere`}},
		{"no output", []*onnxpb.FunctionProto{function("F", node("", "Neg", "a", "c"))}, []string{`output "b" is made by no node`}},
		{"imports", []*onnxpb.FunctionProto{other}, []string{"function local::F", "version -1"}},
		{"calls itself", []*onnxpb.FunctionProto{function("F", node("", "F", "a", "b"))}, []string{"in a circle: local::F"}},
		{"call each other", []*onnxpb.FunctionProto{function("F", node("", "FG", "a", "b")), function("FG", node("", "F", "a", "b"))}, []string{"in a circle: ", "local::F", "local::FG"}},
		{"calls itself in a loop", []*onnxpb.FunctionProto{function("F", inLoop)}, []string{"in a circle: local::F"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := small()
			p.Functions = c.list
			err := New(p).Check()
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, c.want...)
		})
	}
}

func TestCheckSparse(t *testing.T) {
	values := func() *onnxpb.TensorProto {
		return &onnxpb.TensorProto{Name: proto.String("s"), DataType: proto.Int32(1), Dims: []int64{2}, FloatData: []float32{1, 2}}
	}
	indices := func(dims ...int64) *onnxpb.TensorProto {
		n, _ := elements(dims)
		return &onnxpb.TensorProto{DataType: proto.Int32(int32(tensor.Int64)), Dims: dims, Int64Data: make([]int64, n)}
	}
	narrow := indices(2)
	narrow.DataType, narrow.Int64Data, narrow.Int32Data = proto.Int32(int32(tensor.Int32)), nil, []int32{0, 1}
	square := values()
	square.Dims = []int64{2, 1}
	none := &onnxpb.TensorProto{Name: proto.String("s"), DataType: proto.Int32(1), Dims: []int64{0}}
	for _, c := range []struct {
		name string
		s    *onnxpb.SparseTensorProto
		want string
	}{
		{"linear", &onnxpb.SparseTensorProto{Values: values(), Indices: indices(2), Dims: []int64{3, 4}}, ""},
		{"coordinates", &onnxpb.SparseTensorProto{Values: values(), Indices: indices(2, 2), Dims: []int64{3, 4}}, ""},
		{"nothing stored", &onnxpb.SparseTensorProto{Values: none, Dims: []int64{3}}, ""},
		{"no values", &onnxpb.SparseTensorProto{Dims: []int64{3}}, "has no name"},
		{"no indices", &onnxpb.SparseTensorProto{Values: values(), Dims: []int64{3}}, `"s" has 2 values and no indices`},
		{"no shape", &onnxpb.SparseTensorProto{Values: values(), Indices: indices(2)}, "shape [] is not valid"},
		{"negative shape", &onnxpb.SparseTensorProto{Values: values(), Indices: indices(2), Dims: []int64{-3}}, "shape [-3] is not valid"},
		{"values of rank 2", &onnxpb.SparseTensorProto{Values: square, Indices: indices(2), Dims: []int64{3}}, "want one dimension"},
		{"too few indices", &onnxpb.SparseTensorProto{Values: values(), Indices: indices(1), Dims: []int64{3}}, "want int64 of shape [2] or [2 1]"},
		{"wrong coordinates", &onnxpb.SparseTensorProto{Values: values(), Indices: indices(2, 3), Dims: []int64{3, 4}}, "want int64 of shape [2] or [2 2]"},
		{"int32 indices", &onnxpb.SparseTensorProto{Values: values(), Indices: narrow, Dims: []int64{3}}, "its indices are int32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := small()
			p.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{c.s}
			err := New(p).Check()
			if c.want == "" && err != nil {
				t.Error(err)
			}
			if c.want != "" {
				refused(t, err, c.want)
			}
			q := small()
			q.Graph.Node[2].Attribute[0] = &onnxpb.AttributeProto{Name: proto.String("sparse_value"), SparseTensor: c.s}
			if err := New(q).Check(); (err == nil) != (c.want == "") {
				t.Errorf("as an attribute: %v, want %q", err, c.want)
			}
		})
	}
}

// TestCheckIsLinear checks a long chain of nodes and one that is broken at its very end; a
// quadratic check would take minutes.
func TestCheckIsLinear(t *testing.T) {
	const n = 100_000
	p := small()
	g := &onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{value("v0")}, Output: []*onnxpb.ValueInfoProto{value(v(n))}}
	for i := range n {
		g.Node = append(g.Node, node("", "Neg", v(i), v(i+1)))
	}
	p.Graph = g
	if err := New(p).Check(); err != nil {
		t.Fatal(err)
	}
	g.Node[0].Input[0] = v(n)
	refused(t, New(p).Check(), "cycle: node 0 (Neg) → ", "node 4 (Neg) → 99990 more nodes → node 99995 (Neg)", "node 99999 (Neg), and back")
}

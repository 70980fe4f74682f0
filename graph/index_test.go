package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// uses writes a value's uses as text.
func uses(x *Graph, value string) string {
	var list []string
	for _, u := range x.Uses(value) {
		s := fmt.Sprintf("%s:%d", u.Node.Name(), u.Slot)
		if u.Nested {
			s += " nested"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func TestIndex(t *testing.T) {
	p := small()
	p.Graph.Node = append(p.Graph.Node, node("twice", "Add", "y y", "sum"))
	p.Graph.Output = append(p.Graph.Output, value("y"))
	x := Of(onnxio.New(p))
	for value, want := range map[string]string{"c": "conv", "f": "", "z": "if", "fc.w": "weight"} {
		n, ok := x.Producer(value)
		if !ok || n.Name() != want {
			t.Errorf("producer of %s is %v", value, n)
		}
	}
	for _, value := range []string{"x", "conv.w", "yes_out", ""} {
		if n, ok := x.Producer(value); ok {
			t.Errorf("%q is produced by %v", value, n)
		}
	}
	for value, want := range map[string]string{
		"x": "conv:0", "conv.w": "conv:1", "fc.w": "alias:0", "z": "", "": "",
		"y":     "yes/op:0 nested, no/op:0 nested, twice:0, twice:1",
		"shift": "yes/op:1 nested, no/op:1 nested",
	} {
		if got := uses(x, value); got != want {
			t.Errorf("uses of %q: %s; want %s", value, got, want)
		}
	}
	if !x.IsInput("x") || x.IsInput("conv.w") || !x.IsOutput("z") || !x.IsOutput("y") || x.IsOutput("c") {
		t.Error("inputs or outputs are wrong")
	}
	if w, ok := x.Initializer("conv.w"); !ok || w.Proto() != p.Graph.Initializer[0] {
		t.Errorf("initializer: %v", w)
	}
	if _, ok := x.Initializer("fc.w"); ok {
		t.Error("a Constant's output is called an initializer")
	}
}

// TestUsesRespectScopes has a subgraph whose own names hide the main graph's, and one that
// returns a value from around it.
func TestUsesRespectScopes(t *testing.T) {
	p := small()
	g := branch(p)
	g.Input = []*onnxpb.ValueInfoProto{value("c")}
	g.Node = append(g.Node, node("hidden", "Neg", "c", "n"), node("inner", "Neg", "n", "m"))
	g.Output = append(g.Output, value("f"))
	deep := &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{node("deep", "Mul", "f m", "d")}}
	g.Node = append(g.Node, node("loop", "Loop", "", "", Attr{&onnxpb.AttributeProto{Name: proto.String("body"), G: deep}}))
	x := Of(onnxio.New(p))
	for value, want := range map[string]string{
		"c": ":0", "m": "", "n": "", "f": "fc:0, deep:0 nested, if:-1 nested",
	} {
		if got := uses(x, value); got != want {
			t.Errorf("uses of %q: %s; want %s", value, got, want)
		}
	}
}

func TestUsesInTraining(t *testing.T) {
	p := small()
	bind := func(key, value string) []*onnxpb.StringStringEntryProto {
		return []*onnxpb.StringStringEntryProto{{Key: proto.String(key), Value: proto.String(value)}}
	}
	p.TrainingInfo = []*onnxpb.TrainingInfoProto{{
		Initialization:        &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{node("zero", "ConstantOfShape", "", "start")}},
		Algorithm:             &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{node("step", "Sub", "conv.w start", "next")}},
		InitializationBinding: bind("conv.w", "start"),
		UpdateBinding:         bind("shift", "next"),
	}}
	x := Of(onnxio.New(p))
	for value, want := range map[string]string{
		"conv.w": "conv:1, step:0 nested, :-1 nested",
		"shift":  "yes/op:1 nested, no/op:1 nested, :-1 nested",
	} {
		if got := uses(x, value); got != want {
			t.Errorf("uses of %q: %s; want %s", value, got, want)
		}
	}
}

func TestOverridable(t *testing.T) {
	p := small()
	p.Graph.Input = append(p.Graph.Input, value("conv.w", 3, 2, 3, 3))
	for ir, want := range map[int64]bool{3: false, 4: true, 8: true} {
		p.IrVersion = proto.Int64(ir)
		x := Of(onnxio.New(p))
		c, ok := x.Constant("conv.w")
		if x.Overridable("conv.w") != want || !ok || c.Overridable != want {
			t.Errorf("IR version %d: Overridable is %v, want %v", ir, x.Overridable("conv.w"), want)
		}
		if x.Overridable("shift") || x.Overridable("x") {
			t.Error("a plain initializer or input is overridable")
		}
	}
}

func TestConstant(t *testing.T) {
	one := func(a Attr) *onnxpb.NodeProto { return node("k", "Constant", "", "v", a) }
	floats := Floats("value_floats", 1, 2)
	reference := Float("value_float", 1)
	reference.p.F, reference.p.RefAttrName = nil, proto.String("outer")
	custom := one(Float("value_float", 1))
	custom.Domain = proto.String("com.test")
	for _, c := range []struct {
		name string
		n    *onnxpb.NodeProto
		want string
	}{
		{"value", one(Tensor("value", counting("", 2))), "float32[2] [0 1]"},
		{"value_float", one(Float("value_float", 1.5)), "float32[] [1.5]"},
		{"value_floats", one(floats), "float32[2] [1 2]"},
		{"value_int", one(Int("value_int", -3)), "int64[] [-3]"},
		{"value_ints", one(Ints("value_ints", 1, 2, 3)), "int64[3] [1 2 3]"},
		{"empty value_ints", one(Ints("value_ints")), "int64[0] []"},
		{"value_string", one(String("value_string", "a")), ""},
		{"no attribute", node("k", "Constant", "", "v"), ""},
		{"reference", one(reference), ""},
		{"custom domain", custom, ""},
		{"not constant", node("k", "Neg", "x", "v"), ""},
		{"identity of an initializer", node("k", "Identity", "shift", "v"), "float32[1] [0]"},
		{"identity of a Constant", node("k", "Identity", "fc.alias", "v"), "float32[48,5]"},
		{"identity of an input", node("k", "Identity", "x", "v"), ""},
		{"identity of itself", node("k", "Identity", "v", "v"), ""},
		{"identity of nothing", node("k", "Identity", "", "v"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := small()
			p.Graph.Node = append(p.Graph.Node, c.n)
			m := onnxio.New(p)
			k, ok := Of(m).Constant("v")
			if ok != (c.want != "") {
				t.Fatalf("constant: %v, want %v", ok, c.want != "")
			}
			if !ok {
				return
			}
			d, err := k.Tensor.Dense()
			if err != nil {
				t.Fatal(err)
			}
			v, err := d.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			got := d.Type.String() + strings.ReplaceAll(fmt.Sprint(d.Shape), " ", ",")
			if len(v) < 10 {
				got += " " + fmt.Sprint(v)
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if of := c.n.GetInput(); k.Node.IsZero() != (len(of) > 0 && of[0] == "shift") {
				t.Errorf("the constant has the node %v", k.Node)
			}
		})
	}
	if _, ok := Of(onnxio.New(small())).Constant("nowhere"); ok {
		t.Error("a value that is not there is constant")
	}
}

func TestFreshNames(t *testing.T) {
	p := small()
	p.Functions = []*onnxpb.FunctionProto{{Input: []string{"fn.in"}, Node: []*onnxpb.NodeProto{node("fn.node", "Neg", "fn.in", "fn.out")}}}
	p.TrainingInfo = []*onnxpb.TrainingInfoProto{{Algorithm: &onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{counting("train.w", 1).Proto()}}}}
	p.Graph.ValueInfo = []*onnxpb.ValueInfoProto{value("info")}
	p.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{{Values: counting("sparse", 1).Proto()}}
	m := onnxio.New(p)
	s := NewNameSet(m)
	taken := strings.Fields("x conv.w c conv z yes/op yes_out no_out fn.in fn.node fn.out train.w info sparse")
	for _, name := range taken {
		if !s.Has(name) {
			t.Errorf("%s is not taken", name)
		}
		if got := NewNameSet(m).Fresh(name); got != name+"_1" {
			t.Errorf("Fresh(%s) is %s", name, got)
		}
	}
	var got []string
	for _, base := range []string{"new", "new", "new_1", "c", "", ""} {
		got = append(got, s.Fresh(base))
	}
	s.Add("late")
	got = append(got, s.Fresh("late"))
	if want := []string{"new", "new_1", "new_1_1", "c_1", "_1", "_2", "late_1"}; !slices.Equal(got, want) {
		t.Errorf("fresh names %v, want %v", got, want)
	}
}

func TestAttributes(t *testing.T) {
	n := NewNode("Op", "n", nil, nil,
		Int("i", 0), Ints("is", 1, 2), Float("f", 0), String("s", ""), Tensor("t", counting("w", 1)), Floats("fs", 1), Ints("empty"),
		Reference("ref", "outer"))
	if got := n.Int("i", 5); got != 0 {
		t.Errorf("i is %d", got)
	}
	if got := n.Float("f", 5); got != 0 {
		t.Errorf("f is %v", got)
	}
	if got := n.String("s", "absent"); got != "" {
		t.Errorf("s is %q", got)
	}
	w, ok := n.Tensor(nil, "t")
	if !slices.Equal(n.Ints("is"), []int{1, 2}) || !slices.Equal(n.Floats("fs"), []float32{1}) || !ok || w.Name() != "w" || w.Type() != tensor.Float32 {
		t.Error("a list or tensor is lost")
	}
	for _, name := range []string{"absent", "ref"} {
		_, tensor := n.Tensor(nil, name)
		_, graph := n.Graph(nil, name)
		if n.Int(name, 5) != 5 || n.Float(name, 5) != 5 || n.String(name, "d") != "d" || n.Ints(name) != nil || n.Floats(name) != nil || tensor || graph {
			t.Errorf("%s has a value", name)
		}
	}
	if n.Has("absent") || !n.Has("ref") || n.Ints("empty") != nil || (Node{}).Has("i") {
		t.Error("Has or an empty list is wrong")
	}
	for name, want := range map[string]onnxpb.AttributeProto_AttributeType{
		"i": onnxpb.AttributeProto_INT, "is": onnxpb.AttributeProto_INTS, "f": onnxpb.AttributeProto_FLOAT,
		"s": onnxpb.AttributeProto_STRING, "t": onnxpb.AttributeProto_TENSOR, "fs": onnxpb.AttributeProto_FLOATS,
	} {
		if a, _ := n.Attr(name); a.p.GetType() != want {
			t.Errorf("%s has type %v, want %v", name, a.p.GetType(), want)
		}
	}
}

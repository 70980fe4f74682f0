package graph

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// chosen opens every If in one way.
func chosen(b Branches) func(Node, bool) Branches {
	return func(Node, bool) Branches { return b }
}

// parted returns a model of these nodes from x to y, with scalar constants a and b.
func parted(functions []Function, inputs []Value, nodes ...*onnxpb.NodeProto) *onnxio.Model {
	return Parts{
		IR: 8, Opsets: []Opset{{"", 17}, {"local", 1}}, Functions: functions, Name: "g",
		Inputs: append([]Value{{value("x", 3)}}, inputs...), Outputs: []Value{{value("y", 3)}},
		Initializers: []onnxio.Tensor{counting("a", 1), counting("b", 1)}, Nodes: nodesOf(nodes),
	}.Model()
}

// body returns a graph that gives the last node's first output.
func body(name string, constants []onnxio.Tensor, nodes ...*onnxpb.NodeProto) Attr {
	out := nodes[len(nodes)-1].GetOutput()[0]
	return Body(name, Parts{Name: name, Initializers: constants, Outputs: []Value{NewValue(out, tensor.Undefined, nil)}, Nodes: nodesOf(nodes)})
}

// forked returns a model with an If in a branch of another, whose bodies use the same names.
func forked() *onnxio.Model {
	inner := func(op string) []Attr {
		return []Attr{
			body("then_branch", []onnxio.Tensor{counting("w", 1)}, node("", op, "h w", "r")),
			body("else_branch", nil, node("", op, "h a", "r")),
		}
	}
	then := body("then_branch", []onnxio.Tensor{counting("w", 1)}, node("n", "Mul", "h w", "t"), node("nested", "If", "c", "r", inner("Add")...))
	other := body("else_branch", []onnxio.Tensor{counting("w", 1)}, node("n", "Mul", "h w", "t"), node("m", "Add", "t b", "r"))
	return parted(nil, []Value{NewValue("c", tensor.Bool, []Dim{})},
		node("before", "Mul", "x a", "h"), node("if", "If", "c", "z", then, other), node("after", "Mul", "z b", "y"))
}

func bytesOf(t *testing.T, m *onnxio.Model) string {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// operators lists those of a graph in order.
func operators(nodes []Node) string {
	return strings.Join(wrap(nodes, Node.Op), " ")
}

func TestOpenIsNilWithoutBodies(t *testing.T) {
	m := parted(nil, nil, node("", "Mul", "x a", "y"))
	if Open(m, chosen(Both)) != nil {
		t.Error("something was opened")
	}
	if Open(forked(), chosen(Closed)) != nil {
		t.Error("an If was opened that is to stay closed")
	}
}

func TestOpenBranches(t *testing.T) {
	for _, c := range []struct {
		how  Branches
		want string
	}{
		{Then, "Mul Mul Add If Identity If Identity Mul"},
		{Else, "Mul Mul Add If Identity Mul"},
		{Both, "Mul Mul Add Add If Identity Mul Add If Identity Mul"},
		{AlwaysThen, "Mul Mul Add Identity Identity Mul"},
	} {
		m := forked()
		o := Open(m, chosen(c.how))
		if err := o.Model.Check(); err != nil {
			t.Fatalf("%v: %v", c.how, err)
		}
		if got := operators(Of(o.Model).Nodes()); got != c.want {
			t.Errorf("%v: the open model is %s, want %s", c.how, got, c.want)
		}
		same := Of(o.Model).Parts().Model()
		if got := bytesOf(t, o.Close(same)); got != bytesOf(t, m) {
			t.Errorf("%v: closed again, the model has other bytes", c.how)
		}
	}
}

// negated returns a model in which every Add is a Sub.
func negated(m *onnxio.Model, but ...string) *onnxio.Model {
	p := Of(m).Parts()
	for i, n := range p.Nodes {
		if n.Op() == "Add" && !slices.Contains(but, n.Name()) {
			s := n.Spec()
			s.Op = "Sub"
			p.Nodes[i] = s.Node()
		}
	}
	return p.Model()
}

func TestCloseRebuildsBranches(t *testing.T) {
	m := forked()
	o := Open(m, chosen(Then))
	small := o.Close(negated(o.Model))
	if err := small.Check(); err != nil {
		t.Fatal(err)
	}
	if got := operators(Of(small).Nodes()); got != "Mul If Mul" {
		t.Fatalf("the main graph is %s", got)
	}
	outer := Of(small).Nodes()[1]
	then, _ := outer.Graph(small, "then_branch")
	if got := operators(then.Nodes()); got != "Mul If" {
		t.Errorf("the branch is %s", got)
	}
	if len(then.Initializers()) != 1 {
		t.Errorf("the branch has %d constants, its own one is wanted", len(then.Initializers()))
	}
	inner, _ := then.Nodes()[1].Graph(small, "then_branch")
	if got := operators(inner.Nodes()); got != "Sub" || len(inner.Initializers()) != 1 {
		t.Errorf("the inner branch is %s with %d constants", got, len(inner.Initializers()))
	}
	was, _ := Of(m).Nodes()[1].Attr("else_branch")
	is, _ := outer.Attr("else_branch")
	if was.p != is.p {
		t.Error("the branch that stayed closed is another one")
	}
}

func TestCloseLeavesFixedBranchesOpen(t *testing.T) {
	o := Open(forked(), chosen(AlwaysElse))
	small := o.Close(negated(o.Model))
	if err := small.Check(); err != nil {
		t.Fatal(err)
	}
	if got := operators(Of(small).Nodes()); got != "Mul Mul Sub Identity Mul" {
		t.Errorf("the main graph is %s", got)
	}
}

func TestClosePutsNewConstantsWhereTheyAreRead(t *testing.T) {
	o := Open(forked(), chosen(Both))
	p := Of(o.Model).Parts()
	p.Initializers = append(p.Initializers, counting("fresh", 1), counting("shared", 1))
	for i, n := range p.Nodes {
		if n.Op() == "Add" {
			s := n.Spec()
			s.Inputs[1] = "shared"
			if n.Name() == "m" {
				s.Inputs[1] = "fresh"
			}
			p.Nodes[i] = s.Node()
		}
	}
	small := o.Close(p.Model())
	if err := small.Check(); err != nil {
		t.Fatal(err)
	}
	n := Of(small).Nodes()[1]
	then, _ := n.Graph(small, "then_branch")
	other, _ := n.Graph(small, "else_branch")
	if _, ok := then.Initializer("shared"); !ok {
		t.Error("what both branches of the inner If read is not around it")
	}
	if _, ok := other.Initializer("fresh"); !ok {
		t.Error("what one branch reads is not in it")
	}
	if got := len(Of(small).Initializers()); got != 2 {
		t.Errorf("the main graph has %d constants", got)
	}
}

// functions are an Affine, of a constant and an optional bias, that calls a Slope with an attribute that it takes from its own call in a
// branch; and a Pass that gives its input twice.
func functions(opset int) []Function {
	imports := []Opset{{"", opset}, {"local", 1}}
	call := node("call", "local::Slope", "t", "s", Reference("alpha", "slope"))
	same := node("", "Identity", "t", "u")
	return []Function{
		NewFunction("local::Slope", []string{"in"}, []string{"out"}, imports, nodesOf([]*onnxpb.NodeProto{node("leaky", "LeakyRelu", "in", "out", Reference("alpha", "alpha"))})),
		NewFunction("local::Affine", []string{"in", "which", "bias"}, []string{"out"}, imports, nodesOf([]*onnxpb.NodeProto{
			node("held", "Constant", "", "c", Tensor("value", counting("", 1))), node("product", "Mul", "in c", "p"), node("sum", "Sum", "p bias", "t"),
			node("if", "If", "which", "out", body("then_branch", nil, call), body("else_branch", nil, same)),
		}), Float("slope", 0.5)),
		NewFunction("local::Pass", []string{"in"}, []string{"one", "two"}, imports, nodesOf([]*onnxpb.NodeProto{node("", "Neg", "in", "one"), node("", "Neg", "in", "two")})),
	}
}

func calling(opset int) *onnxio.Model {
	return parted(functions(opset), []Value{NewValue("c", tensor.Bool, []Dim{})},
		node("first", "local::Affine", "x c b", "p", Float("slope", 0.25)), node("second", "local::Affine", "p c", "q"),
		node("pass", "local::Pass", "q", "_ y"))
}

func TestOpenFunctions(t *testing.T) {
	m := calling(17)
	o := Open(m, chosen(AlwaysThen))
	if err := o.Model.Check(); err != nil {
		t.Fatal(err)
	}
	nodes := Of(o.Model).Nodes()
	if got := operators(nodes); got != "Constant Mul Sum LeakyRelu Identity Mul Sum LeakyRelu Identity Neg Neg" {
		t.Fatalf("the open model is %s", got)
	}
	var slopes []float32
	for _, n := range nodes {
		if n.Op() == "LeakyRelu" {
			slopes = append(slopes, n.Float("alpha", 0))
		}
	}
	if !slices.Equal(slopes, []float32{0.25, 0.5}) {
		t.Errorf("the slopes are %v", slopes)
	}
	if nodes[1].Name() != "first/product" || nodes[5].Input(1) != nodes[0].Output(0) {
		t.Error("the calls have no names of their own, or do not share the constant")
	}
	if len(Functions(o.Model)) != 0 {
		t.Error("functions that nothing calls are left")
	}
	if got := bytesOf(t, o.Close(Of(o.Model).Parts().Model())); got != bytesOf(t, m) {
		t.Error("closed again, the model has other bytes")
	}
}

func TestCloseInlinesCallsThatChanged(t *testing.T) {
	o := Open(calling(17), chosen(AlwaysThen))
	p := Of(o.Model).Parts()
	s := p.Nodes[6].Spec() // the sum of the second call
	s.Op = "Max"
	p.Nodes[6] = s.Node()
	small := o.Close(p.Model())
	if err := small.Check(); err != nil {
		t.Fatal(err)
	}
	if got := operators(Of(small).Nodes()); got != "Constant local::Affine Mul Max If local::Pass" {
		t.Errorf("the main graph is %s", got)
	}
	if got := len(Functions(small)); got != 3 {
		t.Errorf("%d functions are left", got)
	}
}

func TestFunctionsOfOtherVersionsStay(t *testing.T) {
	if Open(calling(13), chosen(AlwaysThen)) != nil {
		t.Error("a function of another operator set was opened")
	}
}

func TestBranchesOfOldModelsStay(t *testing.T) {
	p := Of(forked()).Parts()
	p.IR = 3
	if Open(p.Model(), chosen(Then)) != nil {
		t.Error("a branch was opened whose constants are inputs")
	}
}

func TestBranchesOfOtherThanTensorsAreNotAskedAbout(t *testing.T) {
	m := forked()
	then, _ := Of(m).Nodes()[1].Attr("then_branch")
	sequence := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{}}}
	then.p.GetG().Output[0].Type = sequence
	o := Open(m, func(n Node, _ bool) Branches {
		t.Errorf("it was asked about %s, which cannot be opened", n.Label())
		return Then
	})
	if o != nil {
		t.Error("branches that give sequences were opened")
	}
}

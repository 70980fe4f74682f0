package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// looping returns a model with a Loop of four trips, and a Scan from its end to its beginning; their bodies use the same names.
func looping() *onnxio.Model {
	loop := Parts{
		Name: "body", Initializers: []onnxio.Tensor{counting("w", 1)},
		Inputs:  []Value{NewValue("i", tensor.Int64, []Dim{}), NewValue("c", tensor.Bool, []Dim{}), NewValue("h", tensor.Float32, nil)},
		Outputs: []Value{NewValue("c", tensor.Bool, []Dim{}), NewValue("t", tensor.Float32, nil), NewValue("r", tensor.Float32, nil)},
		Nodes:   nodesOf([]*onnxpb.NodeProto{node("n", "Mul", "h w", "t"), node("m", "Add", "t a", "r")}),
	}
	scan := Parts{
		Name: "body", Initializers: []onnxio.Tensor{counting("w", 1)},
		Inputs:  []Value{NewValue("h", tensor.Float32, nil), NewValue("e", tensor.Float32, nil)},
		Outputs: []Value{NewValue("t", tensor.Float32, nil), NewValue("r", tensor.Float32, nil)},
		Nodes:   nodesOf([]*onnxpb.NodeProto{node("n", "Mul", "h w", "t"), node("m", "Add", "t e", "r")}),
	}
	m := parted(nil, []Value{NewValue("trips", tensor.Int64, []Dim{})},
		node("loop", "Loop", "trips _ x", "_ z", Body("body", loop)),
		node("scan", "Scan", "x z", "_ y", Body("body", scan), Int("num_scan_inputs", 1), Ints("scan_input_directions", 1), Ints("scan_output_directions", 1), Ints("scan_input_axes", 1)))
	return m
}

// described writes the nodes of a graph, one a line.
func described(g *Graph) string {
	var out strings.Builder
	for _, n := range g.Nodes() {
		fmt.Fprintf(&out, "%s(%s) %s\n", n.Op(), strings.Join(n.Inputs(), " "), strings.Join(n.Outputs(), " "))
	}
	return out.String()
}

func TestOpenLoops(t *testing.T) {
	m := looping()
	if Open(m, chosen(Then)) != nil {
		t.Error("it was opened as a branch")
	}
	o := Open(m, chosen(Last))
	if err := o.Model.Check(); err != nil {
		t.Fatal(err)
	}
	const want = `Constant() loop/last/constant
Sub(trips loop/last/constant) loop/last/sub
Constant() loop/last/constant_1
Reshape(loop/last/sub loop/last/constant_1) loop/last/reshape
Constant() loop/last/constant_2
Loop(loop/last/sub  x) loop/before loop/before_1
Mul(loop/before w_1) t_1
Add(t_1 a) r_1
Constant() loop/last/constant_3
Unsqueeze(r_1 loop/last/constant_3) loop/last/unsqueeze
Concat(loop/before_1 loop/last/unsqueeze) loop/last/concat
Identity(loop/last/concat) z
Constant() scan/last/constant
Constant() scan/last/constant_1
Slice(z scan/last/constant scan/last/constant_1 scan/last/constant) scan/last/slice
Constant() scan/last/constant_2
Gather(z scan/last/constant_2) scan/last/gather
Scan(x scan/last/slice) scan/before scan/before_1
Mul(scan/before w_2) t_2
Add(t_2 scan/last/gather) r_2
Constant() scan/last/constant_3
Unsqueeze(r_2 scan/last/constant_3) scan/last/unsqueeze
Concat(scan/last/unsqueeze scan/before_1) scan/last/concat
Identity(scan/last/concat) y
`
	if got := described(Of(o.Model)); got != want {
		t.Errorf("it lies open as\n%s", got)
	}
	if got := bytesOf(t, o.Close(Of(o.Model).Parts().Model())); got != bytesOf(t, m) {
		t.Error("closed again, the model has other bytes")
	}
}

// What is changed in the last iteration, and in its twins before, is changed in the body; what is changed in the last iteration alone is not.
func TestCloseLoops(t *testing.T) {
	for _, twins := range []bool{true, false} {
		m := looping()
		o := Open(m, chosen(Last))
		p := Of(negated(o.Model)).Parts()
		p.Initializers = append(p.Initializers, counting("fresh", 1))
		inside := map[Node][]Node{}
		for _, n := range Of(o.Model).Nodes() {
			list, last := o.Twins(n)
			if ok := len(list) == 1; ok != (last && (n.Op() == "Mul" || n.Op() == "Add")) {
				t.Errorf("%s has twins: %v, and is of a last iteration: %v", n.Label(), list, last)
			}
			for _, twin := range list {
				if n.Op() != "Add" {
					continue
				}
				if n.Name() != twin.Node.Name() || !repeats(twin.Holder) {
					t.Errorf("the twin of %s is %s in %s", n.Label(), twin.Node.Label(), twin.Holder.Label())
				}
				s := twin.Node.Spec()
				s.Op, s.Inputs[1] = "Sub", "fresh"
				inside[twin.Node] = []Node{s.Node()}
			}
		}
		if twins {
			for i, n := range p.Nodes {
				p.Nodes[i] = n.Inside(inside)
			}
		}
		small := o.Close(p.Model())
		if err := small.Check(); err != nil {
			t.Fatal(err)
		}
		want := "Mul Add"
		if twins {
			want = "Mul Sub"
		}
		if got := operators(Of(small).Nodes()); got != "Loop Scan" {
			t.Fatalf("the graph is %s", got)
		}
		for _, n := range Of(small).Nodes() {
			body, _ := n.Graph(small, "body")
			if got := operators(body.Nodes()); got != want || len(body.Initializers()) != 1 || twins && body.Nodes()[1].Input(1) != "fresh" {
				t.Errorf("the body is %s, of %d constants; want %s", got, len(body.Initializers()), want)
			}
		}
		if _, ok := Of(small).Initializer("fresh"); !ok {
			t.Error("what the bodies read is not around them")
		}
	}
}

// nested returns a model with a Scan inside of a Loop, each with a constant of its own.
func nested() *onnxio.Model {
	inner := Parts{
		Name: "inner", Initializers: []onnxio.Tensor{counting("v", 1)},
		Inputs:  []Value{NewValue("g", tensor.Float32, nil), NewValue("e", tensor.Float32, nil)},
		Outputs: []Value{NewValue("s", tensor.Float32, nil)},
		Nodes:   nodesOf([]*onnxpb.NodeProto{node("n", "Mul", "g v", "p"), node("m", "Add", "p e", "s")}),
	}
	outer := Parts{
		Name: "outer", Initializers: []onnxio.Tensor{counting("w", 1)},
		Inputs:  []Value{NewValue("i", tensor.Int64, []Dim{}), NewValue("c", tensor.Bool, []Dim{}), NewValue("h", tensor.Float32, nil)},
		Outputs: []Value{NewValue("c", tensor.Bool, []Dim{}), NewValue("r", tensor.Float32, nil)},
		Nodes:   nodesOf([]*onnxpb.NodeProto{node("k", "Sub", "h w", "t"), node("scan", "Scan", "t a", "r", Body("body", inner), Int("num_scan_inputs", 1))}),
	}
	return parted(nil, []Value{NewValue("trips", tensor.Int64, []Dim{})}, node("loop", "Loop", "trips _ x", "y", Body("body", outer)))
}

// A Scan inside of a Loop lies open in the last iteration of it; what is in its last iteration has a twin in those before, and one in the Scan of
// every iteration of the Loop before. What is changed in all of them is changed in the body of the body, whose constant goes with what read it.
func TestNestedLoops(t *testing.T) {
	m := nested()
	o := Open(m, chosen(Last))
	if err := o.Model.Check(); err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, n := range Of(o.Model).Nodes() {
		if list, last := o.Twins(n); len(list) > 0 {
			open = append(open, fmt.Sprint(n.Op(), len(list), last))
		}
	}
	if got, want := strings.Join(open, " "), "Sub1 true Mul2 true Add2 true"; got != want {
		t.Errorf("what lies open is %s, want %s", got, want)
	}
	if got := bytesOf(t, o.Close(Of(o.Model).Parts().Model())); got != bytesOf(t, m) {
		t.Error("closed again, the model has other bytes")
	}
	p := Of(o.Model).Parts()
	p.Initializers = append(p.Initializers, counting("fresh", 1))
	inside := map[Node][]Node{}
	other := func(n Node) Node {
		s := n.Spec()
		s.Op, s.Inputs[1] = "Div", "fresh"
		return s.Node()
	}
	for i, n := range p.Nodes {
		list, _ := o.Twins(n)
		if n.Op() != "Mul" || len(list) == 0 {
			continue
		}
		p.Nodes[i] = other(n)
		for _, twin := range list {
			inside[twin.Node] = []Node{other(twin.Node)}
		}
	}
	for i, n := range p.Nodes {
		p.Nodes[i] = n.Inside(inside)
	}
	small := o.Close(p.Model())
	if err := small.Check(); err != nil {
		t.Fatal(err)
	}
	loop := Of(small).Nodes()[0]
	outer, _ := loop.Graph(small, "body")
	inner, _ := outer.Nodes()[1].Graph(small, "body")
	if got := operators(outer.Nodes()) + ", " + operators(inner.Nodes()); got != "Sub Scan, Div Add" || len(Of(small).Nodes()) != 1 {
		t.Errorf("the bodies are %s", got)
	}
	if len(outer.Initializers()) != 1 || len(inner.Initializers()) != 0 {
		t.Errorf("the bodies have %d and %d constants", len(outer.Initializers()), len(inner.Initializers()))
	}
}

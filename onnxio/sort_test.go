package onnxio

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// ops lists the operators of nodes, in order.
func ops(nodes []*onnxpb.NodeProto) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.GetOpType())
	}
	return out
}

// TestReadSorts reads models whose nodes stand before those that feed them; Check alone still refuses them.
func TestReadSorts(t *testing.T) {
	top := func(p *onnxpb.ModelProto) []*onnxpb.NodeProto { return p.Graph.Node }
	inner := func(p *onnxpb.ModelProto) []*onnxpb.NodeProto { return branch(p).Node }
	for _, c := range []struct {
		name  string
		spoil func(p *onnxpb.ModelProto)
		nodes func(p *onnxpb.ModelProto) []*onnxpb.NodeProto
		want  []string
		said  []string // by Check
	}{
		{
			"two nodes", func(p *onnxpb.ModelProto) { n := p.Graph.Node; n[0], n[1] = n[1], n[0] }, top,
			[]string{"Conv", "Flatten", "Constant", "Identity", "Gemm", "If"},
			[]string{"node 0 (Flatten)", `"c" is made only later, by node "conv" (Conv, number 1)`, "topological order"},
		},
		{
			"backwards", func(p *onnxpb.ModelProto) { slices.Reverse(p.Graph.Node) }, top,
			[]string{"Constant", "Identity", "Conv", "Flatten", "Gemm", "If"},
			[]string{`attribute "then_branch"`, `"y" is defined nowhere`},
		},
		{
			"read by a branch only", func(p *onnxpb.ModelProto) { n := p.Graph.Node; n[4], n[5] = n[5], n[4] }, top,
			[]string{"Conv", "Flatten", "Constant", "Identity", "Gemm", "If"},
			[]string{`node "if" (If, number 4)`, `"y" is defined nowhere`},
		},
		{
			"in a branch", func(p *onnxpb.ModelProto) {
				b := branch(p)
				b.Node = append([]*onnxpb.NodeProto{node("late", "Neg", "yes_out", "n")}, b.Node...)
				b.Output[0].Name = proto.String("n")
			}, inner,
			[]string{"Add", "Neg"},
			[]string{`graph "yes"`, `"yes_out" is made only later`},
		},
		{
			"in a function", func(p *onnxpb.ModelProto) {
				p.Functions = []*onnxpb.FunctionProto{{
					Name: proto.String("F"), Input: []string{"a"}, Output: []string{"b"},
					Node: []*onnxpb.NodeProto{node("", "Neg", "m", "b"), node("", "Abs", "a", "m")},
				}}
			}, func(p *onnxpb.ModelProto) []*onnxpb.NodeProto { return p.Functions[0].Node },
			[]string{"Abs", "Neg"},
			[]string{"function ::F", `"m" is made only later`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := small()
			c.spoil(p)
			refused(t, New(p).Check(), c.said...)
			m := open(t, save(t, p))
			if got := ops(c.nodes(m.Proto)); !slices.Equal(got, c.want) {
				t.Errorf("read as %v, want %v", got, c.want)
			}
		})
	}
}

// TestSortIsStable leaves a graph in order alone, and is linear: a quadratic sort of a reversed chain would take minutes.
func TestSortIsStable(t *testing.T) {
	m := open(t, save(t, small()))
	if ok, diff := Equal(m, New(small())); !ok {
		t.Errorf("a sorted model changed: %s", diff)
	}
	const n = 100_000
	p := small()
	p.Graph = &onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{value("v0")}, Output: []*onnxpb.ValueInfoProto{value(v(n))}}
	for i := n; i > 0; i-- {
		p.Graph.Node = append(p.Graph.Node, node("", "Neg", v(i-1), v(i)))
	}
	if got := open(t, save(t, p)).Proto.Graph.Node; got[0].Output[0] != "v1" || got[n-1].Input[0] != v(n-1) {
		t.Errorf("the first node makes %s, the last reads %s", got[0].Output[0], got[n-1].Input[0])
	}
}

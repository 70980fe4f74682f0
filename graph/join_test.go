package graph_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// half is a model of one If around a product, with names that two of them share.
func half(t *testing.T, opset int64) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(1, opset, 8)
	x, c := b.Input("x", tensor.Float32, "batch", "length"), b.Input("cond", tensor.Bool)
	body := func(op string) graph.Parts {
		return b.Body("branch", func(body *testmodels.Builder) {
			body.Node("Add", []string{body.Node(op, []string{x}), body.Tensor("one", tensor.Float32, nil, []float64{1})})
			body.Output(body.Rename("inner"), tensor.Float32, "batch", "length")
		})
	}
	b.Node("If", []string{c}, graph.Body("then_branch", body("Neg")), graph.Body("else_branch", body("Abs")))
	b.Output(b.Rename("y"), tensor.Float32, "batch", "length")
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestJoin: a model stands behind another that calls everything the same, in branches too. The one in front keeps its nodes, and whatever
// is not told to be the same is another input.
func TestJoin(t *testing.T) {
	front, back := half(t, 17), half(t, 17)
	behind, err := graph.Behind(front, back, map[string]string{"x": "y"})
	if err != nil {
		t.Fatal(err)
	}
	m := graph.Join(front, behind)
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	g := graph.Of(m)
	name := func(v graph.Value) string { return v.Name() }
	if got := names(g.Inputs(), name); !slices.Equal(got, []string{"x", "cond", "decoder_cond"}) {
		t.Errorf("the inputs are %v", got)
	}
	if got := names(g.Outputs(), name); !slices.Equal(got, []string{"decoder_y"}) {
		t.Errorf("the outputs are %v", got)
	}
	if g.Nodes()[0] != graph.Of(front).Nodes()[0] {
		t.Error("the node in front is another one")
	}
	last := g.Nodes()[len(g.Nodes())-1]
	if reads := last.Reads(); !slices.Contains(reads, "y") || !slices.Contains(reads, "decoder_cond") {
		t.Errorf("the last node reads %v", reads)
	}
	own := graph.NewNameSet(front)
	for _, n := range graph.Walk(behind) {
		if own.Has(n.Name()) || slices.ContainsFunc(n.Outputs(), own.Has) {
			t.Errorf("node %q makes %v, which are names in front", n.Name(), n.Outputs())
		}
	}
	if d := g.Outputs()[0].Dims(); d[0].Name != "batch" || d[1].Name != "decoder_length" {
		t.Errorf("the output is of %v", d)
	}
	if _, err := graph.Behind(front, half(t, 16), nil); err == nil || !strings.Contains(err.Error(), "version 17 of the operators of ONNX") {
		t.Errorf("other operators: %v", err)
	}
}

func names[T any](list []T, name func(T) string) (out []string) {
	for _, v := range list {
		out = append(out, name(v))
	}
	return out
}

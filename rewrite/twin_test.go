package rewrite_test

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// twins makes a model of two outputs that are the same: of a node with a weight, and of one in an If that has that weight as well, from around the
// If or, as a copy, of its own.
func twins(t *testing.T, op string, copied bool) *onnxio.Model {
	b := testmodels.NewBuilder(9, 17, 8)
	sizes, shape := []any{3, 12}, []int{12, 10}
	if op == "Conv" {
		sizes, shape = []any{2, 6, 7, 7}, []int{10, 6, 3, 3}
	}
	x, choice := b.Input("x", tensor.Float32, sizes...), b.Input("choice", tensor.Bool)
	n := 1
	for _, s := range shape {
		n *= s
	}
	numbers := make([]float64, n)
	for i := range numbers {
		numbers[i] = math.Cos(float64(i * i))
	}
	weight := func(b *testmodels.Builder) string { return b.Tensor("weight", tensor.Float32, shape, numbers) }
	product := func(b *testmodels.Builder, x, w string) string {
		if op == "Conv" {
			return b.Node(op, []string{x, w}, graph.Ints("pads", 1, 0, 0, 1))
		}
		return b.Node(op, []string{x, w})
	}
	dims := []any{nil, nil}
	if op == "Conv" {
		dims = []any{nil, nil, nil, nil}
	}
	outer := weight(b)
	body := func(name string) graph.Attr {
		return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
			w := outer
			if copied {
				w = weight(body)
			}
			y := body.Node("Identity", []string{product(body, body.Node("Relu", []string{x}), w)})
			body.Output(y, tensor.Float32, dims...)
		}))
	}
	b.Output(b.Node("Identity", []string{product(b, b.Node("Relu", []string{x}), outer)}), tensor.Float32, dims...)
	b.Output(b.Node("If", []string{choice}, body("then_branch"), body("else_branch")), tensor.Float32, dims...)
	return testkit.Built(t, b)
}

// TestTwins: nodes in bodies get the factors of the weight that they share with a site, and its shift, and no weight is left twice.
func TestTwins(t *testing.T) {
	lib := orttest.Open(t)
	for _, op := range []string{"MatMul", "Gemm", "Conv"} {
		for _, copied := range []bool{false, true} {
			m := twins(t, op, copied)
			sites, _ := linear(t, m)
			if len(sites) != 1 {
				t.Fatalf("%s: %d sites", op, len(sites))
			}
			rewrite.Pair(m, sites, func(int) bool { return false })
			if len(sites[0].Twins) != 0 {
				t.Errorf("%s: twins were found where none are looked for", op)
			}
			rewrite.Pair(m, sites, func(int) bool { return true })
			rewrite.Settle(m, sites)
			if len(sites[0].Twins) != 2 || sites[0].WeightStays {
				t.Fatalf("%s: %d twins, the weight stays: %v", op, len(sites[0].Twins), sites[0].WeightStays)
			}
			feeds, err := testmodels.Feeds(m, 7, nil, 3)
			if err != nil {
				t.Fatal(err)
			}
			small := rewritten(t, m, sites, 0)
			compare(t, execute(t, lib, m, feeds), execute(t, lib, small, feeds))
			if _, ok := graph.Of(small).Initializer(sites[0].Weight); ok {
				t.Errorf("%s: the weight is still there", op)
			}
			if op == "MatMul" { // where nothing takes a shift
				continue
			}
			chain := factor(t, &sites[0], 4)
			chain[len(chain)-1].Shift = ramp(10)
			p, err := rewrite.Replace(m, &sites[0], chain, graph.NewNameSet(m))
			if err != nil {
				t.Fatal(err)
			}
			shifted, err := rewrite.Apply(m, []rewrite.Patch{p}, rewrite.ApplyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			out := execute(t, lib, shifted, feeds)
			compare(t, out[:1], out[1:])
			if err := shifted.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestTwinsAreAlike: nodes that compute something else with the weight are none.
func TestTwinsAreAlike(t *testing.T) {
	m := twins(t, "Conv", false)
	p := graph.Of(m).Parts()
	i := slices.IndexFunc(p.Nodes, func(n graph.Node) bool { return n.Op() == "Conv" })
	s := p.Nodes[i].Spec()
	s.Attrs = []graph.Attr{graph.Ints("kernel_shape", 3, 3)}
	p.Nodes[i] = s.Node()
	other := p.Model()
	defer other.Close()
	sites, _ := linear(t, other)
	rewrite.Pair(other, sites, func(int) bool { return true })
	if len(sites) != 1 || len(sites[0].Twins) != 0 {
		t.Error("a convolution with other pads is taken for a twin")
	}
}

package rewrite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// neighbours is a model of two linear nodes that follow each other.
type neighbours struct {
	name  string
	build func(b *testmodels.Builder) // ends with the node that computes the output
	// ranks of the chains by svd in the places of the two, 0 for a node that stays.
	ranks [2]int
	left  int // nodes that multiply, in the end
}

func convPair(in [2]int, a, b func(*testmodels.Builder, string) string) func(*testmodels.Builder) {
	return func(m *testmodels.Builder) { b(m, a(m, m.Input("x", tensor.Float32, 2, 8, in[0], in[1]))) }
}

// mergers are pairs of which something merges, and how many nodes are left.
func mergers() []neighbours {
	ints := graph.Ints
	conv := func(in, out int, window []int, a ...graph.Attr) func(*testmodels.Builder, string) string {
		return func(b *testmodels.Builder, x string) string { return b.Conv(x, in, out, window, a...) }
	}
	plain := func(in, out int, window []int, a ...graph.Attr) func(*testmodels.Builder, string) string {
		return func(b *testmodels.Builder, x string) string { return b.ConvBias(x, in, out, window, "", a...) }
	}
	transposed := func(in, out int, window []int, a ...graph.Attr) func(*testmodels.Builder, string) string {
		return func(b *testmodels.Builder, x string) string { return b.ConvTranspose(x, in, out, window, a...) }
	}
	size, one, three := [2]int{9, 7}, []int{1, 1}, []int{3, 3}
	same := ints("pads", 1, 1, 1, 1)
	group := graph.Int("group", 2)
	gemm := func(b *testmodels.Builder, x string, left bool, in, out int, c []int, a ...graph.Attr) string {
		shape := []int{in, out}
		if left {
			slices.Reverse(shape)
		}
		inputs := []string{x, b.Weight(fmt.Sprint("weight", in), in, shape...)}
		if left {
			slices.Reverse(inputs)
		}
		if c != nil {
			inputs = append(inputs, b.Random(fmt.Sprint("c", in), -1, 1, c...))
		}
		return b.Node("Gemm", inputs, a...)
	}
	alpha, beta := graph.Float("alpha", 0.5), graph.Float("beta", -1.5)
	return []neighbours{
		{"pointwise, pointwise", convPair(size, conv(8, 16, one), conv(16, 12, one)), [2]int{2, 3}, 2},
		{"window, pointwise", convPair(size, conv(8, 16, three, same, ints("strides", 2, 1)), conv(16, 12, one)), [2]int{2, 3}, 2},
		{"pointwise without bias, padded window", convPair(size, plain(8, 16, one), conv(16, 12, three, same)), [2]int{2, 3}, 3},
		{"pointwise, window without pads", convPair(size, conv(8, 16, one), conv(16, 12, three, ints("dilations", 2, 1))), [2]int{2, 3}, 3},
		{"pointwise, strided pointwise", convPair(size, conv(8, 16, one), plain(16, 12, one, ints("strides", 2, 2))), [2]int{2, 3}, 2},
		{"groups", convPair(size, conv(8, 16, three, group), conv(16, 12, one, group)), [2]int{2, 2}, 2},
		{"a chain, a dense node", convPair(size, conv(8, 16, three), conv(16, 12, one)), [2]int{2, 0}, 2},
		{"a dense node, a chain", convPair(size, conv(8, 16, one), conv(16, 12, one)), [2]int{0, 2}, 2},
		{"transposed, pointwise", convPair(size, transposed(8, 16, []int{4, 3}, ints("strides", 2, 2)), conv(16, 12, one)), [2]int{2, 3}, 2},
		{"pointwise, transposed", convPair(size, plain(8, 16, one), transposed(16, 12, []int{4, 3}, ints("strides", 2, 2), same)), [2]int{2, 3}, 3},
		{"matmuls", func(b *testmodels.Builder) {
			b.Linear(b.Linear(b.Input("x", tensor.Float32, 3, 5, 8), 8, 16, false), 16, 12, false)
		}, [2]int{2, 3}, 2},
		{"stacks of matmuls", func(b *testmodels.Builder) {
			x := b.Node("MatMul", []string{b.Input("x", tensor.Float32, 3, 2, 5, 8), b.Weight("one", 8, 1, 2, 8, 16)})
			b.Node("MatMul", []string{x, b.Weight("two", 16, 2, 16, 12)})
		}, [2]int{2, 3}, 2},
		{"left matmuls", func(b *testmodels.Builder) {
			x := b.Node("MatMul", []string{b.Weight("one", 8, 1, 16, 8), b.Input("x", tensor.Float32, 3, 8, 5)})
			b.Node("MatMul", []string{b.Weight("two", 16, 12, 16), x})
		}, [2]int{2, 3}, 2},
		{"gemms", func(b *testmodels.Builder) {
			x := gemm(b, b.Input("x", tensor.Float32, 8, 4), false, 8, 16, []int{16}, graph.Int("transA", 1), alpha, beta)
			gemm(b, x, false, 16, 12, []int{1, 12}, alpha, beta)
		}, [2]int{2, 3}, 2},
		{"gemms, the second's C a matrix", func(b *testmodels.Builder) {
			x := gemm(b, b.Input("x", tensor.Float32, 4, 8), false, 8, 16, nil)
			gemm(b, x, false, 16, 12, []int{4, 12}, alpha, beta)
		}, [2]int{2, 0}, 2},
		{"gemm, matmul", func(b *testmodels.Builder) {
			b.Linear(gemm(b, b.Input("x", tensor.Float32, 4, 8), false, 8, 16, []int{}, beta), 16, 12, false)
		}, [2]int{2, 0}, 2},
		{"matmul, gemm", func(b *testmodels.Builder) {
			gemm(b, b.Linear(b.Input("x", tensor.Float32, 4, 8), 8, 16, false), false, 16, 12, []int{12}, alpha)
		}, [2]int{0, 2}, 2},
		{"left gemms", func(b *testmodels.Builder) {
			x := gemm(b, b.Input("x", tensor.Float32, 4, 8), true, 8, 16, []int{16, 1}, graph.Int("transB", 1), alpha, beta)
			gemm(b, x, true, 16, 12, []int{12, 1}, beta)
		}, [2]int{2, 3}, 2},
		{"left matmul, left gemm", func(b *testmodels.Builder) {
			x := b.Node("MatMul", []string{b.Weight("one", 8, 16, 8), b.Input("x", tensor.Float32, 8, 4)})
			gemm(b, x, true, 16, 12, []int{12, 1})
		}, [2]int{0, 3}, 2},
		{"three in a row", func(b *testmodels.Builder) {
			x := b.Conv(b.Input("x", tensor.Float32, 2, 8, 6, 5), 8, 16, one)
			b.Conv(b.Conv(x, 16, 20, one), 20, 12, one)
		}, [2]int{2, 0}, 2},
	}
}

// pair makes the model with its chains, and the sites and patches.
func (c neighbours) pair(t *testing.T) (m, small *onnxio.Model, sites []rewrite.Site, patches []rewrite.Patch) {
	t.Helper()
	b := testmodels.NewBuilder(2, 17, 8)
	c.build(b)
	b.Output(b.Rename("y"), tensor.Float32)
	parts := graph.Of(model(t, b)).Parts()
	parts.Outputs[len(parts.Outputs)-1] = graph.NewValue("y", tensor.Float32, nil)
	size, _ := infer(parts.Model()).Of("y")
	parts.Outputs[len(parts.Outputs)-1] = graph.NewValue("y", tensor.Float32, graph.Sizes(size))
	m = parts.Model()
	sites, _ = linear(t, m)
	names := graph.NewNameSet(m)
	for i, rank := range c.ranks {
		if rank == 0 {
			continue
		}
		p, err := rewrite.Replace(m, &sites[i], factor(t, &sites[i], rank), names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m, small, sites, patches
}

func merge(t *testing.T, m *onnxio.Model, o rewrite.MergeOptions) (*onnxio.Model, []rewrite.Merged) {
	t.Helper()
	o.Inputs, _ = shapes.InputShapes(m, o.Inputs)
	out, list, err := rewrite.Merge(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	return out, list
}

// holdSavings compares what merging said it saves with the counts of both models.
func holdSavings(t *testing.T, before, after *onnxio.Model, list []rewrite.Merged) {
	t.Helper()
	a, b := rewrite.MeasureCosts(before, infer(before)), rewrite.MeasureCosts(after, infer(after))
	for _, m := range list {
		if m.Params <= 0 || m.MACs <= 0 {
			t.Errorf("%+v saves nothing", m)
		}
		a.Params, a.MACs = a.Params-m.Params, a.MACs-m.MACs
	}
	if a.Params != b.Params || a.MACs != b.MACs {
		t.Errorf("%d parameters and %d MACs, foretold %d and %d", b.Params, b.MACs, a.Params, a.MACs)
	}
}

// TestMerge merges neighbours of all kinds: outputs stay, costs fall by what was said.
func TestMerge(t *testing.T) {
	lib := orttest.Open(t)
	python := newPythonCheck(t)
	for _, c := range mergers() {
		t.Run(c.name, func(t *testing.T) {
			m, small, sites, patches := c.pair(t)
			feeds, err := testmodels.Feeds(m, 7, nil, 3)
			if err != nil {
				t.Fatal(err)
			}
			want := execute(t, lib, small, feeds)
			merged, list := merge(t, small, rewrite.MergeOptions{Patches: patches, Sites: sites})
			got := execute(t, lib, merged, feeds)
			if d := distance(t, want[0], got[0]); !(d <= 1e-5) {
				t.Errorf("the output moves by %.2g", d)
			}
			costs := rewrite.MeasureCosts(merged, infer(merged))
			if len(costs.Nodes) != c.left || len(list) == 0 {
				t.Errorf("%d nodes that multiply are left, wanted %d; merged %+v", len(costs.Nodes), c.left, list)
			}
			holdSavings(t, small, merged, list)
			python.add(t, merged)
		})
	}
	python.done(t)
}

// TestMergeLeaves wants models equal, as messages, to what they were where nothing is to merge.
func TestMergeLeaves(t *testing.T) {
	pointwise := func(b *testmodels.Builder, x string, in, out int) string { return b.Conv(x, in, out, []int{1, 1}) }
	start := func(b *testmodels.Builder) string { return b.Input("x", tensor.Float32, 2, 8, 6, 5) }
	for _, c := range []struct {
		neighbours
		edit func(*rewrite.MergeOptions)
	}{
		{neighbours{"a node between", func(b *testmodels.Builder) {
			pointwise(b, b.Node("Relu", []string{pointwise(b, start(b), 8, 16)}), 16, 12)
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"two readers", func(b *testmodels.Builder) {
			x := pointwise(b, start(b), 8, 16)
			b.Node("Add", []string{pointwise(b, x, 16, 16), x})
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"read twice by one node", func(b *testmodels.Builder) {
			x := b.Linear(b.Input("x", tensor.Float32, 16, 16), 16, 16, false)
			b.Node("MatMul", []string{x, x})
		}, [2]int{2, 0}, 0}, nil},
		{neighbours{"a graph output", func(b *testmodels.Builder) {
			x := pointwise(b, start(b), 8, 16)
			b.Output(x, tensor.Float32, 2, 16, 6, 5)
			pointwise(b, x, 16, 12)
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"a bias before pads", func(b *testmodels.Builder) {
			b.Conv(pointwise(b, start(b), 8, 16), 16, 12, []int{3, 3}, graph.Ints("pads", 0, 0, 1, 0))
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"a bias before auto_pad", func(b *testmodels.Builder) {
			b.Conv(pointwise(b, start(b), 8, 16), 16, 12, []int{3, 3}, graph.String("auto_pad", "SAME_UPPER"))
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"a bias before a transposed convolution", func(b *testmodels.Builder) {
			b.ConvTranspose(pointwise(b, start(b), 8, 16), 16, 12, []int{2, 2}, graph.Ints("strides", 2, 2))
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"two windows", func(b *testmodels.Builder) {
			b.Conv(b.Conv(start(b), 8, 16, []int{1, 3}), 16, 12, []int{3, 1})
		}, [2]int{0, 2}, 0}, nil},
		{neighbours{"other groups", func(b *testmodels.Builder) {
			b.Conv(b.Conv(start(b), 8, 16, []int{1, 1}, graph.Int("group", 2)), 16, 16, []int{1, 1}, graph.Int("group", 4))
		}, [2]int{2, 2}, 0}, nil},
		{neighbours{"sites that are to be left alone", func(b *testmodels.Builder) {
			pointwise(b, pointwise(b, start(b), 8, 16), 16, 12)
		}, [2]int{0, 2}, 0}, func(o *rewrite.MergeOptions) { o.Sites = o.Sites[1:] }},
		{neighbours{"nothing was made", func(b *testmodels.Builder) {
			pointwise(b, pointwise(b, start(b), 8, 16), 16, 3)
		}, [2]int{0, 0}, 0}, nil},
		{neighbours{"a shared weight", func(b *testmodels.Builder) {
			x, w := b.Input("x", tensor.Float32, 4, 8), b.Weight("w", 8, 8, 8)
			y := b.Node("MatMul", []string{b.Node("MatMul", []string{x, w}), b.Weight("v", 8, 8, 4)})
			b.Node("Add", []string{y, b.Node("ReduceMean", []string{w}, graph.Int("keepdims", 0))})
		}, [2]int{0, 2}, 0}, nil},
		{neighbours{"a computed bias", func(b *testmodels.Builder) {
			x := b.Input("x", tensor.Float32, 4, 8)
			x = b.Node("Gemm", []string{x, b.Weight("w", 8, 8, 16), b.Input("c", tensor.Float32, 16)})
			b.Node("Gemm", []string{x, b.Weight("v", 16, 16, 12), b.Weight("d", 16, 12)})
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"a bias in rows", func(b *testmodels.Builder) {
			x := b.Input("x", tensor.Float32, 4, 8)
			x = b.Node("Gemm", []string{x, b.Weight("w", 8, 8, 16), b.Weight("c", 8, 4, 1)})
			b.Node("Gemm", []string{x, b.Weight("v", 16, 16, 12)})
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"products from both sides", func(b *testmodels.Builder) {
			x := b.Linear(b.Input("x", tensor.Float32, 16, 8), 8, 16, false)
			b.Node("MatMul", []string{b.Weight("left", 16, 12, 16), x})
		}, [2]int{2, 3}, 0}, nil},
		{neighbours{"float16", func(b *testmodels.Builder) {
			b.Float(tensor.Float16)
			x := b.Linear(b.Input("x", tensor.Float16, 4, 8), 8, 16, false)
			b.Linear(x, 16, 12, false)
		}, [2]int{2, 3}, 0}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, small, sites, patches := c.pair(t)
			o := rewrite.MergeOptions{Patches: patches, Sites: sites}
			if c.edit != nil {
				c.edit(&o)
			}
			merged, list := merge(t, small, o)
			if ok, why := onnxio.Equal(small, merged); !ok || len(list) != 0 {
				t.Errorf("merged %+v: %s", list, why)
			}
		})
	}
}

// TestMergeBeforeOpset11 leaves Gemms alone that need their C.
func TestMergeBeforeOpset11(t *testing.T) {
	b := testmodels.NewBuilder(2, 9, 4)
	x := b.Input("x", tensor.Float32, 4, 8)
	for i, out := range []int{16, 12} {
		x = b.Node("Gemm", []string{x, b.Weight(fmt.Sprint("w", i), 8, 8+8*i, out), b.Weight(fmt.Sprint("c", i), 8, out)})
	}
	b.Output(b.Rename("y"), tensor.Float32, 4, 12)
	m := model(t, b)
	sites, _ := linear(t, m)
	patches := patchAll(t, m, sites, 2)
	small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, list := merge(t, small, rewrite.MergeOptions{Patches: patches, Sites: sites}); len(list) != 0 {
		t.Errorf("merged %+v", list)
	}
}

// TestMergeNames wants the savings told by the names of the nodes, in the order of the data.
func TestMergeNames(t *testing.T) {
	c := mergers()[0]
	_, small, sites, patches := c.pair(t)
	merged, list := merge(t, small, rewrite.MergeOptions{Patches: patches, Sites: sites})
	want := "Conv_1/svd.last+Conv_2/svd.first"
	if len(list) != 2 || list[0].First != "Conv_1/svd.last" || list[0].Second != "Conv_2/svd.first" || list[0].Name != want || list[1].First != want {
		t.Errorf("merged %+v", list)
	}
	if !slices.ContainsFunc(graph.Of(merged).Nodes(), func(n graph.Node) bool { return n.Name() == list[1].Name }) {
		t.Errorf("no node is called %q", list[1].Name)
	}
}

// TestMergeGolden holds what merging makes of the pairs against testdata/merge.
func TestMergeGolden(t *testing.T) {
	for _, c := range mergers() {
		t.Run(c.name, func(t *testing.T) {
			_, small, sites, patches := c.pair(t)
			merged, list := merge(t, small, rewrite.MergeOptions{Patches: patches, Sites: sites})
			text := print(t, small) + "--- merged\n" + print(t, merged)
			for _, m := range list {
				text += fmt.Sprintf("%s, %s: %d parameters, %d MACs\n", m.First, m.Second, m.Params, m.MACs)
			}
			path := filepath.Join("testdata", "merge", strings.ReplaceAll(c.name, " ", "_")+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != text {
				t.Errorf("differs from %s (go test -update writes it anew):\n%s", path, text)
			}
		})
	}
}

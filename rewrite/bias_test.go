package rewrite_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// biasCase is a model with one site, whose output is the model's, behind at most one node.
type biasCase struct {
	name  string
	opset int64
	build func(b *testmodels.Builder) (y string)
	place rewrite.BiasPlace
	axis  int // of the channels in the output
}

func biasCases() []biasCase {
	image := func(b *testmodels.Builder) string { return b.Input("x", tensor.Float32, 2, 3, 5, 5) }
	rows := func(b *testmodels.Builder) string { return b.Input("x", tensor.Float32, 3, 7) }
	conv := func(b *testmodels.Builder, bias string) string {
		return b.ConvBias(image(b), 3, 6, []int{3, 3}, bias)
	}
	gemm := func(c []int) func(b *testmodels.Builder) string {
		return func(b *testmodels.Builder) string {
			inputs := []string{rows(b), b.Weight("w", 7, 7, 4)}
			if c != nil {
				inputs = append(inputs, b.Random("c", -1, 1, c...))
			}
			return b.Node("Gemm", inputs, graph.Float("beta", 0.5), graph.Float("alpha", 2))
		}
	}
	left := func(c []int) func(b *testmodels.Builder) string {
		return func(b *testmodels.Builder) string {
			inputs := []string{b.Weight("w", 7, 4, 7), rows(b)}
			if c != nil {
				inputs = append(inputs, b.Random("c", -1, 1, c...))
			}
			return b.Node("Gemm", inputs, graph.Int("transB", 1))
		}
	}
	return []biasCase{
		{"conv with bias", 17, func(b *testmodels.Builder) string { return conv(b, b.Random("bias", -1, 1, 6)) }, rewrite.BiasFree, 1},
		{"conv without bias", 17, func(b *testmodels.Builder) string { return conv(b, "") }, rewrite.BiasGrows, 1},
		{"conv, normalization", 17, func(b *testmodels.Builder) string { return b.BatchNorm(conv(b, ""), 6) }, rewrite.BiasFree, 1},
		{"conv, addition", 17, func(b *testmodels.Builder) string {
			return b.Node("Add", []string{b.Random("bias", -1, 1, 1, 6, 1, 1), conv(b, "")})
		}, rewrite.BiasFree, 1},
		{"conv, scalar addition", 17, func(b *testmodels.Builder) string {
			return b.Node("Add", []string{conv(b, ""), b.Random("bias", -1, 1)})
		}, rewrite.BiasGrows, 1},
		{"conv with a shared bias", 17, func(b *testmodels.Builder) string {
			bias := b.Random("bias", -1, 1, 6)
			y := conv(b, bias)
			b.Node("Add", []string{bias, bias})
			return y
		}, rewrite.BiasGrows, 1},
		{"conv with a computed bias", 17, func(b *testmodels.Builder) string {
			return conv(b, b.Node("Relu", []string{b.Random("bias", -1, 1, 6)}))
		}, rewrite.BiasNone, 1},
		{"gemm, vector", 13, gemm([]int{4}), rewrite.BiasFree, 1},
		{"gemm, row", 13, gemm([]int{1, 4}), rewrite.BiasFree, 1},
		{"gemm, scalar", 13, gemm([]int{}), rewrite.BiasGrows, 1},
		{"gemm, column", 13, gemm([]int{3, 1}), rewrite.BiasGrows, 1},
		{"gemm, whole", 13, gemm([]int{3, 4}), rewrite.BiasFree, 1},
		{"gemm, none", 13, gemm(nil), rewrite.BiasGrows, 1},
		{"gemm 7", 7, gemm([]int{4}), rewrite.BiasFree, 1},
		{"left gemm, column", 13, left([]int{4, 1}), rewrite.BiasFree, 0},
		{"left gemm, row", 13, left([]int{3}), rewrite.BiasGrows, 0},
		{"left gemm, none", 13, left(nil), rewrite.BiasGrows, 0},
		{"matmul", 13, func(b *testmodels.Builder) string { return b.Linear(rows(b), 7, 4, false) }, rewrite.BiasNone, 1},
		{"matmul, addition", 13, func(b *testmodels.Builder) string { return b.Linear(rows(b), 7, 4, true) }, rewrite.BiasFree, 1},
		{"matmul, addition per row", 13, func(b *testmodels.Builder) string {
			return b.Node("Add", []string{b.Linear(rows(b), 7, 4, false), b.Random("bias", -1, 1, 3, 4)})
		}, rewrite.BiasFree, 1},
		{"matmul, addition of activations", 13, func(b *testmodels.Builder) string {
			x := rows(b)
			return b.Node("Add", []string{b.Linear(x, 7, 4, false), b.Node("ReduceSum", []string{x})})
		}, rewrite.BiasNone, 1},
		{"matmul with two readers", 13, func(b *testmodels.Builder) string {
			y := b.Linear(rows(b), 7, 4, false)
			b.Node("Relu", []string{y})
			return b.Node("Add", []string{y, b.Random("bias", -1, 1, 4)})
		}, rewrite.BiasNone, 1},
	}
}

// one returns the only site of a case's model.
func (c biasCase) one(t *testing.T) (*onnxio.Model, *rewrite.Site) {
	t.Helper()
	m := caseModel(t, c)
	sites, _ := linear(t, m)
	if len(sites) != 1 {
		t.Fatalf("%d sites, want 1", len(sites))
	}
	return m, &sites[0]
}

func caseModel(t *testing.T, c biasCase) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, c.opset, 8)
	y := c.build(b)
	dims := []any{nil, nil}
	if strings.HasPrefix(c.name, "conv") {
		dims = []any{nil, nil, nil, nil}
	}
	b.Output(y, tensor.Float32, dims...)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shiftedBy is the site's own weight as a chain of one factor with a shift.
func shiftedBy(t *testing.T, s *rewrite.Site, shift []float64) decomp.Chain {
	t.Helper()
	k, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	axes := make([]bool, len(k.Window))
	for i := range axes {
		axes[i] = true
	}
	return decomp.Chain{{Part: "refit", Kernel: k, Axes: axes, Shift: shift}}
}

func ramp(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i+1) / 4
	}
	return out
}

// A shift of the site's output is a shift of its channels by that much, through a
// normalization times its factor, whichever constant takes it, and for one factor as for two.
func TestShift(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range biasCases() {
		t.Run(c.name, func(t *testing.T) {
			m, s := c.one(t)
			if got := s.Bias(); got != c.place {
				t.Fatalf("the place of the bias is %d, want %d", got, c.place)
			}
			shift := ramp(s.Kernel.Out)
			two := factor(t, s, 0)
			two[1].Shift = shift
			inputs, err := testmodels.Feeds(m, 5, nil, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, chain := range []decomp.Chain{shiftedBy(t, s, shift), two} {
				p, err := rewrite.Replace(m, s, chain, graph.NewNameSet(m))
				if c.place == rewrite.BiasNone {
					if err == nil || !strings.Contains(err.Error(), "shift") {
						t.Fatalf("a shift that nothing can take gives the error %v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				small, err := rewrite.Apply(m, []rewrite.Patch{p}, rewrite.ApplyOptions{})
				if err != nil {
					t.Fatal(err)
				}
				before, after := execute(t, lib, m, inputs)[0], execute(t, lib, small, inputs)[0]
				checkShift(t, c, s, shift, before, after)
				if len(chain) == 1 && c.place == rewrite.BiasFree {
					checkSize(t, m, small)
				}
			}
		})
	}
}

func checkShift(t *testing.T, c biasCase, s *rewrite.Site, shift []float64, before, after tensor.Dense) {
	t.Helper()
	x, y := before.Float32s(), after.Float32s()
	inner := 1
	for _, n := range before.Shape[c.axis+1:] {
		inner *= n
	}
	for i := range x {
		channel := i / inner % before.Shape[c.axis]
		want := shift[channel]
		if s.OutputScale != nil {
			want *= s.OutputScale[channel]
		}
		if d := float64(y[i]) - float64(x[i]); !(math.Abs(d-want) <= 1e-4) {
			t.Fatalf("element %d moved by %g, want %g", i, d, want)
		}
	}
}

// checkSize holds that a node with another weight and bias leaves the model as large as it
// was, under the same node names.
func checkSize(t *testing.T, a, b *onnxio.Model) {
	t.Helper()
	count := func(m *onnxio.Model) (n int64, names []string) {
		for _, t := range graph.Of(m).Initializers() {
			n += int64(t.Len())
		}
		for _, node := range graph.Of(m).Nodes() {
			names = append(names, node.Name())
		}
		return n, names
	}
	n, before := count(a)
	k, after := count(b)
	if n != k || !slices.Equal(before, after) {
		t.Errorf("%d parameters in nodes %q became %d in %q", n, before, k, after)
	}
}

func TestShiftOfTheWrongFactor(t *testing.T) {
	m, s := biasCases()[0].one(t)
	for _, spoil := range []func(decomp.Chain){
		func(c decomp.Chain) { c[0].Shift = ramp(len(c[0].Kernel.Weights)) },
		func(c decomp.Chain) { c[1].Shift = ramp(s.Kernel.Out - 1) },
		func(c decomp.Chain) { c[1].Shift = append(ramp(s.Kernel.Out-1), math.Inf(1)) },
	} {
		chain := factor(t, s, 0)
		spoil(chain)
		if _, err := rewrite.Replace(m, s, chain, graph.NewNameSet(m)); err == nil {
			t.Error("the chain was taken")
		}
	}
}

// Two patches may not change the same node.
func TestSwapOfAChangedNode(t *testing.T) {
	m, s := biasCases()[2].one(t)
	p, err := rewrite.Replace(m, s, shiftedBy(t, s, ramp(s.Kernel.Out)), graph.NewNameSet(m))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*rewrite.Swap){
		"another position": func(w *rewrite.Swap) { w.Index = 0 },
		"another operator": func(w *rewrite.Swap) {
			change(&w.New, func(n *graph.Spec) { n.Op = "Relu" })
		},
	} {
		bad, swap := p, *p.Next
		bad.Next = &swap
		spoil(&swap)
		if _, err := rewrite.Apply(m, []rewrite.Patch{bad}, rewrite.ApplyOptions{}); err == nil {
			t.Errorf("%s: the patch was applied", name)
		}
	}
}

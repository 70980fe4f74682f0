package rewrite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/seeds"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// FuzzSites reads arbitrary messages as models, sound or not: nothing may panic, and
// what comes of a sound model must be sound.
func FuzzSites(f *testing.F) {
	seeds.Add(f, "models", "")
	for _, data := range testkit.ZooFiles(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ok := testkit.Unchecked(data)
		if !ok {
			return
		}
		s := infer(m)
		if _, _, err := rewrite.Sites(m, s); err != nil {
			return
		}
		rewrite.MeasureCosts(m, s)
		sites, _, err := rewrite.Linear(m, s)
		if err != nil || m.Check() != nil {
			return
		}
		replaceAll(t, m, sites)
	})
}

// replaceAll puts exact chains in the place of all sites that are small enough.
func replaceAll(t *testing.T, m *onnxio.Model, sites []rewrite.Site) {
	names := graph.NewNameSet(m)
	var patches []rewrite.Patch
	for i := range sites {
		if k := sites[i].Kernel; k.Check() != nil || k.Params() > 4096 || k.In*k.In > 4096 || k.Out*k.Out > 4096 {
			continue
		}
		kernel, err := sites[i].Load()
		if err != nil {
			continue
		}
		p, err := rewrite.Replace(m, &sites[i], pointwiseFirst(kernel), names)
		if err != nil {
			continue // numbers that the type of the weights cannot hold
		}
		patches = append(patches, p)
	}
	small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatalf("a sound model became unsound: %v", err)
	}
	inputs, _ := shapes.InputShapes(m, nil)
	// Products of numbers that are almost too large are refused.
	if merged, _, err := rewrite.Merge(small, rewrite.MergeOptions{Inputs: inputs, Patches: patches, Sites: sites}); err == nil {
		if err := merged.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := small.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzRandomModels builds sound models at random, rewrites them and compares the shapes
// and costs with what the sites foretold.
func FuzzRandomModels(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := randomModel(t, seed)
		inputs, unknown := shapes.InputShapes(m, nil)
		if len(unknown) > 0 {
			t.Fatal(unknown)
		}
		before := shapes.Infer(m, inputs)
		sites, _, err := rewrite.Linear(m, before)
		if err != nil {
			t.Fatal(err)
		}
		names := graph.NewNameSet(m)
		macs := rewrite.MeasureCosts(m, before).MACs
		var patches []rewrite.Patch
		for i := range sites {
			s := &sites[i]
			if !s.Located {
				t.Fatalf("site %q: %s", s.Name, s.Why)
			}
			kernel, err := s.Load()
			if err != nil {
				t.Fatal(err)
			}
			var chain decomp.Chain
			if chain = pointwiseFirst(kernel); len(kernel.Window) > 1 && seed%2 == 0 {
				chain = splitAxes(kernel)
			}
			p, err := rewrite.Replace(m, s, chain, names)
			if err != nil {
				t.Fatal(err)
			}
			macs += s.MACs(chain) - s.DenseMACs()
			patches = append(patches, p)
		}
		small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		after := shapes.Infer(small, inputs)
		if got := rewrite.MeasureCosts(small, after).MACs; got != macs {
			t.Errorf("%d MACs, foretold %d", got, macs)
		}
		for _, n := range graph.Of(m).Nodes() {
			for _, v := range n.Outputs() {
				want, _ := before.Of(v)
				got, ok := after.Of(v)
				if ok && !slices.Equal(got, want) {
					t.Errorf("value %q has the shape %v, was %v", v, got, want)
				}
			}
		}
		if out := graph.Of(m).Outputs()[0].Name(); len(after.Why(out)) > 0 {
			t.Error(after.Why(out))
		}
		holdMerge(t, small, inputs, patches, sites)
	})
}

// holdMerge merges what there is to merge: shapes stay, and costs fall by what was said.
func holdMerge(t *testing.T, m *onnxio.Model, inputs map[string][]int, patches []rewrite.Patch, sites []rewrite.Site) {
	t.Helper()
	merged, list, err := rewrite.Merge(m, rewrite.MergeOptions{Inputs: inputs, Patches: patches, Sites: sites})
	if err != nil {
		t.Fatal(err)
	}
	holdSavings(t, m, merged, list)
	for _, n := range graph.Of(merged).Nodes() {
		for _, v := range n.Outputs() {
			want, known := shapes.Infer(m, inputs).Of(v)
			if got, _ := shapes.Infer(merged, inputs).Of(v); known && !slices.Equal(got, want) {
				t.Errorf("value %q has the shape %v after merging, was %v", v, got, want)
			}
		}
	}
	if err := merged.Close(); err != nil {
		t.Fatal(err)
	}
}

// randomModel makes a chain of convolutions and products with shortcuts, shared weights
// and all placements of weights.
func randomModel(t *testing.T, seed uint64) *onnxio.Model {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	ir := []struct{ opset, ir int64 }{{7, 3}, {9, 4}, {11, 6}, {13, 7}, {17, 8}, {21, 10}}[r.IntN(6)]
	b := testmodels.NewBuilder(seed, ir.opset, ir.ir)
	if ir.ir > 3 {
		b.Place([]testmodels.Placement{testmodels.Initializers, testmodels.Overridable, testmodels.ConstantNodes}[r.IntN(3)])
	}
	channels := 2 + 2*r.IntN(3)
	rank := 1 + r.IntN(3)
	dims := []any{"N", channels}
	for range rank {
		dims = append(dims, 5+r.IntN(4))
	}
	x := b.Input("x", tensor.Float32, dims...)
	for range 1 + r.IntN(4) {
		if r.IntN(3) == 0 {
			x, channels = randomTransposed(b, r, x, channels, rank)
		} else {
			x, channels = randomConv(b, r, x, channels, rank)
		}
		if r.IntN(2) == 0 {
			x = b.Node("Relu", []string{x})
		}
	}
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})})
	width := channels
	for range r.IntN(4) {
		x, width = randomProduct(b, r, x, width, ir.opset)
	}
	b.Output(b.Rename("y"), tensor.Float32, "N", width)
	_ = x
	return model(t, b)
}

// randomTransposed adds a ConvTranspose whose output grows, shrinks or stays.
func randomTransposed(b *testmodels.Builder, r *rand.Rand, x string, channels, rank int) (string, int) {
	out := 2 * (1 + r.IntN(4))
	window, pads, strides := make([]int, rank), make([]int, 2*rank), make([]int, rank)
	for i := range rank {
		window[i] = 1 + r.IntN(3)
		pads[i], pads[i+rank] = r.IntN(window[i]), 0
		strides[i] = 1 + r.IntN(2)
	}
	a := []graph.Attr{graph.Ints("strides", strides...), graph.Int("group", 1+r.IntN(2))}
	if r.IntN(2) == 0 {
		a = append(a, graph.String("auto_pad", []string{"SAME_UPPER", "SAME_LOWER"}[r.IntN(2)]))
	} else {
		a = append(a, graph.Ints("pads", pads...))
	}
	return b.ConvTranspose(x, channels, out, window, a...), out
}

func randomConv(b *testmodels.Builder, r *rand.Rand, x string, channels, rank int) (string, int) {
	out := 2 * (1 + r.IntN(4))
	window, pads, strides := make([]int, rank), make([]int, 2*rank), make([]int, rank)
	for i := range rank {
		window[i] = 1 + r.IntN(3)
		pads[i], pads[i+rank] = window[i]-1, r.IntN(2)
		strides[i] = 1 + r.IntN(2)
	}
	a := []graph.Attr{graph.Ints("strides", strides...), graph.Int("group", 1+r.IntN(2))}
	switch r.IntN(3) {
	case 0:
		a = append(a, graph.String("auto_pad", "SAME_UPPER"))
	case 1:
		a = append(a, graph.Ints("pads", pads...))
	default:
		a = append(a, graph.Ints("pads", pads...), graph.Ints("dilations", slices.Repeat([]int{1}, rank)...))
	}
	y := b.Conv(x, channels, out, window, a...)
	if channels == out && r.IntN(3) == 0 {
		y = b.Node("Sum", []string{y, y})
	}
	return y, out
}

func randomProduct(b *testmodels.Builder, r *rand.Rand, x string, width int, opset int64) (string, int) {
	out := 1 + r.IntN(9)
	name := fmt.Sprintf("w%d", r.Uint32())
	if opset >= 13 && r.IntN(4) == 0 {
		return randomStack(b, r, x, width, out, name), out
	}
	if r.IntN(2) == 0 {
		return b.Linear(x, width, out, opset >= 7 && r.IntN(2) == 0), out
	}
	a := []graph.Attr{graph.Float("alpha", 0.5)}
	shape := []int{width, out}
	if r.IntN(2) == 0 {
		a = append(a, graph.Int("transB", 1))
		slices.Reverse(shape)
	}
	return b.Node("Gemm", []string{x, b.Weight(name, width, shape...), b.Weight(name+"_c", width, out)}, a...), out
}

// randomStack adds a product with a stack of matrices: as many copies of x, multiplied one by one, and summed up.
func randomStack(b *testmodels.Builder, r *rand.Rand, x string, width, out int, name string) string {
	stack := 2 + r.IntN(2)
	copies := make([]string, stack)
	for i := range copies {
		copies[i] = b.Node("Unsqueeze", []string{x, b.Ints(fmt.Sprint(name, "_axis", i), 0)})
	}
	x = b.Node("Concat", copies, graph.Int("axis", 0))
	x = b.Node("MatMul", []string{x, b.Weight(name, width, stack, width, out)})
	return b.Node("ReduceSum", []string{x, b.Ints(name+"_sum", 0)}, graph.Int("keepdims", 0))
}

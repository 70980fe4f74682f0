package rewrite_test

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// fusedInputs are of testmodels.Fused.
func fusedInputs() map[string]tensor.Dense {
	r := rand.New(rand.NewPCG(5, 5))
	x := tensor.New(tensor.Float32, 2, 6, 32)
	for i, v := 0, x.Float32s(); i < len(v); i++ {
		v[i] = float32(r.NormFloat64())
	}
	return map[string]tensor.Dense{"x": x}
}

func expanded(t *testing.T, m *onnxio.Model) *rewrite.Expansion {
	t.Helper()
	x, err := rewrite.Expand(m, map[string][]int{"x": {2, 6, 32}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// operators counts the operators of a model.
func operators(m *onnxio.Model) map[string]int {
	n := map[string]int{}
	for _, node := range graph.Of(m).Nodes() {
		n[node.Op()]++
	}
	return n
}

// A model of fused operators computes the same when they are expanded, every weight in it is a site, all shapes are known and
// nothing blocks a gradient; and it is the same message when it is put together again.
func TestExpand(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.Fused(3))
	defer m.Close()
	x := expanded(t, m)
	compare(t, execute(t, lib, m, fusedInputs()), execute(t, lib, x.Model, fusedInputs()))
	s := shapes.Infer(x.Model, map[string][]int{"x": {2, 6, 32}})
	sites, skips, err := rewrite.Sites(x.Model, s)
	if err != nil || len(sites) != 8 {
		t.Errorf("%d sites (%v), want 8 (three of them in the attention): %v", len(sites), err, skips)
	}
	var weights []string
	for _, site := range sites {
		if !site.Located {
			t.Errorf("%s: %s", site.Name, site.Why)
		}
		weights = append(weights, site.Input)
	}
	if c := rewrite.MeasureCosts(x.Model, s); len(c.Unlocated) > 0 {
		t.Error(c.Unlocated)
	}
	blocked, err := grad.Blocked(x.Model, grad.Options{Values: grad.Infer(x.Model, map[string][]int{"x": {2, 6, 32}}), Wanted: weights})
	if err != nil || len(blocked) > 0 {
		t.Error(blocked, err)
	}
	again, err := x.Collapse(graph.Of(x.Model).Parts().Model())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want, errWant := m.Marshal()
	got, errGot := again.Marshal()
	if errWant != nil || errGot != nil || !bytes.Equal(got, want) {
		t.Errorf("not the same again: %v, want %v", operators(again), operators(m))
	}
}

// Where sites have become chains, what is left of the fused operators stays fused: an attention whose products have changed is
// one without them, and others read chains in place of weights.
func TestCollapseAroundChains(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.Fused(3))
	defer m.Close()
	x := expanded(t, m)
	sites, _ := linear(t, x.Model)
	small, err := rewrite.Apply(x.Model, patchAll(t, x.Model, sites, 0), rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if small, err = x.Collapse(small); err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	compare(t, execute(t, lib, m, fusedInputs()), execute(t, lib, small, fusedInputs()))
	have := operators(small)
	for _, op := range []string{"MultiHeadAttention", "SkipLayerNormalization", "BiasGelu", "SkipSimplifiedLayerNormalization", "FusedGemm"} {
		if have["com.microsoft::"+op] != 1 {
			t.Errorf("%s is not one node any more: %v", op, have)
		}
	}
	for _, gone := range []string{"qkv", "up", "pool"} {
		if _, ok := graph.Of(small).Initializer(gone); ok {
			t.Errorf("the weight %q is still there", gone)
		}
	}
}

// One site alone leaves the operators of all others as they were.
func TestCollapseAroundOneChain(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.Fused(3))
	defer m.Close()
	x := expanded(t, m)
	sites, _ := linear(t, x.Model)
	at := slices.IndexFunc(sites, func(s rewrite.Site) bool { return s.Weight == "down" })
	small, err := rewrite.Apply(x.Model, patchAll(t, x.Model, sites[at:at+1], 0), rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if small, err = x.Collapse(small); err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	compare(t, execute(t, lib, m, fusedInputs()), execute(t, lib, small, fusedInputs()))
	was, is := operators(m), operators(small)
	was["MatMul"]++
	for op, n := range was {
		if is[op] != n {
			t.Errorf("%d of %s, want %d", is[op], op, n)
		}
	}
	if _, ok := graph.Of(small).Initializer("qkv"); !ok {
		t.Error("the packed weight has not come back")
	}
}

// The weights of a recurrent operator's input become a product in front of it and narrower weights inside.
func TestRecurrentWeights(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.Recurrents(5))
	defer m.Close()
	r := rand.New(rand.NewPCG(5, 5))
	x := tensor.New(tensor.Float32, 6, 3, 16)
	for i, v := 0, x.Float32s(); i < len(v); i++ {
		v[i] = float32(r.NormFloat64())
	}
	inputs := map[string]tensor.Dense{"x": x}
	e, err := rewrite.Expand(m, map[string][]int{"x": x.Shape}, nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, execute(t, lib, m, inputs), execute(t, lib, e.Model, inputs))
	again, err := e.Collapse(graph.Of(e.Model).Parts().Model())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if want, got := operators(m), operators(again); !maps.Equal(want, got) {
		t.Errorf("not the same again: %v, want %v", got, want)
	}
	sites, skips := linear(t, e.Model)
	if len(sites) != 4 || len(skips) != 2 {
		t.Fatalf("%d sites and %v, want 4 and the two recurrences", len(sites), skips)
	}
	small, err := rewrite.Apply(e.Model, patchAll(t, e.Model, sites, 0), rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if small, err = e.Collapse(small); err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	compare(t, execute(t, lib, m, inputs), execute(t, lib, small, inputs))
	have := operators(small)
	for op, n := range map[string]int{"LSTM": 1, "GRU": 1, "EyeLike": 0, "ConstantOfShape": 0} {
		if have[op] != n {
			t.Errorf("%d of %s, want %d: %v", have[op], op, n, have)
		}
	}
	for _, n := range graph.Of(small).Nodes() {
		if n.Op() == "LSTM" {
			if w, ok := graph.Of(small).Initializer(n.Input(1)); !ok || !slices.Equal(w.Shape(), []int{2, 48, 16}) {
				t.Error("the LSTM has not got weights of its own")
			}
		}
	}
}

// Weights that nodes compute from constants are sites; those that stay are computed again.
func TestComputedWeights(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.Computed(4))
	defer m.Close()
	r := rand.New(rand.NewPCG(5, 5))
	x := tensor.New(tensor.Float32, 3, 24)
	for i, v := 0, x.Float32s(); i < len(v); i++ {
		v[i] = float32(r.NormFloat64())
	}
	inputs := map[string]tensor.Dense{"x": x}
	e, err := rewrite.Expand(m, map[string][]int{"x": x.Shape}, nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, execute(t, lib, m, inputs), execute(t, lib, e.Model, inputs))
	sites, skips := linear(t, e.Model)
	if len(sites) != 4 {
		t.Fatalf("%d sites, want 4: %v", len(sites), skips)
	}
	again, err := e.Collapse(graph.Of(e.Model).Parts().Model())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want, errWant := m.Marshal()
	got, errGot := again.Marshal()
	if errWant != nil || errGot != nil || !bytes.Equal(got, want) {
		t.Error("not the same again")
	}
	for n := range sites {
		small, err := rewrite.Apply(e.Model, patchAll(t, e.Model, sites[:n+1], 0), rewrite.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if small, err = e.Collapse(small); err != nil {
			t.Fatal(err)
		}
		compare(t, execute(t, lib, m, inputs), execute(t, lib, small, inputs))
		if err := small.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A MultiHeadAttention whose heads have become narrower is one node again, with the scale that it had.
func TestCollapseNarrowHeads(t *testing.T) {
	lib, m := orttest.Open(t), testkit.Built(t, testmodels.Fused(3))
	defer m.Close()
	x := expanded(t, m)
	axes, _, err := rewrite.Axes(x.Model, shapes.Infer(x.Model, map[string][]int{"x": {2, 6, 32}}))
	if err != nil {
		t.Fatal(err)
	}
	var list []rewrite.Narrowing
	for i := range axes {
		if axes[i].Units == 8 {
			list = append(list, rewrite.Narrowing{Axis: &axes[i], Keep: []int{0, 2, 3, 5, 7}[:5-len(list)]})
		}
	}
	if len(list) != 2 {
		t.Fatalf("%d axes of 8 channels of each head, want those of queries and of values", len(list))
	}
	narrow, err := rewrite.Narrow(x.Model, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := execute(t, lib, narrow, fusedInputs())
	small, err := x.Collapse(narrow)
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	compare(t, want, execute(t, lib, small, fusedInputs()))
	if have := operators(small); have["com.microsoft::MultiHeadAttention"] != 1 || have["Softmax"] != 0 {
		t.Errorf("the attention is not one node any more: %v", have)
	}
	read := map[string]bool{}
	for _, n := range graph.Of(small).Nodes() {
		for _, v := range n.Inputs() {
			read[v] = true
		}
	}
	for _, w := range graph.Of(small).Initializers() {
		if !read[w.Name()] {
			t.Errorf("nothing reads %q", w.Name())
		}
	}
}

// A rotary embedding whose heads have become narrower is one node again, which turns the pairs of channels that are left.
func TestCollapseNarrowRotary(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range []struct {
		name        string
		op          string
		interleaved int
		heads       bool // whether it reads heads, and not all channels side by side
		turned      int  // of the 8 channels of each head
		kept        []int
	}{
		{"all", "com.microsoft::RotaryEmbedding", 0, false, 8, []int{0, 2, 3}},
		{"neighbours", "com.microsoft::RotaryEmbedding", 1, false, 8, []int{1, 3}},
		{"heads", "com.microsoft::RotaryEmbedding", 0, true, 8, []int{0, 3}},
		{"some", "com.microsoft::RotaryEmbedding", 0, false, 4, []int{1}},
		{"onnx", "RotaryEmbedding", 0, false, 8, []int{0, 2, 3}},
		{"onnx some heads", "RotaryEmbedding", 1, true, 4, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := turning(t, c.op, c.interleaved, c.heads, c.turned)
			defer m.Close()
			x := expanded(t, m)
			if have := operators(x.Model); have[c.op] != 0 {
				t.Fatalf("not expanded: %v", have)
			}
			axes, _, err := rewrite.Axes(x.Model, shapes.Infer(x.Model, map[string][]int{"x": {2, 6, 32}}))
			if err != nil {
				t.Fatal(err)
			}
			var list []rewrite.Narrowing
			for i := range axes {
				if a := &axes[i]; len(a.Products) > 0 && a.Units == c.turned/2 {
					list = append(list, rewrite.Narrowing{Axis: a, Keep: c.kept})
				}
			}
			if len(list) != 1 {
				t.Fatalf("%d axes of pairs in %d, want one", len(list), len(axes))
			}
			narrow, err := rewrite.Narrow(x.Model, list, nil)
			if err != nil {
				t.Fatal(err)
			}
			inputs := fusedInputs()
			inputs["positions"] = tensor.FromInt64([]int{2, 6}, []int64{0, 1, 2, 3, 4, 5, 3, 1, 4, 1, 5, 9})
			want := execute(t, lib, narrow, inputs)
			small, err := x.Collapse(narrow)
			if err != nil {
				t.Fatal(err)
			}
			defer small.Close()
			compare(t, want, execute(t, lib, small, inputs))
			if have, had := operators(small), operators(m); !maps.Equal(have, had) {
				t.Errorf("%v became %v", had, have)
			}
			if have, had := len(graph.Of(small).Initializers()), len(graph.Of(m).Initializers()); have != had {
				t.Errorf("%d constants became %d", had, have)
			}
		})
	}
}

// turning is a layer of attention over rows "x" [2,6,32] whose queries and keys, two heads of 8 channels, an operator turns.
func turning(t *testing.T, op string, interleaved int, heads bool, turned int) *onnxio.Model {
	t.Helper()
	opset := int64(17)
	if op == "RotaryEmbedding" {
		opset = 23
	}
	b := testmodels.NewBuilder(7, opset, 8).Import("com.microsoft", 1)
	x, positions := b.Input("x", tensor.Float32, 2, 6, 32), b.Input("positions", tensor.Int64, 2, 6)
	angles := make([]float64, 10*turned/2)
	for i := range angles {
		angles[i] = float64(i/(turned/2)) * math.Pow(0.3, float64(i%(turned/2)))
	}
	table := func(name string, of func(float64) float64) string {
		values := make([]float64, len(angles))
		for i, v := range angles {
			values[i] = of(v)
		}
		return b.Tensor(name, tensor.Float32, []int{10, turned / 2}, values)
	}
	cos, sin := table("cos", math.Cos), table("sin", math.Sin)
	attrs := []graph.Attr{graph.Int("interleaved", interleaved), graph.Int("num_heads", 2)}
	if turned < 8 {
		attrs = append(attrs, graph.Int("rotary_embedding_dim", turned))
	}
	turn := func(name string, perm ...int) string {
		y := b.Linear(x, 32, 16, true)
		split := func(y string, perm ...int) string {
			y = b.Node("Reshape", []string{y, b.Ints(name+"_heads", 0, 0, 2, 8)})
			return b.Node("Transpose", []string{y}, graph.Ints("perm", perm...))
		}
		if heads {
			y = split(y, 0, 2, 1, 3)
		}
		inputs := []string{y, positions, cos, sin}
		if op == "RotaryEmbedding" {
			inputs = []string{y, cos, sin, positions}
		}
		if y = b.Node(op, inputs, attrs...); !heads {
			return split(y, perm...)
		}
		if slices.Equal(perm, []int{0, 2, 1, 3}) {
			return y
		}
		return b.Node("Transpose", []string{y}, graph.Ints("perm", 0, 1, 3, 2))
	}
	scores := b.Node("MatMul", []string{turn("q", 0, 2, 1, 3), turn("k", 0, 2, 3, 1)})
	b.Node("Softmax", []string{scores})
	b.Output(b.Rename("y"), tensor.Float32, 2, 2, 6, 6)
	return testkit.Built(t, b)
}

// Layers that share the packed weights of an attention share the parts of them.
func TestSharedAttention(t *testing.T) {
	lib := orttest.Open(t)
	b := testmodels.NewBuilder(7, 17, 8).Import("com.microsoft", 1)
	x := b.Input("x", tensor.Float32, "batch", 6, 32)
	w, bias := b.Weight("qkv", 32, 32, 96), b.Random("bias", -0.1, 0.1, 96)
	for range 2 {
		x = b.Node("com.microsoft::Attention", []string{x, w, bias}, graph.Int("num_heads", 4))
	}
	b.Output(b.Rename("y"), tensor.Float32, "batch", 6, 32)
	m := testkit.Built(t, b)
	defer m.Close()
	e := expanded(t, m)
	sites, _ := linear(t, e.Model)
	weights := map[string]int{}
	for _, s := range sites {
		weights[s.Weight]++
	}
	if len(sites) != 6 || len(weights) != 3 {
		t.Errorf("%d sites with the weights %v, want 6 with 3", len(sites), weights)
	}
	again, err := e.Collapse(graph.Of(e.Model).Parts().Model())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want, _ := m.Marshal()
	if got, err := again.Marshal(); err != nil || !bytes.Equal(got, want) {
		t.Error("not the same again", err)
	}
	small, err := rewrite.Apply(e.Model, patchAll(t, e.Model, sites[:3], 0), rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if small, err = e.Collapse(small); err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	compare(t, execute(t, lib, m, fusedInputs()), execute(t, lib, small, fusedInputs()))
	if have := operators(small); have["com.microsoft::Attention"] != 1 || have["com.microsoft::MultiHeadAttention"] != 1 {
		t.Errorf("%v", have)
	}
}

// computedRecurrents is testmodels.Recurrents with weights of inputs that nodes make of nodes' constants, as exporters of PyTorch write them.
func computedRecurrents(t *testing.T) *onnxio.Model {
	t.Helper()
	m := testkit.Built(t, testmodels.Recurrents(5))
	defer m.Close()
	g := graph.Of(m)
	parts := g.Parts()
	parts.Nodes = nil
	for _, n := range g.Nodes() {
		w, ok := g.Initializer(n.Input(1))
		if n.Op() == "LSTM" || n.Op() == "GRU" {
			if !ok {
				t.Fatalf("%s reads no constant", n.Op())
			}
			d, err := w.Dense()
			if err != nil {
				t.Fatal(err)
			}
			flat := d
			flat.Shape = []int{d.Len()}
			sizes, err := onnxio.NewTensor("", tensor.Int64, []int{3}, []float64{float64(d.Shape[0]), float64(d.Shape[1]), float64(d.Shape[2])})
			if err != nil {
				t.Fatal(err)
			}
			parts.Nodes = append(parts.Nodes, graph.NewNode("Constant", "", nil, []string{w.Name() + ".flat"}, graph.Tensor("value", onnxio.DenseTensor("", flat))),
				graph.NewNode("Constant", "", nil, []string{w.Name() + ".sizes"}, graph.Tensor("value", sizes)),
				graph.NewNode("Reshape", "", []string{w.Name() + ".flat", w.Name() + ".sizes"}, []string{w.Name()}))
			parts.Initializers = slices.DeleteFunc(parts.Initializers, func(i onnxio.Tensor) bool { return i.Name() == w.Name() })
		}
		parts.Nodes = append(parts.Nodes, n)
	}
	out := parts.Plain().Model()
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Weights of recurrent operators that nodes compute are made again where they stay, whatever changes beside them.
func TestComputedRecurrentWeights(t *testing.T) {
	lib, m := orttest.Open(t), computedRecurrents(t)
	defer m.Close()
	r := rand.New(rand.NewPCG(5, 5))
	x := tensor.New(tensor.Float32, 6, 3, 16)
	for i, v := 0, x.Float32s(); i < len(v); i++ {
		v[i] = float32(r.NormFloat64())
	}
	inputs := map[string]tensor.Dense{"x": x}
	want := execute(t, lib, m, inputs)
	e, err := rewrite.Expand(m, map[string][]int{"x": x.Shape}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sites, skips := linear(t, e.Model)
	if len(sites) != 4 {
		t.Fatalf("%d sites, want 4: %v", len(sites), skips)
	}
	for mask := range 1 << len(sites) {
		var some []rewrite.Site
		for i := range sites {
			if mask>>i&1 == 1 {
				some = append(some, sites[i])
			}
		}
		small, err := rewrite.Apply(e.Model, patchAll(t, e.Model, some, 0), rewrite.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if small, err = e.Collapse(small); err != nil {
			t.Fatalf("sites %b changed: %v", mask, err)
		}
		if mask == 0 && !maps.Equal(operators(m), operators(small)) {
			t.Errorf("not the same again: %v, want %v", operators(small), operators(m))
		}
		compare(t, want, execute(t, lib, small, inputs))
		if err := small.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestHeldWeights: a weight that is computed from a constant which stays, since another graph reads it or another weight is computed from it
// too, is gone with its site no more than the constant is.
func TestHeldWeights(t *testing.T) {
	for _, c := range []struct {
		name          string
		nested, twice bool
	}{{name: "alone"}, {name: "nested", nested: true}, {name: "twice", twice: true}} {
		b := testmodels.NewBuilder(3, 17, 8)
		x := b.Input("x", tensor.Float32, "N", 24)
		flat, sizes := b.Random("flat", -1, 1, 24*24), b.Ints("sizes", 24, 24)
		product := func(b *testmodels.Builder) string {
			return b.Node("MatMul", []string{x, b.Node("Reshape", []string{flat, sizes})})
		}
		y := product(b)
		if c.twice {
			y = b.Node("Add", []string{y, product(b)})
		}
		branch := func(name string, again bool) graph.Attr {
			return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
				out := body.Node("Relu", []string{y})
				if again {
					out = body.Node("Add", []string{out, product(body)})
				}
				body.Output(out, tensor.Float32, "N", 24)
			}))
		}
		b.Output(b.Node("If", []string{b.Input("choice", tensor.Bool)}, branch("then_branch", false), branch("else_branch", c.nested)), tensor.Float32, "N", 24)
		m := testkit.Built(t, b)
		e, err := rewrite.Expand(m, map[string][]int{"x": {1, 24}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sites, _, err := rewrite.Sites(e.Model, shapes.Infer(e.Model, map[string][]int{"x": {1, 24}}))
		if err != nil || len(sites) == 0 {
			t.Fatalf("%s: %d sites, %v", c.name, len(sites), err)
		}
		e.Hold(sites)
		rewrite.Settle(e.Model, sites)
		for _, s := range sites {
			if want := c.nested || c.twice; s.WeightStays != want {
				t.Errorf("%s: the weight of %s stays: %v, want %v", c.name, s.Name, s.WeightStays, want)
			}
		}
	}
}

package compress

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// forked is a model of which everything but the last layer is in an If: its branches read a weight and a value of the graph around them, hold
// weights of their own under the same names, and one of them holds another If.
func forked(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 24)
	choice := b.Input("choice", tensor.Bool)
	outer := b.Weight("outer", 24, 24, 32)
	h := b.Node("Tanh", []string{b.Linear(x, 24, 24, true)})
	numbers := make([]float64, 32*32)
	for i := range numbers {
		numbers[i] = math.Sin(float64(i * i))
	}
	branch := func(name, act string, nested bool) graph.Attr {
		return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
			y := body.Node(act, []string{body.Node("MatMul", []string{h, outer})})
			y = body.Node("MatMul", []string{y, body.Tensor("copy", tensor.Float32, []int{32, 32}, numbers)})
			y = body.Linear(y, 32, 28, true)
			if nested {
				one := body.Tensor("limit", tensor.Float32, nil, []float64{0})
				sum := body.Node("ReduceSum", []string{y}, graph.Int("keepdims", 0))
				inner := func(name, act string) graph.Attr {
					return graph.Body(name, body.Body(name, func(in *testmodels.Builder) {
						in.Output(in.Node(act, []string{in.Linear(y, 28, 28, false)}), tensor.Float32, "N", 28)
					}))
				}
				y = body.Node("If", []string{body.Node("Greater", []string{sum, one})}, inner("then_branch", "Relu"), inner("else_branch", "Sigmoid"))
			}
			body.Output(y, tensor.Float32, "N", 28)
		}))
	}
	y := b.Node("If", []string{choice}, branch("then_branch", "Relu", false), branch("else_branch", "Tanh", true))
	b.Output(b.Linear(y, 28, 12, true), tensor.Float32, "N", 12)
	return save(t, testkit.Built(t, b))
}

// called is a model of calls of one function that share a weight given to it and one that it holds; it calls another function, with an
// attribute that it takes itself.
func called(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 24)
	b.Import("local", 1)
	b.Function("local", "Slope", []string{"in"}, []string{"out"}, func(body *testmodels.Builder) {
		body.Node("LeakyRelu", []string{"in"}, graph.Reference("alpha", "alpha"))
		body.Rename("out")
	})
	b.Function("local", "Block", []string{"in", "given", "bias"}, []string{"out"}, func(body *testmodels.Builder) {
		held := body.Weight("held", 24, 24, 24)
		y := body.Node("MatMul", []string{body.Node("MatMul", []string{"in", "given"}), held})
		body.Node("local::Slope", []string{body.Node("Add", []string{y, "bias"})}, graph.Reference("alpha", "slope"))
		body.Rename("out")
	})
	given, bias := b.Weight("given", 24, 24, 24), b.Random("bias", -1, 1, 24)
	y := b.Node("local::Block", []string{x, given, bias}, graph.Float("slope", 0.1))
	y = b.Node("local::Block", []string{y, given, bias}, graph.Float("slope", 0.5))
	b.Output(b.Linear(y, 24, 12, true), tensor.Float32, "N", 12)
	p := graph.Of(testkit.Built(t, b)).Parts()
	for i, f := range p.Functions {
		imports := append(f.Opsets(), graph.Opset{Domain: "local", Version: 1})
		p.Functions[i] = graph.NewFunction(f.Op(), f.Inputs(), f.Outputs(), imports, f.Nodes(), graph.Float("alpha", 0.01), graph.Float("slope", 0.01))
	}
	m := p.Model()
	defer m.Close()
	return save(t, m)
}

// choosing are samples of a forked model, of which those whose numbers one names take the other branch.
func choosing(n int, other func(int) bool) memory {
	out := drawn(n, "x", 1, 24)
	for i := range out {
		choice := tensor.New(tensor.Bool)
		if !other(i) {
			choice.Data[0] = 1
		}
		out[i].Inputs["choice"] = choice
	}
	return out
}

func never(int) bool { return false }

// atFullRank replaces every site by two factors that lose nothing, of sites in the same way, and compares the result with the original.
func atFullRank(t *testing.T, m *onnxio.Model, src samples.Source, how func(*Options)) (*Analysis, *onnxio.Model) {
	t.Helper()
	o := Options{Source: src}
	if how != nil {
		how(&o)
	}
	o = o.WithDefaults()
	env := in(t)
	a, err := analyse(context.Background(), env, m, o)
	if err != nil {
		t.Fatal(err)
	}
	names := graph.NewNameSet(a.model)
	var patches []rewrite.Patch
	for i := range a.Sites {
		s := &a.Sites[i]
		k, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		svd, err := MethodNamed("svd")
		if err != nil {
			t.Fatal(err)
		}
		spectrum, err := svd.Factor(env.Algebra, k, decomp.Metric{})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := spectrum.Chain(decomp.Rank{min(k.Rows(), k.Cols())})
		if err != nil {
			t.Fatal(err)
		}
		p, err := rewrite.Replace(a.model, s, chain, names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	open, err := rewrite.Apply(a.model, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	s := &Assembled{Model: open}
	if err := s.shut(a); err != nil {
		t.Fatal(err)
	}
	small := s.Model
	t.Cleanup(func() { small.Close() })
	lib, err := env.need("a test")
	if err != nil {
		t.Fatal(err)
	}
	all := make([]int, src.Len())
	for i := range all {
		all[i] = i
	}
	r, err := verify.Compare(context.Background(), lib, m.Path, testkit.Save(t, small), src, all, verify.Options{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range r.Outputs {
		if out.MaxRelative > 1e-4 {
			t.Errorf("output %q differs by %g at full rank", out.Name, out.MaxRelative)
		}
	}
	return a, small
}

func TestBranchesAtFullRank(t *testing.T) {
	m := forked(t)
	for name, other := range map[string]func(int) bool{"then": never, "else": func(int) bool { return true }, "mixed": func(i int) bool { return i%3 == 0 }} {
		t.Run(name, func(t *testing.T) {
			a, small := atFullRank(t, m, choosing(60, other), nil)
			if len(a.Sites) < 4 {
				t.Errorf("%d sites were found: %v", len(a.Sites), a.Skips)
			}
			n := slices.IndexFunc(graph.Of(small).Nodes(), func(n graph.Node) bool { return n.Op() == "If" })
			if n < 0 {
				t.Fatal("the If is gone")
			}
			if _, ok := graph.Of(small).Initializer("outer"); ok {
				t.Error("a weight that both branches read is still there beside its factors")
			}
			for c := range graph.Tensors(small) {
				if c.Len() == 32*32 && strings.Contains(c.Name(), "copy") {
					t.Errorf("a weight that both branches have is still there as %q", c.Name())
				}
			}
		})
	}
}

func TestBothBranchesWithoutSamples(t *testing.T) {
	a, err := Analyse(context.Background(), forked(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Sites) != 10 {
		t.Errorf("%d sites were found in both branches, 10 are wanted", len(a.Sites))
	}
	if a.bodies.of != 0 || len(a.Calibrate) > 0 {
		t.Error("samples were counted where there are none")
	}
}

func TestFunctionsAtFullRank(t *testing.T) {
	m := called(t)
	src := drawn(60, "x", 1, 24)
	a, small := atFullRank(t, m, src, nil)
	if len(a.Sites) != 5 {
		t.Errorf("%d sites were found, 5 are wanted", len(a.Sites))
	}
	if f := graph.Functions(small); len(f) != 1 || f[0].Op() != "local::Slope" {
		t.Errorf("%d functions are left, that in which nothing changed is wanted", len(f))
	}
	roots := map[string]int{}
	for _, s := range a.Sites {
		roots[s.Weight]++
	}
	if len(roots) != 3 {
		t.Errorf("the sites read %v, two weights of which both calls share", roots)
	}
}

func TestUntouchedBodiesAreTheOriginals(t *testing.T) {
	for _, m := range []*onnxio.Model{forked(t), called(t)} {
		a, small := atFullRank(t, m, sourceOf(m), func(o *Options) { o.Select = Selection{Keep: []string{"*"}} })
		if len(a.Sites) > 0 {
			t.Fatal("sites were taken that are to be kept")
		}
		want, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := small.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Error("a model of which nothing changed has other bytes")
		}
	}
}

func sourceOf(m *onnxio.Model) samples.Source {
	if graph.Of(m).IsInput("choice") {
		return choosing(40, never)
	}
	return drawn(40, "x", 1, 24)
}

func TestSkipsSayWhichBranch(t *testing.T) {
	a, err := analyse(context.Background(), in(t), forked(t), Options{Source: choosing(90, func(i int) bool { return i%9 == 0 }), CalibSamples: 80})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Calibrate) >= 80 || a.bodies.of != 80 {
		t.Errorf("%d of %d samples calibrate", len(a.Calibrate), a.bodies.of)
	}
	said := fmt.Sprintf("%d of 80 go another way", 80-len(a.Calibrate))
	if !slices.ContainsFunc(a.Skips, func(s rewrite.Skip) bool { return strings.Contains(s.Reason, said) }) {
		t.Errorf("no node says that %s", said)
	}
}

func TestBodiesEndToEnd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	mixed := func(int) bool { return random.IntN(5) == 0 }
	for _, c := range []struct {
		name  string
		model *onnxio.Model
		o     Options
	}{
		{"branches", forked(t), Options{Source: choosing(200, mixed), Targets: []Target{{Resource: MACs, Value: 0.7, Fraction: true}}}},
		{"branches, data-free", forked(t), Options{Targets: []Target{{Resource: Params, Value: 0.8, Fraction: true}}}},
		{"functions", called(t), Options{Source: drawn(200, "x", 1, 24), Targets: []Target{{Resource: MACs, Value: 0.7, Fraction: true}}}},
		{"functions, data-free", called(t), Options{Targets: []Target{{Resource: Params, Value: 0.8, Fraction: true}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.AcceptDamage, c.o.RankMultiple = true, 1
			r, _ := run(t, c.model, c.o)
			if r.Verification == nil && r.Unverified == "" {
				t.Error("nothing was verified")
			}
			if !slices.ContainsFunc(r.Sites, func(s SiteResult) bool { return s.Method != Dense }) {
				t.Error("no site was replaced")
			}
		})
	}
}

// TestBranchesByBatch: where an If looks at how many samples run at once, they run one at a time, and both branches get the same factors.
func TestBranchesByBatch(t *testing.T) {
	b := testmodels.NewBuilder(4, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 24)
	w := b.Weight("w", 24, 24, 32)
	first := b.Tensor("first", tensor.Int64, nil, []float64{0})
	one := b.Tensor("one", tensor.Int64, nil, []float64{1})
	size := b.Node("Gather", []string{b.Node("Shape", []string{x}), first})
	branch := func(name, act string) graph.Attr {
		return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
			body.Output(body.Node(act, []string{body.Node("MatMul", []string{x, w})}), tensor.Float32, "N", 32)
		}))
	}
	y := b.Node("If", []string{b.Node("Equal", []string{size, one})}, branch("then_branch", "Relu"), branch("else_branch", "Tanh"))
	b.Output(b.Linear(y, 32, 12, true), tensor.Float32, "N", 12)
	m := save(t, testkit.Built(t, b))
	src := drawn(40, "x", 24)
	a, err := analyse(context.Background(), in(t), m, Options{Source: src})
	if err != nil {
		t.Fatal(err)
	}
	if !a.bodies.single || a.batch(Options{Batch: 32}) != 1 {
		t.Error("samples would run together, and take the other branch")
	}
	if len(a.Sites) != 2 || len(a.Sites[0].Twins) != 1 {
		t.Fatalf("%d sites, of which the first is to have a twin", len(a.Sites))
	}
	r, _ := run(t, m, Options{Source: src, Targets: []Target{{Resource: Params, Value: 0.8, Fraction: true}}, RankMultiple: 1})
	if r.Output.Params*5 > r.Input.Params*4 {
		t.Errorf("%d of %d parameters are left", r.Output.Params, r.Input.Params)
	}
}

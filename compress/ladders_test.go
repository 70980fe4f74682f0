package compress

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// offered factors the sites of a model without data.
func offered(t *testing.T, m *onnxio.Model, o Options) *workshop {
	t.Helper()
	return factoredIn(t, bare(), m, o)
}

// twice makes a model with one 12×12 weight in a MatMul and a Gemm, and, if asked, in
// a third node that can only use it whole.
func twice(t *testing.T, whole bool) *onnxio.Model {
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 12)
	w := b.Weight("weight", 12, 12, 12)
	x = b.Node("Relu", []string{b.Node("MatMul", []string{x, w})})
	x = b.Node("Gemm", []string{x, w}, graph.Int("transB", 1))
	x = b.Linear(x, 12, 20, false)
	if whole {
		x = b.Node("Add", []string{x, b.Node("ReduceSum", []string{w})})
	}
	b.Output(x, tensor.Float32, "N", 20)
	return built(t, b)
}

// TestSharedWeightsAreChosenTogether: the sites of one weight are on one ladder, alike or not, and the weight's parameters count once, for as
// long as something needs it. Where they may be unlike each other, no budget leaves them with more loss, and some with less.
func TestSharedWeightsAreChosenTogether(t *testing.T) {
	for _, whole := range []bool{false, true} {
		j := offered(t, twice(t, whole), Options{Targets: []Target{half(Params)}})
		ls := j.of.ladders()
		if len(ls) != 2 || len(ls[0].offers) != 2 || len(ls[1].offers) != 1 {
			t.Fatalf("whole %v: %d ladders; want one of two sites and one of one", whole, len(ls))
		}
		shared := &ls[0]
		last := len(shared.rungs) - 1
		loss := func(limit int64, r Resource, alike bool) float64 {
			least := math.Inf(1)
			for _, rung := range shared.rungs {
				if shared.cost(rung, r) <= limit && (rung[0].same(rung[1]) || !alike) {
					least = min(least, rung[0].loss+rung[1].loss)
				}
			}
			return least
		}
		better := 0
		for i, rung := range shared.rungs {
			want, kept := int64(0), whole
			for _, o := range rung {
				if o.method == nil {
					kept = true
				} else {
					want += 24 * int64(o.rank[0])
				}
			}
			if kept {
				want += 144
			}
			if got := shared.cost(rung, Params); got != want || len(rung) != 2 || (i == last) != (rung[0].method == nil && rung[1].method == nil) {
				t.Errorf("whole %v: rung %d of %+v costs %d parameters, want %d", whole, i, rung, got, want)
			}
			if got, want := shared.cost(rung, MACs), rung[0].macs+rung[1].macs; got != want || got == 0 {
				t.Errorf("whole %v: rung %d costs %d MACs, want %d", whole, i, got, want)
			}
			for _, r := range countable() {
				limit := shared.cost(rung, r)
				if own, alike := loss(limit, r, false), loss(limit, r, true); own > alike {
					t.Errorf("whole %v: with %d %s they lose %g, alike %g", whole, limit, r, own, alike)
				} else if own < alike {
					better++
				}
			}
		}
		if better == 0 {
			t.Errorf("whole %v: they lose as much as if they were alike", whole)
		}
	}
}

// TestSharedWeightsInTheResult looks at what a whole run makes of them.
func TestSharedWeightsInTheResult(t *testing.T) {
	for _, whole := range []bool{false, true} {
		for _, r := range countable() {
			m, o := twice(t, whole), RunOptions{Output: out(t), Options: Options{Targets: []Target{share(r, 0.8)}, AcceptDamage: true}}
			result, err := Run(context.Background(), in(t), m, o)
			if err != nil {
				t.Fatal(err)
			}
			a, b := result.Sites[0], result.Sites[1]
			if whole && r == Params && a.Method != Dense {
				t.Errorf("a weight that stays anyway was factored to save parameters")
			}
			small, err := onnxio.Read(o.Output)
			if err != nil {
				t.Fatal(err)
			}
			defer small.Close()
			if _, there := graph.Of(small).Initializer("weight"); there != (whole || a.Method == Dense || b.Method == Dense) {
				t.Errorf("whole %v, %s, %s and %s: the weight is there: %v", whole, r, a.Method, b.Method, there)
			}
		}
	}
}

// hard are models whose costs are easy to get wrong.
func hard(t *testing.T) map[string]*onnxio.Model {
	return map[string]*onnxio.Model{
		"shared": twice(t, false), "shared, stays": twice(t, true), "Gemm before opset 11": oldGemms(t), "biases": biases(t),
	}
}

// biases makes a model with Conv nodes whose outputs can be shifted at various prices: in a
// bias of their own, in one that others use, in a new one, and in the position-dependent
// constant of the Add behind, which another node reads as well.
func biases(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(4, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 8, 5, 5)
	window := []int{3, 3}
	pads := graph.Ints("pads", 1, 1, 1, 1)
	shared, plane := b.Weight("shared_bias", 8, 8), b.Weight("plane", 1, 8, 5, 5)
	x = b.Node("Relu", []string{b.ConvBias(x, 8, 8, window, b.Weight("own_bias", 8, 8), pads)})
	x = b.Node("Relu", []string{b.ConvBias(x, 8, 8, window, shared, pads)})
	x = b.Node("Relu", []string{b.ConvBias(x, 8, 8, window, shared, pads)})
	x = b.Node("Relu", []string{b.ConvBias(x, 8, 8, window, "", pads)})
	x = b.Node("Add", []string{b.ConvBias(x, 8, 8, window, "", pads), plane})
	x = b.Node("Mul", []string{x, plane})
	b.Output(x, tensor.Float32, "N", 8, 5, 5)
	return built(t, b)
}

// inTurn names svd and one other method after the other.
func inTurn(turn int) []string {
	others := schemes()[1:]
	return []string{"svd", others[turn%len(others)]}
}

// TestCostsAreExact picks rungs at random, in every model of the zoo and in models made
// to be hard, and holds the ladders' arithmetic against a count of the rewritten model.
func TestCostsAreExact(t *testing.T) {
	models := hard(t)
	for _, c := range testmodels.All() {
		models[c.Name] = zoo(t, c.Name)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for turn, name := range slices.Sorted(maps.Keys(models)) {
		m := models[name]
		o := Options{Targets: []Target{half(Params)}, InputShapes: sizes(m), Methods: inTurn(turn)}
		holdCosts(t, name, offered(t, m, o), random, 0)
	}
}

// TestCostsAreExactWithData does so where outputs are shifted.
func TestCostsAreExactWithData(t *testing.T) {
	needRuntime(t)
	models := hard(t)
	for _, name := range []string{"cnn", "cnn_ir3", "cnn_constant_nodes", "cnn_overridable", "transformer", "gemm_opset9", "weight_shared", "unnamed"} {
		models[name] = zoo(t, name)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for turn, name := range slices.Sorted(maps.Keys(models)) {
		m := models[name]
		for probes := range 2 {
			o := Options{Targets: []Target{half(Params)}, Source: whole(t, m, 4), Probes: none(probes), CalibSamples: 4, Methods: inTurn(2*turn + probes)}
			if name == "biases" {
				o.Methods = schemes()
			}
			j := factoredIn(t, in(t), m, o)
			slack := int64(0)
			if name == "biases" {
				slack = 8 // the shared bias counts twice where it goes
			}
			holdCosts(t, name, j, random, slack)
		}
	}
}

// holdCosts compares a few random plans with the models that they make. The plans may say
// up to slack parameters too many, never too few.
func holdCosts(t *testing.T, name string, j *workshop, random *rand.Rand, slack int64) {
	t.Helper()
	ls := j.of.ladders()
	for range 4 {
		picks, want := make([]option, len(j.of.sites)), map[Resource]int64{}
		for _, r := range countable() {
			want[r] = int64(j.a.fixed(ls, r))
		}
		for i := range ls {
			rung := ls[i].rungs[random.IntN(len(ls[i].rungs))]
			for k, site := range ls[i].at {
				picks[site] = rung[k]
			}
			for _, r := range countable() {
				want[r] += ls[i].cost(rung, r)
			}
		}
		got := recount(t, j, picks)
		for _, r := range countable() {
			if over := want[r] - count(got, r); over < 0 || over > slack || r == MACs && over > 0 {
				t.Errorf("%s: the ladders say %d %s, the model has %d", name, want[r], r, count(got, r))
			}
		}
	}
}

// recount rewrites the model and counts it.
func recount(t *testing.T, j *workshop, picks []option) rewrite.Costs {
	t.Helper()
	chains, err := (&Choice{Offers: j.of, picks: picks}).chains(context.Background(), j.env, j.a, nil)
	if err != nil {
		t.Fatal(err)
	}
	small, _, err := j.a.replace(chains, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	concrete, _ := shapes.InputShapes(small, j.a.inputs)
	return rewrite.MeasureCosts(small, shapes.Infer(small, concrete))
}

// sizes gives the inputs of a model shapes, with 5 for what is open.
func sizes(m *onnxio.Model) map[string][]int {
	given := map[string][]int{}
	for _, in := range graph.Of(m).Feeds() {
		shape := []int{}
		for _, d := range in.Dims() {
			if n := d.Size; n > 0 {
				shape = append(shape, n)
			} else {
				shape = append(shape, 5)
			}
		}
		given[in.Name()] = shape
	}
	return given
}

// oldGemms makes a chain of Gemm nodes of opset 9, whose factors all need a C.
func oldGemms(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(3, 9, 4)
	x := b.Input("x", tensor.Float32, "N", 9)
	for i, sizes := range [][2]int{{9, 11}, {11, 13}, {13, 9}} {
		weight, bias := fmt.Sprintf("weight_%d", i), fmt.Sprintf("bias_%d", i)
		x = b.Node("Gemm", []string{x, b.Weight(weight, sizes[0], sizes[0], sizes[1]), b.Weight(bias, 1, sizes[1])})
	}
	b.Output(x, tensor.Float32, "N", 9)
	return built(t, b)
}

// TestParamsTargetHolds asks for every count of parameters that a model can be brought
// to, and for those in between: what is written never has more.
func TestParamsTargetHolds(t *testing.T) {
	for name, m := range map[string]*onnxio.Model{"opset 9": oldGemms(t), "shared": twice(t, false), "shared, stays": twice(t, true)} {
		whole, err := Inspect(m, nil, Selection{})
		if err != nil {
			t.Fatal(err)
		}
		met := 0
		for limit := whole.Params; limit > 1; limit -= 7 {
			j := factoredIn(t, bare(), m, Options{Targets: []Target{{Resource: Params, Value: float64(limit)}}})
			c, err := j.choose(context.Background())
			var made *Assembled
			if err == nil {
				made, err = Assemble(context.Background(), j.env, j.a, c, j.o)
				made.close()
			}
			if unmet := (*UnmetError)(nil); errors.As(err, &unmet) {
				if unmet.Reachable <= float64(limit) {
					t.Errorf("%s: %d parameters are refused, though %g can be reached", name, limit, unmet.Reachable)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: at most %d parameters: %v", name, limit, err)
			}
			if got := made.Targets[0].Reached; got > limit {
				t.Errorf("%s: %d parameters, at most %d wanted", name, got, limit)
			}
			met++
		}
		if met < 3 {
			t.Errorf("%s: only %d targets could be met", name, met)
		}
	}
}

// TestTargetsHoldWithData asks for less and less of models whose costs are easy to get
// wrong, with shifted outputs and sites that are solved anew: what is written never needs more.
func TestTargetsHoldWithData(t *testing.T) {
	needRuntime(t)
	for name, m := range hard(t) {
		before, err := Inspect(m, nil, Selection{})
		if err != nil {
			t.Fatal(err)
		}
		src := whole(t, m, 40)
		met := 0
		for _, v := range []float64{1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5} {
			for _, r := range Resources() {
				result, err := Run(context.Background(), in(t), m, to(t, Options{Targets: []Target{share(r, v)}, Source: src, Probes: 1}))
				if unmet := (*UnmetError)(nil); errors.As(err, &unmet) {
					continue
				}
				if err != nil {
					t.Errorf("%s, %s=%g: %v", name, r, v, err)
					continue
				}
				met++
				if v == 1 && r == Params && result.Output.Params > before.Params {
					t.Errorf("%s: %d parameters have become %d", name, before.Params, result.Output.Params)
				}
			}
		}
		if met < 8 {
			t.Errorf("%s: only %d targets could be met", name, met)
		}
	}
}

// TestOptionsSave: what is offered needs less of something, and costs less the more it loses.
func TestOptionsSave(t *testing.T) {
	j := offered(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}, Methods: schemes()})
	of, err := j.of.everything(context.Background(), j.env, j.a)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range of.sites {
		whole := f.options[len(f.options)-1]
		for i, o := range f.options {
			if o.loss < 0 || o.loss > 1 {
				t.Errorf("node %s: loss %g", f.site.Name, o.loss)
			}
			if o.method != nil && o.macs >= whole.macs && o.params >= whole.params {
				t.Errorf("node %s: rank %v saves nothing", f.site.Name, o.rank)
			}
			if i > 0 && o.method == f.options[i-1].method && len(o.rank) == 1 && o.loss > f.options[i-1].loss {
				t.Errorf("node %s: %s at rank %v loses more than at the rank before it", f.site.Name, o.method.Name, o.rank)
			}
		}
	}
}

// spectrum answers with fixed numbers.
type spectrum struct{ loss, energy float64 }

func (s spectrum) Loss(decomp.Rank) (float64, error)             { return s.loss, nil }
func (s spectrum) Energy() float64                               { return s.energy }
func (s spectrum) Chain(decomp.Rank) (decomp.Chain, error)       { return nil, errors.New("no chain") }
func (s spectrum) Move(func([]float64) ([]float64, error)) error { return nil }

// TestLossesThatAreNone: a rank whose loss is no number is dropped with a note, and the site stays as it is.
func TestLossesThatAreNone(t *testing.T) {
	for model, method := range map[string]string{"matmul_right": "svd", "cnn": "tucker2"} { // in closed form, and not
		j := offered(t, zoo(t, model), Options{Targets: []Target{half(MACs)}, Methods: []string{method}})
		site := j.of.sites[slices.IndexFunc(j.of.sites, func(o offer) bool { return len(o.options)+len(o.open) > 1 })].site
		ask := func(loss, energy float64) (*Offers, error) {
			one := offer{seen: &seen{site: site, energy: energy}, options: []option{{}}}
			if method == "svd" {
				one.floors = map[string]decomp.Floor{method: {Losses: slices.Repeat([]float64{loss}, site.Kernel.FullRank()+1)}}
			}
			of := &Offers{sites: []offer{one}, store: &store{space: newWorkspace(1 << 30), spectra: map[string]decomp.Spectrum{}}}
			m, _ := MethodNamed(method)
			of.store.spectra[factorization(one.seen, &m)] = spectrum{loss, 1}
			of.sites[0] = j.a.first(of, 0, j.o)
			return of.everything(context.Background(), j.env, j.a)
		}
		for _, loss := range []float64{math.NaN(), math.Inf(1), -1} {
			of, err := ask(loss, 1)
			if err != nil || len(of.sites[0].options) != 1 || len(of.sites[0].dropped) != 1 || !strings.Contains(of.sites[0].dropped[0], method+" dropped at") {
				t.Errorf("%s: a loss of %g: %+v, %v", method, loss, of.sites[0], err)
			}
		}
		of, err := ask(0, 0)
		if err != nil || len(of.sites[0].options) < 2 || of.sites[0].options[0].loss != 0 {
			t.Errorf("%s: a weight of zeros: %+v, %v", method, of, err)
		}
	}
}

// TestFixedCosts: budgets leave room for what no site can change.
func TestFixedCosts(t *testing.T) {
	m := zoo(t, "transformer")
	o := Options{
		Targets: []Target{half(MACs), half(Params)}, InputShapes: sizes(m),
		Select: Selection{Keep: []string{"MatMul_1"}},
	}
	j := offered(t, m, o)
	ls := j.of.ladders()
	q := &quest{a: j.a, bounds: o.Targets}
	for k, b := range q.budgets(ls) {
		r := o.Targets[k].Resource
		var sites int64
		for _, s := range j.a.Sites {
			if r == MACs {
				sites += s.DenseMACs()
			} else {
				sites += s.Kernel.Params()
			}
		}
		want := 0.5*float64(j.a.need(r)) - float64(j.a.need(r)-sites)
		if b.Name != string(r) || b.Limit != want {
			t.Errorf("budget %s: limit %g, want %g", b.Name, b.Limit, want)
		}
		if sites == 0 || sites == j.a.need(r) {
			t.Errorf("%s: %d of %d lie in sites; the test needs some outside", r, sites, j.a.need(r))
		}
	}
}

// TestUnmet: the refusal names what can be reached, and that can be.
func TestUnmet(t *testing.T) {
	m := zoo(t, "cnn")
	for _, r := range countable() {
		o := to(t, Options{Targets: []Target{share(r, 1e-6)}})
		_, err := Run(context.Background(), in(t), m, o)
		unmet := (*UnmetError)(nil)
		if !errors.As(err, &unmet) {
			t.Fatalf("%s: %v; want an UnmetError", r, err)
		}
		testkit.WantError(t, err, "cannot be met", "the least that can be reached", string(r))
		empty(t, strings.TrimSuffix(o.Output, "small.onnx"))

		// As a count, and as the share that the message gives.
		_, text, _ := strings.Cut(err.Error(), "("+string(r)+"=")
		text, _, _ = strings.Cut(text, ")")
		printed, parseErr := ParseTarget(string(r) + "=" + text)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		for _, target := range []Target{{Resource: r, Value: unmet.Reachable}, printed} {
			o := to(t, Options{Targets: []Target{target}})
			if _, err := Run(context.Background(), in(t), m, o); err != nil {
				t.Errorf("%s, said to be reachable, is not: %v", target, err)
			}
		}
		o = to(t, Options{Targets: []Target{{Resource: r, Value: unmet.Reachable - 1}}})
		if _, err := Run(context.Background(), in(t), m, o); !errors.As(err, &unmet) {
			t.Errorf("one less than can be reached: %v", err)
		}
	}
}

// TestUnmetTogether: where other targets stand in the way, the refusal names them; where
// nothing may change, it says so.
func TestUnmetTogether(t *testing.T) {
	m := zoo(t, "cnn")
	_, err := Run(context.Background(), in(t), m, to(t, Options{Targets: []Target{share(MACs, 0.9), share(Params, 0.01)}}))
	testkit.WantError(t, err, "target params=0.01 cannot be met beside macs=0.9")
	_, err = Run(context.Background(), in(t), m, to(t, Options{Targets: []Target{half(MACs)}, Select: Selection{Keep: []string{"*"}}}))
	testkit.WantError(t, err, "(macs=1)", "no node may change")
}

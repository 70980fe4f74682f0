package compress

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// thin is a network with kernels of low rank between channels of which many repeat others: input "image" [N,3,16,16].
func thin(t testing.TB) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Input("image", tensor.Float32, "N", 3, 16, 16)
	r := rand.New(rand.NewPCG(1, 2))
	last := 3
	for n, out := range []int{24, 24, 24, 24} {
		taps, rank := last*9, 4+12*(n%2)
		u, v := make([]float64, out*rank), make([]float64, rank*taps)
		for i := range u {
			u[i] = r.NormFloat64() / math.Sqrt(float64(rank))
		}
		for i := range v {
			v[i] = r.NormFloat64() / math.Sqrt(float64(taps))
		}
		w := make([]float64, out*taps)
		for o := range out {
			for k := range taps {
				for i := range rank {
					w[o*taps+k] += u[o*rank+i] * v[i*taps+k]
				}
				w[o*taps+k] += 0.01 * r.NormFloat64()
			}
		}
		weight := b.Tensor(fmt.Sprintf("w%d", n), tensor.Float32, []int{out, last, 3, 3}, w)
		bias := b.Weight(fmt.Sprintf("b%d", n), last, out)
		x = b.Node("Relu", []string{b.Node("Conv", []string{x, weight, bias}, graph.Ints("pads", 1, 1, 1, 1))})
		last = out
	}
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{b.Conv(x, 24, 8, []int{1, 1})})})
	b.Linear(x, 8, 5, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", 5)
	return built(t, b)
}

// TestBoth: chains and widths under one budget meet their targets, are expected to lose no more than either alone, say what they did,
// and give the same bytes with any number of threads, and again from their plan.
func TestBoth(t *testing.T) {
	needRuntime(t)
	mixed := 0
	for _, c := range []struct {
		name    string
		model   *onnxio.Model
		targets []Target
	}{
		{"thin", thin(t), []Target{share(MACs, 0.5), share(Params, 0.5), share(Bytes, 0.7)}},
		{"coupled", coupled(t), []Target{share(MACs, 0.2)}},
	} {
		name, m := c.name, c.model
		for _, target := range c.targets {
			o := narrow(Options{Targets: []Target{target}, RankMultiple: 1, Search: "lagrange"})
			with := func(methods ...string) Options {
				next := o
				next.Methods = methods
				return next
			}
			r, first := run(t, m, with("svd", "spatial", Width), threads(1))
			if got, limit := r.Targets[0].Reached, r.Targets[0].Limit; float64(got) > limit || float64(got) < 0.7*limit {
				t.Errorf("%s, %s: %d, the limit is %g", name, target, got, limit)
			}
			if r.Plan.Bound > r.Plan.Loss*(1+1e-9) || r.Plan.Loss <= 0 || r.Verification == nil {
				t.Errorf("%s, %s: plan %+v, verification %v", name, target, r.Plan, r.Verification)
			}
			heldBoth(t, r)
			if chains, narrower := heldChanges(r); chains > 0 && narrower > 0 {
				mixed++
			}
			for _, alone := range [][]string{{"svd", "spatial"}, {Width}} {
				one, _ := run(t, m, with(alone...))
				if r.Plan.Loss > one.Plan.Loss*(1+1e-9) {
					t.Errorf("%s, %s: both lose %g, %v alone %g", name, target, r.Plan.Loss, alone, one.Plan.Loss)
				}
			}
			if _, again := run(t, m, with("svd", "spatial", Width), threads(4)); !bytes.Equal(first, again) {
				t.Errorf("%s, %s: other bytes with other threads", name, target)
			}
			given := Options{FromPlan: reread(t, PlanOf(r)), Source: o.Source, CalibSamples: o.CalibSamples, Probes: 1, AcceptDamage: true}
			if p, planned := run(t, m, given); !bytes.Equal(unrecorded(t, planned), unrecorded(t, first)) || !p.Plan.Given {
				t.Errorf("%s, %s: the plan gives other bytes", name, target)
			}
		}
	}
	if mixed < 3 {
		t.Errorf("%d results have chains and narrower axes", mixed)
	}
}

// heldBoth holds what a result says of its sites and axes against the plan.
func heldBoth(t *testing.T, r *Result) {
	t.Helper()
	loss := 0.0
	for _, x := range r.Axes {
		if len(x.Kept) < x.Units {
			loss += *x.OutputChange
		}
	}
	for _, s := range r.Sites {
		if s.Method != Dense {
			loss += *s.OutputChange
		}
		if s.ParamsAfter > s.ParamsBefore+int64(s.Out) {
			t.Errorf("%s: %d parameters became %d", s.Name, s.ParamsBefore, s.ParamsAfter)
		}
	}
	if math.Abs(loss-r.Plan.Loss) > 1e-9*loss {
		t.Errorf("sites and axes lose %g, the plan %g", loss, r.Plan.Loss)
	}
}

// TestJointCosts: what the search for both counts of a chain beside widths is what the narrower model says.
func TestJointCosts(t *testing.T) {
	needRuntime(t)
	o := narrow(Options{Targets: []Target{share(MACs, 0.6), share(Params, 0.9)}, RankMultiple: 1}).WithDefaults()
	o.Methods = []string{"svd", "spatial", "tucker2", Width}
	w := factoredIn(t, in(t), coupled(t), o)
	q := &quest{env: w.env, a: w.a, o: o, bounds: o.Targets}
	j := q.jointly(w.of)
	p := j.whole()
	var list []rewrite.Narrowing
	for i := range p.widths {
		p.widths[i] = len(j.widths[i]) * 2 / 3
		list = append(list, rewrite.Narrowing{Axis: w.of.axes[i].axis, Keep: w.of.axes[i].kept(j.widths[i][p.widths[i]])})
	}
	n, err := w.of.beside(t.Context(), w.env, w.a, o, list)
	if err != nil {
		t.Fatal(err)
	}
	held, saved := 0, make([]float64, len(o.Targets))
	for l := range j.ladders {
		site := &n.a.Sites[j.ladders[l].at[0]]
		for r, rung := range j.ladders[l].rungs {
			if rung[0].method == nil || !j.saves(l, r, p.widths, saved) {
				continue
			}
			chain := rung[0].method.Factors(site.Kernel, rung[0].rank)
			held++
			if want := float64(site.DenseMACs() - site.MACs(chain)); saved[0] != want {
				t.Errorf("%s by %s at rank %v saves %g MACs, want %g", site.Name, rung[0].method.Name, rung[0].rank, saved[0], want)
			}
			if want := float64(site.Kernel.Params() - site.NewParams(chain) - n.of.sites[j.ladders[l].at[0]].shiftParams()); saved[1] != want {
				t.Errorf("%s by %s at rank %v saves %g parameters, want %g", site.Name, rung[0].method.Name, rung[0].rank, saved[1], want)
			}
		}
	}
	if held < 20 {
		t.Errorf("%d rungs were held", held)
	}
}

// TestBothGoals: goals, explorations and tuning work on chains beside widths.
func TestBothGoals(t *testing.T) {
	needRuntime(t)
	m := thin(t)
	o := narrow(Options{RankMultiple: 1, NoRefit: true})
	o.Methods = []string{"svd", Width}
	o.Goals = []verify.Bound{{Measure: verify.SNR, Value: 12}}
	r, _ := run(t, m, o)
	if len(r.Trials.Steps) < 2 || r.Output.MACs >= r.Input.MACs {
		t.Errorf("%d steps to %d of %d MACs", len(r.Trials.Steps), r.Output.MACs, r.Input.MACs)
	}
	o.Goals = nil
	x, err := Explore(t.Context(), in(t), m, ExploreOptions{Options: o, Budgets: []float64{0.7, 0.4, 0.2}})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range x.Points {
		if p.Why != "" || float64(p.MACs) > p.Budget*float64(x.Input.MACs) || i > 0 && p.Loss < x.Points[i-1].Loss {
			t.Errorf("point %+v", p)
		}
	}
	o.Targets, o.Descent = []Target{share(MACs, 0.4)}, &tune.Options{Epochs: 2}
	r, _ = run(t, m, o)
	if chains, narrower := heldChanges(r); r.Tuning == nil || chains == 0 || narrower == 0 {
		t.Errorf("tuning %+v, %d chains, %d narrower axes", r.Tuning, chains, narrower)
	}
	if len(r.Frontier.Points) < 5 || r.Frontier.Chosen.Loss != r.Plan.Loss {
		t.Errorf("frontier %+v", r.Frontier)
	}
	for i, p := range r.Frontier.Points[1:] {
		if p.Loss > r.Frontier.Points[i].Loss*(1+1e-9) {
			t.Errorf("with a budget of %g the loss is %g, with %g it is %g", p.Budget, p.Loss, r.Frontier.Points[i].Budget, r.Frontier.Points[i].Loss)
		}
	}
}

// heldChanges counts the chains and the narrower axes of a result.
func heldChanges(r *Result) (chains, narrower int) {
	for _, s := range r.Sites {
		if s.Method != Dense {
			chains++
		}
	}
	for _, x := range r.Axes {
		if len(x.Kept) < x.Units {
			narrower++
		}
	}
	return chains, narrower
}

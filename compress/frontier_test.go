package compress

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// TestFrontier holds what a result says of other budgets against what it says of its own.
func TestFrontier(t *testing.T) {
	needRuntime(t)
	for name, o := range map[string]Options{
		"one target":  {Targets: []Target{half(MACs)}},
		"two targets": {Targets: []Target{share(Params, 0.6), share(MACs, 0.7)}},
		"a file":      {Targets: []Target{share(Bytes, 0.7)}, Methods: schemes()},
		"a count":     {Targets: []Target{{Resource: MACs, Value: 300000}}},
		"calibrated":  {Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Probes: 1, Search: "composite"},
		"a goal":      {Goals: []verify.Bound{snr(10)}, Source: images(40), CalibSamples: 24, Probes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := run(t, zoo(t, "cnn"), o)
			f := r.Frontier
			if f == nil || f.Skipped != "" || len(f.Points) < frontierPoints/2 {
				t.Fatalf("%+v", f)
			}
			over := MACs
			if len(o.Targets) > 0 {
				over = o.Targets[0].Resource
			}
			if f.Over != over {
				t.Errorf("over %s, want %s", f.Over, over)
			}
			if c := f.Chosen; c.Loss != r.Plan.Loss || c.Bound != r.Plan.Bound || !(c.Cost > 0 && c.Cost <= c.Budget && c.Budget <= 1) {
				t.Errorf("chosen %+v of %+v", c, r.Plan)
			}
			checkFrontier(t, f)
		})
	}
}

func checkFrontier(t *testing.T, f *Frontier) {
	t.Helper()
	for i, p := range f.Points {
		if p.Bound > p.Loss*(1+1e-9) || p.Cost > p.Budget*(1+1e-6) {
			t.Errorf("point %+v", p)
		}
		if p.Budget >= f.Chosen.Cost && p.Bound > f.Chosen.Loss*(1+1e-9) {
			t.Errorf("point %+v is said to be worse than what was chosen within it, %+v", p, f.Chosen)
		}
		if i > 0 && (p.Budget <= f.Points[i-1].Budget || p.Bound > f.Points[i-1].Bound*(1+1e-9)) {
			t.Errorf("point %+v after %+v", p, f.Points[i-1])
		}
	}
	last := f.Points[len(f.Points)-1]
	if math.Abs(last.Budget-1) > 1e-9 || last.Loss > f.Chosen.Loss {
		t.Errorf("the last point is %+v", last)
	}
}

// TestNoFrontier: where no other plan was looked for, it says so.
func TestNoFrontier(t *testing.T) {
	m := zoo(t, "cnn")
	r, _ := run(t, m, Options{Targets: []Target{half(MACs)}})
	plan := PlanOf(r)
	r, _ = run(t, m, Options{FromPlan: &plan})
	if f := r.Frontier; f == nil || !strings.Contains(f.Skipped, "plan was given") || len(f.Points) > 0 {
		t.Errorf("%+v", f)
	}
	r, _ = run(t, m, Options{Targets: []Target{share(MACs, 1)}, Select: Selection{Keep: []string{"*"}}})
	if f := r.Frontier; f == nil || !strings.Contains(f.Skipped, "no site") {
		t.Errorf("%+v", f)
	}
}

// TestSpectra: every site has what was chosen among some ranks that are worth their cost.
func TestSpectra(t *testing.T) {
	r, _ := run(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}})
	for _, s := range r.Sites {
		found := s.Method == Dense
		for _, m := range s.Spectra {
			if len(m.Ranks) == 0 || len(m.Ranks) > spectrumPoints+1 {
				t.Errorf("%s: %d ranks of %s", s.Name, len(m.Ranks), m.Method)
			}
			for i, q := range m.Ranks {
				chosen := m.Method == s.Method && slices.Equal(q.Rank, s.Rank)
				if chosen {
					found = true
					if q.MACs != s.MACsAfter || q.Params != s.ParamsAfter || q.Loss != s.Loss {
						t.Errorf("%s: %+v is not the site's %+v", s.Name, q, s)
					}
				}
				if i > 0 && (q.MACs < m.Ranks[i-1].MACs || q.Loss >= m.Ranks[i-1].Loss && !chosen) {
					t.Errorf("%s: %s: %+v after %+v", s.Name, m.Method, q, m.Ranks[i-1])
				}
			}
		}
		if !found {
			t.Errorf("%s: %s at %v is not among its spectra", s.Name, s.Method, s.Rank)
		}
	}
}

func TestThinned(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		n := 1 + random.IntN(60)
		ranks := make([]RankInspection, n)
		for i := range ranks {
			ranks[i] = RankInspection{Rank: decomp.Rank{i}, MACs: int64(random.IntN(100)), Loss: random.Float64()}
		}
		wanted := random.IntN(n)
		keep := func(r RankInspection) bool { return r.Rank[0] == wanted }
		all := worthwhileRanks(ranks, keep)
		got := thinned(all, keep)
		if !slices.ContainsFunc(got, keep) || len(got) > spectrumPoints+1 || !reflect.DeepEqual(got[0], all[0]) || !reflect.DeepEqual(got[len(got)-1], all[len(all)-1]) {
			t.Fatalf("%v of %v, to keep %d", got, all, wanted)
		}
	}
}

// TestLatency times the two models where that is asked for.
func TestLatency(t *testing.T) {
	needRuntime(t)
	for name, o := range map[string]Options{
		"samples": {Source: images(40), CalibSamples: 24}, "none": {InputShapes: map[string][]int{}},
	} {
		o.Targets, o.Time = []Target{half(MACs)}, true
		r, _ := run(t, zoo(t, "cnn"), o)
		l := r.Latency
		if l == nil || l.Skipped != "" {
			t.Fatalf("%s: %+v", name, l)
		}
		if l.Sample == "" || l.Turns < latencyLimits().Least || l.Turns > latencyLimits().Most || !(l.Before > 0 && l.After > 0 && l.Low > 0 && l.Low <= l.Speed && l.Speed <= l.High) {
			t.Errorf("%s: %+v", name, l)
		}
		if a := l.Activations; a == nil || a.Before <= 0 || a.After <= 0 {
			t.Errorf("%s: activations %+v", name, a)
		}
	}
}

// TestNoLatency: what cannot be timed is delivered all the same, and says why.
func TestNoLatency(t *testing.T) {
	m := zoo(t, "cnn")
	for _, asked := range []bool{true, false} {
		r, err := Run(context.Background(), bare(), m, to(t, Options{Targets: []Target{half(MACs)}, Time: asked}))
		if err != nil {
			t.Fatal(err)
		}
		if l := r.Latency; (l != nil) != asked || asked && (!strings.Contains(l.Skipped, "nothing was run") || l.Turns != 0) {
			t.Errorf("%+v", l)
		}
	}
}

// TestPeak counts by hand: x lives until both of its readers ran, and nobody reads "idle".
func TestPeak(t *testing.T) {
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, 1, 4)
	w := b.Random("w", -1, 1, 4, 100)
	wide := b.Node("MatMul", []string{x, w})
	b.Node("Relu", []string{wide})
	sum := b.Node("ReduceSum", []string{wide})
	b.Node("Add", []string{sum, x})
	b.Output(b.Rename("y"), tensor.Float32, 1, 4)
	m := built(t, b)
	nodes := graph.Of(m).Nodes()
	if got := len(nodes); got < 4 {
		t.Fatalf("%d nodes", got)
	}
	values := grad.Values{"x": {Type: tensor.Float32, Shape: []int{1, 4}}}
	sizes := [][]int{{1, 100}, {1, 100}, {1, 1}, {1, 4}, {1, 4}}
	for i, n := range nodes {
		values[n.Output(0)] = grad.Value{Type: tensor.Float32, Shape: sizes[min(i, len(sizes)-1)]}
	}
	// x, what MatMul gives, and what Relu gives.
	if got, known := peak(m, values); !known || got != 4*(4+100+100) {
		t.Errorf("%d, %v", got, known)
	}
	delete(values, nodes[1].Output(0))
	if _, known := peak(m, values); known {
		t.Error("a value without a size is counted")
	}
}

// TestResultIsJSON: a result as JSON and back is the same, with all that it can hold.
func TestResultIsJSON(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Probes: 1, Time: true})
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(&back); err != nil || string(again) != string(data) {
		t.Errorf("error %v; %d bytes become %d", err, len(data), len(again))
	}
}

package compress

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// words draws sentences of six words of 120, the first ones far more often than the last.
func words(n int) memory {
	random := rand.New(rand.NewPCG(9, 1))
	var out memory
	for i := range n {
		ids := make([]int64, 6)
		for k := range ids {
			ids[k] = int64(120 * math.Pow(random.Float64(), 3))
		}
		out = append(out, samples.Sample{Name: fmt.Sprint("sentence ", i), Label: -1, Inputs: map[string]tensor.Dense{"tokens": tensor.FromInt64([]int{6}, ids)}})
	}
	return out
}

// TestEmbedding compresses a text classifier, most of whose parameters are its table, and holds the loss that is
// promised at the table against what the written one makes of the words.
func TestEmbedding(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "text_classifier")
	src := words(150)
	for probes := range 2 {
		o := Options{Targets: []Target{share(Params, 0.6)}, Source: src, CalibSamples: 100, Probes: none(probes), NoRefit: true}
		r, _ := run(t, m, o)
		s := r.Sites[0]
		if s.Op != "Gather" || s.Method != "svd" || s.MACsBefore != 0 || s.MACsAfter == 0 || s.ParamsAfter >= s.ParamsBefore {
			t.Fatalf("%d probes: %+v", probes, s)
		}
		if r.Verification == nil || r.Verification.Outputs[0].Cosine < 0.9 {
			t.Errorf("%d probes: verification %+v (%s)", probes, r.Verification, r.Unverified)
		}
		if probes == 0 {
			if got := tableLoss(t, m, r); math.Abs(got-s.Loss) > 1e-4*s.Loss {
				t.Errorf("the table loses %g of its variance, promised %g", got, s.Loss)
			}
		}
	}
	// With a target of multiply-accumulates, looking up stays as it is.
	r, _ := run(t, m, Options{Targets: []Target{share(MACs, 0.7)}, Source: src, CalibSamples: 100})
	if r.Sites[0].Method != Dense {
		t.Errorf("%+v: more multiply-accumulates than before", r.Sites[0])
	}
	// Refits leave it alone, and say why.
	r, _ = run(t, m, Options{Targets: []Target{share(Params, 0.6)}, Source: src, CalibSamples: 100, Probes: 1})
	if f := r.Sites[0].Refit; f == nil || f.Kept || f.Why == "" {
		t.Errorf("refit %+v", f)
	}
}

// tableLoss is Σ_v p_v ‖w_v − w'_v‖² over Σ_v p_v ‖w_v − w̄‖², with p the smoothed frequencies of the words that
// calibration saw.
func tableLoss(t *testing.T, m *onnxio.Model, r *Result) float64 {
	t.Helper()
	small, err := onnxio.Read(r.Output.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	w, shape := testkit.Numbers(t, m, "embedding")
	first, _ := testkit.Numbers(t, small, "Gather_1/svd.first.weight")
	last, middle := testkit.Numbers(t, small, "Gather_1/svd.last.weight")
	rows, width := shape[0], shape[1]
	p := make([]float64, rows)
	chosen, _ := samples.Split(150, 100, 0)
	src := words(150)
	for i := range p {
		p[i] = 1 / float64(600+rows)
	}
	for _, i := range chosen {
		ids, err := src[i].Inputs["tokens"].Int64s()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			p[id] += 1 / float64(600+rows)
		}
	}
	lost, energy, mean := 0., 0., make([]float64, width)
	for v := range rows {
		for k := range width {
			d := w[v*width+k]
			mean[k] += p[v] * d
			energy += p[v] * d * d
			for i := range middle[0] {
				d -= first[v*middle[0]+i] * last[i*width+k]
			}
			lost += p[v] * d * d
		}
	}
	for _, x := range mean {
		energy -= x * x
	}
	return lost / energy
}

// TestTiedEmbedding: the table goes only where both that use it are factored, each at the rank that suits it.
func TestTiedEmbedding(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, zoo(t, "text_tied"), Options{Targets: []Target{share(Params, 0.7)}, Source: words(80), CalibSamples: 64, Probes: 1})
	i := slices.IndexFunc(r.Sites, func(s SiteResult) bool { return s.Op == "Gather" })
	head := r.Sites[len(r.Sites)-1]
	if table := r.Sites[i]; table.Method == Dense || head.Method == Dense || slices.Equal(table.Rank, head.Rank) {
		t.Errorf("table %+v, head %+v", table, head)
	}
	if r.Verification == nil {
		t.Errorf("not verified: %s", r.Unverified)
	}
}

// TestWideLayer: a layer with more inputs than samples is factored through its columns, to the losses and ranks of its
// moments.
func TestWideLayer(t *testing.T) {
	needRuntime(t)
	for probes := range 2 {
		o := Options{Targets: []Target{half(Params)}, Source: words(30), CalibSamples: 12, Probes: none(probes)}.WithDefaults()
		m, env := zoo(t, "text_classifier"), in(t)
		a, err := Analyse(context.Background(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		lib, err := env.need("this test")
		if err != nil {
			t.Fatal(err)
		}
		how := env.calibOptions(a, o)
		columns, err := calib.Collect(context.Background(), lib, m, a.Sites, o.Source, a.Calibrate, how)
		if err != nil {
			t.Fatal(err)
		}
		how.Samples = 0
		moments, err := calib.Collect(context.Background(), lib, m, a.Sites, o.Source, a.Calibrate, how)
		if err != nil {
			t.Fatal(err)
		}
		narrow, full := offersUnder(t, env, a, o, columns), offersUnder(t, env, a, o, moments)
		wide := 0
		for i := range columns {
			if columns[i].Columns.Rows == 0 {
				continue
			}
			wide++
			a, b := &narrow.sites[i], &full.sites[i]
			if math.Abs(a.energy-b.energy) > 1e-6*b.energy || len(a.options) != len(b.options) {
				t.Fatalf("%s: energy %g and %d options, of the moments %g and %d", a.site.Name, a.energy, len(a.options), b.energy, len(b.options))
			}
			for k := range a.options {
				// The moments are summed in float32.
				if x, y := a.options[k].share, b.options[k].share; math.Abs(x-y) > 1e-6 {
					t.Errorf("%s at %v: loss %g, of the moments %g", a.site.Name, a.options[k].rank, x, y)
				}
			}
		}
		if wide != 2 {
			t.Errorf("%d sites keep their columns, want 2", wide)
		}
	}
}

// offersUnder makes the offers of all sites under given statistics.
func offersUnder(t *testing.T, env *Environment, a *Analysis, o Options, stats []calib.Stats) *Offers {
	t.Helper()
	f := &factoring{env: env, a: a, o: o, out: &Offers{sites: make([]offer, len(a.Sites))}}
	var err error
	if f.out.store, err = newStore(env.Algebra, true, 1<<30); err != nil {
		t.Fatal(err)
	}
	all := make([]int, len(a.Sites))
	for i := range all {
		all[i] = i
	}
	if err := f.group(context.Background(), "factor", all, stats, 0, 1); err != nil {
		t.Fatal(err)
	}
	return f.out
}

package compress

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// coarse makes a method of svd that offers every 8th rank at first, and then ranks at
// spacings of 4, 2 and 1 around those that it is asked about. It has no factors at ranks
// that never divides. losses counts how many it computed.
func coarse(name string, never int, losses *atomic.Int64) decomp.Method {
	m, _ := MethodNamed("svd")
	all := m.Ranks
	keep := func(ranks []decomp.Rank, spacing int) []decomp.Rank {
		return slices.DeleteFunc(ranks, func(r decomp.Rank) bool { return r[0]%spacing != 0 && r[0] != 1 })
	}
	m.Name, m.Closed = name, nil // its losses have to be asked for
	m.Ranks = func(s decomp.Shape, multiple int) []decomp.Rank { return keep(all(s, multiple), 8) }
	m.Near = func(s decomp.Shape, r decomp.Rank, stage, multiple int) []decomp.Rank {
		if stage > 3 {
			return nil
		}
		spacing := 8 >> stage
		return slices.DeleteFunc(keep(all(s, multiple), spacing), func(n decomp.Rank) bool {
			return max(n[0]-r[0], r[0]-n[0]) > spacing || n[0] == r[0]
		})
	}
	factor := m.Factor
	m.Factor = func(b linalg.Backend, k decomp.Kernel, metric decomp.Metric) (decomp.Spectrum, error) {
		s, err := factor(b, k, metric)
		return lazy{s, never, losses}, err
	}
	return m
}

type lazy struct {
	decomp.Spectrum
	never  int
	losses *atomic.Int64
}

func (l lazy) Loss(r decomp.Rank) (float64, error) {
	l.losses.Add(1)
	if l.never > 0 && r[0]%l.never == 0 {
		return 0, &decomp.RefusedError{Method: "lazy", Rank: r, Reason: "on purpose"}
	}
	return l.Spectrum.Loss(r)
}

// chosenFrom searches among the given methods.
func chosenFrom(t *testing.T, m *onnxio.Model, o Options, memory int64, methods ...decomp.Method) (*workshop, *Choice) {
	t.Helper()
	o.Memory = memory
	w := factoredIn(t, bare(), m, o, methods...)
	c, err := w.choose(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return w, c
}

// TestStages: coarse ranks that are refined near the choice end where all ranks would, and
// most ranks are never looked at.
func TestStages(t *testing.T) {
	m := zoo(t, "cnn")
	for _, v := range []float64{0.8, 0.5, 0.3} {
		o := Options{Targets: []Target{share(MACs, v)}}
		var few, most atomic.Int64
		fine, _ := MethodNamed("svd")
		_, whole := chosenFrom(t, m, o, 0, fine)
		_, staged := chosenFrom(t, m, o, 0, coarse("coarse", 0, &few))
		if above := staged.Summary.Loss/whole.Summary.Loss - 1; above > 0.002 || above < -1e-12 {
			t.Errorf("macs=%g: in stages %g, with all ranks %g", v, staged.Summary.Loss, whole.Summary.Loss)
		}
		all := coarse("all", 0, &most)
		all.Ranks, all.Near = fine.Ranks, nil
		if chosenFrom(t, m, o, 0, all); few.Load() >= most.Load() {
			t.Errorf("macs=%g: %d of %d losses were computed", v, few.Load(), most.Load())
		}
	}
}

// TestStagesOutOfReach: a target that only ranks between the coarse ones can meet is met.
func TestStagesOutOfReach(t *testing.T) {
	cnn := zoo(t, "cnn")
	var losses atomic.Int64
	fine := coarse("coarse", 0, &losses)
	fine.Ranks = func(s decomp.Shape, _ int) []decomp.Rank { return []decomp.Rank{{min(8, s.FullRank())}} }
	rough := fine
	rough.Near = nil
	search := func(m decomp.Method, limit float64) error {
		_, err := factoredIn(t, bare(), cnn, Options{Targets: []Target{{Resource: MACs, Value: limit}}}, m).choose(context.Background())
		return err
	}
	unmet := (*UnmetError)(nil)
	if err := search(rough, 2); !errors.As(err, &unmet) || unmet.Reachable >= float64(unmet.Original) {
		t.Fatalf("two MACs: %v", err)
	}
	if err := search(fine, 0.9*unmet.Reachable); err != nil {
		t.Error(err)
	}
}

// TestStagesRefusedRanks: ranks without factors are left out.
func TestStagesRefusedRanks(t *testing.T) {
	var losses atomic.Int64
	_, chosen := chosenFrom(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}}, 0, coarse("coarse", 3, &losses))
	factored := 0
	for _, c := range chosen.picks {
		if c.method != nil {
			factored++
			if c.rank[0]%3 == 0 {
				t.Errorf("rank %v was chosen, which has no factors", c.rank)
			}
		}
	}
	if factored == 0 {
		t.Error("nothing was factored")
	}
}

// TestStagesRefusedMethod: a method that cannot factor the numbers of a site has no ranks there, and the others go on.
func TestStagesRefusedMethod(t *testing.T) {
	var losses atomic.Int64
	never := coarse("never", 0, &losses)
	never.Factor = func(linalg.Backend, decomp.Kernel, decomp.Metric) (decomp.Spectrum, error) {
		return nil, &decomp.RefusedError{Method: "never", Reason: "on purpose"}
	}
	_, chosen := chosenFrom(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}}, 1<<30, never, coarse("coarse", 0, &losses))
	if !slices.ContainsFunc(chosen.picks, func(c option) bool { return c.method != nil && c.method.Name == "coarse" }) {
		t.Error("nothing was factored")
	}
}

// TestStagesWithoutMemory: factoring again in place of holding what was factored changes nothing.
func TestStagesWithoutMemory(t *testing.T) {
	o := Options{Targets: []Target{half(MACs)}}
	var losses atomic.Int64
	m := zoo(t, "cnn")
	held, first := chosenFrom(t, m, o, 1<<30, coarse("coarse", 0, &losses))
	again, second := chosenFrom(t, m, o, 1<<12, coarse("coarse", 0, &losses))
	tight, third := chosenFrom(t, m, o, 1, coarse("coarse", 0, &losses))
	if held.of.store.shelf != nil || again.of.store.shelf == nil || len(held.of.store.spectra) == 0 || len(again.of.store.spectra) == 0 || len(tight.of.store.spectra) > 0 {
		t.Fatalf("%d spectra are held in memory, %d in a file, and %d where there is room for none", len(held.of.store.spectra), len(again.of.store.spectra), len(tight.of.store.spectra))
	}
	chains := make([][]decomp.Chain, 3)
	for i, c := range []*Choice{first, second, third} {
		var err error
		if chains[i], err = c.chains(context.Background(), held.env, held.a, nil); err != nil {
			t.Fatal(err)
		}
	}
	for n, less := range []*Choice{second, third} {
		for i, c := range first.picks {
			if other := less.picks[i]; !c.same(other) || c.loss != other.loss {
				t.Errorf("site %d: %s losing %g, and %s losing %g", i, c.key(), c.loss, other.key(), other.loss)
			}
			for k, f := range chains[0][i] {
				if !slices.Equal(f.Kernel.Weights, chains[1+n][i][k].Kernel.Weights) {
					t.Errorf("site %d: factor %d differs", i, k)
				}
			}
		}
	}
}

// TestFloorsAreFactorizations: what was factored to find the losses at all ranks is what chains are made of, also where memory does not
// hold it; only where a file may not either is it made again.
func TestFloorsAreFactorizations(t *testing.T) {
	m := zoo(t, "cnn")
	for _, test := range []struct {
		memory int64
		again  bool
	}{{1 << 30, false}, {1 << 14, false}, {1, true}} {
		var made atomic.Int64
		counted, _ := MethodNamed("svd")
		factor, floor := counted.Factor, counted.Floor
		counted.Factor = func(b linalg.Backend, k decomp.Kernel, metric decomp.Metric) (decomp.Spectrum, error) {
			made.Add(1)
			return factor(b, k, metric)
		}
		counted.Floor = func(b linalg.Backend, k decomp.Kernel, metric decomp.Metric) (decomp.Floor, decomp.Spectrum, error) {
			f, _, err := floor(b, k, metric)
			if err != nil {
				return f, nil, err
			}
			s, err := factor(b, k, metric)
			return f, s, err
		}
		w, c := chosenFrom(t, m, Options{Targets: []Target{half(MACs)}}, test.memory, counted)
		chains, err := c.chains(context.Background(), w.env, w.a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(chains, func(c decomp.Chain) bool { return c != nil }) {
			t.Error("nothing is factored")
		}
		if again := made.Load() > 0; again != test.again || (w.of.store.shelf == nil) != (test.memory == 1<<30) {
			t.Errorf("with %d bytes of memory %d factorizations are made for chains", test.memory, made.Load())
		}
	}
}

// TestChoicesLeaveOffersAlone: what a choice learns is in its own offers; those that it began with stay as they were, and give
// the same choice again.
func TestChoicesLeaveOffersAlone(t *testing.T) {
	var losses atomic.Int64
	w := factoredIn(t, bare(), zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}}, coarse("coarse", 0, &losses))
	known := func(of *Offers) (options, asked int) {
		for _, o := range of.sites {
			options, asked = options+len(o.options), asked+len(o.asked)
		}
		return options, asked
	}
	before, asked := known(w.of)
	var first *Choice
	for range 2 {
		c, err := w.choose(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n, a := known(w.of); n != before || a != asked {
			t.Errorf("the offers had %d options of %d that were asked about, and have %d of %d", before, asked, n, a)
		}
		if n, _ := known(c.Offers); n <= before {
			t.Errorf("%d options are known of a choice, %d before it", n, before)
		}
		if first == nil {
			first = c
		}
		for i, p := range c.picks {
			if !p.same(first.picks[i]) {
				t.Errorf("site %d: %s, and then %s", i, first.picks[i].key(), p.key())
			}
		}
	}
}

// TestStagesShareWeights: sites of one weight are asked about the same ranks.
func TestStagesShareWeights(t *testing.T) {
	var losses atomic.Int64
	_, chosen := chosenFrom(t, twice(t, false), Options{Targets: []Target{share(Params, 0.7)}}, 0, coarse("coarse", 0, &losses))
	a, b := chosen.Offers.sites[0], chosen.Offers.sites[1]
	if len(a.options) < 3 || len(a.options) != len(b.options) {
		t.Fatalf("%d and %d options", len(a.options), len(b.options))
	}
	for i := range a.options {
		if !a.options[i].same(b.options[i]) {
			t.Errorf("option %d is %s and %s", i, a.options[i].key(), b.options[i].key())
		}
	}
}

// TestSchemesOnOneLadder: with all methods the loss is no larger than with any of them
// alone, and any rank that a method has can be planned, on its grid or not.
func TestSchemesOnOneLadder(t *testing.T) {
	m := zoo(t, "cnn")
	o := Options{Targets: []Target{half(MACs)}}
	o.Methods = schemes()
	best, _ := run(t, m, o)
	for _, method := range decomp.Methods() {
		o.Methods = []string{method.Name}
		alone, _ := run(t, m, o)
		if alone.Plan.Loss < best.Plan.Loss*(1-1e-3) {
			t.Errorf("%s alone loses %g, all methods together %g", method.Name, alone.Plan.Loss, best.Plan.Loss)
		}
	}
	plan := PlanOf(best)
	plan.Sites = []SitePlan{{"Conv_4", "tucker2", decomp.Rank{7, 5}}, {"Conv_5", "tt", decomp.Rank{5, 7, 3}}, {"Conv_7", "spatial", decomp.Rank{5}}}
	r, first := run(t, m, Options{FromPlan: &plan})
	for _, want := range plan.Sites {
		i := slices.IndexFunc(r.Sites, func(s SiteResult) bool { return s.Name == want.Name })
		if s := r.Sites[i]; s.Method != want.Method || !slices.Equal(s.Rank, want.Rank) || s.MACsAfter >= s.MACsBefore {
			t.Errorf("site %s is %s at rank %v; want %+v", s.Name, s.Method, s.Rank, want)
		}
	}
	if _, again := run(t, m, Options{FromPlan: &plan}, threads(1)); !bytes.Equal(first, again) {
		t.Error("the same plan gives other bytes")
	}
}

// TestBoundsSpareFactors: the choice is the one that knowing every loss would lead to, though not every loss is found.
func TestBoundsSpareFactors(t *testing.T) {
	alone := func() *onnxio.Model {
		b := testmodels.NewBuilder(3, 17, 8)
		b.Output(b.Conv(b.Input("x", tensor.Float32, "N", 16, 8, 8), 16, 16, []int{3, 3}), tensor.Float32, "N", 16, 6, 6)
		return built(t, b)
	}
	for _, v := range []struct {
		name  string
		model *onnxio.Model
		macs  float64
		most  float64 // of the losses that are found
	}{
		{"a net", zoo(t, "cnn"), 0.8, 1},
		{"a net", zoo(t, "cnn"), 0.6, 1},
		{"a net", zoo(t, "cnn"), 0.4, 1},
		{"one layer", alone(), 0.7, 0.5},
		{"one layer", alone(), 0.4, 0.5},
	} {
		w := factoredIn(t, bare(), v.model, Options{Targets: []Target{share(MACs, v.macs)}, Methods: schemes(), RankMultiple: 1})
		known, err := w.of.everything(context.Background(), w.env, w.a)
		if err != nil {
			t.Fatal(err)
		}
		var plans [2]*Choice
		var found [2]int
		for i, of := range []*Offers{w.of, known} {
			if plans[i], err = Choose(context.Background(), w.env, w.a, of, w.o, w.o.Targets, 0); err != nil {
				t.Fatal(err)
			}
			for _, o := range plans[i].Offers.sites {
				found[i] += len(o.options)
			}
		}
		for i, c := range plans[0].picks {
			if other := plans[1].picks[i]; !c.same(other) {
				t.Errorf("%s, macs=%g, site %d: %s, and %s where all is known", v.name, v.macs, i, c.key(), other.key())
			}
		}
		if float64(found[0]) >= v.most*float64(found[1]) {
			t.Errorf("%s, macs=%g: %d losses were found, of %d", v.name, v.macs, found[0], found[1])
		}
		t.Logf("%s, macs=%g: %d of %d losses found", v.name, v.macs, found[0], found[1])
	}
}

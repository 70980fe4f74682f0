package compress

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// measured is a choice of ranks by composite on sensitivities, and what it was made by.
func measured(t *testing.T, m *onnxio.Model, env *Environment) (*quest, standing) {
	t.Helper()
	w := factoredIn(t, env, m, Options{
		Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 50, Probes: 1, Search: "composite", Methods: []string{"svd"},
	})
	q := &quest{env: env, a: w.a, o: w.o, bounds: w.o.Targets}
	var s standing
	err := env.stage(context.Background(), "search", func(st *stage) (err error) {
		s, err = q.descend(context.Background(), st, w.of)
		return err
	})
	if err != nil || s.unmet != nil {
		t.Fatal(err, s.unmet)
	}
	return q, s
}

// losses are those of an offer's options.
func losses(o offer) []float64 {
	var out []float64
	for _, c := range o.options {
		out = append(out, c.loss)
	}
	return out
}

// TestCorrectsWrongLosses: what a site's losses are wrong by is found, and they are right
// thereafter, also those of ranks that are asked about later.
func TestCorrectsWrongLosses(t *testing.T) {
	const wrong = 1. / 3
	q, s := measured(t, zoo(t, "cnn"), in(t, threads(2)))
	doubtful := q.doubtful(&s)
	if len(doubtful) < 3 {
		t.Fatalf("%d ladders would be measured", len(doubtful))
	}
	spoiled := s.ladders[doubtful[1]].at[0]
	wronged := *s.offers
	wronged.sites = slices.Clone(s.offers.sites)
	facts := *wronged.sites[spoiled].seen
	facts.positions *= wrong
	wronged.sites[spoiled] = wronged.sites[spoiled].rescaled(wrong)
	wronged.sites[spoiled].ratio, wronged.sites[spoiled].seen = 1, &facts
	guess := s
	guess.offers, guess.ladders = &wronged, wronged.ladders()
	correct := func(s *standing) (of *Offers) {
		err := q.env.stage(t.Context(), "correct", func(st *stage) (err error) {
			of, err = q.correct(t.Context(), st, s, doubtful, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return of
	}
	good, bad := correct(&s), correct(&guess)
	for i, c := range bad.Corrections {
		want := good.Corrections[i].Ratio
		if i == 1 {
			want /= wrong
		}
		if math.Abs(c.Ratio/want-1) > 1e-9 {
			t.Errorf("%v: the ratio is %g, want %g", c.Sites, c.Ratio, want)
		}
		at := slices.IndexFunc(good.sites, func(o offer) bool { return o.site.Name == c.Sites[0] })
		for k, loss := range losses(bad.sites[at]) {
			if want := losses(good.sites[at])[k]; math.Abs(loss-want) > 1e-9*want {
				t.Errorf("%v: option %d loses %g, want %g", c.Sites, k, loss, want)
			}
		}
	}
	again := option{}
	if err := again.judge(1, &bad.sites[spoiled]); err != nil || math.Abs(again.loss/(facts.positions*bad.Corrections[1].Ratio)-1) > 1e-9 {
		t.Errorf("a loss of 1 a position, found later, counts %g: %v", again.loss, err)
	}
}

// TestRescaleUnmeasured: sites without a measurement take the median of the others; ratios
// have their limits, and what is not finite corrects nothing.
func TestRescaleUnmeasured(t *testing.T) {
	site := func(name string, sensitive bool) offer {
		o := offer{ratio: 1, seen: &seen{sensitive: sensitive}, options: []option{{loss: 1}, {}}}
		o.site.Name = name
		return o
	}
	svd, _ := MethodNamed("svd")
	of := &Offers{sites: []offer{site("a", true), site("b", true), site("c", true), site("d", true), site("e", false)}}
	var list []Correction
	for i, change := range []float64{2, 8, 1000, math.NaN()} {
		l := ladder{offers: []*offer{&of.sites[i]}}
		c := l.predicted([]option{{method: &svd, loss: 1}})
		ok := c.measured(change)
		if ok == math.IsNaN(change) {
			t.Errorf("a change of %g is taken: %v", change, ok)
		}
		if ok {
			list = append(list, c)
		}
	}
	after := of.corrected(list)
	for i, want := range []float64{2, 8, mostCorrection, 8, 1} {
		if o := after.sites[i]; o.options[0].loss != want || o.ratio != want || o.options[1].loss != 0 {
			t.Errorf("site %s: losses %v with the ratio %g, want %g", o.site.Name, losses(o), o.ratio, want)
		}
		if o := of.sites[i]; o.options[0].loss != 1 || o.ratio != 1 || of.Corrections != nil {
			t.Errorf("site %s: correcting changed what was corrected", o.site.Name)
		}
	}
	if m := median(list[:2]); math.Abs(m-4) > 1e-12 {
		t.Errorf("the median of 2 and 8 is %g, want 4", m)
	}
}

// TestCorrections: composite measures where there is something to measure, no other search
// does, and the result does not depend on threads.
func TestCorrections(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	var seen log
	o := Options{Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 50, Probes: 1, Batch: 7, Search: "composite", Methods: []string{"svd"}}
	r, one := run(t, m, o, threads(1), told(seen.add))
	if len(r.Plan.Corrections) < 3 {
		t.Fatalf("corrections: %+v", r.Plan.Corrections)
	}
	last := math.Inf(1)
	for _, c := range r.Plan.Corrections {
		if len(c.Sites) == 0 || c.Method == "" || len(c.Rank) == 0 || c.Samples != 50 || !(c.Predicted > 0 && c.Predicted <= last && c.Measured > 0 && c.Measured < 1e6) ||
			!(c.Ratio >= 1./mostCorrection && c.Ratio <= mostCorrection) {
			t.Errorf("correction %+v", c)
		}
		last = c.Predicted
	}
	sum := 0.
	for _, s := range r.Sites {
		sum += *s.OutputChange
	}
	if math.Abs(sum/r.Plan.Loss-1) > 1e-9 || r.Plan.Bound > r.Plan.Loss {
		t.Errorf("the plan loses %g, its sites %g, the bound is %g", r.Plan.Loss, sum, r.Plan.Bound)
	}
	var stages []string
	for _, e := range seen.events {
		if e.stage == "correct" && e.done > e.total {
			t.Errorf("correct is at %d of %d", e.done, e.total)
		}
		if e.done == 0 && e.total == 0 {
			stages = append(stages, e.stage)
		}
	}
	if !strings.Contains(strings.Join(stages, " "), "search correct search") {
		t.Errorf("stages %v", stages)
	}
	if _, three := run(t, m, o, threads(3)); !bytes.Equal(one, three) {
		t.Error("three threads write other bytes than one")
	}
	for name, change := range map[string]func(*Options){
		"lagrange": func(o *Options) { o.Search = "lagrange" }, "rene": func(o *Options) { o.Search = "rene" },
		"without sensitivities": func(o *Options) { o.Probes = -1 }, "data-free": func(o *Options) { o.Source = nil },
	} {
		other := o
		change(&other)
		if r, _ := run(t, m, other); r.Plan.Corrections != nil {
			t.Errorf("%s: %+v", name, r.Plan.Corrections)
		}
	}
}

// TestCorrectedOnce: however often ranks are chosen, the measurement is made once.
func TestCorrectedOnce(t *testing.T) {
	needRuntime(t)
	o := Options{Source: images(200), CalibSamples: 60, Probes: 1, Search: "composite", Methods: []string{"svd"}, NoRefit: true}
	if err := o.AddTarget("snr=6dB"); err != nil {
		t.Fatal(err)
	}
	r, _ := run(t, zoo(t, "cnn"), o)
	corrected := 0
	for _, s := range r.Stages {
		if strings.HasPrefix(s.Name, "correct") {
			corrected++
		}
	}
	if corrected != 1 || len(r.Trials.Steps) < 2 || len(r.Plan.Corrections) == 0 {
		t.Errorf("%d measurements in %d trials, %d corrections", corrected, len(r.Trials.Steps), len(r.Plan.Corrections))
	}
}

// TestCorrectionCancelled ends the context when the measurement begins, and within it.
func TestCorrectionCancelled(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := Options{Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 50, Batch: 7, Probes: 1, Search: "composite", Methods: []string{"svd"}}
	_, want := run(t, m, o)
	for done := range 2 {
		cancelAt(t, m, o, event{stage: "correct", done: done}, want)
	}
}

// TestCorrectsSharedWeights: sites of one weight are replaced, and corrected, together.
func TestCorrectsSharedWeights(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, twice(t, false), Options{Targets: []Target{share(Params, 0.4)}, Source: drawn(400, "x", 12), CalibSamples: 360, Probes: 1, Search: "composite"})
	if !slices.ContainsFunc(r.Plan.Corrections, func(c Correction) bool { return len(c.Sites) == 2 }) {
		t.Errorf("corrections: %+v", r.Plan.Corrections)
	}
}

// Losses of models that take long are measured on fewer samples.
func TestCorrectable(t *testing.T) {
	for _, c := range []struct {
		samples, models, least int
		macs                   int64
		want                   int
	}{
		{1024, 9, 16, 40e6, 128},
		{512, 9, 16, 40e6, 64},
		{512, 9, 16, 400e6, 64},
		{40, 9, 16, 400e6, 40},
		{1024, 9, 16, 0, 128},
		{128, 9, 16, 4e9, 55},
		{128, 9, 16, 11e9, 20},
		{128, 3, 16, 11e9, 60},
		{128, 9, 16, 90e9, 16},
		{8, 9, 16, 90e9, 8},
		{128, 44, 16, 17e9, 16},
		{128, 44, 4, 17e9, 4},
	} {
		if got := correctable(c.samples, c.models, c.least, c.macs); got != c.want {
			t.Errorf("%+v: %d samples", c, got)
		}
	}
}

package compress

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"
)

// measured is a job that has chosen ranks by composite on sensitivities, and the choice.
func measured(t *testing.T) (*job, standing) {
	t.Helper()
	j := withRuntime(t, zoo(t, "cnn"), Options{
		Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 50, Probes: 1, Search: "composite", Methods: []string{"svd"}, Threads: 2,
	})
	if err := j.walk(context.Background(), j.analyse, j.factor); err != nil {
		t.Fatal(err)
	}
	s, err := j.descend(context.Background())
	if err != nil || s.unmet != nil {
		t.Fatal(err, s.unmet)
	}
	return j, s
}

// losses are those of an offer's options.
func losses(o *offer) []float64 {
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
	good, s := measured(t)
	bad, _ := measured(t)
	doubtful := good.doubtful(&s)
	if len(doubtful) < 3 {
		t.Fatalf("%d ladders would be measured", len(doubtful))
	}
	spoiled := bad.offers[slices.Index(good.offers, s.ladders[doubtful[1]].offers[0])]
	for i := range spoiled.options {
		spoiled.options[i].loss *= wrong
	}
	spoiled.positions *= wrong
	guess := s
	guess.ladders = ladders(bad.offers)
	if err := good.correct(t.Context(), &s, doubtful); err != nil {
		t.Fatal(err)
	}
	if err := bad.correct(t.Context(), &guess, doubtful); err != nil {
		t.Fatal(err)
	}
	for i, c := range bad.corrections {
		want := good.corrections[i].Ratio
		if i == 1 {
			want /= wrong
		}
		if math.Abs(c.Ratio/want-1) > 1e-9 {
			t.Errorf("%v: the ratio is %g, want %g", c.Sites, c.Ratio, want)
		}
		at := slices.IndexFunc(good.offers, func(o *offer) bool { return o.site.Name == c.Sites[0] })
		for k, loss := range losses(bad.offers[at]) {
			if want := losses(good.offers[at])[k]; math.Abs(loss-want) > 1e-9*want {
				t.Errorf("%v: option %d loses %g, want %g", c.Sites, k, loss, want)
			}
		}
	}
	again := option{}
	if err := again.judge(1, spoiled); err != nil || math.Abs(again.loss/(spoiled.positions*bad.corrections[1].Ratio)-1) > 1e-9 {
		t.Errorf("a loss of 1 a position, found later, counts %g: %v", again.loss, err)
	}
}

// TestRescaleUnmeasured: sites without a measurement take the median of the others; ratios
// have their limits, and what is not finite corrects nothing.
func TestRescaleUnmeasured(t *testing.T) {
	site := func(name string, sensitive bool) *offer {
		o := &offer{ratio: 1, sensitive: sensitive, options: []option{{loss: 1}, {}}}
		o.site.Name = name
		return o
	}
	svd, _ := MethodNamed("svd")
	j := &job{offers: []*offer{site("a", true), site("b", true), site("c", true), site("d", true), site("e", false)}}
	for i, change := range []float64{2, 8, 1000, math.NaN()} {
		l := ladder{offers: j.offers[i : i+1]}
		c, ok := l.correction([]option{{method: &svd, loss: 1}}, change)
		if ok == math.IsNaN(change) {
			t.Errorf("a change of %g is taken: %v", change, ok)
		}
		if ok {
			j.corrections = append(j.corrections, c)
		}
	}
	j.rescale()
	for i, want := range []float64{2, 8, mostCorrection, 8, 1} {
		if o := j.offers[i]; o.options[0].loss != want || o.ratio != want || o.options[1].loss != 0 {
			t.Errorf("site %s: losses %v with the ratio %g, want %g", o.site.Name, losses(o), o.ratio, want)
		}
	}
	j.corrections = j.corrections[:2]
	if m := median(j.corrections); math.Abs(m-4) > 1e-12 {
		t.Errorf("the median of 2 and 8 is %g, want 4", m)
	}
}

// TestCorrections: composite measures where there is something to measure, no other search
// does, and the result does not depend on threads.
func TestCorrections(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	var seen log
	o := Options{Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 50, Probes: 1, Batch: 7, Search: "composite", Methods: []string{"svd"}, Threads: 1, Progress: seen.add}
	r, one := run(t, m, o)
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
	o.Threads, o.Progress = 3, nil
	if _, three := run(t, m, o); !bytes.Equal(one, three) {
		t.Error("three threads write other bytes than one")
	}
	for name, change := range map[string]func(*Options){
		"lagrange": func(o *Options) { o.Search = "lagrange" }, "rene": func(o *Options) { o.Search = "rene" },
		"without sensitivities": func(o *Options) { o.Probes = 0 }, "data-free": func(o *Options) { o.Source, o.Probes = nil, 0 },
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
	r, _ := run(t, twice(t, false), Options{Targets: []Target{share(Params, 0.4)}, Source: drawn(40, "x", 12), CalibSamples: 30, Probes: 1, Search: "composite"})
	if !slices.ContainsFunc(r.Plan.Corrections, func(c Correction) bool { return len(c.Sites) == 2 }) {
		t.Errorf("corrections: %+v", r.Plan.Corrections)
	}
}

package compress

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

func TestFittingGoals(t *testing.T) {
	for _, c := range []struct {
		kinds []verify.Kind
		want  []verify.Bound
	}{
		{nil, []verify.Bound{snr(30)}},
		{[]verify.Kind{outputs.Scores, outputs.Scores}, []verify.Bound{agree(0.99)}},
		{[]verify.Kind{outputs.Embedding}, []verify.Bound{cosine(0.99)}},
		{[]verify.Kind{outputs.Mask, outputs.Tokens, outputs.Values}, []verify.Bound{{Measure: verify.IoU, Value: 0.97}, agree(0.99), snr(30)}},
		{[]verify.Kind{outputs.Letters}, []verify.Bound{{Measure: verify.CER, Value: 0.01}}},
		{[]verify.Kind{outputs.Boxes, outputs.Values}, []verify.Bound{boxes(0.98), snr(30)}},
		{[]verify.Kind{outputs.Values, outputs.Scores}, []verify.Bound{snr(30), agree(0.99)}},
	} {
		if got := fittingGoals(c.kinds); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.kinds, got, c.want)
		}
	}
	odd := &verify.Report{Outputs: []verify.Output{{Kind: outputs.Scores}, {Kind: outputs.Embedding, Ignored: true}, {Kind: outputs.Opaque, Uncompared: "a map"}}}
	if got := refitted(odd); !slices.Equal(got, []verify.Bound{snr(30)}) {
		t.Errorf("scores of another shape: %v", got)
	}
	placeless := &verify.Report{Outputs: []verify.Output{{Kind: outputs.Mask}, {Kind: outputs.Letters, Sequence: &verify.Sequence{}}, {Kind: outputs.Tokens, Sequence: &verify.Sequence{}}}}
	if got := refitted(placeless); !slices.Equal(got, []verify.Bound{snr(30), agree(0.99)}) {
		t.Errorf("a mask without places, and letters that are none: %v", got)
	}
	found := &verify.Report{Outputs: []verify.Output{{Name: "boxes", Kind: outputs.Boxes, Uncompared: "sizes"}, {Name: "scores", Kind: outputs.Values}, {Name: "gaze", Kind: outputs.Embedding}}}
	if got := refitted(found); !slices.Equal(got, []verify.Bound{snr(30), cosine(0.99)}) {
		t.Errorf("boxes of a layout that is not known: %v", got)
	}
	found.Detections = &verify.Detections{Output: "boxes", Reads: []string{"boxes", "scores"}}
	if got := refitted(found); !slices.Equal(got, []verify.Bound{boxes(0.98), cosine(0.99)}) {
		t.Errorf("boxes with scores: %v", got)
	}
}

// boxes is a goal for detectors.
func boxes(v float64) verify.Bound { return verify.Bound{Measure: verify.Boxes, Value: v} }

// TestFittingBoxes: without a target a detector becomes as small as the boxes allow that both models find, and is judged by these.
func TestFittingBoxes(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, built(t, testmodels.Detector(1)), Options{Source: images(80), Probes: 1, NoRefit: true})
	checkTrials(t, r, 20, 20, false)
	if g := r.Trials.Goals; len(g) != 1 || g[0].Bound != boxes(0.98) || g[0].Unproved != "" || g[0].Proved == nil {
		t.Errorf("%+v", g)
	}
	d := r.Verification.Detections
	if d == nil || d.Before < 20 || d.Output != "found" || r.Verification.Judged.Measure != verify.Boxes {
		t.Errorf("%+v, %+v", d, r.Verification.Judged)
	}
	if r.Output.MACs >= r.Input.MACs {
		t.Errorf("%d multiply-adds of %d", r.Output.MACs, r.Input.MACs)
	}
}

// A search ends where a goal is met with next to nothing to spare.
func TestTight(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		g     verify.Bound
		value *float64
		n     int
		want  bool
	}{
		{agree(0.99), f(0.99), 500, true},
		{agree(0.99), f(0.994), 500, false},
		{agree(0.99), f(1), 30, true},
		{agree(0.99), f(0.992), 500, false},
		{drop(0.01), f(0.0095), 1000, true},
		{drop(0.01), f(-0.01), 1000, false},
		{cosine(0.99), f(0.9901), 100, true},
		{cosine(0.99), f(0.995), 100, false},
		{snr(30), f(30.1), 100, true},
		{snr(30), f(31), 100, false},
		{snr(30), nil, 100, false},
	} {
		if got := tight(c.g, c.value, c.n); got != c.want {
			t.Errorf("%v at %v of %d samples: %v", c.g, verify.Value(c.value), c.n, got)
		}
	}
}

// Without a target a run is as small as its outputs allow; half of the samples judge, and too few for the goal are no error.
func TestFitting(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, zoo(t, "cnn"), Options{Source: images(60), Probes: 1, NoRefit: true})
	checkTrials(t, r, 30, 30, true)
	if !r.Trials.Fitting || len(r.Trials.Goals) != 1 || r.Trials.Goals[0].Bound != agree(0.99) || r.Calibration.Samples != 30 {
		t.Errorf("%+v, calibrated on %d samples", r.Trials, r.Calibration.Samples)
	}
	if j := r.Verification.Judged; j.Measure != verify.Agreement || r.Verification.Evidence != verify.Unseen || !strings.Contains(j.Text, "30 unseen samples") {
		t.Errorf("%+v", j)
	}
	for _, s := range r.Stages {
		if strings.HasPrefix(s.Name, "judge") && !strings.Contains(s.Name, " (attempt ") {
			t.Errorf("stage %s", s.Name)
		}
	}
	r, _ = run(t, zoo(t, "cnn"), Options{Source: images(60), Probes: 1, NoRefit: true, Classes: outputs.None})
	if g := r.Trials.Goals; len(g) != 1 || g[0].Bound != snr(30) {
		t.Errorf("without classes %+v", g)
	}
	for words, o := range map[string]Options{
		"there is 1; give more": {Source: images(1)},
		"no samples to find":    {},
	} {
		_, err := Run(context.Background(), in(t), zoo(t, "cnn"), to(t, o))
		testkit.WantError(t, err, words, "macs=0.5")
	}
}

// A bracket closes in on the budget where the damage is just allowed, in fewer steps than by halves.
func TestBracket(t *testing.T) {
	for _, c := range []struct {
		at, slope float64
		steps     int
	}{{0.37, 6, 3}, {0.9, 12, 5}, {0.03, 20, 5}} {
		b := newBracket(1)
		n := 0
		for ; !b.narrow(); n++ {
			at := b.next()
			e := c.slope * (c.at - at)
			b.add(at, e <= 0, e, 0)
		}
		if b.low > c.at || b.high < c.at || b.high > c.at+rewarding || n > c.steps {
			t.Errorf("%+v: from %g to %g after %d steps", c, b.low, b.high, n)
		}
	}
	b := newBracket(0.8)
	b.add(0.4, false, math.NaN(), 0)
	if got := b.next(); !near(got, 0.6) {
		t.Errorf("the middle is %g", got)
	}
	b.add(0.6, true, -5, 0)
	b.add(0.3, false, 2, 0)
	if b.low != 0.4 || b.high != 0.6 || !near(b.next(), 0.5) {
		t.Errorf("%+v", b)
	}
}

// TestNotWorthwhile: the search stops at what it states, later as long as nothing met the goals, and sooner where samples cannot tell.
func TestNotWorthwhile(t *testing.T) {
	for name, c := range map[string]struct {
		low, high, below, above, noise float64
		want                           bool
	}{
		"none met, near":        {0.97, 1, 0.5, math.NaN(), 1, false},
		"none met, at the end":  {0.985, 1, 0.5, math.NaN(), 1, true},
		"less than it is worth": {0.45, 0.48, 2, -0.1, 1, true},
		"what it is worth":      {0.44, 0.5, 2, -20, 1, false},
		"not to be told":        {0.44, 0.5, 0.5, -2, 1, true},
		"not to be told, wide":  {0.25, 0.5, 0.5, -2, 1, false},
		"no model below":        {0.44, 0.5, math.NaN(), -2, 1, false},
		"crossed near the top":  {0.3, 0.5, 9, -0.1, 1, true},
	} {
		b := &bracket{low: c.low, high: c.high, below: c.below, above: c.above, met: !math.IsNaN(c.above), noise: c.noise}
		if got := b.narrow(); got != c.want {
			t.Errorf("%s: narrow %v, gain %g, least %g", name, got, b.gain(), b.least())
		}
		if said := b.stopped(MACs, 60); strings.Contains(said, "60 samples cannot tell") != (b.least() == unsure) {
			t.Errorf("%s: %s", name, said)
		}
	}
	for _, c := range []struct {
		g    verify.Bound
		n    int
		want float64
	}{{agree(0.99), 100, math.Log(3)}, {agree(0.99), 10000, math.Log(1.2)}, {drop(0.01), 400, math.Log(2)}, {cosine(0.99), 100, math.Log(1.2)}, {snr(30), 400, math.Log(1.1)}} {
		if got := chance(c.g, c.n); !near(got, c.want) {
			t.Errorf("%s on %d samples: %g, want %g", c.g, c.n, got, c.want)
		}
	}
}

// Who asked for nothing is told what could not be met, and that nobody asked for it.
func TestFittingUnmet(t *testing.T) {
	v := 0.95
	e := &UnmetGoalError{Goal: agree(0.99), Fitting: true, Reached: &v, Over: MACs, Budget: 0.98}
	testkit.WantError(t, e, "no target was given", "agree=99%", "agree=95% is reached")
}

package compress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/verify"
)

func agree(v float64) verify.Bound  { return verify.Bound{Measure: verify.Agreement, Value: v} }
func drop(v float64) verify.Bound   { return verify.Bound{Measure: verify.Drop, Value: v} }
func cosine(v float64) verify.Bound { return verify.Bound{Measure: verify.Cosine, Value: v} }
func snr(v float64) verify.Bound    { return verify.Bound{Measure: verify.SNR, Value: v} }

func TestAddTarget(t *testing.T) {
	for word, want := range map[string]verify.Bound{
		"agree=99%": agree(0.99), "agree=0.995": agree(0.995), "drop=0.5%": drop(0.005), "drop=0.02": drop(0.02),
		"cer=1%": {Measure: verify.CER, Value: 0.01}, "iou=97%": {Measure: verify.IoU, Value: 0.97}, "snr=30dB": snr(30), "boxes=97%": boxes(0.97), "snr=12.5": snr(12.5), "cosine=0.99": cosine(0.99),
		"kl=0.05": {Measure: verify.KL, Value: 0.05}, "ppl=+5%": {Measure: verify.PPL, Value: 0.05}, "ppl=2": {Measure: verify.PPL, Value: 2},
	} {
		var o Options
		if err := o.AddTarget(word); err != nil || len(o.Goals) != 1 || !near(o.Goals[0].Value, want.Value) || o.Goals[0].Measure != want.Measure {
			t.Errorf("%s: %+v, %v", word, o.Goals, err)
			continue
		}
		var again Options
		if err := again.AddTarget(o.Goals[0].String()); err != nil || !near(again.Goals[0].Value, want.Value) {
			t.Errorf("%s is written as %s: %v", word, o.Goals[0], err)
		}
	}
	var o Options
	if err := o.AddTarget("macs=0.5"); err != nil || len(o.Targets) != 1 || len(o.Goals) != 0 {
		t.Errorf("macs=0.5: %+v, %v", o, err)
	}
	for word, words := range map[string][]string{
		"agree=100%": {"no number of samples"}, "boxes=100%": {"no number of samples", "boxes=99.5%"}, "boxes=0": {"boxes=97%"}, "iou=100%": {"no number of samples"}, "cer=100%": {"bounds nothing"}, "cer=0": {"cer=1%"}, "agree=1": {"no number of samples"}, "agree=0": {"agree=99%"}, "agree=101%": {"agree=99%"}, "agree=x": {"agree=99%"},
		"drop=0": {"drop=0.5%"}, "drop=100%": {"bounds nothing"}, "drop=-1%": {"drop=0.5%"}, "cosine=1": {"cosine=0.999"}, "cosine=0": {"cosine=0.99"}, "cosine=2": {"cosine=0.99"}, "snr=0": {"snr=30dB"}, "snr=30%": {"snr=30dB"}, "snr=NaN": {"snr=30dB"}, "agree=NaN": {"agree=99%"},
		"kl=0": {"kl=0.05"}, "kl=5%": {"kl=0.05"}, "ppl=x": {"ppl=+5%"}, "ppl=-3%": {"ppl=+5%"}, "agre=99%": {"did you mean", "agree"}, "agree": {"KIND=VALUE"}, "speed=2": {"macs", "agree", "snr"},
	} {
		testkit.WantError(t, new(Options).AddTarget(word), words...)
	}
}

func TestGoalSamples(t *testing.T) {
	for g, want := range map[verify.Bound]int{
		agree(0.99): 100, agree(0.995): 200, agree(0.5): 2, drop(0.005): 200, drop(0.3): 4, snr(30): 1, cosine(0.99): 1,
	} {
		if got := needed(g); got != want {
			t.Errorf("%s needs %d samples, want %d", g, got, want)
		}
	}
}

func TestGoalMeasured(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	r := &verify.Report{
		Outputs: []verify.Output{{Values: 3, SNR: f(20)}, {Values: 3, SNR: f(11)}, {Values: 3}},
		Classes: &verify.Classes{Agreement: 0.75, Accuracy: &verify.Accuracy{Labelled: 40, Before: 0.9, After: 0.8}},
	}
	for g, want := range map[verify.Bound]float64{snr(10): 11, agree(0.7): 0.75, drop(0.11): 0.1} {
		v, err := reached(g, r)
		if err != nil || v == nil || *v-want > 1e-12 || want-*v > 1e-12 || !g.Allows(verify.Value(v)) {
			t.Errorf("%s: %v, %v", g, v, err)
		}
	}
	for _, g := range []verify.Bound{snr(11.1), agree(0.76), drop(0.09)} {
		if v, _ := reached(g, r); g.Allows(verify.Value(v)) {
			t.Errorf("%s is met", g)
		}
	}
	if err := enoughLabels(drop(0.01), r); err == nil || !strings.Contains(err.Error(), "at least 100") {
		t.Errorf("40 labels for a drop of 1%%: %v", err)
	}
	if v, err := reached(snr(10), &verify.Report{Outputs: []verify.Output{{Values: 1}}}); v != nil || err != nil {
		t.Errorf("equal outputs: %v, %v", v, err)
	}
	zeros := &verify.Report{Outputs: []verify.Output{{Values: 1}, {Name: "z", Values: 1, MaxRelative: 0.5}}}
	if v, err := reached(snr(10), zeros); err != nil || snr(10).Allows(verify.Value(v)) {
		t.Errorf("zeros that become others: %v, %v", v, err)
	} else if _, err := json.Marshal(Trial{Values: []*float64{v}}); err != nil {
		t.Errorf("a trial with zeros that become others: %v", err)
	}
	lost := &verify.Report{Outputs: []verify.Output{{Values: 1}, {Name: "z", NonFiniteCompressed: 1}}}
	if _, err := reached(snr(10), lost); err == nil || !strings.Contains(err.Error(), `output "z"`) {
		t.Errorf("an output without finite numbers: %v", err)
	}
	text := &verify.Report{Outputs: []verify.Output{{Values: 1}}, Language: &verify.Language{Output: "logits", Agreement: verify.Estimate{Value: 0.8}, KL: verify.Estimate{Value: 0.07}}}
	for g, want := range map[verify.Bound]float64{agree(0.7): 0.8, {Measure: verify.KL, Value: 0.1}: 0.07} {
		if v, err := reached(g, text); err != nil || *v != want || !g.Allows(*v) {
			t.Errorf("%s of next tokens: %v, %v", g, v, err)
		}
	}
	if _, err := reached(verify.Bound{Measure: verify.PPL, Value: 0.05}, text); err == nil || !strings.Contains(err.Error(), string(OptionLabels)+" next") {
		t.Errorf("perplexity without labels: %v", err)
	}
	for _, g := range []verify.Bound{agree(0.9), drop(0.1), snr(10), {Measure: verify.KL, Value: 0.1}, {Measure: verify.PPL, Value: 0.1}} {
		if _, err := reached(g, &verify.Report{}); err == nil {
			t.Errorf("%s can be judged without outputs", g)
		}
	}
}

// TestBisect: the written model meets the goals on the samples that judged, is smaller than all others that did, and
// the same bytes come of it again.
func TestBisect(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := Options{Goals: []verify.Bound{snr(12), agree(0.7)}, Source: images(90), CalibSamples: 40, Probes: 1}
	r, first := run(t, m, o, threads(2))
	checkTrials(t, r, 25, 25, false)
	if best := r.Trials.Goals[0]; *best.Judged < 12 || best.Proved == nil {
		t.Errorf("the written model has %+v", best)
	}
	if r.Output.MACs >= r.Input.MACs || len(r.Trials.Steps) < 4 {
		t.Errorf("%d MACs of %d after %d steps", r.Output.MACs, r.Input.MACs, len(r.Trials.Steps))
	}
	if r.Verification.Samples != 25 || len(r.Sites) == 0 || r.Refit == nil {
		t.Errorf("verification on %d samples, %d sites, refit %v", r.Verification.Samples, len(r.Sites), r.Refit)
	}
	if _, again := run(t, m, o, threads(1)); !bytes.Equal(first, again) {
		t.Error("one thread writes other bytes")
	}
}

// checkTrials holds the steps against each other and the model that was written.
func checkTrials(t *testing.T, r *Result, judged, proved int, shared bool) {
	t.Helper()
	s := r.Trials
	if s == nil || s.Judged != judged || s.Proved != proved || s.Shared != shared {
		t.Fatalf("trials %+v; want %d and %d samples, shared %v", s, judged, proved, shared)
	}
	least := int64(1) << 62
	for _, step := range s.Steps {
		met := len(step.Values) > 0
		for i, g := range s.Goals {
			met = met && g.Allows(verify.Value(step.Values[i]))
		}
		if met != step.Met {
			t.Errorf("step %+v", step)
		}
		if need := map[Resource]int64{MACs: step.MACs, Params: step.Params}[s.Over]; met {
			least = min(least, need)
		}
	}
	if got := map[Resource]int64{MACs: r.Output.MACs, Params: r.Output.Params}[s.Over]; got != least {
		t.Errorf("written with %d %s, the least that met the goals has %d", got, s.Over, least)
	}
}

// TestBisectWithin: a target beside goals is a bound of every model, and what is bisected.
func TestBisectWithin(t *testing.T) {
	needRuntime(t)
	o := Options{Goals: []verify.Bound{snr(5)}, Targets: []Target{share(Params, 0.8)}, Source: images(60), CalibSamples: 40, Probes: 1}
	r, _ := run(t, zoo(t, "cnn"), o)
	checkTrials(t, r, 10, 10, false)
	if r.Trials.Over != Params || r.Trials.Steps[0].Budget != 0.8 || len(r.Targets) != 1 || float64(r.Output.Params) > 0.8*float64(r.Input.Params) {
		t.Errorf("over %s, first budget %g, targets %+v", r.Trials.Over, r.Trials.Steps[0].Budget, r.Targets)
	}
	checkSums(t, r)
}

// TestGoalsRefused: what cannot be judged is refused before any work, and what cannot be met with what could.
func TestGoalsRefused(t *testing.T) {
	needRuntime(t)
	cnn, unlabelled := zoo(t, "cnn"), images(60)
	for i := range unlabelled {
		unlabelled[i].Label = -1
	}
	for name, c := range map[string]struct {
		o     Options
		words []string
		usage bool
	}{
		"no samples":     {Options{Goals: []verify.Bound{snr(5)}}, []string{"snr=5dB", string(OptionSource)}, true},
		"twice":          {Options{Goals: []verify.Bound{snr(5), snr(6)}, Source: images(60)}, []string{"two targets bound snr"}, true},
		"with a plan":    {Options{Goals: []verify.Bound{snr(5)}, Source: images(60), FromPlan: &Plan{}}, []string{"snr=5dB", "plan"}, true},
		"too few":        {Options{Goals: []verify.Bound{agree(0.99)}, Source: images(60), CalibSamples: 40}, []string{"agree=99%", "at least 100", "there are 20"}, true},
		"few to verify":  {Options{Goals: []verify.Bound{agree(0.9)}, Source: images(60), CalibSamples: 40, VerifySamples: 5}, []string{"at least 10", "there are 5"}, true},
		"no labels":      {Options{Goals: []verify.Bound{drop(0.1)}, Source: unlabelled, CalibSamples: 40}, []string{"drop=10%", "no labels"}, true},
		"out of reach":   {Options{Goals: []verify.Bound{snr(290)}, Source: images(60), CalibSamples: 40}, []string{"snr=290dB", "macs=0.98", "is reached"}, false},
		"beside targets": {Options{Goals: []verify.Bound{snr(60)}, Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 40}, []string{"snr=60dB", "beside macs=0.5", "at macs=0.5"}, false},
		"target unmet":   {Options{Goals: []verify.Bound{snr(1)}, Targets: []Target{share(MACs, 0.001)}, Source: images(60), CalibSamples: 40}, []string{"macs=0.001", "least that can be reached"}, false},
	} {
		o := to(t, c.o)
		_, err := Run(context.Background(), in(t), cnn, o)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); errors.As(err, &usage) != c.usage {
			t.Errorf("%s: %v is a usage error: %v", name, err, !c.usage)
		}
		empty(t, filepath.Dir(o.Output))
	}
}

// TestGoalsShareSamples: where there are too few for two sets, the result says that one did both.
func TestGoalsShareSamples(t *testing.T) {
	needRuntime(t)
	o := Options{Goals: []verify.Bound{agree(0.9)}, Source: images(55), CalibSamples: 40, Probes: 1, NoRefit: true}
	r, _ := run(t, zoo(t, "cnn"), o)
	checkTrials(t, r, 15, 15, true)
	if g := r.Trials.Goals[0]; *g.Judged != *g.Proved {
		t.Errorf("one set of samples gives %g and %g", *g.Judged, *g.Proved)
	}
}

// TestBisectLanguage: a model that guesses the next token becomes as small as its distributions and its perplexity allow; with
// nothing asked for the KL divergence is what fits.
func TestBisectLanguage(t *testing.T) {
	needRuntime(t)
	random := rand.New(rand.NewPCG(1, 2))
	const texts, positions, vocabulary = 60, 12, 120
	ids := make([]int64, texts*positions)
	for i := range ids {
		ids[i] = random.Int64N(vocabulary)
	}
	path := testkit.SaveArrays(t, map[string]tensor.Dense{"tokens": tensor.FromInt64([]int{texts, positions}, ids)})
	m := zoo(t, "text_tied")
	inputs, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	src, err := samples.Open(path, samples.SourceOptions{Labels: samples.NextToken}, inputs)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Goals: []verify.Bound{{Measure: verify.KL, Value: 1}, {Measure: verify.PPL, Value: 2}}, Source: src, CalibSamples: 30, NoRefit: true}
	r, _ := run(t, m, o)
	checkTrials(t, r, 15, 15, false)
	l := r.Verification.Language
	if l == nil || l.Positions != 15*positions || l.Perplexity.Tokens != 15*(positions-1) || r.Output.MACs >= r.Input.MACs {
		t.Errorf("%+v, %d of %d MACs", l, r.Output.MACs, r.Input.MACs)
	}
	if g := r.Trials.Goals; *g[0].Proved != l.KL.Value || *g[1].Proved != l.Perplexity.Increase.Value {
		t.Errorf("%+v of %+v", g, l)
	}
	o.Goals = nil
	_, err = Run(context.Background(), in(t), m, to(t, o))
	testkit.WantError(t, err, "no target was given, and what fits the outputs, kl=0.05, cannot be met")
}

// TestAllowing: what is suggested where a goal cannot be met is met by what was reached, and can be read.
func TestAllowing(t *testing.T) {
	for _, c := range []struct {
		m     verify.Measure
		value float64
		want  string
	}{
		{verify.SNR, 25.39, "snr=25dB"},
		{verify.Agreement, 0.9871, "agree=98%"},
		{verify.Boxes, 0.9667, "boxes=96%"},
		{verify.Cosine, 0.98765, "cosine=0.98"},
		{verify.KL, 0.0712, "kl=0.08"},
		{verify.PPL, 0.123, "ppl=+20%"},
		{verify.Drop, 0.0123, "drop=2%"},
	} {
		g := allowing(c.m, c.value)
		var o Options
		if g.String() != c.want || !g.Allows(c.value) || o.AddTarget(g.String()) != nil {
			t.Errorf("%s of %v: %s, want %s", c.m, c.value, g, c.want)
		}
	}
}

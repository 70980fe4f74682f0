package compress

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// tokens are texts of random ids, some of which are filled up with 0.
func tokens(t *testing.T, m *onnxio.Model, texts, positions int, labels string) samples.Source {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	ids := make([]int64, texts*positions)
	for i := range ids {
		if ids[i] = 1 + random.Int64N(testmodels.LanguageVocabulary-1); i/positions%3 == 0 && i%positions >= positions-4 {
			ids[i] = 0
		}
	}
	return idsOf(t, m, ids, texts, positions, labels)
}

func idsOf(t *testing.T, m *onnxio.Model, ids []int64, texts, positions int, labels string) samples.Source {
	t.Helper()
	inputs, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	path := testkit.SaveArrays(t, map[string]tensor.Dense{"input_ids": tensor.FromInt64([]int{texts, positions}, ids)})
	src, err := samples.Open(path, samples.SourceOptions{Labels: labels}, inputs)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestLanguageModels: a decoder with a cache, merged or not, is compressed, verified, tuned and explored on the ids of texts alone.
func TestLanguageModels(t *testing.T) {
	needRuntime(t)
	for _, branch := range []bool{false, true} {
		m := built(t, testmodels.Language(1, branch))
		src := tokens(t, m, 60, 12, samples.NextToken)
		o := to(t, Options{Targets: []Target{share(Params, 0.8)}, Source: src, CalibSamples: 30, Methods: []string{"svd"}, Probes: 1})
		r, _ := runTo(t, m, o)
		if 10*r.Output.Params > 8*r.Input.Params || len(r.Sites) < 14 || r.Refit == nil || r.Refit.Kept == 0 {
			t.Errorf("branch %v: %d of %d parameters, %d sites, refit %+v", branch, r.Output.Params, r.Input.Params, len(r.Sites), r.Refit)
		}
		made := "; made of input_ids: attention_mask (ones, 0 at padding, which is 0), position_ids (counting)"
		if branch {
			made += ", use_cache_branch (false)"
		}
		if made += ", 4 of past_key_values (empty)"; !strings.HasSuffix(r.Calibration.Source, made) {
			t.Errorf("calibrated on %s", r.Calibration.Source)
		}
		l := r.Verification.Language
		if l == nil || l.Samples != 30 || l.Positions >= 30*12 || l.Positions < 30*8 || l.Perplexity == nil || l.KL.Value <= 0 {
			t.Errorf("branch %v: %+v", branch, l)
		}
		for _, v := range r.Verification.Outputs {
			if v.Ignored != strings.HasPrefix(v.Name, "present.") {
				t.Errorf("%s counts nothing: %v", v.Name, v.Ignored)
			}
		}
		small, err := onnxio.Read(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		if tuned, err := Tune(context.Background(), in(t), m, small, TuneOptions{Output: out(t), Source: src, Descent: Descent{Epochs: 1}}); err != nil || tuned.Verification.Language == nil {
			t.Errorf("branch %v: %+v, %v", branch, tuned, err)
		}
		e, err := Explore(context.Background(), in(t), m, ExploreOptions{Options: quick(Options{Source: src, CalibSamples: 30, Methods: []string{"svd"}}), Over: Params, Budgets: []float64{0.8}})
		if err != nil || len(e.Points) != 1 || e.Points[0].Why != "" {
			t.Errorf("branch %v: %+v, %v", branch, e, err)
		}
	}
}

// TestWindowedCaches: a decoder some of whose layers keep no more of the past than their window is compressed, refitted, verified and tuned on
// texts longer than it, from their ids alone; where no rank is lower it is the same.
func TestWindowedCaches(t *testing.T) {
	needRuntime(t)
	m := built(t, testmodels.Windowed(1))
	random, positions := rand.New(rand.NewPCG(5, 6)), 2*testmodels.Window
	ids := make([]int64, 40*positions)
	for i := range ids {
		ids[i] = random.Int64N(testmodels.LanguageVocabulary)
	}
	src := idsOf(t, m, ids, 40, positions, samples.NextToken)
	o := to(t, Options{Targets: []Target{share(Params, 0.7)}, Source: src, CalibSamples: 30, Methods: []string{"svd"}, Probes: 1})
	r, _ := runTo(t, m, o)
	products := 0
	for _, s := range r.Sites {
		if s.Op == "MatMul" {
			products++
		}
	}
	if 10*r.Output.Params > 7*r.Input.Params || products != 9 || r.Refit == nil || len(r.Uncounted) > 0 {
		t.Errorf("%d of %d parameters, %d products, refit %+v, not counted %v", r.Output.Params, r.Input.Params, products, r.Refit, r.Uncounted)
	}
	for _, s := range r.Sites {
		if s.Note != "" {
			t.Errorf("%s: %s", s.Name, s.Note)
		}
	}
	if want := "2 of past_key_values (empty), 2 of past_key_values (room for the window, unused)"; !strings.HasSuffix(r.Calibration.Source, want) {
		t.Errorf("calibrated on %s", r.Calibration.Source)
	}
	if l := r.Verification.Language; l == nil || !(l.KL.Value > 0 && l.KL.Value < 1) {
		t.Errorf("%+v", l)
	}
	small, err := onnxio.Read(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	if tuned, err := Tune(context.Background(), in(t), m, small, TuneOptions{Output: out(t), Source: src, Descent: Descent{Epochs: 1}}); err != nil || tuned.Verification.Language == nil {
		t.Errorf("%+v, %v", tuned, err)
	}
}

// TestPadding: texts mean the same with and without padding, behind or before them: their masks and positions are made right.
func TestPadding(t *testing.T) {
	needRuntime(t)
	m := built(t, testmodels.Language(2, false))
	random := rand.New(rand.NewPCG(3, 4))
	const texts, positions = 5, 6
	ids := make([]int64, texts*positions)
	for i := range ids {
		ids[i] = 1 + random.Int64N(testmodels.LanguageVocabulary-1)
	}
	perplexity := func(ids []int64, positions int) *verify.Perplexity {
		t.Helper()
		r, err := Verify(context.Background(), in(t), m, m.Path, VerifyOptions{Source: idsOf(t, m, ids, texts, positions, samples.NextToken)})
		if err != nil {
			t.Fatal(err)
		}
		return r.Language.Perplexity
	}
	want := perplexity(ids, positions)
	var behind, before []int64
	for text := range slices.Chunk(ids, positions) {
		behind = append(append(behind, text...), 0, 0, 0)
		before = append(append(before, 0, 0, 0), text...)
	}
	for name, padded := range map[string][]int64{"behind": behind, "before": before} {
		if p := perplexity(padded, positions+3); p.Tokens != want.Tokens || math.Abs(p.Before-want.Before) > 1e-4*want.Before {
			t.Errorf("padding %s: perplexity %g of %d tokens, without %g of %d", name, p.Before, p.Tokens, want.Before, want.Tokens)
		}
	}
}

// TestRefittedTokens: scores of next tokens that no run could compare as such are judged as numbers are.
func TestRefittedTokens(t *testing.T) {
	r := &verify.Report{Outputs: []verify.Output{{Name: "logits", Kind: "next", Values: 1}}}
	if got := refitted(r); len(got) != 1 || got[0].Measure != verify.SNR {
		t.Errorf("goals %v", got)
	}
	r.Language = &verify.Language{}
	if got := refitted(r); len(got) != 1 || got[0].Measure != verify.KL {
		t.Errorf("goals %v", got)
	}
}

// TestInspectCaches: without samples axes are looked for where caches hold nothing yet, as tables of positions have room for.
func TestInspectCaches(t *testing.T) {
	i, err := Inspect(built(t, testmodels.Windowed(1)), nil, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int{"past_key_values.0.key": {1, 2, testmodels.Window, 16}, "past_key_values.1.key": {1, 2, 0, 16}} {
		if got := i.Supposed[name]; !slices.Equal(got, want) {
			t.Errorf("%s is seen at %v, want %v", name, got, want)
		}
	}
	var units []int
	for _, a := range i.Axes {
		units = append(units, a.Units)
	}
	if want := []int{64, 64}; !slices.Equal(units, want) {
		t.Errorf("axes of %v units, want %v: %+v", units, want, i.Whole)
	}
}

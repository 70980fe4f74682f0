package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// embeddings is a report on a sentence encoder.
func embeddings(n int) *verify.Report {
	return &verify.Report{Samples: n, Evidence: verify.Unseen, Data: "texts", Outputs: []verify.Output{{
		Name: "embedding", Kind: "embedding", Values: 384, Cosine: 0.99213, LeastCosine: 0.90123, SNR: ref(18.123),
		Neighbours: &verify.Neighbours{Of: 10, Samples: n, Kept: 0.9375},
	}}}
}

// detector is a report on a detector.
func detector(share float64) *verify.Report {
	return &verify.Report{
		Samples: 120, Evidence: verify.Unseen, Data: "photos", Outputs: []verify.Output{{Name: "found", Kind: "boxes", Values: 46200, Cosine: 0.99994, LeastCosine: 0.99, SNR: ref(39.17), MeanRelative: 0.0024, MaxRelative: 0.255}},
		Detections: &verify.Detections{Output: "found", Reads: []string{"found", "classes"}, LeastScore: 0.25, Samples: 57, Before: 140, After: 135, Matched: 133, Share: share, Low: 0.9031, High: 0.9917},
	}
}

// figures are the numbers of a JSON document, and its files' and times' ratios, as sentences may write them.
func figures(doc any) []float64 {
	var out []float64
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case float64:
			out = append(out, v, 100*v)
		case []any:
			for _, e := range v {
				visit(e)
			}
		case map[string]any:
			for _, e := range v {
				visit(e)
			}
		}
	}
	visit(doc)
	top := doc.(map[string]any)
	before, after := top["input"].(map[string]any), top["output"].(map[string]any)
	for _, of := range []string{"bytes", "macs", "params"} {
		a, b := before[of].(float64), after[of].(float64)
		out = append(out, 100*b/a)
		for _, v := range []float64{a, b} {
			out = append(out, v/1e3, v/1e6, v/1e9, v/1024, v/(1<<20), v/(1<<30))
		}
	}
	return out
}

// spoken is a comparison of next tokens.
func spoken() *compress.Verification {
	f := func(v float64) *float64 { return &v }
	return &compress.Verification{Report: &verify.Report{
		Data: "48 samples of ids.npz", Samples: 48, Evidence: verify.Unseen, Outputs: []verify.Output{{Name: "logits", Kind: "next", Values: 4, Cosine: 0.97, SNR: f(14.5), LeastCosine: 0.9}},
		Language: &verify.Language{
			Output: "logits", Vocabulary: 49152, Samples: 48, Positions: 6144, Agreement: verify.Estimate{Value: 0.8154, Low: f(0.8), High: f(0.83)},
			KL:         verify.Estimate{Value: 0.1234, Low: f(0.11), High: f(0.14)},
			Perplexity: &verify.Perplexity{Tokens: 6096, Before: 42.9, After: 47.19, Increase: verify.Estimate{Value: 0.1, Low: f(0.08), High: f(0.12)}},
		},
	}}
}

var written = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// TestVerdictNumbers: every number in the sentences is one of the JSON's, but for the level of confidence.
func TestVerdictNumbers(t *testing.T) {
	timed := func(r *compress.Result, low, speed, high float64) {
		r.Latency = &compress.Latency{Before: 4.5, After: 3, Speed: speed, Low: low, High: high, Turns: 9}
	}
	for name, change := range map[string]func(*compress.Result){
		"classes":       func(*compress.Result) {},
		"no labels":     func(r *compress.Result) { r.Verification.Classes.Accuracy = nil },
		"embeddings":    func(r *compress.Result) { r.Verification = embeddings(378) },
		"boxes":         func(r *compress.Result) { r.Verification = detector(0.9673) },
		"next tokens":   func(r *compress.Result) { r.Verification = spoken().Report },
		"signal":        func(r *compress.Result) { r.Verification.Classes = nil },
		"faster":        func(r *compress.Result) { timed(r, 1.4, 1.5, 1.6) },
		"slower":        func(r *compress.Result) { timed(r, 0.6, 0.67, 0.7) },
		"as fast":       func(r *compress.Result) { timed(r, 0.9, 1.002, 1.2) },
		"not sure":      func(r *compress.Result) { timed(r, 0.9, 1.29, 1.5) },
		"unverified":    func(r *compress.Result) { r.Verification, r.Unverified = nil, "there is no runtime" },
		"data-free":     func(r *compress.Result) { r.Calibration = nil },
		"few":           func(r *compress.Result) { r.Verification.Classes.Agreement, r.Verification.Samples = 1, 30 },
		"shared, goals": func(r *compress.Result) { r.Trials = trials(true) },
	} {
		r := result()
		change(r)
		if r.Verification != nil {
			r.Verification.Judged = r.Verification.Judge()
		}
		r.Verdict = Verdict(r, compress.Asked{Model: "model.onnx", Samples: "photos"})
		var b bytes.Buffer
		if err := JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		known := figures(doc)
		said := strings.ReplaceAll(r.Verdict.Gained+" "+r.Verdict.Cost, "95 % confidence", "")
		said = strings.ReplaceAll(said, "top-1", "")
		for _, number := range written.FindAllString(said, -1) {
			v, _ := strconv.ParseFloat(number, 64)
			_, digits, _ := strings.Cut(number, ".")
			unit := math.Pow(10, -float64(len(digits)))
			found := false
			for _, k := range known {
				found = found || math.Abs(k-v) <= unit/2+1e-9
			}
			if !found {
				t.Errorf("%s: %s is no number of the JSON: %s", name, number, said)
			}
		}
		var text bytes.Buffer
		if err := Result(&text, r, false); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{r.Verdict.Gained, r.Verdict.Cost} {
			if !strings.Contains(text.String(), s) || strings.Contains(s, "NaN") {
				t.Errorf("%s: the text lacks %q", name, s)
			}
		}
	}
}

// TestVerdictBorders: each sentence says what the JSON's numbers do, on either side of where another one takes its place.
func TestVerdictBorders(t *testing.T) {
	const fast, slow, same, maybe = "times as fast (", "is slower, at", "about as fast as before", "which is not sure"
	for _, c := range []struct {
		low, speed, high float64
		want             string
	}{
		{1.001, 1.29, 1.5, fast},
		{1, 1.29, 1.5, maybe},
		{0.999, 1.29, 1.5, maybe},
		{0.7, 0.9, 1, maybe},
		{0.7, 0.9, 0.999, slow},
		{0.9, 1.0049, 1.2, same},
		{0.9, 1.0051, 1.2, maybe},
		{1.001, 1.004, 1.1, same},
		{0.99, 0.996, 0.999, same},
		{0.98, 0.9949, 0.999, slow},
	} {
		r := result()
		r.Latency = &compress.Latency{Before: 4.5, After: 3, Speed: c.speed, Low: c.low, High: c.high, Turns: 9}
		r.Verdict = Verdict(r, compress.Asked{Model: "model.onnx"})
		var doc struct {
			Latency struct {
				Speed float64 `json:"speed"`
			} `json:"latency"`
			Verdict struct {
				Gained string `json:"gained"`
			} `json:"verdict"`
		}
		var b, text bytes.Buffer
		if err := cmp.Or(JSON(&b, r), json.Unmarshal(b.Bytes(), &doc), Result(&text, r, false)); err != nil {
			t.Fatal(err)
		}
		said := doc.Verdict.Gained
		if !strings.Contains(said, c.want) || strings.Contains(said, maybe) != (c.want == maybe) {
			t.Errorf("%+v: %s", c, said)
		}
		if figure := fmt.Sprintf("%.2f", doc.Latency.Speed); strings.Contains(said, figure) == (c.want == same) || !strings.Contains(text.String(), figure+" times") {
			t.Errorf("%+v: not %s, as in the table: %s", c, figure, said)
		}
		if strings.Contains(text.String(), "SLOWER") != (c.want == slow) {
			t.Errorf("%+v: the first line is another: %s", c, text.String())
		}
	}
	for _, c := range []struct {
		kept float64
		n    int
		want string
	}{
		{0.99, 2000, "explore"}, {0.9899, 2000, "tune"}, // what fits the outputs
		{0.99, 100, "MORE"}, {0.9849, 100, "tune"}, // how many samples tell 99 % from 97 %
	} {
		r := result()
		r.Verification.Classes.Agreement, r.Verification.Classes.Samples, r.Verification.Samples = c.kept, c.n, c.n
		next := Verdict(r, compress.Asked{Model: "model.onnx"}).Next
		if len(next) == 0 || !strings.Contains(next[0].Command, c.want) {
			t.Errorf("%g of %d: %+v, want %s", c.kept, c.n, next, c.want)
		}
		j := r.Verification.Judge()
		if said := fmt.Sprintf("%.2f %% of %d", 100*c.kept, c.n); !strings.Contains(j.Text, said) || !strings.Contains(j.Text, fmt.Sprintf("for %.2f %% to %.2f %%", 100**j.Low, 100**j.High)) {
			t.Errorf("%g of %d: %s", c.kept, c.n, j.Text)
		}
	}
}

// TestNext: what is tried next follows from how much was kept, and on how many samples that is known.
func TestNext(t *testing.T) {
	const bench = "onnx-compress bench model.onnx small.onnx --data photos --labels=l.tsv --crop=224"
	agreeing := func(share float64, n int) func(*compress.Result) {
		return func(r *compress.Result) {
			r.Verification.Classes.Agreement, r.Verification.Samples = share, n
		}
	}
	for name, c := range map[string]struct {
		change func(*compress.Result)
		want   []string
	}{
		"lost much":   {agreeing(0.9, 1000), []string{"onnx-compress tune model.onnx small.onnx -o small.tuned.onnx --data photos --labels=l.tsv --crop=224", bench}},
		"lost little": {agreeing(0.995, 1000), []string{"onnx-compress explore model.onnx --calib photos --labels=l.tsv --crop=224", bench}},
		"too few":     {agreeing(1, 30), []string{"onnx-compress verify model.onnx small.onnx --data MORE --crop=224", bench}},
		"too few for both": {
			func(r *compress.Result) { agreeing(1, 30)(r); r.Trials = trials(true); r.Trials.Fitting = true },
			[]string{"onnx-compress model.onnx -o small.onnx --force --calib MORE --crop=224", bench},
		},
		"data-free":     {func(r *compress.Result) { r.Calibration = nil }, []string{"onnx-compress model.onnx --calib photos --labels=l.tsv --crop=224", bench}},
		"not run":       {func(r *compress.Result) { r.Verification = nil }, []string{bench}},
		"a goal is met": {func(r *compress.Result) { agreeing(0.99, 1000)(r); r.Trials = trials(false) }, []string{"-o small.smaller.onnx --calib photos --labels=l.tsv --crop=224 --target agree=97%", bench}},
		"embeddings":    {func(r *compress.Result) { r.Verification = embeddings(100); r.Trials = trials(false) }, []string{"--target cosine=0.97", bench}},
		"boxes":         {func(r *compress.Result) { r.Verification = detector(0.99) }, []string{"onnx-compress explore", bench}},
		"lost boxes":    {func(r *compress.Result) { r.Verification = detector(0.9) }, []string{"onnx-compress tune", bench}},
		"not quantized": {
			func(r *compress.Result) { agreeing(0.995, 1000)(r); r.Unquantized = "no Python" },
			[]string{"onnx-compress verify model.onnx small.onnx --data photos --labels=l.tsv --crop=224 --int8", "onnx-compress explore", bench},
		},
		"timed": {
			func(r *compress.Result) {
				agreeing(0.995, 1000)(r)
				r.Latency = &compress.Latency{Before: 4, After: 3, Speed: 1.3, Low: 1.2, High: 1.4}
			},
			[]string{"onnx-compress explore model.onnx --calib photos"},
		},
		"not timed": {
			func(r *compress.Result) {
				agreeing(0.995, 1000)(r)
				r.Latency = &compress.Latency{Skipped: "it has no sizes"}
			},
			[]string{"onnx-compress explore", "onnx-compress bench model.onnx small.onnx --data photos --labels=l.tsv --crop=224"},
		},
		"through another": {
			func(r *compress.Result) { agreeing(0.995, 1000)(r); r.Through = &compress.ThroughResult{} },
			[]string{"onnx-compress bench model.onnx small.onnx --input-shape=x=1x8"},
		},
		"the same": {func(r *compress.Result) {
			agreeing(0.995, 1000)(r)
			r.Output.MACs, r.Output.Params = r.Input.MACs, r.Input.Params
		}, []string{"onnx-compress explore"}},
		"tuned": {func(r *compress.Result) { agreeing(0.9, 1000)(r); r.Tuning = &compress.Tuning{} }, []string{bench}},
	} {
		r := result()
		c.change(r)
		got := Verdict(r, compress.Asked{Model: "model.onnx", Samples: "photos --labels=l.tsv --crop=224", Prepared: "--crop=224", Sizes: "--input-shape=x=1x8"}).Next
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i].Command, want) || got[i].Why == "" {
				t.Errorf("%s: %+v, want %s", name, got[i], want)
			}
		}
	}
	r := result()
	agreeing(1, 30)(r)
	if why := Verdict(r, compress.Asked{}).Next[0].Why; !strings.Contains(why, "30 samples are too few to tell 99 % from 97 %") {
		t.Error(why)
	}
}

// TestTargetMissedOnOthers: a target that held on the samples that chose the size, and not on those that verify it, is said to.
func TestTargetMissedOnOthers(t *testing.T) {
	r := &compress.Result{Calibration: &compress.Calibration{Samples: 300}, Verification: embeddings(50)}
	missed := "The target cosine=0.99 held on the 50 samples that chose the size, and not quite on these."
	for _, proved := range []*float64{nil, ref(0.9921), ref(0.9876)} {
		r.Trials = &compress.Trials{Judged: 50, Goals: []compress.GoalReached{{Bound: verify.Bound{Measure: verify.Cosine, Value: 0.99}, Proved: proved}}}
		want := proved != nil && *proved < 0.99
		if got := VerdictOf(r).Cost; strings.HasSuffix(got, missed) != want {
			t.Errorf("with %v it says %q", proved, got)
		}
	}
}

package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/tune"
	"github.com/onnx-compress/onnx-compress/verify"
)

func number64(v float64) *float64 { return &v }
func class(v int) *int            { return &v }

// full is a result with everything that a run can say.
func full(layers, classes int) *compress.Result {
	r := &compress.Result{
		Schema:      compress.ResultSchema,
		Input:       compress.File{Path: "models/<net>.onnx", Bytes: 5_000_000, SHA256: strings.Repeat("ab", 32), MACs: 40_000_000, Params: 1_200_000},
		Output:      compress.File{Path: "small.onnx", Bytes: 2_500_000, SHA256: strings.Repeat("cd", 32), MACs: 20_000_000, Params: 700_000},
		Environment: compress.Environment{Runtime: "1.32.0", RuntimePath: "/lib/ort.so", Algebra: "openblas", Threads: 2, Seed: 7},
		Targets:     []compress.Reached{{Target: compress.Target{Resource: compress.MACs, Value: 0.5, Fraction: true}, Limit: 20_000_000, Original: 40_000_000, Reached: 20_000_000}},
		Calibration: &compress.Calibration{Source: "images/", Samples: 1024, Sweeps: 1},
		Plan: compress.PlanSummary{Measure: compress.OutputChange, Loss: 1.25, Bound: 1.2, Gap: 0.04, Corrections: []compress.Correction{
			{Sites: []string{"/conv0"}, Method: "svd", Rank: decomp.Rank{8}, Predicted: 1, Measured: 1.2, Samples: 64, Ratio: 1.2},
		}},
		Refit:     &compress.RefitSummary{Kept: 3, Fit: 800, Held: 224},
		Trials:    &compress.Trials{Goals: []compress.GoalReached{{Goal: compress.Goal{Damage: compress.Agreement, Value: 0.99}, Judged: number64(0.991), Proved: nil}}, Over: compress.MACs, Judged: 500, Proved: 1000},
		Skipped:   []compress.Skipped{{Name: "/gate & co", Op: "If", Reason: "it has subgraphs"}, {Name: "/other", Op: "If", Reason: "it has subgraphs"}},
		Uncounted: []compress.Skipped{{Name: "/loop", Op: "Loop", Reason: "its size is unknown"}},
		Merged:    []compress.MergedNodes{{First: "/a", Second: "/b", Node: "/a_b", Params: 10, MACs: 100}},
		Command:   `onnx-compress compress 'models/<net>.onnx' --target=macs=0.5`,
		Stages:    []compress.Stage{{Name: "analyse", Seconds: 0.25}},
		Latency: &compress.Latency{
			Sample: "images/1.png", Batch: 1, Turns: 100, Before: 4.5, After: 3, Speed: 1.5, Low: 1.4, High: 1.6,
			Activations: &compress.Activations{Before: 4 << 20, After: 3 << 20},
		},
		Frontier: &compress.Frontier{Over: compress.MACs, Chosen: compress.FrontierPoint{Budget: 0.5, Cost: 0.5, Loss: 1.25, Bound: 1.2}},
	}
	r.Trials.Steps = []compress.Trial{
		{Budget: 0.5, MACs: 20_000_000, Params: 700_000, Loss: 1.25, Values: []*float64{number64(0.991)}, Met: true},
		{Budget: 0.25, Values: []*float64{}, Why: "out of reach"},
	}
	for i := range 20 {
		cost := 0.1 + 0.9*float64(i)/19
		r.Frontier.Points = append(r.Frontier.Points, compress.FrontierPoint{Budget: cost, Cost: cost, Loss: math.Exp(-8*cost) * 70 * (1 - cost), Bound: math.Exp(-8*cost) * 68 * (1 - cost)})
	}
	for i := range layers {
		s := compress.SiteResult{
			Name: fmt.Sprintf("/conv%d", i), Op: "Conv", Out: 64, In: 32, Window: []int{3, 3}, Groups: 1, Method: "svd", Rank: decomp.Rank{8 + i}, BreakEven: 20,
			Loss: 0.01 * float64(i%7+1), OutputChange: number64(1.25 / float64(layers)), Refit: &compress.Refit{Kept: i%2 == 0, Before: 0.02, After: 0.015},
			MACsBefore: 1_000_000, MACsAfter: 400_000, ParamsBefore: 18_432, ParamsAfter: 8000,
		}
		if i%5 == 4 {
			s.Method, s.Rank, s.Loss, s.Note = compress.Dense, nil, 0, "its sensitivity was estimated"
		}
		for _, method := range []string{"svd", "svd-in", "spatial", "spatial-wh", "tucker2", "cp", "tt"} {
			m := compress.SpectrumInspection{Method: method}
			for k := range 10 {
				m.Ranks = append(m.Ranks, compress.RankInspection{Rank: decomp.Rank{k + 1, k + 1}, Loss: 0.5 / float64(1+k*k), MACs: int64(80_000 * (k + 1)), Params: int64(1600 * (k + 1))})
			}
			s.Spectra = append(s.Spectra, m)
		}
		r.Sites = append(r.Sites, s)
	}
	r.Verification = behaviour(classes)
	r.Tuning = tuning()
	return r
}

func behaviour(classes int) *verify.Report {
	v := &verify.Report{
		Original: "net.onnx", Compressed: "small.onnx", Data: "images/", Samples: 1000,
		Outputs: []verify.Output{{Name: "logits", Values: 10_000, MaxRelative: 0.2, MeanRelative: 0.01, Cosine: 0.9991, SNR: number64(31.2)}, {Name: "same", Values: 10, Cosine: 1}, {Name: "none"}},
		Classes: &verify.Classes{Output: "logits", Count: classes, Agreement: 0.97, Accuracy: &verify.Accuracy{Labelled: 900, Before: 0.912, After: 0.905}},
	}
	for i := range classes {
		v.Classes.Accuracy.PerClass = append(v.Classes.Accuracy.PerClass, verify.ClassAccuracy{Label: i, Samples: 90, Before: 0.9, After: 0.9 - 0.001*float64(i%9)})
	}
	for i := range 10 {
		v.Moved = append(v.Moved, verify.Moved{Name: fmt.Sprintf("images/<%d>.png", i), Error: number64(0.5 / float64(i+1)), Label: class(3), Before: class(3), After: class(5)})
	}
	v.Moved[9] = verify.Moved{Name: "broken"}
	v.Classes.Changed = v.Moved[:5]
	return v
}

func tuning() *compress.Tuning {
	t := &compress.Tuning{Source: "images/", Learned: 900, Held: 100, Augment: "flip", Batch: 64, Steps: 140, Optimizer: "adam", Parameters: 700_000, Tensors: 40, End: tune.Completed, Improved: true, Best: 3, Advice: "Learn longer."}
	for i := range 5 {
		t.Curve = append(t.Curve, tune.Point{Epoch: i, Step: 14 * i, Loss: 0.1 / float64(i+1), Held: 0.12 / float64(i+1), Agreement: 0.96, Accuracy: number64(0.9)})
	}
	return t
}

func rendered(t *testing.T, r *compress.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := Result(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestResult: what a result says is on its page, as text and not as markup, once.
func TestResult(t *testing.T) {
	html := rendered(t, full(12, 10))
	for _, want := range []string{
		"&lt;net&gt;.onnx, compressed", "50.0 % fewer multiply-adds", "1.50 times as fast", "97.00 % of the samples", "−0.70 points",
		"None of them is among the 1,024", "/gate &amp; co", "2 nodes: it has subgraphs", "its size is unknown", "/a_b", "its sensitivity was estimated",
		"onnx-compress compress &#39;models/&lt;net&gt;.onnx&#39; --target=macs=0.5", strings.Repeat("cd", 32), "images/&lt;0&gt;.png", "Spectra of 12 layers",
		"agree=99%", "99.10 % agree", "equal outputs", "out of reach", "The state after epoch 3", "Learn longer.", "4 MiB", "4.0 % above the best", "chosen: 50.0 % left",
		"10 of 12 layers with weights",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<net>", "<script", "http://", "https://", "NaN%", "%!", "ZgotmplZ", "<no value>", "var(--c7"} {
		if found := strings.Replace(html, `xmlns="http://www.w3.org/2000/svg"`, "", -1); strings.Contains(found, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if again := rendered(t, full(12, 10)); again != html {
		t.Error("the same result gives another page")
	}
}

// TestLandmarks: names of regions and sections differ, and every link in the page leads somewhere.
func TestLandmarks(t *testing.T) {
	html := rendered(t, full(12, 60))
	seen := map[string]bool{}
	for _, attribute := range []string{` id="`, `role="region" tabindex="0" aria-label="`} {
		for _, part := range strings.Split(html, attribute)[1:] {
			name := attribute + part[:strings.Index(part, `"`)]
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
	}
	for _, part := range strings.Split(html, `href="#`)[1:] {
		if id := part[:strings.Index(part, `"`)]; !seen[` id="`+id] {
			t.Errorf("the link #%s leads nowhere", id)
		}
	}
}

// TestSize: the page of a large model stays small.
func TestSize(t *testing.T) {
	if n := len(rendered(t, full(400, 1000))); n > 2_000_000 {
		t.Errorf("%d bytes", n)
	}
}

// TestLess: whatever a run leaves out, the rest is said, and what is not known is not made up.
func TestLess(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*compress.Result)
		want   []string
		never  []string
	}{
		"not run": {
			func(r *compress.Result) {
				r.Verification, r.Unverified, r.Latency = nil, "ONNX Runtime was not found", &compress.Latency{Skipped: "nothing was run"}
			},
			[]string{"the compressed model was not run: ONNX Runtime was not found", "Nothing was measured", "not timed: nothing was run"},
			[]string{"Same answer", "Behaviour"},
		},
		"data-free": {
			func(r *compress.Result) { r.Calibration = nil },
			[]string{"no samples were given", "random inputs cannot tell", "Compress it again with samples"},
			[]string{"Same answer"},
		},
		"no classes": {
			func(r *compress.Result) { r.Verification.Classes = nil },
			[]string{"31.2 dB", "Measure what you care about"}, []string{"Same answer"},
		},
		"no labels": {
			func(r *compress.Result) { r.Verification.Classes.Accuracy = nil },
			[]string{"the samples have no labels"}, []string{"Accuracy goes"},
		},
		"equal": {
			func(r *compress.Result) {
				r.Verification.Classes, r.Verification.Outputs = nil, r.Verification.Outputs[1:2]
			},
			[]string{"the same numbers as before"}, nil,
		},
		"slower": {
			func(r *compress.Result) { r.Latency.Speed, r.Latency.Low, r.Latency.High = 0.8, 0.7, 0.9 },
			[]string{"not faster, but slower"}, []string{"times as fast"},
		},
		"as fast": {
			func(r *compress.Result) { r.Latency.Speed, r.Latency.Low, r.Latency.High = 1.05, 0.9, 1.2 },
			[]string{"about as fast as before"}, []string{"times as fast"},
		},
		"given plan": {
			func(r *compress.Result) {
				r.Plan.Given, r.Plan.Bound, r.Frontier = true, 0, &compress.Frontier{Skipped: "the plan was given"}
			},
			[]string{"No other budget was looked at: the plan was given"}, []string{"above the best"},
		},
		"unchanged": {
			func(r *compress.Result) {
				for i := range r.Sites {
					r.Sites[i].Method, r.Sites[i].Rank = compress.Dense, nil
				}
			},
			[]string{"no layer was changed", "12 nodes: on offer"}, []string{"Error of every layer"},
		},
		"shared samples": {
			func(r *compress.Result) { r.Trials.Shared = true },
			[]string{"the same ones chose the model and judged it"}, nil,
		},
		"bare": {
			func(r *compress.Result) { *r = compress.Result{Schema: compress.ResultSchema, Unverified: "why"} },
			[]string{"Summary", "was not run: why"}, []string{"Layers</h2>", "Other budgets"},
		},
	} {
		r := full(12, 10)
		c.change(r)
		html := rendered(t, r)
		for _, want := range c.want {
			if !strings.Contains(html, want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		for _, never := range append(c.never, "NaN", "%!") {
			if strings.Contains(strings.Replace(html, "Samples with NaN", "", -1), never) {
				t.Errorf("%s: the page has %q", name, never)
			}
		}
	}
}

// TestFromJSON: a result comes back from its JSON as the same page, and what is none is refused.
func TestFromJSON(t *testing.T) {
	r := full(12, 10)
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := FromJSON(&b, data); err != nil {
		t.Fatal(err)
	}
	if b.String() != rendered(t, r) {
		t.Error("the page is another by way of JSON")
	}
	b.Reset()
	tuned := &compress.TuneResult{Schema: compress.TuningSchema, Start: compress.File{Path: "small.onnx"}, Tuning: tuning(), Verification: behaviour(3)}
	if data, err = json.Marshal(tuned); err != nil {
		t.Fatal(err)
	}
	if err := FromJSON(&b, data); err != nil || !strings.Contains(b.String(), "small.onnx, tuned") || !strings.Contains(b.String(), "agreement from 96.00 %") {
		t.Errorf("error %v\n%s", err, b.String())
	}
	for text, want := range map[string]string{
		"":                                  "no JSON object",
		"[1]":                               "no JSON object",
		"{}":                                "names no schema",
		"nonse":                             "no JSON object",
		`{"schema":"onnx-compress/plan/1"}`: "there is no page",
		`{"schema":"onnx-compress/result/1","sites":7}`:  "is not one",
		`{"schema":"onnx-compress/tuning/1"}`:            "has none in it",
		`{"schema":"onnx-compress/result/1","sites":[{}`: "no JSON object",
	} {
		b.Reset()
		if err := FromJSON(&b, []byte(text)); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("%s: error %v and %d bytes, want %q", text, err, b.Len(), want)
		}
	}
}

// FuzzFromJSON: no file makes it panic, and there is a whole page or none.
func FuzzFromJSON(f *testing.F) {
	for _, v := range []any{full(3, 3), &compress.TuneResult{Schema: compress.TuningSchema, Tuning: tuning(), Verification: behaviour(3)}, &compress.Result{Schema: compress.ResultSchema}} {
		data, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b bytes.Buffer
		err := FromJSON(&b, data)
		if (err == nil) != strings.HasSuffix(strings.TrimSpace(b.String()), "</html>") {
			t.Errorf("error %v, and a page of %d bytes", err, b.Len())
		}
	})
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		number(1, "sample"): "1 sample", number(1234567, "sample"): "1,234,567 samples", grouped(-1234): "-1,234", grouped(-123): "-123",
		change(100, 50, "less", "more"): "50.0 % less", change(100, 150, "less", "more"): "50.0 % more", change(0, 5, "less", "more"): "as much as before",
		percentPoints(0.012): "+1.20 points", percentPoints(-0.5): "−50.00 points", percentPoints(-1e-9): "±0 points",
		left(0, 4): none, left(8, 4): "50.0 %", rank(nil): none, rank([]int{1, 2}): "1, 2", base(`C:/x/y.onnx`): "y.onnx",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	low, high := wilson(0.97, 1000)
	if math.Abs(low-0.95755) > 1e-4 || math.Abs(high-0.97890) > 1e-4 {
		t.Errorf("from %g to %g", low, high)
	}
	if low, high := wilson(1, 10); math.Abs(high-1) > 1e-9 || !(low > 0.7 && low < 0.73) {
		t.Errorf("from %g to %g", low, high)
	}
}

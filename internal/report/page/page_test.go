package page

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page/pagetest"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/verify"
)

func rendered(t *testing.T, r *compress.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := Result(&b, r, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestResult: what a result says is on its page, as text and not as markup, once.
func TestResult(t *testing.T) {
	html := rendered(t, pagetest.Full(12, 10))
	for _, want := range []string{
		"&lt;net&gt;.onnx, compressed", "50.0 % of its multiply-adds", "1.50 times as fast", "97.00 % of 1000 samples", "−0.70 points",
		"None of them is among the 1,024", "/gate &amp; co", "2 nodes: it has subgraphs", "its size is unknown", "/a_b", "its sensitivity was estimated",
		"<span>onnx-compress</span> <span>compress</span> <span>&#39;models/&lt;net&gt;.onnx&#39;</span> <span>--target=macs=0.5</span>", strings.Repeat("cd", 32), "images/&lt;0&gt;.png", "The network, layer by layer", "svd, rank 9: 1 M → 400 k", `<rect width="40" height="10" class="after"/>`, "A layer opens what each method could have done",
		"agree=99%", "99.10 % agree", "equal outputs", "out of reach", "The state after epoch 3", "Learn longer.", "4 MiB", "at most 4.0 % above that of the best choice", "chosen: 50.0 % left",
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
	if again := rendered(t, pagetest.Full(12, 10)); again != html {
		t.Error("the same result gives another page")
	}
}

// TestLanguageTiles: of next tokens the page leads with their divergence, how many are the same, and perplexity.
func TestLanguageTiles(t *testing.T) {
	r := pagetest.Full(12, 10)
	r.Verification.Classes = nil
	r.Verification.Language = &verify.Language{
		Output: "logits", Samples: 48, Positions: 6144, Agreement: verify.Estimate{Value: 0.8154}, KL: verify.Estimate{Value: 0.1234},
		Perplexity: &verify.Perplexity{Tokens: 6096, Before: 42.9, After: 47.19, Increase: verify.Estimate{Value: 0.1}},
	}
	r.Verification.Judged = r.Verification.Judge()
	r.Trials.Goals = []compress.GoalReached{{Bound: verify.Bound{Measure: verify.KL, Value: 0.2}, Judged: &r.Verification.Language.KL.Value}, {Bound: verify.Bound{Measure: verify.PPL, Value: 0.2}, Judged: &r.Verification.Language.Perplexity.Increase.Value}}
	html := rendered(t, r)
	for _, want := range []string{"KL divergence", "0.1234", "of the next token, on 48 samples", "Same token", "81.54 %", "Perplexity", "was 42.90, &#43;10.00 %", "KL 0.1234", "perplexity &#43;10.00 %"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestBoxTiles: of a detector the page leads with the boxes that match.
func TestBoxTiles(t *testing.T) {
	r := pagetest.Full(12, 10)
	r.Verification.Classes = nil
	r.Verification.Detections = &verify.Detections{Output: "found", Samples: 57, Before: 140, After: 135, Matched: 133, Share: 0.9673, Low: 0.9, High: 0.99, LeastScore: 0.25}
	r.Verification.Judged = r.Verification.Judge()
	r.Trials.Goals = []compress.GoalReached{{Bound: verify.Bound{Measure: verify.Boxes, Value: 0.95}, Judged: &r.Verification.Detections.Share, Unproved: "no sample has a box"}}
	html := rendered(t, r)
	for _, want := range []string{"Boxes that match", "96.73 %", "133 of 140, and of 135 now", "96.73 % of boxes match", "not measured (no sample has a box)"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestPictures: samples that look like pictures are on the page, with what the models said of them, and others are not.
func TestPictures(t *testing.T) {
	r := pagetest.Full(2, 3)
	v := r.Verification
	for i := range v.Moved {
		v.Moved[i].Index = i
	}
	v.Moved[9].Index = -1
	v.Classes.Changed = v.Moved[:5]
	var list []samples.Sample
	for i := range 9 {
		shape := []int{1, 8, 8}
		if i == 3 {
			shape = []int{64} // no picture
		}
		list = append(list, samples.Sample{Name: v.Moved[i].Name, Inputs: map[string]tensor.Dense{"x": {Type: tensor.Uint8, Shape: shape, Data: bytes.Repeat([]byte{byte(i), 200}, 32)}}})
	}
	pictures := PicturesOf(memory(list), v)
	if len(pictures) != 4 {
		t.Fatalf("%d pictures, want those of 4 of the 5 samples whose class changed", len(pictures))
	}
	var b bytes.Buffer
	if err := Result(&b, r, pictures); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	if n := strings.Count(html, `<img src="data:image/png;base64,iVBOR`); n != 4 {
		t.Errorf("%d pictures on the page", n)
	}
	for _, want := range []string{`alt="images/&lt;0&gt;.png"`, "class 3 before, 5 after; labelled 3", "Mind to whom this page goes"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(html, `alt="images/&lt;3&gt;.png"`) || strings.Contains(html, "ZgotmplZ") {
		t.Error("what is no picture is shown as one")
	}
	if strings.Contains(rendered(t, r), "<img") || len(PicturesOf(nil, v)) > 0 {
		t.Error("without samples there are pictures")
	}
}

// memory is a source of samples in memory.
type memory []samples.Sample

func (m memory) Len() int                             { return len(m) }
func (m memory) Sample(i int) (samples.Sample, error) { return m[i], nil }
func (m memory) Describe() string                     { return "samples in memory" }

// TestLandmarks: names of regions and sections differ, and every link in the page leads somewhere.
func TestLandmarks(t *testing.T) {
	var sizes bytes.Buffer
	if err := Exploration(&sizes, pagetest.Exploration()); err != nil {
		t.Fatal(err)
	}
	for _, html := range []string{rendered(t, pagetest.Full(12, 60)), sizes.String()} {
		checkLandmarks(t, html)
	}
}

func checkLandmarks(t *testing.T, html string) {
	t.Helper()
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
	if n := len(rendered(t, pagetest.Full(400, 1000))); n > 2_000_000 {
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
			[]string{"the compressed model was not run: ONNX Runtime was not found", "Nothing was verified by running it", "not timed: nothing was run"},
			[]string{"Same answer", "Behaviour"},
		},
		"data-free": {
			func(r *compress.Result) { r.Calibration = nil },
			[]string{"no samples were given", "Nothing real judged it: random inputs show that it runs", "Compress it again with samples"},
			[]string{"Same answer", "<dt>Signal to noise</dt>", "<dt>Accuracy</dt>", "of the samples both models"},
		},
		"no classes": {
			func(r *compress.Result) { r.Verification.Classes = nil },
			[]string{"31.20 dB", "Measure what you care about"},
			[]string{"Same answer"},
		},
		"no labels": {
			func(r *compress.Result) { r.Verification.Classes.Accuracy = nil },
			[]string{"the samples have no labels"},
			[]string{"accuracy went"},
		},
		"few samples of a class": {
			func(r *compress.Result) {
				for i := range r.Verification.Classes.Accuracy.PerClass {
					r.Verification.Classes.Accuracy.PerClass[i].Samples = 2
				}
			},
			[]string{"nothing can be said of any of them", "Accuracy by class, the most changed first"},
			[]string{"The class that lost most", "before and after</title>"},
		},
		"equal": {
			func(r *compress.Result) {
				r.Verification.Classes, r.Verification.Outputs = nil, r.Verification.Outputs[1:2]
			},
			[]string{"the original&#39;s numbers"},
			nil,
		},
		"slower": {
			func(r *compress.Result) { r.Latency.Speed, r.Latency.Low, r.Latency.High = 0.8, 0.7, 0.9 },
			[]string{"it is slower, at 0.80 times"},
			[]string{"times as fast"},
		},
		"as fast": {
			func(r *compress.Result) { r.Latency.Speed, r.Latency.Low, r.Latency.High = 1.002, 0.9, 1.2 },
			[]string{"about as fast as before"},
			[]string{"times as fast"},
		},
		"not sure": {
			func(r *compress.Result) { r.Latency.Speed, r.Latency.Low, r.Latency.High = 1.05, 0.9, 1.2 },
			[]string{"1.05 times as fast", "not sure: half of the turns lie between 0.90 and 1.20"},
			[]string{"about as fast as before"},
		},
		"given plan": {
			func(r *compress.Result) {
				r.Plan.Given, r.Plan.Bound, r.Frontier = true, 0, &compress.Frontier{Skipped: "the plan was given"}
			},
			[]string{"No other budget was looked at: the plan was given"},
			[]string{"above that of the best"},
		},
		"unchanged": {
			func(r *compress.Result) {
				for i := range r.Sites {
					r.Sites[i].Method, r.Sites[i].Rank = compress.Dense, nil
				}
			},
			[]string{"no layer was changed", "12 nodes: on offer"},
			[]string{"Error of every layer"},
		},
		"widths": {
			func(r *compress.Result) {
				for i := range r.Sites {
					r.Sites[i].Method, r.Sites[i].Rank = compress.Dense, nil
				}
				r.Axes = []compress.AxisResult{{Name: "conv1", Units: 64, Kept: []int{1, 2, 5}, Producers: []string{"/conv1"}, Readers: []string{"/conv2"}, Loss: 0.01}}
			},
			[]string{"with weights became narrower, and none was added", "Channels between layers", "conv2", "narrower</td>", "writes 3 of 64 channels", "reads 3 of 64 channels"},
			[]string{"no layer was changed", "Error of every layer"},
		},
		"shared samples": {
			func(r *compress.Result) { r.Trials.Shared = true },
			[]string{"the same ones chose the model and judged it"},
			nil,
		},
		"bare": {
			func(r *compress.Result) { *r = compress.Result{Schema: compress.ResultSchema, Unverified: "why"} },
			[]string{"Summary", "was not run: why"},
			[]string{"Layers</h2>", "Other budgets"},
		},
	} {
		r := pagetest.Full(12, 10)
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
	r := pagetest.Full(12, 10)
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
	tuned := &compress.TuneResult{Schema: compress.TuningSchema, Start: compress.File{Path: "small.onnx"}, Tuning: pagetest.Tuning(), Verification: pagetest.Behaviour(3)}
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

// TestExploration: what sizes cost is on the page, and why there is none.
func TestExploration(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*compress.Exploration)
		want, never []string
	}{
		"all": {
			func(*compress.Exploration) {},
			[]string{
				"&lt;net&gt;.onnx, in several sizes", "For each of 5 budgets", "4 of them can be reached", "has 50.0 % of the multiply-adds left (99.20 %", "target macs=0.01 cannot be met", "90.00 % (−1.00 points)", "What is kept at which size", "sizes/net.3.onnx",
				`<a href="#choice-2" aria-label="macs=0.7: 28 M MACs`, `<details class="choice"><summary>macs=0.7: 28 M MACs, 840 k parameters, 3.338 MiB, SNR 35.00 dB, same class 99.60 %`, `<div id="choice-2"><p>99.60 % of 1,000 samples get the same answer (95 % interval: 99.0 % to 99.8 %)`,
				"conv&lt;1&gt;", "svd, rank 24: 30 M → 21 M", "as it was: 10 M", "The model lies in sizes/net.1.onnx. This makes the same, to the last byte:", "<span>onnx-compress</span> <span>compress</span> <span>&#39;models/&lt;net&gt;.onnx&#39;</span> <span>--target=macs=0.7</span>", "<span>onnx-compress</span> <span>explore</span> <span>&#39;models/",
			},
			[]string{"Mind:", "choice-5"},
		},
		"not run": {
			func(e *compress.Exploration) {
				e.Unmeasured = "no samples were given"
				for i := range e.Points {
					e.Points[i].Outputs, e.Points[i].Agreement, e.Points[i].Accuracy = nil, nil, nil
				}
			},
			[]string{"nothing was measured: no samples were given", "predicted", "Nothing was measured of it; the predicted loss is 0.01111"},
			[]string{"All ran beside", "get the same answer"},
		},
		"for int8": {
			func(e *compress.Exploration) { e.Points[1].Int8 = pagetest.Int8() },
			[]string{"As int8 the original keeps 97.00 % same class, at 2.50 times its speed in float", "Speed as int8", ">1.50×<", "As int8, by ONNX Runtime 1.32.0 with ranges of 25 samples", "int8, static", "and keeps everything where that keeps 97.00 % same class."},
			nil,
		},
		"none": {
			func(e *compress.Exploration) { e.Points = e.Points[4:] },
			[]string{"0 of them can be reached"},
			[]string{"<svg", `class="choice"`},
		},
		"embeddings": {
			func(e *compress.Exploration) {
				for i := range e.Points {
					e.Points[i].Agreement, e.Points[i].Accuracy = nil, nil
					v := 1 - 0.004*float64(i)
					e.Points[i].Judged = &verify.Judged{Measure: verify.Cosine, Value: &v, Text: "Its embeddings keep a mean cosine."}
				}
			},
			[]string{"The smallest that keeps a cosine of 0.99 on these samples has 50.0 % of the multiply-adds left.", "<p>Its embeddings keep a mean cosine.</p>", "cosine 0.9920"},
			[]string{"same answer for 99"},
		},
		"boxes": {
			func(e *compress.Exploration) {
				for i := range e.Points {
					e.Points[i].Agreement, e.Points[i].Accuracy = nil, nil
					v := 1 - 0.01*float64(i)
					e.Points[i].Judged = &verify.Judged{Measure: verify.Boxes, Value: &v, Text: "Of the boxes, most match."}
				}
			},
			[]string{"The smallest that keeps 98.0 % of the boxes on these samples has 50.0 % of the multiply-adds left.", "<p>Of the boxes, most match.</p>", "of the boxes"},
			[]string{"same answer for 99"},
		},
		"of time": {
			func(e *compress.Exploration) { e.Over = compress.RunTime },
			[]string{"This makes such a model; its ranks may differ"},
			[]string{"to the last byte"},
		},
		"not kept, and without a command": {
			func(e *compress.Exploration) { e.Points[0].Path, e.Points[1].Command, e.Command = "", "", "" },
			[]string{"This makes exactly this model:", "asked for by a program"},
			[]string{"<span>--target=macs=0.7"},
		},
	} {
		e := pagetest.Exploration()
		c.change(e)
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := FromJSON(&b, data); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		for _, never := range append(c.never, "NaN", "%!") {
			if strings.Contains(b.String(), never) {
				t.Errorf("%s: the page has %q", name, never)
			}
		}
	}
}

// FuzzFromJSON: no file makes it panic, and there is a whole page or none.
func FuzzFromJSON(f *testing.F) {
	for _, v := range []any{pagetest.Full(3, 3), pagetest.Exploration(), &compress.TuneResult{Schema: compress.TuningSchema, Tuning: pagetest.Tuning(), Verification: pagetest.Behaviour(3)}, &compress.Result{Schema: compress.ResultSchema}} {
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
		if r, err := ResultFromJSON(data); err == nil {
			if err := Comparison(&b, r, pagetest.Full(3, 3)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		number(1, "sample"): "1 sample", number(1234567, "sample"): "1,234,567 samples", grouped(-1234): "-1,234", grouped(-123): "-123",
		percentPoints(0.012): "+1.20 points", percentPoints(-0.5): "−50.00 points", percentPoints(-1e-9): "±0 points",
		report.Ratio(4, 0): none, report.Ratio(4, 8): "50.0 %", rank(nil): none, rank([]int{1, 2}): "1, 2", base(`C:/x/y.onnx`): "y.onnx",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

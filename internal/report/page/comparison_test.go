package page

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/report/page/pagetest"
)

// TestComparison: what two results say stands side by side, and what cannot be compared is said to be so.
func TestComparison(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(b *compress.Result)
		want, never []string
	}{
		"as they are": {
			func(b *compress.Result) {},
			[]string{
				"&lt;net&gt;.onnx, compressed twice", "A is small.onnx, B is other.onnx; both became from", "50.0 %, 30.0 %", "2.384 MiB and", "3 ms, 1.50 times as fast", "97.00 %", "31.20 dB",
				"differs by no more than chance may explain", "Predicted loss by what is left of the multiply-adds", "A as it was chosen: 50.0 % left", "10 layers became the same in both, 2 layers something else",
				"/conv1 in B: tucker2 at rank 4, 6, 20.0 % left", "B: rank", "not in A",
			},
			[]string{"Mind:"},
		},
		"told apart": {
			func(b *compress.Result) { b.Verification.Classes.Agreement = 0.5 },
			[]string{"A gives the original&#39;s answer more often"},
			nil,
		},
		"other samples": {
			func(b *compress.Result) { b.Verification.Data = "val/" },
			[]string{"B on 1,000 samples of val/"},
			nil,
		},
		"another original": {
			func(b *compress.Result) { b.Input.SHA256 = "ef" },
			[]string{"were made from two files"},
			nil,
		},
		"other losses": {
			func(b *compress.Result) { b.Frontier.Over = compress.Params },
			[]string{"cannot be compared: A&#39;s are of multiply-adds", "B&#39;s are of parameters"},
			[]string{"Predicted loss by"},
		},
		"not run": {
			func(b *compress.Result) {
				b.Verification, b.Unverified, b.Latency, b.Frontier = nil, "no runtime", nil, nil
			},
			[]string{"of B, the compressed model was not run: no runtime", "Of B no other budget was looked at"},
			[]string{"Between them"},
		},
		"bare": {
			func(b *compress.Result) { *b = compress.Result{Schema: compress.ResultSchema, Unverified: "why"} },
			[]string{"not in B"},
			nil,
		},
	} {
		a, b := pagetest.Full(12, 10), pagetest.Full(12, 10)
		b.Output.Path, b.Output.MACs = "other.onnx", 12_000_000
		b.Sites[1].Method, b.Sites[1].Rank, b.Sites[1].MACsAfter = "tucker2", decomp.Rank{4, 6}, 200_000
		b.Sites[0].Name = "/first"
		b.Sites = append(b.Sites[1:], b.Sites[0])
		a.Sites = a.Sites[1:]
		for _, r := range []*compress.Result{a, b} {
			r.Verification.Outputs = r.Verification.Outputs[:2] // the third has nothing to compare
		}
		c.change(b)
		var out bytes.Buffer
		if err := Comparison(&out, a, b); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		for _, never := range append(c.never, "NaN", "%!", "<no value>", "<net>") {
			if strings.Contains(out.String(), never) {
				t.Errorf("%s: the page has %q", name, never)
			}
		}
	}
}

// TestResultFromJSON: a result comes back from its JSON, and what is none is refused.
func TestResultFromJSON(t *testing.T) {
	data, err := json.Marshal(pagetest.Full(2, 2))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ResultFromJSON(data); err != nil || len(r.Sites) != 2 {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		"[]":                                  "no JSON object",
		"{}":                                  "names no schema",
		`{"schema":"onnx-compress/tuning/1"}`: "side by side stand results of compress",
		`{"schema":"onnx-compress/result/1","sites":7}`: "is not one",
	} {
		if _, err := ResultFromJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

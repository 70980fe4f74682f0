package gate

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/verify"
)

func ref[T any](v T) *T { return &v }

// compared is a report with two outputs, the second one worse, and one bad class.
func compared() *verify.Report {
	return &verify.Report{
		Original: "net.onnx", Compressed: "small_<1>.onnx", Data: "some | data", Samples: 200,
		Outputs: []verify.Output{
			{Name: "y", Values: 10, Cosine: 0.999, MaxRelative: 0.1, MeanRelative: 0.01, SNR: ref(40.0)},
			{Name: "z", Values: 10, Cosine: 0.98, MaxRelative: 0.3, MeanRelative: 0.05, SNR: ref(20.004)},
		},
		Classes: &verify.Classes{
			Output: "y", Count: 3, Agreement: 0.985,
			Accuracy: &verify.Accuracy{Labelled: 200, Before: 0.9, After: 0.89, PerClass: []verify.ClassAccuracy{
				{Label: 0, Samples: 100, Before: 0.9, After: 0.92}, {Label: 2, Samples: 50, Before: 0.9, After: 0.84}, {Label: 4, Samples: 50, Before: 0.9, After: 0.88},
			}},
			Changed: []verify.Moved{
				{Name: "a", Error: ref(0.5), Label: ref(0), Before: ref(0), After: ref(1)},
				{Name: "b", Label: ref(2), Before: ref(2), After: ref(0)},
			},
		},
		Moved: []verify.Moved{{Name: "far", Error: ref(0.75), Label: ref(1), Before: ref(1), After: ref(1)}},
	}
}

// TestJudge holds every measure against a bound that just holds and one that just does not.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		holds, fails, found, where, samples string
	}{
		{"agree=98.5%", "agree=98.6%", "98.5 %", `output "y"`, "a: moved by 0.5, class 0 → 1 (label 0)|b: not finite, class 2 → 0 (label 2)"},
		{"drop=1%", "drop=0.99%", "1 % (90 % → 89 %)", "", "a: moved by 0.5, class 0 → 1 (label 0)|b: not finite, class 2 → 0 (label 2)"},
		{"class-drop=6%", "class-drop=5.9%", "6 % (90 % → 84 % on 50 samples)", "class 2", "b: not finite, class 2 → 0 (label 2)"},
		{"snr=20dB", "snr=20.01", "20 dB", `output "z"`, "far: moved by 0.75 (label 1)"},
		{"cosine=0.98", "cosine=0.981", "0.98", `output "z"`, "far: moved by 0.75 (label 1)"},
		{"mean-error=0.05", "mean-error=0.049", "0.05", `output "z"`, "far: moved by 0.75 (label 1)"},
		{"max-error=0.3", "max-error=0.29", "0.3", `output "z"`, "far: moved by 0.75 (label 1)"},
	} {
		for word, holds := range map[string]bool{c.holds: true, c.fails: false} {
			q, err := verify.ParseBound(word)
			if err != nil {
				t.Fatal(err)
			}
			got := Judge(compared(), []verify.Bound{q})
			if len(got) != 2 || !got[0].Holds || got[0].Name != "finite" {
				t.Fatalf("%s: %+v", word, got)
			}
			samples := ""
			if !holds {
				samples = c.samples
			}
			if g := got[1]; g.Holds != holds || g.Found != c.found || g.Where != c.where || strings.Join(g.Samples, "|") != samples || g.Required != q.Words() {
				t.Errorf("%s: %+v", word, g)
			}
		}
	}
}

// spoken is a report on next tokens.
func spoken() *verify.Report {
	return &verify.Report{
		Original: "lm.onnx", Compressed: "small.onnx", Data: "ids.npz", Samples: 48,
		Outputs: []verify.Output{{Name: "logits", Kind: "next", Values: 10, Cosine: 0.97, MaxRelative: 0.3, MeanRelative: 0.05, SNR: ref(14.5)}},
		Language: &verify.Language{
			Output: "logits", Vocabulary: 49152, Samples: 48, Positions: 6144, Agreement: verify.Estimate{Value: 0.815}, KL: verify.Estimate{Value: 0.1234, Low: ref(0.11), High: ref(0.14)},
			Perplexity: &verify.Perplexity{Tokens: 6096, Before: 42.9, After: 47.19, Increase: verify.Estimate{Value: 0.1, Low: ref(0.08), High: ref(0.12)}},
		},
		Moved: []verify.Moved{{Name: "far", Error: ref(0.75)}},
	}
}

// TestJudgeTokens holds what is said of next tokens against bounds.
func TestJudgeTokens(t *testing.T) {
	for _, c := range []struct{ holds, fails, found string }{
		{"agree=81.5%", "agree=81.6%", "81.5 %"}, {"kl=0.1234", "kl=0.1233", "0.1234"}, {"ppl=+10%", "ppl=+9.9%", "+10 % (42.90 → 47.19)"},
	} {
		for word, holds := range map[string]bool{c.holds: true, c.fails: false} {
			q, err := verify.ParseBound(word)
			if err != nil {
				t.Fatal(err)
			}
			if g := Judge(spoken(), []verify.Bound{q})[1]; g.Holds != holds || g.Found != c.found || g.Where != `output "logits"` || holds == (len(g.Samples) > 0) {
				t.Errorf("%s: %+v", word, g)
			}
		}
	}
	var b bytes.Buffer
	if err := Markdown(&b, spoken(), nil); err != nil || !strings.Contains(b.String(), "| logits | 81.50 % | 0.1234 | 42.90 → 47.19 |\n") {
		t.Errorf("%s, %v", &b, err)
	}
}

// TestJudgeOdd: what was not measured does not hold, equal outputs do, broken ones never.
func TestJudgeOdd(t *testing.T) {
	bare := &verify.Report{Samples: 3, Outputs: []verify.Output{{Name: "y", Values: 4, Cosine: 1}}}
	for word, holds := range map[string]bool{"snr=300": true, "cosine=1": true, "max-error=0": true, "agree=0": false, "drop=1": false, "class-drop=1": false} {
		q, err := verify.ParseBound(word)
		if err != nil {
			t.Fatal(err)
		}
		if c := Judge(bare, []verify.Bound{q})[1]; c.Holds != holds || !holds && !strings.Contains(c.Found, "not measured") {
			t.Errorf("%s: %+v", word, c)
		}
	}
	q, err := verify.ParseBound("snr=-300")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []verify.Output{{Name: "y"}, {Name: "y", Values: 4, MaxRelative: 0.2}} {
		if c := Judge(&verify.Report{Outputs: []verify.Output{o}}, []verify.Bound{q})[1]; c.Holds {
			t.Errorf("%+v: %+v", o, c)
		}
	}
	if c := Judge(&verify.Report{}, []verify.Bound{q})[1]; c.Holds {
		t.Errorf("no outputs: %+v", c)
	}
	r := compared()
	r.Outputs[1].NonFiniteCompressed = 3
	if c := Judge(r, nil)[0]; c.Holds || c.Where != `output "z"` || !strings.Contains(c.Found, "3 of 200") {
		t.Errorf("not finite: %+v", c)
	}
	r.Outputs[1].NonFiniteOriginal = 3
	if c := Judge(r, nil)[0]; !c.Holds {
		t.Errorf("not finite before either: %+v", c)
	}
}

func checks(t *testing.T) (*verify.Report, []Check) {
	t.Helper()
	r := compared()
	var required []verify.Bound
	for _, word := range []string{"agree=98%", "class-drop=2%"} {
		q, err := verify.ParseBound(word)
		if err != nil {
			t.Fatal(err)
		}
		required = append(required, q)
	}
	return r, Judge(r, required)
}

func TestJUnit(t *testing.T) {
	r, all := checks(t)
	var b bytes.Buffer
	if err := JUnit(&b, r, all); err != nil {
		t.Fatal(err)
	}
	var s suite
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 3 || s.Failures != 1 || len(s.Cases) != 3 || s.Cases[0].Failure != nil || s.Cases[2].Failure == nil {
		t.Fatalf("%+v", s)
	}
	f := s.Cases[2]
	if f.Class != "small_<1>.onnx" || !strings.Contains(f.Failure.Message, "found 6 %") || !strings.Contains(f.Failure.Message, "class 2") || !strings.Contains(f.Failure.Text, "\nb: not finite") {
		t.Errorf("%+v, failure %+v", f, f.Failure)
	}
}

// Run the tests with -update to write the golden file anew, and read the difference.
var update = flag.Bool("update", false, "write the golden file anew")

func TestMarkdown(t *testing.T) {
	r, all := checks(t)
	var b bytes.Buffer
	if err := Markdown(&b, r, all); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/report.md")
	if *update {
		if err := os.WriteFile("testdata/report.md", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if err != nil || b.String() != string(want) {
		t.Errorf("%v\n%s", err, &b)
	}
	columns := 0
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if columns != 0 && n != columns {
			t.Errorf("%q has %d bars, the line before %d", line, n, columns)
		}
		columns = n
	}
}

var errFull = errors.New("disk full")

type failing int

func (f *failing) Write(b []byte) (int, error) {
	if *f -= failing(len(b)); *f < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestWriteErrors: a writer's error is the result, wherever it comes.
func TestWriteErrors(t *testing.T) {
	r, all := checks(t)
	for left := range 300 {
		for name, err := range map[string]error{
			"JUnit": JUnit(ref(failing(left)), r, all), "Markdown": Markdown(ref(failing(left)), r, all),
		} {
			if !errors.Is(err, errFull) {
				t.Fatalf("%s with room for %d bytes: %v", name, left, err)
			}
		}
	}
}

package verify

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestParseBound(t *testing.T) {
	for word, want := range map[string]string{
		"agree=99%": "same top class ≥ 99 %", "agree=0.995": "same top class ≥ 99.5 %", "class-drop=2%": "largest loss of accuracy of a class ≤ 2 %",
		"drop=0": "loss of top-1 accuracy ≤ 0 %", "snr=30dB": "signal to noise ratio ≥ 30 dB", "snr=30db": "signal to noise ratio ≥ 30 dB", "snr=-3": "signal to noise ratio ≥ -3 dB",
		"kl=0.05": "KL divergence of the token ≤ 0.05", "ppl=+5%": "increase of perplexity ≤ +5 %", "ppl=3": "increase of perplexity ≤ +300 %",
		"cosine=0.99": "cosine ≥ 0.99", "mean-error=1e-3": "mean relative error ≤ 0.001", "max-error=0.5": "largest relative error ≤ 0.5",
	} {
		if got, err := ParseBound(word); err != nil || got.Words() != want {
			t.Errorf("ParseBound(%q) = %s, %v; want %s", word, got.Words(), err, want)
		}
	}
	for word, want := range map[string]string{
		"agree": "want NAME=BOUND", "agre=1": `did you mean "agree"`, "agree=101%": "between 0 and 1", "agree=99": "between 0 and 1", "agree=-1%": "between",
		"snr=30%": "snr=30dB", "cosine=x": "cosine=0.5", "cosine=2": "between -1 and 1", "drop=NaN": "drop=98%", "snr=inf": "no bound",
		"max-error=-1": "below 0", "": "want NAME=BOUND", "=5": "want NAME=BOUND", "cosine=0.99dB": "no bound", "kl=5%": "kl=0.5", "ppl=-1%": "below 0", "ppl=x": "ppl=+5%",
	} {
		if got, err := ParseBound(word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseBound(%q) = %s, %v; want an error with %q", word, got, err, want)
		}
	}
}

// FuzzParseBound: what is accepted has a bound that its measure can have.
func FuzzParseBound(f *testing.F) {
	for _, s := range []string{"agree=99%", "snr=30dB", "cosine=.5", "drop=", "max-error=1e400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseBound(s)
		if err == nil && (math.IsNaN(r.Value) || math.IsInf(r.Value, 0) || r.Measure.unit() == "%" && (r.Value < 0 || r.Measure != PPL && r.Value > 1)) {
			t.Errorf("ParseBound(%q) = %+v", s, r)
		}
	})
}

// Bounds are written as they are read.
func TestBoundString(t *testing.T) {
	for _, want := range []string{"agree=99.5%", "drop=0.5%", "class-drop=2%", "snr=-3.25dB", "cosine=-0.5", "kl=0.05", "ppl=+5%", "ppl=+250%", "mean-error=1e-06", "max-error=0.125"} {
		b, err := ParseBound(want)
		if err != nil || b.String() != want {
			t.Errorf("%s becomes %s, %v", want, b, err)
		}
	}
}

func ExampleParseBound() {
	b, err := ParseBound("agree=99%")
	fmt.Println(b.Words(), err)
	_, err = ParseBound("agre=99%")
	fmt.Println(err)
	// Output:
	// same top class ≥ 99 % <nil>
	// "agre=99%": want NAME=BOUND with one of the names agree, drop, class-drop, kl, ppl, boxes, cer, iou, snr, cosine, recall, mean-error, max-error (did you mean "agree"?)
}

func TestMeasureTitles(t *testing.T) {
	titles := map[string]bool{}
	for _, m := range Measures() {
		titles[m.Title()] = true
	}
	if len(titles) != len(Measures()) {
		t.Errorf("%d measures have the titles %v", len(Measures()), titles)
	}
}

// A value that just holds, one that just does not, and what rounding leaves of shares.
func TestBoundAllows(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		bound Bound
		value float64
		want  bool
	}{
		{Bound{Agreement, 0.986}, 986. / 1000, true},
		{Bound{Agreement, 98.6 / 100}, 986. / 1000, true},
		{Bound{Agreement, 0.99}, 0.9899, false},
		{Bound{Drop, 0.01}, 0.91 - 0.9, true},
		{Bound{Drop, 0.01}, 0.0101, false},
		{Bound{Drop, 0}, -0.5, true},
		{Bound{ClassDrop, 0.06}, 0.9 - 0.84, true},
		{Bound{SNR, 20}, 20, true},
		{Bound{SNR, 20}, 19.999, false},
		{Bound{SNR, 300}, inf, true},
		{Bound{SNR, -300}, -inf, false},
		{Bound{SNR, -300}, *Number(-inf), false},
		{Bound{Cosine, 1}, 1, true},
		{Bound{MeanError, 0}, 0, true},
		{Bound{MaxError, 0.5}, inf, false},
		{Bound{Agreement, 0}, nan, false},
		{Bound{Drop, 1}, nan, false},
		{Bound{SNR, -300}, nan, false},
		{Bound{MaxError, 1e9}, nan, false},
	} {
		if got := c.bound.Allows(c.value); got != c.want {
			t.Errorf("%s allows %v: %v", c.bound, c.value, got)
		}
	}
}

// Outputs of zeros, equal outputs and outputs that are not finite have one meaning, whoever asks: what differs from
// zeros has no signal, and what cannot be compared meets nothing.
func TestMeasuresOfOddOutputs(t *testing.T) {
	snr := 20.
	fine := Output{Name: "y", Values: 4, Cosine: 0.9, MaxRelative: 0.1, MeanRelative: 0.1, SNR: &snr}
	for name, c := range map[string]struct {
		others []Output
		value  float64
		at     string
		met    bool
		why    string
	}{
		"one":                     {nil, 20, "y", true, ""},
		"equal outputs beside it": {[]Output{{Name: "z", Values: 4, Cosine: 1}}, 20, "y", true, ""},
		"zeros become others":     {[]Output{{Name: "z", Values: 4, MaxRelative: 0.2, MeanRelative: 0.1}}, math.Inf(-1), "z", false, ""},
		"nothing is finite":       {[]Output{{Name: "z", NonFiniteCompressed: 3}}, 0, "z", false, `output "z": no finite values`},
		"broken numbers":          {[]Output{{Name: "z", Values: 4, SNR: Number(math.NaN())}, fine}, math.NaN(), "z", false, ""},
	} {
		r := &Report{Outputs: append([]Output{fine}, c.others...)}
		f, err := SNR.Of(r)
		if f.Output != c.at || (err != nil) != (c.why != "") || f.Value != c.value && !(math.IsNaN(f.Value) && math.IsNaN(c.value)) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		met, err := Bound{SNR, 10}.Met(r)
		if met != c.met || (err != nil) != (c.why != "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: met %v, %v", name, met, err)
		}
	}
	equal := &Report{Outputs: []Output{{Name: "y", Values: 4, Cosine: 1}}}
	if f, err := SNR.Of(equal); err != nil || !math.IsInf(f.Value, 1) || SNR.Text(f.Value) != "equal outputs" || Number(f.Value) != nil || !math.IsInf(Value(nil), 1) {
		t.Errorf("equal outputs: %+v, %v", f, err)
	}
	for _, m := range Measures() {
		if met, err := (Bound{Measure: m}).Met(&Report{}); met || err == nil {
			t.Errorf("%s of nothing: met %v, %v", m, met, err)
		}
	}
	if v := Number(math.Inf(-1)); *v != -math.MaxFloat64 || SNR.Text(Value(v)) != "other values where the original has zeros" {
		t.Errorf("-Inf is %v, %s", *v, SNR.Text(*v))
	}
}

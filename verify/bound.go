package verify

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// Bound is the least or the largest value that a measure may have.
type Bound struct {
	Measure Measure `json:"damage"`
	// Value is a share for Agreement, Drop, ClassDrop and PPL, in decibels for SNR, a plain number for the others.
	Value float64 `json:"value"`
}

// ParseBound reads NAME=BOUND, such as agree=99%, class-drop=0.02, snr=30dB or cosine=0.99.
func ParseBound(s string) (Bound, error) {
	name, word, ok := strings.Cut(s, "=")
	m := Measure(name)
	if !ok || !slices.Contains(Measures(), m) {
		var names []string
		for _, m := range Measures() {
			names = append(names, string(m))
		}
		return Bound{}, fmt.Errorf("%q: want NAME=BOUND with one of the names %s%s", s, strings.Join(names, ", "), suggest.Phrase(name, names))
	}
	number, percent := strings.CutSuffix(word, "%")
	if m == SNR {
		number = strings.TrimSuffix(strings.TrimSuffix(number, "dB"), "db")
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || percent && m.unit() != "%" {
		example := map[string]string{"%": "98%", "dB": "30dB", "": "0.5"}[m.unit()]
		if m == PPL {
			example = "+5%"
		}
		return Bound{}, fmt.Errorf("%q: %q is no bound for %s; want for example %s=%s", s, word, name, name, example)
	}
	if percent {
		v /= 100
	}
	switch {
	case m.unit() == "%" && m != PPL && (v < 0 || v > 1):
		return Bound{}, fmt.Errorf("%q: a share lies between 0 and 1, or 0%% and 100%%", s)
	case m == Cosine && (v < -1 || v > 1):
		return Bound{}, fmt.Errorf("%q: a cosine lies between -1 and 1", s)
	case !m.Least() && v < 0:
		return Bound{}, fmt.Errorf("%q: an error cannot be below 0", s)
	}
	return Bound{m, v}, nil
}

// String writes the bound as ParseBound reads it.
func (b Bound) String() string {
	return string(b.Measure) + "=" + strings.ReplaceAll(b.Measure.Text(b.Value), " ", "")
}

// Words writes the bound for people.
func (b Bound) Words() string {
	sign := "≤"
	if b.Measure.Least() {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s %s", b.Measure.Title(), sign, b.Measure.Text(b.Value))
}

// Allows tells whether a value is within the bound. A share may be over it by as much as rounding is; NaN never is within.
func (b Bound) Allows(v float64) bool {
	slack := 0.
	if b.Measure.unit() == "%" {
		slack = 1e-12
	}
	if b.Measure.Least() {
		return v >= b.Value-slack
	}
	return v <= b.Value+slack
}

// Met tells whether a report shows that the bound is kept. Where the measure was not taken, it does not, and the error
// says why.
func (b Bound) Met(r *Report) (bool, error) {
	f, err := b.Measure.Of(r)
	if err != nil && f.Output != "" {
		err = fmt.Errorf("output %q: %w", f.Output, err)
	}
	return err == nil && b.Allows(f.Value), err
}

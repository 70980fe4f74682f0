// Package gate holds a comparison of two models against bounds, for pipelines that stop
// where one fails: Parse reads a bound, Judge holds a verify.Report against several, and JUnit and
// Markdown write what came of that.
package gate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Measure is something of a verify.Report that can have a bound.
type Measure struct {
	Name, Title string
	// Unit is "%" for shares, "dB", or "" for plain numbers.
	Unit string
	// Least says that the bound is a least value, else it is the largest.
	Least bool
	judge func(r *verify.Report, bound float64) Check
}

// Measures lists what can be required.
func Measures() []Measure {
	return []Measure{
		{"agree", "same top class", "%", true, agree},
		{"drop", "loss of top-1 accuracy", "%", false, drop},
		{"class-drop", "largest loss of accuracy of a class", "%", false, classDrop},
		{"snr", "signal to noise ratio", "dB", true, perOutput(snr, true, "dB")},
		{"cosine", "cosine", "", true, perOutput(func(o verify.Output) float64 { return o.Cosine }, true, "")},
		{"mean-error", "mean relative error", "", false, perOutput(func(o verify.Output) float64 { return o.MeanRelative }, false, "")},
		{"max-error", "largest relative error", "", false, perOutput(func(o verify.Output) float64 { return o.MaxRelative }, false, "")},
	}
}

// Requirement is a bound on a measure.
type Requirement struct {
	Measure Measure
	// Bound is a share where the unit is "%", in the unit otherwise.
	Bound float64
}

// String writes what is required, for people.
func (r Requirement) String() string {
	sign := "≤"
	if r.Measure.Least {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s %s", r.Measure.Title, sign, r.Measure.text(r.Bound))
}

// text writes a value with its unit.
func (m Measure) text(v float64) string {
	switch m.Unit {
	case "%":
		return strconv.FormatFloat(math.Round(v*1e6)/1e4, 'f', -1, 64) + " %"
	case "dB":
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) + " dB"
	}
	return strconv.FormatFloat(v, 'g', 5, 64)
}

// Parse reads NAME=BOUND, such as agree=99%, class-drop=0.02, snr=30dB or cosine=0.99.
func Parse(s string) (Requirement, error) {
	name, word, ok := strings.Cut(s, "=")
	var names []string
	for _, m := range Measures() {
		names = append(names, m.Name)
	}
	i := slices.Index(names, name)
	if !ok || i < 0 {
		return Requirement{}, fmt.Errorf("%q: want NAME=BOUND with one of the names %s%s", s, strings.Join(names, ", "), suggest.Phrase(name, names))
	}
	m := Measures()[i]
	number, percent := strings.CutSuffix(word, "%")
	if m.Unit == "dB" {
		number = strings.TrimSuffix(number, "dB")
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || percent && m.Unit != "%" {
		return Requirement{}, fmt.Errorf("%q: %q is no bound for %s; want for example %s", s, word, name, map[string]string{"%": name + "=98%", "dB": name + "=30dB", "": name + "=0.5"}[m.Unit])
	}
	if percent {
		v /= 100
	}
	switch {
	case m.Unit == "%" && (v < 0 || v > 1):
		return Requirement{}, fmt.Errorf("%q: a share lies between 0 and 1, or 0%% and 100%%", s)
	case name == "cosine" && (v < -1 || v > 1):
		return Requirement{}, fmt.Errorf("%q: a cosine lies between -1 and 1", s)
	case !m.Least && v < 0:
		return Requirement{}, fmt.Errorf("%q: an error cannot be below 0", s)
	}
	return Requirement{m, v}, nil
}

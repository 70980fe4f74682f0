// Package gate holds a comparison of two models against bounds, for pipelines that stop
// where one fails: Judge holds a verify.Report against several, and JUnit and
// Markdown write what came of that.
package gate

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/verify"
)

// Check is one requirement held against a report.
type Check struct {
	// Name is the measure's, or "finite" for what is always required: no NaN or infinity
	// where the original has none.
	Name string `json:"name"`
	// Required says what was asked for, Found what was measured, in words.
	Required string `json:"required"`
	Found    string `json:"found"`
	Holds    bool   `json:"holds"`
	// Where names the output or class that decides.
	Where string `json:"where,omitempty"`
	// Samples describes the samples that a failed check can be looked at with.
	Samples []string `json:"samples,omitempty"`
}

// Judge holds a report against bounds, in their order, after the one that is always
// there. What was not measured does not hold.
func Judge(r *verify.Report, required []verify.Bound) []Check {
	out := []Check{finite(r)}
	for _, b := range required {
		out = append(out, judge(r, b))
	}
	return out
}

func judge(r *verify.Report, b verify.Bound) Check {
	c := Check{Name: string(b.Measure), Required: b.Words()}
	f, err := b.Measure.Of(r)
	if f.Output != "" {
		c.Where = outputName(f.Output)
	}
	if err != nil {
		c.Found = "not measured: " + err.Error()
		return c
	}
	c.Found, c.Holds = b.Measure.Text(f.Value), b.Allows(f.Value)
	look := r.Moved
	switch {
	case f.Class != nil:
		c.Found += fmt.Sprintf(" (%s → %s on %d samples)", percent(f.Class.Before), percent(f.Class.After), f.Class.Samples)
		c.Where = fmt.Sprintf("class %d", f.Class.Label)
		look = slices.DeleteFunc(slices.Clone(r.Classes.Changed), func(m verify.Moved) bool { return m.Label == nil || *m.Label != f.Class.Label })
	case b.Measure == verify.Drop:
		a := r.Classes.Accuracy
		c.Found += fmt.Sprintf(" (%s → %s)", percent(a.Before), percent(a.After))
		look = r.Classes.Changed
	case b.Measure == verify.Agreement && r.Classes != nil:
		look = r.Classes.Changed
	case b.Measure == verify.PPL:
		p := r.Language.Perplexity
		c.Found = fmt.Sprintf("%s (%.2f → %.2f)", verify.PPL.Text(math.Round(f.Value*1e4)/1e4), p.Before, p.After)
	}
	if !c.Holds {
		c.Samples = described(look)
	}
	return c
}

// Failed returns the checks that do not hold.
func Failed(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Holds })
}

func finite(r *verify.Report) Check {
	c := Check{Name: "finite", Required: "no NaN or infinity where the original has none", Found: "none", Holds: true}
	for _, o := range r.Outputs {
		if o.NonFiniteCompressed > o.NonFiniteOriginal && c.Holds {
			c.Holds, c.Where = false, outputName(o.Name)
			c.Found = fmt.Sprintf("%d of %d samples, in the original %d", o.NonFiniteCompressed, r.Samples, o.NonFiniteOriginal)
			c.Samples = described(r.Moved)
		}
	}
	return c
}

func percent(v float64) string { return verify.Agreement.Text(math.Round(v*1e4) / 1e4) }

func outputName(name string) string { return fmt.Sprintf("output %q", name) }

// shown is how many samples a failed check names.
const shown = 5

func described(list []verify.Moved) []string {
	var out []string
	for _, m := range list[:min(shown, len(list))] {
		out = append(out, describe(m))
	}
	return out
}

// describe names a sample and what became of it.
func describe(m verify.Moved) string {
	s := m.Name
	if m.Error != nil {
		s += fmt.Sprintf(": moved by %.3g", *m.Error)
	} else {
		s += ": not finite"
	}
	if m.Before != nil && m.After != nil && *m.Before != *m.After {
		s += fmt.Sprintf(", class %d → %d", *m.Before, *m.After)
	}
	if m.Label != nil {
		s += fmt.Sprintf(" (label %d)", *m.Label)
	}
	return s
}

package gate

import (
	"fmt"
	"math"

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

// Judge holds a report against requirements, in their order, after the one that is always
// there. What was not measured does not hold.
func Judge(r *verify.Report, required []Requirement) []Check {
	out := []Check{finite(r)}
	for _, q := range required {
		c := q.Measure.judge(r, q.Bound)
		c.Name, c.Required = q.Measure.Name, q.String()
		out = append(out, c)
	}
	return out
}

// Failed returns the checks that do not hold.
func Failed(checks []Check) []Check {
	var out []Check
	for _, c := range checks {
		if !c.Holds {
			out = append(out, c)
		}
	}
	return out
}

func finite(r *verify.Report) Check {
	c := Check{Name: "finite", Required: "no NaN or infinity where the original has none", Found: "none", Holds: true}
	for _, o := range r.Outputs {
		if o.NonFiniteCompressed > o.NonFiniteOriginal && c.Holds {
			c.Holds, c.Where = false, outputName(o.Name)
			c.Found = fmt.Sprintf("%d of %d samples, in the original %d", o.NonFiniteCompressed, r.Samples, o.NonFiniteOriginal)
			c.Samples = moved(r)
		}
	}
	return c
}

func agree(r *verify.Report, bound float64) Check {
	if r.Classes == nil {
		return Check{Found: "not measured: no output looks like class scores"}
	}
	c := found("%", r.Classes.Agreement, r.Classes.Agreement >= bound)
	c.Where = outputName(r.Classes.Output)
	if !c.Holds {
		c.Samples = described(r.Classes.Changed)
	}
	return c
}

func drop(r *verify.Report, bound float64) Check {
	a := accuracy(r)
	if a == nil {
		return Check{Found: noLabels}
	}
	c := found("%", a.Before-a.After, within(a.Before-a.After, bound))
	c.Found += fmt.Sprintf(" (%s → %s)", percent(a.Before), percent(a.After))
	if !c.Holds {
		c.Samples = described(r.Classes.Changed)
	}
	return c
}

func classDrop(r *verify.Report, bound float64) Check {
	a := accuracy(r)
	if a == nil || len(a.PerClass) == 0 {
		return Check{Found: noLabels}
	}
	worst := a.PerClass[0]
	for _, p := range a.PerClass[1:] {
		if p.Before-p.After > worst.Before-worst.After {
			worst = p
		}
	}
	c := found("%", worst.Before-worst.After, within(worst.Before-worst.After, bound))
	c.Found += fmt.Sprintf(" (%s → %s on %d samples)", percent(worst.Before), percent(worst.After), worst.Samples)
	c.Where = fmt.Sprintf("class %d", worst.Label)
	if !c.Holds {
		for _, m := range r.Classes.Changed {
			if m.Label != nil && *m.Label == worst.Label && len(c.Samples) < shown {
				c.Samples = append(c.Samples, describe(m))
			}
		}
	}
	return c
}

const noLabels = "not measured: no labels for an output that looks like class scores"

func accuracy(r *verify.Report) *verify.Accuracy {
	if r.Classes == nil {
		return nil
	}
	return r.Classes.Accuracy
}

// within compares a difference of shares, which rounding may put a little over the bound.
func within(v, bound float64) bool { return v <= bound+1e-12 }

// snr is +Inf for equal outputs, and -Inf for others where the original is zero.
func snr(o verify.Output) float64 {
	switch {
	case o.SNR != nil:
		return *o.SNR
	case o.MaxRelative == 0:
		return math.Inf(1)
	}
	return math.Inf(-1)
}

// perOutput judges the output at which a measure is worst.
func perOutput(value func(verify.Output) float64, least bool, unit string) func(*verify.Report, float64) Check {
	return func(r *verify.Report, bound float64) Check {
		var worst *verify.Output
		for i := range r.Outputs {
			o := &r.Outputs[i]
			if o.Values == 0 {
				return Check{Found: "not measured: no finite values to compare", Where: outputName(o.Name)}
			}
			if worst == nil || least && value(*o) < value(*worst) || !least && value(*o) > value(*worst) {
				worst = o
			}
		}
		if worst == nil {
			return Check{Found: "not measured: the models have no outputs"}
		}
		v := value(*worst)
		c := Check{Found: number(v, unit), Holds: least && v >= bound || !least && v <= bound, Where: outputName(worst.Name)}
		if !c.Holds {
			c.Samples = moved(r)
		}
		return c
	}
}

func found(unit string, v float64, holds bool) Check {
	return Check{Found: Measure{Unit: unit}.text(v), Holds: holds}
}

// number writes a measured value that may be infinite.
func number(v float64, unit string) string {
	switch {
	case math.IsInf(v, 1):
		return "equal outputs"
	case math.IsInf(v, -1):
		return "other values where the original has zeros"
	}
	return Measure{Unit: unit}.text(v)
}

func percent(v float64) string { return Measure{Unit: "%"}.text(math.Round(v*1e4) / 1e4) }

func outputName(name string) string { return fmt.Sprintf("output %q", name) }

// shown is how many samples a failed check names.
const shown = 5

func moved(r *verify.Report) []string { return described(r.Moved) }

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

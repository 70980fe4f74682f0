package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// goals writes what became of the goals that only running the model can judge, and, when
// verbose, every model that was tried.
func (p *printer) goals(t *compress.Trials, verbose bool) {
	if t == nil {
		return
	}
	for _, g := range t.Goals {
		if t.Shared {
			p.line("%s: %s on the %s that judged the search and verify the result, because there were too few for both",
				g, GoalText(g.Measure, g.Judged), number(t.Judged, "sample"))
			continue
		}
		p.line("%s: %s on the %s that judged the search, %s on %d others",
			g, GoalText(g.Measure, g.Judged), number(t.Judged, "sample"), ProvedText(g, GoalText), t.Proved)
	}
	if !verbose {
		return
	}
	var rows [][]any
	for _, s := range t.Steps {
		rows = append(rows, trialRow(t, s))
	}
	p.grid([]Column{{"tried", false}, {"MACs", true}, {"parameters", true}, {"predicted loss", true}, {"measured", false}, {"met", false}}, rows)
	if t.Stopped != "" {
		p.line("no more were tried: %s", t.Stopped)
	}
}

// ProvedText writes what the samples that verified the result say of a goal.
func ProvedText(g compress.GoalReached, write func(verify.Measure, *float64) string) string {
	if g.Unproved != "" {
		return "not measured (" + g.Unproved + ")"
	}
	return write(g.Measure, g.Proved)
}

func trialRow(t *compress.Trials, s compress.Trial) []any {
	budget := fmt.Sprintf("%s=%.4g", t.Over, s.Budget)
	if len(s.Values) == 0 {
		return []any{budget, none, none, none, "out of reach", "no"}
	}
	var values []string
	for i, g := range t.Goals {
		values = append(values, GoalText(g.Measure, s.Values[i]))
	}
	met := map[bool]string{true: "yes", false: "no"}[s.Met]
	return []any{budget, Count(s.MACs), Count(s.Params), fmt.Sprintf("%.4g", s.Loss), strings.Join(values, ", "), met}
}

// GoalText writes what was measured of a goal.
func GoalText(m verify.Measure, number *float64) string {
	switch {
	case number == nil:
		return "equal outputs"
	case m == verify.SNR:
		return Decibels(*number)
	case m == verify.Drop:
		return fmt.Sprintf("%.2f points lost", 100**number)
	case m == verify.KL:
		return fmt.Sprintf("KL %.4f", *number)
	case m == verify.PPL:
		return fmt.Sprintf("perplexity %+.2f %%", 100**number)
	case m == verify.Cosine:
		return fmt.Sprintf("cosine %.4f", *number)
	case m == verify.Boxes:
		return fmt.Sprintf("%.2f %% of boxes match", 100**number)
	case m == verify.CER:
		return fmt.Sprintf("%.2f %% of letters differ", 100**number)
	case m == verify.IoU:
		return fmt.Sprintf("masks overlap by %.2f %%", 100**number)
	}
	return fmt.Sprintf("%.2f %% agree", 100**number)
}

// Decibels writes a signal to noise ratio.
func Decibels(v float64) string {
	if math.Abs(v) >= math.MaxFloat64 {
		return verify.SNR.Text(v)
	}
	return fmt.Sprintf("%.2f dB", v)
}

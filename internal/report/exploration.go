package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Kept is the goal that the text and the picture of an exploration point at, which fits what the model gives.
func Kept(e *compress.Exploration) verify.Bound {
	for _, kind := range []verify.Kind{outputs.Boxes, outputs.Letters, outputs.Mask, outputs.Embedding} {
		if fitting := verify.Fitting(kind); judgedBy(e, fitting.Measure) {
			return fitting
		}
	}
	return verify.Fitting(outputs.Scores)
}

// KeptText says what a model does that meets the goal.
func KeptText(e *compress.Exploration) string {
	switch {
	case judgedBy(e, verify.Boxes):
		return fmt.Sprintf("keeps %s of the boxes on these samples", Percent(Kept(e).Value))
	case judgedBy(e, verify.CER):
		return fmt.Sprintf("reads no more than %s of the letters of these samples in another way", Percent(Kept(e).Value))
	case judgedBy(e, verify.IoU):
		return fmt.Sprintf("has masks that overlap by %s on these samples", Percent(Kept(e).Value))
	case judgedBy(e, verify.Cosine):
		return "keeps a cosine of 0.99 on these samples"
	}
	return "keeps the top class for 99 % of these samples"
}

// judgedBy tells whether points are judged by a measure.
func judgedBy(e *compress.Exploration, m verify.Measure) bool {
	return slices.ContainsFunc(e.Points, func(q compress.Point) bool { return q.Judged != nil && q.Judged.Measure == m })
}

// Exploration writes the frontier as a table, one line a budget, and, when verbose, how the
// points came about.
func Exploration(w io.Writer, e *compress.Exploration, verbose bool) error {
	p := &printer{w: w}
	p.line("%s: %s MACs, %s parameters, %s", e.Input.Path, Count(e.Input.MACs), Count(e.Input.Params), Bytes(e.Input.Bytes))
	p.calibration(&compress.Result{Calibration: e.Calibration})
	best := e.Smallest(Kept(e))
	p.frontier(e, best)
	p.reasons(e)
	switch {
	case e.Unmeasured != "":
		p.line("PREDICTED only, nothing was measured: %s", e.Unmeasured)
	default:
		p.line("measured on %s of %s that calibration did not see", number(e.Samples, "sample"), e.Data)
	}
	if said := Int8OriginalText(e); said != "" {
		p.line("%s", said)
	}
	told := slices.ContainsFunc(e.Points, func(q compress.Point) bool { _, measured := q.Value(Kept(e).Measure); return measured })
	switch {
	case best != nil:
		p.line("* the smallest that %s", KeptText(e))
	case told && e.Tells(Kept(e)):
		p.line("none %s", KeptText(e))
	case told:
		p.line("too few samples to tell which keep the top class for 99 %%")
	}
	if verbose {
		p.makings(e)
		p.durations(e.Stages)
		p.memory(e.Memory)
	}
	for _, q := range e.Points {
		if q.Path != "" {
			p.line("%s", q.Path)
		}
	}
	return p.err
}

// frontier writes what the points need, and what they lose.
func (p *printer) frontier(e *compress.Exploration, best *compress.Point) {
	head := Columns([]string{"budget"}, "MACs", "left", "parameters", "left", "file", lossTitle(e.Measure))
	shown := slices.DeleteFunc(measurements(), func(m measurement) bool {
		return !slices.ContainsFunc(e.Points, func(q compress.Point) bool { return m.of(&q) != none })
	})
	for _, m := range shown {
		head = append(head, Column{m.title, true})
	}
	head = append(head, Column{"", false})
	var rows [][]any
	for i := range e.Points {
		q := &e.Points[i]
		row := []any{BudgetText(e, q)}
		if q.Why != "" {
			row = append(row, none, none, none, none, none, none)
		} else {
			row = append(row, Count(q.MACs), Ratio(q.MACs, e.Input.MACs), Count(q.Params), Ratio(q.Params, e.Input.Params), Bytes(q.Bytes), fmt.Sprintf("%.4g", q.Loss))
		}
		for _, m := range shown {
			row = append(row, m.of(q))
		}
		mark := ""
		if q == best {
			mark = "*"
		}
		rows = append(rows, append(row, mark))
	}
	p.grid(head, rows)
}

// BudgetText writes the budget of a point as a target is written.
func BudgetText(e *compress.Exploration, q *compress.Point) string {
	return compress.Target{Resource: e.Over, Value: q.Budget, Fraction: true}.String()
}

func lossTitle(m compress.Measure) string {
	if m == compress.OutputChange {
		return "predicted change"
	}
	return "predicted loss"
}

// measurement is what running a point's model can tell, none where it did not.
type measurement struct {
	title string
	of    func(q *compress.Point) string
}

func measurements() []measurement {
	return []measurement{{"SNR", snrText}, {"cosine", cosineText}, {"KL", divergenceText}, {"boxes", boxesText}, {"letters that differ", lettersText}, {"IoU", overlapText}, {"same class", agreementText}, {"top-1", accuracyText}, {"time", timeText}, {"as int8", Int8PointText}, {"speed as int8", Int8SpeedText}}
}

func snrText(q *compress.Point) string {
	v, measured := q.Value(verify.SNR)
	switch {
	case !measured:
		return none
	case v > math.MaxFloat64:
		return "equal"
	}
	return Decibels(v)
}

func cosineText(q *compress.Point) string     { return numberText(q, verify.Cosine) }
func divergenceText(q *compress.Point) string { return numberText(q, verify.KL) }

func lettersText(q *compress.Point) string   { return shareText(q, verify.CER) }
func overlapText(q *compress.Point) string   { return shareText(q, verify.IoU) }
func boxesText(q *compress.Point) string     { return shareText(q, verify.Boxes) }
func agreementText(q *compress.Point) string { return shareText(q, verify.Agreement) }

// shareText writes a measure that is a share.
func shareText(q *compress.Point, m verify.Measure) string {
	if v, measured := q.Value(m); measured {
		return fmt.Sprintf("%.2f %%", 100*v)
	}
	return none
}

// numberText writes a measure that has no unit.
func numberText(q *compress.Point, m verify.Measure) string {
	if v, measured := q.Value(m); measured {
		return fmt.Sprintf("%.4f", v)
	}
	return none
}

func accuracyText(q *compress.Point) string {
	if q.Accuracy == nil {
		return none
	}
	return fmt.Sprintf("%.2f → %.2f %%", 100*q.Accuracy.Before, 100*q.Accuracy.After)
}

func timeText(q *compress.Point) string {
	if l := q.Latency; l != nil && l.Skipped == "" {
		return Percent(l.After / l.Before)
	}
	return none
}

// Int8PointText says what the model of a point keeps as int8.
func Int8PointText(q *compress.Point) string {
	if q.Int8 == nil {
		return none
	}
	return int8Kept(&q.Int8.Models[3])
}

// Int8SpeedText holds its speed as int8 against that of the original as int8.
func Int8SpeedText(q *compress.Point) string {
	if q.Int8 == nil {
		return none
	}
	return fmt.Sprintf("%.2f×", q.Int8.Models[3].Speed/q.Int8.Models[1].Speed)
}

// Int8OriginalText says what the original keeps as int8, which models that are for int8 have to beat; empty where no point knows.
func Int8OriginalText(e *compress.Exploration) string {
	if e.Unquantized != "" {
		return "NOT JUDGED as int8: " + e.Unquantized
	}
	for _, q := range e.Points {
		if q.Int8 != nil {
			alone := &q.Int8.Models[1]
			return fmt.Sprintf("as int8 the original keeps %s, at %.2f times its speed in float; speeds as int8 are held against it", int8Kept(alone), alone.Speed)
		}
	}
	return ""
}

// reasons writes why there are points without a model.
func (p *printer) reasons(e *compress.Exploration) {
	for _, q := range e.Points {
		if q.Why != "" {
			p.line("  %s: %s", BudgetText(e, &q), q.Why)
		}
	}
}

// makings writes how each point came about.
func (p *printer) makings(e *compress.Exploration) {
	var rows [][]any
	for _, q := range e.Points {
		if q.Why != "" {
			continue
		}
		refitted := none
		if q.Refit != nil && q.Refit.Skipped == "" {
			refitted = fmt.Sprint(q.Refit.Kept)
		}
		var schemes []string
		for _, s := range q.Schemes {
			schemes = append(schemes, fmt.Sprintf("%s %d", s.Method, s.Sites))
		}
		cosine := none
		if len(q.Outputs) > 0 {
			least := slices.MinFunc(q.Outputs, func(a, b compress.PointOutput) int { return cmp.Compare(a.Cosine, b.Cosine) })
			cosine = fmt.Sprintf("%.5f", least.Cosine)
		}
		rows = append(rows, []any{
			BudgetText(e, &q), fmt.Sprintf("%.4g", q.Bound), Percent(q.Gap), cosine, refitted, strings.Join(schemes, ", "), fmt.Sprintf("%.1f s", q.Seconds),
		})
	}
	p.grid([]Column{{"budget", false}, {"bound", true}, {"gap", true}, {"cosine", true}, {"refitted", true}, {"sites", false}, {"took", true}}, rows)
}

package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/verify"
)

// worstClasses and movedSamples bound the two lists of a verification.
const (
	worstClasses = 3
	movedSamples = 3
)

// Verification writes how far two models lie apart, and ends with the sentence that sums it up.
func Verification(w io.Writer, v *compress.Verification) error {
	p := &printer{w: w}
	p.verification(v.Report)
	if v.Int8 != nil {
		p.line("")
		p.int8(v.Int8)
	}
	p.line("")
	p.line("%s", v.Judge().Text)
	return p.err
}

// asInt8 writes how the models of a run for int8 fare then, or why that is not known.
func (p *printer) asInt8(r *compress.Result) {
	switch {
	case r.Int8 != nil:
		p.line("")
		p.int8(r.Int8)
	case r.Unquantized != "":
		p.line("NOT JUDGED as int8: %s", r.Unquantized)
	}
}

// int8 writes how the models fare as int8.
func (p *printer) int8(q *compress.Int8) {
	p.line("%s:", Int8Text(q))
	head, table := Int8Table(q)
	var rows [][]any
	for _, line := range table {
		var row []any
		for _, word := range line {
			row = append(row, word)
		}
		rows = append(rows, row)
	}
	p.grid(head, rows)
	p.line("%s", Int8Verdict(q))
}

// Int8Text says on what models were held against each other as int8.
func Int8Text(q *compress.Int8) string {
	return fmt.Sprintf("as int8, by ONNX Runtime %s with ranges of %s, beside the original on %s more; time of one sample, %s",
		q.Quantizer, number(q.Ranges, "sample"), number(q.Samples, "sample"), number(q.Threads, "thread"))
}

// Int8Table has a row for the original, the compressed model, and the int8 model of each.
func Int8Table(q *compress.Int8) (head []Column, rows [][]string) {
	for i, m := range q.Models {
		kept, accuracy, is := none, none, "float"
		if m.How != "" {
			is = "int8, " + m.How
		}
		if m.Report != nil {
			kept = int8Kept(&m)
		}
		if a := int8Accuracy(q, i); a >= 0 {
			accuracy = fmt.Sprintf("%.2f %%", 100*a)
		}
		rows = append(rows, []string{m.Of, is, kept, accuracy, Bytes(m.Bytes), Millis(m.Time), fmt.Sprintf("%.2f×", m.Speed)})
	}
	return Columns([]string{"model", "as"}, "kept", "top-1", "size", "median", "speed"), rows
}

// int8Kept says what an int8 model keeps of the original in float.
func int8Kept(m *compress.Int8Model) string { return keptText(m.Report.Judge()) }

// Int8Verdict holds the int8 model of the compressed model against that of the original, which is what it has to beat.
func Int8Verdict(q *compress.Int8) string {
	alone, both := q.Models[1], q.Models[3]
	a, b := alone.Report.Judge(), both.Report.Judge()
	said := fmt.Sprintf("As int8 the compressed model runs at %.2f times the speed of the original as int8, and keeps %s where that keeps %s", both.Speed/alone.Speed, keptText(b), keptText(a))
	worse := a.Measure == b.Measure && b.Value != nil && (a.Value == nil || (*b.Value < *a.Value) == a.Measure.Least() && *b.Value != *a.Value)
	if both.Speed <= alone.Speed && worse {
		return said + ": quantize the original as it is."
	}
	return said + "."
}

// int8Accuracy is the top-1 accuracy of one of the models, −1 where it is not known.
func int8Accuracy(q *compress.Int8, i int) float64 {
	r := q.Models[max(i, 1)].Report
	switch {
	case r == nil || r.Classes == nil || r.Classes.Accuracy == nil:
		return -1
	case i == 0:
		return r.Classes.Accuracy.Before
	}
	return r.Classes.Accuracy.After
}

// keptText is the measure that fits the outputs, in few words.
func keptText(j verify.Judged) string {
	switch {
	case j.Measure == "":
		return none
	case j.Value == nil:
		return "everything"
	case j.Measure == verify.Agreement:
		return fmt.Sprintf("%.2f %% same class", 100**j.Value)
	case j.Measure == verify.CER:
		return fmt.Sprintf("%.2f %% of letters", 100*(1-*j.Value))
	case j.Measure == verify.IoU:
		return fmt.Sprintf("IoU %.4f", *j.Value)
	case j.Measure == verify.Boxes:
		return fmt.Sprintf("%.2f %% of boxes", 100**j.Value)
	case j.Measure == verify.KL:
		return fmt.Sprintf("KL %.4f", *j.Value)
	case j.Measure == verify.Cosine:
		return fmt.Sprintf("cosine %.4f", *j.Value)
	}
	return fmt.Sprintf("%.2f dB", *j.Value)
}

// verification writes the numbers of a comparison.
func (p *printer) verification(r *verify.Report) {
	p.line("verified on %s of %s", number(r.Samples, "sample"), r.Data)
	var rows [][]any
	for _, o := range r.Outputs {
		if o.Values == 0 {
			rows = append(rows, []any{o.Name, o.Kind, none, none, none, none})
			continue
		}
		rows = append(rows, []any{o.Name, o.Kind, snr(o), fmt.Sprintf("%.5f", o.Cosine), fmt.Sprintf("%.3g", o.MeanRelative), fmt.Sprintf("%.3g", o.MaxRelative)})
	}
	p.grid([]Column{{"output", false}, {"is", false}, {"SNR", true}, {"cosine", true}, {"mean error", true}, {"largest error", true}}, rows)
	for _, o := range r.Outputs {
		if words := Uncompared(o); words != "" {
			p.line("  %s %s", o.Name, words)
		}
		if o.NonFiniteCompressed+o.NonFiniteOriginal > 0 {
			p.line("  %s is NaN or infinite for %s before, %d after", o.Name, number(o.NonFiniteOriginal, "sample"), o.NonFiniteCompressed)
		}
	}
	if c := r.Classes; c != nil {
		p.line("same top-1 class for %.2f %% of the samples", 100*c.Agreement)
		p.accuracy(c.Accuracy)
	}
	p.detections(r)
	p.language(r.Language)
	p.placed(r.Outputs)
	p.neighbours(r.Outputs)
	p.moved(r.Moved)
}

// language writes how the distributions of next tokens differ, with intervals where several texts tell.
func (p *printer) language(l *verify.Language) {
	if l == nil {
		return
	}
	p.line("%s: same most likely token for %s of %s, KL divergence %s", l.Output, within(l.Agreement, share), number(l.Positions, "position"),
		within(l.KL, func(v float64) string { return fmt.Sprintf("%.4f", v) }))
	if t := l.Perplexity; t != nil {
		p.line("perplexity %.2f → %.2f, %s on %s", t.Before, t.After, within(t.Increase, func(v float64) string { return fmt.Sprintf("%+.2f %%", 100*v) }), number(t.Tokens, "token"))
	}
}

// within writes an estimate with its interval, where it has one.
func within(e verify.Estimate, text func(float64) string) string {
	if e.Low == nil {
		return text(e.Value)
	}
	return fmt.Sprintf("%s (%s to %s)", text(e.Value), text(*e.Low), text(*e.High))
}

// share writes one.
func share(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// placed says what is the same of tokens, letters and masks.
func (p *printer) placed(list []verify.Output) {
	for _, o := range list {
		if q := o.Sequence; q != nil {
			p.line("%s: same class for %s of %s", o.Name, within(q.Agreement, share), number(q.Positions, "position"))
			if w := q.Spelling; w != nil {
				p.line("%s: %s of letters differ, %s among %d before and %d after; %d of %s read the same", o.Name, within(w.Rate, share), number(w.Edits, "edit"), w.Before, w.After, w.Same, number(q.Samples, "sample"))
			}
		}
		if g := o.Regions; g != nil {
			p.line("%s: masks overlap by %s (IoU, the mean over %s); same class for %.2f %% of places", o.Name, within(g.IoU, share), number(g.Classes, "class"), 100*g.Agreement)
		}
	}
}

// detections says how many boxes match, or why that is not known.
func (p *printer) detections(r *verify.Report) {
	switch d := r.Detections; {
	case d != nil:
		p.line("%s: %.2f %% of boxes match: %d of %d before, of %d after, in %s", strings.Join(d.Reads, ", "), 100*d.Share, d.Matched, d.Before, d.After, number(d.Samples, "sample"))
	case r.Unmatched != "":
		p.line("boxes are not matched: %s", r.Unmatched)
	}
}

// neighbours says how many of the nearest neighbours of embeddings were kept.
func (p *printer) neighbours(list []verify.Output) {
	for _, o := range list {
		if n := o.Neighbours; n != nil {
			p.line("%s: %.2f %% of the %d nearest neighbours kept, among %s", o.Name, 100*n.Kept, n.Of, number(n.Samples, "sample"))
		}
	}
}

// Uncompared says what of an output was not compared, or counts nothing; empty where all of it was and does.
func Uncompared(o verify.Output) string {
	switch {
	case o.Uncompared != "":
		return "is not compared: " + o.Uncompared
	case o.Differing > 0:
		return fmt.Sprintf("has sizes that depend on the data, and differ for %s, which are left out", number(o.Differing, "sample"))
	case o.Kind == outputs.State && o.Ignored:
		return "is a state for the next run, and counts nothing"
	case o.Ignored:
		return "counts nothing"
	}
	return ""
}

// accuracy writes the accuracy, and the classes that lost most.
func (p *printer) accuracy(a *verify.Accuracy) {
	if a == nil {
		return
	}
	p.line("top-1 accuracy %.2f %% → %.2f %% on %s", 100*a.Before, 100*a.After, number(a.Labelled, "labelled sample"))
	classes := slices.Clone(a.PerClass)
	slices.SortStableFunc(classes, func(a, b verify.ClassAccuracy) int { return cmp.Compare(b.Before-b.After, a.Before-a.After) })
	for _, c := range classes[:min(worstClasses, len(classes))] {
		if c.After < c.Before {
			p.line("  class %d: %.1f %% → %.1f %% (%s)", c.Label, 100*c.Before, 100*c.After, number(c.Samples, "sample"))
		}
	}
}

// moved names the samples whose outputs moved most.
func (p *printer) moved(samples []verify.Moved) {
	if len(samples) == 0 {
		return
	}
	p.line("moved most:")
	for _, m := range samples[:min(movedSamples, len(samples))] {
		text := "not finite"
		if m.Error != nil {
			text = fmt.Sprintf("%.3g", *m.Error)
		}
		if m.Before != nil && m.After != nil {
			text += fmt.Sprintf(", class %d", *m.Before)
			if *m.After != *m.Before {
				text += fmt.Sprintf(" → %d", *m.After)
			}
		}
		if m.Label != nil {
			text += fmt.Sprintf(" (label %d)", *m.Label)
		}
		p.line("  %s: %s", m.Name, text)
	}
}

// none stands where there is no number.
const none = "–"

// snr writes a ratio in dB. Outputs that are equal have none, and neither have those
// that were zero throughout.
func snr(o verify.Output) string {
	switch {
	case o.SNR != nil:
		return fmt.Sprintf("%.2f dB", *o.SNR)
	case o.MaxRelative == 0:
		return "equal"
	}
	return none
}

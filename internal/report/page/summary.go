package page

import (
	"fmt"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// savedText says what was saved, in one breath.
func savedText(r *compress.Result) string {
	a, b := r.Input, r.Output
	said := fmt.Sprintf("The model needs %s multiply-adds (%s → %s) and %s parameters, and its file takes %s (%s → %s).",
		change(float64(a.MACs), float64(b.MACs), "fewer", "more"), report.Count(a.MACs), report.Count(b.MACs),
		change(float64(a.Params), float64(b.Params), "fewer", "more"),
		change(float64(a.Bytes), float64(b.Bytes), "less", "more"), report.Bytes(a.Bytes), report.Bytes(b.Bytes))
	l := r.Latency
	switch {
	case l == nil || l.Skipped != "":
		return said + " How much faster it runs was not measured."
	case l.Low <= 1 && l.High >= 1:
		return said + fmt.Sprintf(" On this machine it runs about as fast as before (%s against %s).", report.Millis(l.After), report.Millis(l.Before))
	case l.Speed > 1:
		return said + fmt.Sprintf(" On this machine one inference takes %s in place of %s: it is %.2f times as fast.", report.Millis(l.After), report.Millis(l.Before), l.Speed)
	}
	return said + fmt.Sprintf(" On this machine it is not faster, but slower: one inference takes %s in place of %s.", report.Millis(l.After), report.Millis(l.Before))
}

// costText says what the saving costs in behaviour.
func costText(r *compress.Result) string {
	v := r.Verification
	if v == nil {
		return fmt.Sprintf("Nothing was measured. The search expects a loss of %s (%s).", small(r.Plan.Loss), lossName(r))
	}
	if r.Calibration == nil {
		return "That is not known: random inputs cannot tell."
	}
	if c := v.Classes; c != nil {
		low, high := wilson(c.Agreement, v.Samples)
		said := fmt.Sprintf("For %s of the samples both models give the same answer (with 95 %% confidence between %s and %s of all such samples).",
			exact(c.Agreement), report.Percent(low), report.Percent(high))
		a := c.Accuracy
		if a == nil {
			return said + " Whether the others became better or worse is not known, because the samples have no labels."
		}
		said += fmt.Sprintf(" Accuracy goes from %s to %s (%s).", exact(a.Before), exact(a.After), percentPoints(a.After-a.Before))
		if lost, _ := losers(a); len(lost) > 0 {
			w := lost[0]
			said += fmt.Sprintf(" The class that lost most is %d: from %s to %s, on %s.", w.Label, report.Percent(w.Before), report.Percent(w.After), number(w.Samples, "sample"))
		}
		return said
	}
	o := leastSNR(v)
	if o == nil {
		return "On the samples, the outputs are the same numbers as before."
	}
	if o.SNR == nil {
		return fmt.Sprintf("The outputs change: %s has other values where the original has zeros.", o.Name)
	}
	return fmt.Sprintf("The outputs change: of %s, where they change most, the signal is %.1f dB above the noise (a mean error of %s of the outputs' size).", o.Name, *o.SNR, report.Percent(o.MeanRelative))
}

// evidenceText says what that is known from.
func evidenceText(r *compress.Result) string {
	v := r.Verification
	switch {
	case v == nil:
		return "None by running the model: " + r.Unverified + "."
	case r.Calibration == nil:
		return fmt.Sprintf("The file that was written ran beside the original on %s; both gave numbers.", v.Data)
	}
	said := fmt.Sprintf("The original and the file that was written ran side by side on %s of %s.", number(v.Samples, "sample"), v.Data)
	if r.Calibration.Samples > 0 {
		said += fmt.Sprintf(" None of them is among the %s that the compression was fitted to.", grouped(r.Calibration.Samples))
	}
	if t := r.Trials; t != nil && !t.Shared {
		said += fmt.Sprintf(" None is among the %s that the size was chosen by, either.", grouped(t.Judged))
	}
	switch {
	case r.Plan.Given || r.Plan.Loss == 0:
	case r.Plan.Gap < 0.0005:
		said += " By the measure that the search goes by, no choice of the ranks that were looked at is better."
	default:
		said += fmt.Sprintf(" By the measure that the search goes by, the loss is at most %s above that of the best choice of the ranks that were looked at.", report.Percent(r.Plan.Gap))
	}
	return said
}

// advice is what to do before the model is used.
func advice(r *compress.Result) []point {
	var out []point
	add := func(word, format string, args ...any) { out = append(out, point{word, fmt.Sprintf(format, args...)}) }
	if r.Calibration == nil {
		add("Compress it again with samples.", "A few hundred unlabelled examples of what the model will see make the result much better, and show how good it is.")
	}
	if v := r.Verification; v == nil || r.Calibration == nil || v.Classes == nil || v.Classes.Accuracy == nil {
		add("Measure what you care about.", "Run both models on labelled data of your own, and compare the number that the product is judged by.")
	} else {
		add("Measure on data of your own", "that had no part in this: the samples here may be easier or harder than what the model will see.")
		if p := classAdvice(v.Classes.Accuracy); p.Word != "" {
			out = append(out, p)
		}
	}
	if v := r.Verification; v != nil && len(v.Moved) > 0 && r.Calibration != nil {
		names := []string{}
		for _, m := range v.Moved[:min(3, len(v.Moved))] {
			names = append(names, m.Name)
		}
		add("Look at the samples that moved most:", "%s.", strings.Join(names, "; "))
	}
	if l := r.Latency; l == nil || l.Skipped != "" {
		add("Time it where it will run.", "Fewer multiply-adds are not always less time.")
	} else {
		add("Time it where it will run.", "The times here are of one thread of another machine.")
	}
	if noted := notes(r); noted > 0 {
		add("Read the notes", "on %s in the table of layers.", number(noted, "layer"))
	}
	add("Roll it out in steps,", "with the original beside it on a share of the traffic, and watch how often both agree.")
	return out
}

// classAdvice says which classes to look at.
func classAdvice(a *verify.Accuracy) point {
	lost, told := losers(a)
	switch {
	case !told:
		return point{"Measure by class.", fmt.Sprintf("Of no class there are %d samples here, so that nothing can be said of any of them. One may have lost much more than the others.", telling)}
	case len(lost) == 0:
		return point{}
	}
	var names []string
	for _, c := range lost[:min(3, len(lost))] {
		names = append(names, fmt.Sprintf("class %d (%s)", c.Label, percentPoints(c.After-c.Before)))
	}
	return point{"Look at the classes that lost most:", strings.Join(names, ", ") + ". Ask for a bound where one of them matters: onnx-compress verify ORIGINAL COMPRESSED --data … --require class-drop=2%."}
}

// notes counts the layers with something to know.
func notes(r *compress.Result) int {
	return len(sitesThat(r, func(s compress.SiteResult) bool { return s.Note != "" }))
}

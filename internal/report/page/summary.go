package page

import (
	"fmt"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// classText names the class that lost most, where samples with labels tell.
func classText(r *compress.Result) string {
	v := r.Verification
	if v == nil || r.Calibration == nil || v.Classes == nil {
		return ""
	}
	switch {
	case v.Classes.Accuracy == nil && v.Classes.Agreement == 1:
		return ""
	case v.Classes.Accuracy == nil:
		return "Whether the other answers became better or worse is not known, because the samples have no labels."
	}
	lost, _ := losers(v.Classes.Accuracy)
	if len(lost) == 0 {
		return ""
	}
	w := lost[0]
	return fmt.Sprintf("The class that lost most is %d: from %s to %s, on %s.", w.Label, report.Percent(w.Before), report.Percent(w.After), number(w.Samples, "sample"))
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

package page

import (
	"fmt"
	"html/template"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

func ofExploration(e *compress.Exploration) *document {
	d := &document{Title: base(e.Input.Path) + ", in several sizes"}
	d.Lead = fmt.Sprintf("%s needs %s multiply-adds and has %s parameters; its file takes %s.", e.Input.Path, report.Count(e.Input.MACs), report.Count(e.Input.Params), report.Bytes(e.Input.Bytes))
	if e.Unmeasured != "" {
		d.Warnings = append(d.Warnings, "nothing was measured: "+e.Unmeasured+". All numbers are what the search expects, not what was measured.")
	}
	d.add("summary", "Summary", explored(e)...)
	sizes := []block{}
	if svg, err := report.ExplorationPicture(e); err == nil { // else no budget can be reached, which the table says
		sizes = append(sizes, block{Chart: &picture{"What is kept at which size", template.HTML(svg)}})
	}
	d.add("sizes", "Sizes", append(sizes, pointTable(e))...)
	rows := append(environment(e.Environment), []string{"SHA-256 of the original", e.Input.SHA256})
	if c := e.Calibration; c != nil {
		rows = append(rows, []string{"Calibration", number(c.Samples, "sample") + " of " + c.Source})
	}
	if e.Unmeasured == "" {
		rows = append(rows, []string{"Measured on", number(e.Samples, "sample") + " of " + e.Data})
	}
	d.add("repeat", "To repeat this", filesTable(rows), stagesTable("How long the shared steps took", e.Stages))
	return d
}

// explored says what the sizes show.
func explored(e *compress.Exploration) []block {
	reached := 0
	for _, p := range e.Points {
		if p.Why == "" {
			reached++
		}
	}
	out := []block{text("For each of %s of %s a model was made; %d of them can be reached.", number(len(e.Points), "budget"), resource(e.Over), reached)}
	if e.Unmeasured != "" {
		return out
	}
	out = append(out, text("All ran beside the original on %s of %s that calibration did not see.", number(e.Samples, "sample"), e.Data))
	if p := e.Smallest(report.Kept()); p != nil {
		low, _ := verify.Wilson(*p.Agreement, e.Samples)
		out = append(out, text("The smallest that gives the same answer for 99 %% of these samples has %s of the %s left (%s; of all such samples it is at least %s, with 97.5 %% confidence).",
			report.Percent(p.Budget), resource(e.Over), exact(*p.Agreement), report.Percent(low)))
	}
	return append(out, text("Which of them is small enough and good enough is for those to say who know what a wrong answer costs."))
}

// pointTable has a row for every budget.
func pointTable(e *compress.Exploration) block {
	var rows [][]string
	for i := range e.Points {
		p := &e.Points[i]
		row := []string{report.BudgetText(e, p)}
		if p.Why != "" {
			rows = append(rows, append(row, none, none, none, none, none, none, none, p.Why))
			continue
		}
		row = append(row, report.Ratio(p.MACs, e.Input.MACs), report.Ratio(p.Params, e.Input.Params), report.Bytes(p.Bytes), small(p.Loss))
		ratio := none
		if v, measured := p.Value(verify.SNR); measured {
			ratio = decibels(v)
		}
		accuracy := func(a compress.PointAccuracy) string {
			return exact(a.After) + " (" + percentPoints(a.After-a.Before) + ")"
		}
		rows = append(rows, append(row, orElse(p.Agreement, exact, none), ratio, orElse(p.Accuracy, accuracy, none), p.Path))
	}
	titles := report.Columns([]string{"Budget"}, "Multiply-adds left", "Parameters left", "File", "Predicted loss", "Same answer", "Signal to noise", "Accuracy")
	return tabled("Budgets", append(titles, report.Column{Title: "Model, or why there is none"}), rows)
}

package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

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
	link := func(point int) string { return "#" + choiceID(point) }
	if svg, err := report.ExplorationPicture(e, link); err == nil { // else no budget can be reached, which the table says
		sizes = append(sizes, text("Every point of the picture opens what that choice is; below it they stand as a list."), block{Chart: &picture{"What is kept at which size", template.HTML(svg)}})
	}
	sizes = append(sizes, choices(e)...)
	d.add("sizes", "Sizes", append(sizes, pointTable(e))...)
	rows := append(environment(e.Environment), []string{"SHA-256 of the original", e.Input.SHA256})
	if c := e.Calibration; c != nil {
		rows = append(rows, []string{"Calibration", number(c.Samples, "sample") + " of " + c.Source})
	}
	if e.Unmeasured == "" {
		rows = append(rows, []string{"Measured on", number(e.Samples, "sample") + " of " + e.Data})
	}
	d.add("repeat", "To repeat this", append(repeatBlocks(e.Command), filesTable(rows), stagesTable("How long the shared steps took", e.Stages))...)
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
	if said := report.Int8OriginalText(e); said != "" {
		out = append(out, text("%s.", strings.ToUpper(said[:1])+said[1:]))
	}
	switch p := e.Smallest(report.Kept(e)); {
	case p == nil:
	case p.Agreement == nil:
		out = append(out, text("The smallest that %s has %s of the %s left.", report.KeptText(e), report.Percent(p.Budget), resource(e.Over)))
	default:
		low, _ := verify.Wilson(*p.Agreement, e.Samples)
		out = append(out, text("The smallest that gives the same answer for 99 %% of these samples has %s of the %s left (%s; of all such samples it is at least %s, with 97.5 %% confidence).",
			report.Percent(p.Budget), resource(e.Over), exact(*p.Agreement), report.Percent(low)))
	}
	return append(out, text("Which of them is small enough and good enough is for those to say who know what a wrong answer costs."))
}

// choiceID names the part of the page about a point.
func choiceID(point int) string { return fmt.Sprintf("choice-%d", point+1) }

// choices say of every model what it is and how it is made; they open where a point of the picture leads.
func choices(e *compress.Exploration) []block {
	var out []block
	for i := range e.Points {
		p := &e.Points[i]
		if p.Why != "" {
			continue
		}
		rows := [][]string{
			{"Multiply-adds of one inference", report.Count(e.Input.MACs), report.Count(p.MACs), report.Ratio(p.MACs, e.Input.MACs)},
			{"Parameters", report.Count(e.Input.Params), report.Count(p.Params), report.Ratio(p.Params, e.Input.Params)},
			{"File, with its weights", report.Bytes(e.Input.Bytes), report.Bytes(p.Bytes), report.Ratio(p.Bytes, e.Input.Bytes)},
		}
		if l := p.Latency; l != nil && l.Skipped == "" {
			rows = append(rows, []string{"Time of one inference", report.Millis(l.Before), report.Millis(l.After), report.Percent(l.After / l.Before)})
		}
		r := &compress.Result{Sites: p.Sites, Axes: p.Axes}
		blocks := []block{text("%s", kept(e, p)), tabled("Before and after at "+report.BudgetText(e, p), report.Columns([]string{"Need"}, "Before", "After", "Left"), rows)}
		if p.Int8 != nil {
			blocks = append(blocks, int8Blocks(p.Int8)...)
		}
		if len(p.Sites) > 0 {
			blocks = append(blocks, networkBlocks(r)...)
		}
		if p.Command != "" {
			blocks = append(blocks, text("%s", howMade(e, p)), block{Command: p.Command})
		}
		b := folded(report.PointText(e, p), blocks...)
		b.Details.ID = choiceID(i)
		out = append(out, b)
	}
	return out
}

// kept says what a model keeps of the original's behaviour.
func kept(e *compress.Exploration, p *compress.Point) string {
	if e.Unmeasured != "" {
		return fmt.Sprintf("Nothing was measured of it; the predicted loss is %s.", small(p.Loss))
	}
	var out []string
	if p.Judged != nil && p.Judged.Text != "" {
		return p.Judged.Text
	}
	if p.Agreement != nil { // told by an earlier version
		low, high := verify.Wilson(*p.Agreement, e.Samples)
		out = append(out, fmt.Sprintf("%s of %s get the same answer (95 %% interval: %s to %s)", exact(*p.Agreement), number(e.Samples, "sample"), report.Percent(low), report.Percent(high)))
	}
	if a := p.Accuracy; a != nil {
		out = append(out, fmt.Sprintf("accuracy went from %s to %s on %s with labels", exact(a.Before), exact(a.After), number(a.Labelled, "sample")))
	}
	for _, o := range p.Outputs {
		if o.SNR == nil {
			out = append(out, fmt.Sprintf("the output %s is the original's", o.Name))
			continue
		}
		out = append(out, fmt.Sprintf("the output %s lies %s from the original's, at a cosine of %.4f", o.Name, decibels(*o.SNR), o.Cosine))
	}
	if len(out) == 0 {
		return ""
	}
	said := strings.Join(out, "; ") + "."
	return strings.ToUpper(said[:1]) + said[1:]
}

// int8Blocks say how a model fares as int8.
func int8Blocks(q *compress.Int8) []block {
	head, rows := report.Int8Table(q)
	said := report.Int8Text(q)
	return []block{tabled("As int8", head, rows), text("%s. %s", strings.ToUpper(said[:1])+said[1:], report.Int8Verdict(q))}
}

// howMade says what the command of a point gives.
func howMade(e *compress.Exploration, p *compress.Point) string {
	switch {
	case e.Over == compress.RunTime:
		return "This makes such a model; its ranks may differ where times are measured anew (--costs keeps them)."
	case p.Path != "":
		return "The model lies in " + p.Path + ". This makes the same, to the last byte:"
	}
	return "This makes exactly this model:"
}

// pointTable has a row for every budget.
func pointTable(e *compress.Exploration) block {
	titles := report.Columns([]string{"Budget"}, "Multiply-adds left", "Parameters left", "File", "Predicted loss", "Same answer", "Signal to noise", "Accuracy")
	eight := slices.ContainsFunc(e.Points, func(p compress.Point) bool { return p.Int8 != nil })
	if eight {
		titles = append(titles, report.Columns(nil, "As int8", "Speed as int8")...)
	}
	var rows [][]string
	for i := range e.Points {
		p := &e.Points[i]
		row := []string{report.BudgetText(e, p)}
		if p.Why != "" {
			row = append(row, slices.Repeat([]string{none}, len(titles)-1)...)
			rows = append(rows, append(row, p.Why))
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
		same := orElse(p.Agreement, exact, none)
		for _, m := range []verify.Measure{verify.Agreement, verify.Boxes, verify.CER, verify.IoU} {
			switch v, measured := p.Value(m); {
			case measured && m == verify.CER:
				same = exact(1 - v)
			case measured:
				same = exact(v)
			}
		}
		row = append(row, same, ratio, orElse(p.Accuracy, accuracy, none))
		if eight {
			row = append(row, report.Int8PointText(p), report.Int8SpeedText(p))
		}
		rows = append(rows, append(row, p.Path))
	}
	return tabled("Budgets", append(titles, report.Column{Title: "Model, or why there is none"}), rows)
}

package page

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// ofResult is the page of a compression.
func ofResult(r *compress.Result, pictures Pictures) *document {
	d := &document{Title: base(r.Input.Path) + ", compressed"}
	d.Lead = fmt.Sprintf("%s became %s: %s.", r.Input.Path, r.Output.Path, factored(r))
	d.Warnings = warnings(r)
	verdict := report.VerdictOf(r)
	d.Tiles = tiles(r)
	d.add("summary", "Summary", block{Points: []point{
		{"What was saved.", verdict.Gained},
		{"What it costs.", strings.TrimSpace(verdict.Cost + " " + classText(r))},
		{"On what evidence.", evidenceText(r)},
	}})
	d.add("before", "Before roll-out", block{Points: advice(r)})
	d.Sections[0].Blocks = append(d.Sections[0].Blocks, nextBlocks(verdict)...)
	d.beside("summary", "before")
	d.add("frontier", "Other budgets", frontierBlocks(r)...)
	d.add("sizes", "Size and speed", append([]block{sizes(r), targets(r), latencyText(r)}, asInt8(r)...)...)
	d.beside("frontier", "sizes")
	d.add("layers", "Layers", layerBlocks(r)...)
	if r.Verification != nil {
		d.add("behaviour", "Behaviour", behaviourBlocks(r.Verification, pictures)...)
	}
	d.add("search", "Search", trialBlocks(r.Trials)...)
	if r.Tuning != nil {
		d.add("tuning", "Tuning", tuningBlocks(r.Tuning)...)
	}
	d.add("alone", "What was left alone", aloneBlocks(r)...)
	d.add("repeat", "To repeat this", append(repeatBlocks(r.Command), recordBlocks(r)...)...)
	return d
}

// factored says how many layers became what.
func factored(r *compress.Result) string {
	changed, schemes := report.Factored(r.Sites)
	if n := len(sitesThat(r, narrower(r))); n > 0 {
		return fmt.Sprintf("%d of %s with weights became narrower, and none was added", n, number(len(r.Sites), "layer"))
	}
	if changed == 0 {
		return "no layer was changed"
	}
	return fmt.Sprintf("%d of %s with weights became chains of smaller ones (%s)", changed, number(len(r.Sites), "layer"), report.Sizes(schemes))
}

// warnings are what nobody may overlook.
func warnings(r *compress.Result) []string {
	var out []string
	if r.Verification == nil {
		out = append(out, "the compressed model was not run: "+r.Unverified+". What follows is what the search expects, not what was measured.")
	} else if r.Calibration == nil {
		out = append(out, "no samples were given. The layers were judged by their weights alone, and the model was run on random inputs, which shows that it runs, not how good it is.")
	}
	if c := r.Calibration; c != nil && c.Noisiest != "" {
		text := fmt.Sprintf("%s are few to calibrate on: what node %q reads is known badly.", number(c.Samples, "sample"), c.Noisiest)
		if c.Wanted > 0 {
			text += fmt.Sprintf(" About %s would do.", grouped(c.Wanted))
		}
		if c.DataFree != nil {
			text += " The layers were judged by their weights alone."
		}
		out = append(out, text)
	}
	if t := r.Trials; t != nil && t.Shared {
		out = append(out, "there were too few samples for two sets, so that the same ones chose the model and judged it. On others it will do a little worse.")
	}
	return out
}

// tiles are the numbers to remember.
func tiles(r *compress.Result) []tile {
	out := []tile{
		{"Multiply-adds left", report.Ratio(r.Output.MACs, r.Input.MACs), report.Count(r.Input.MACs) + " → " + report.Count(r.Output.MACs)},
		{"Parameters left", report.Ratio(r.Output.Params, r.Input.Params), report.Count(r.Input.Params) + " → " + report.Count(r.Output.Params)},
		{"File left", report.Ratio(r.Output.Bytes, r.Input.Bytes), report.Bytes(r.Input.Bytes) + " → " + report.Bytes(r.Output.Bytes)},
	}
	if l := r.Latency; l != nil && l.Skipped == "" {
		out = append(out, tile{"Speed" + report.AsInt8(l), fmt.Sprintf("%.2f×", l.Speed), report.Millis(l.Before) + " → " + report.Millis(l.After)})
	}
	if r.Verification == nil || r.Calibration == nil { // which nothing real judged
		return out
	}
	switch j := r.Verification.Judge(); {
	case j.Measure == verify.Agreement && j.Kind == outputs.Tokens:
		out = append(out, tile{"Same class", exact(*j.Value), "of the positions of " + number(j.Samples, "sample")})
	case j.Measure == verify.CER:
		out = append(out, tile{"Letters that differ", exact(*j.Value), "of " + number(j.Samples, "sample")})
	case j.Measure == verify.IoU:
		out = append(out, tile{"Overlap of masks", exact(*j.Value), "of " + j.Output})
	case j.Measure == verify.Agreement:
		out = append(out, tile{"Same answer", exact(*j.Value), "of " + number(j.Samples, "sample")})
		if a := r.Verification.Classes.Accuracy; a != nil {
			out = append(out, tile{"Accuracy", exact(a.After), "was " + exact(a.Before) + ", " + percentPoints(a.After-a.Before)})
		}
	case j.Value == nil:
	case j.Measure == verify.KL:
		l, which := r.Verification.Language, "the next"
		if j.Kind == outputs.Words {
			which = "each"
		}
		out = append(out, tile{"KL divergence", fmt.Sprintf("%.4f", *j.Value), "of " + which + " token, on " + number(j.Samples, "sample")},
			tile{"Same token", exact(l.Agreement.Value), "of " + number(l.Positions, "position")})
		if p := l.Perplexity; p != nil {
			out = append(out, tile{"Perplexity", fmt.Sprintf("%.2f", p.After), fmt.Sprintf("was %.2f, %+.2f %%", p.Before, 100*p.Increase.Value)})
		}
	case j.Measure == verify.Boxes:
		d := r.Verification.Detections
		out = append(out, tile{"Boxes that match", exact(*j.Value), fmt.Sprintf("%d of %d, and of %d now", d.Matched, d.Before, d.After)})
	case j.Measure == verify.Cosine:
		out = append(out, tile{"Cosine", fmt.Sprintf("%.4f", *j.Value), "of " + j.Output})
	case j.Measure == verify.SNR:
		out = append(out, tile{"Signal to noise", report.Decibels(*j.Value), "of output " + j.Output})
	}
	return out
}

// nextBlocks say what to try.
func nextBlocks(v *compress.Verdict) []block {
	var out []block
	for _, s := range v.Next {
		out = append(out, text("Next: %s.", s.Why), block{Command: s.Command})
	}
	return out
}

// sizes compares the two files.
func sizes(r *compress.Result) block {
	a, b := r.Input, r.Output
	rows := [][]string{
		{"Multiply-adds of one inference", report.Count(a.MACs), report.Count(b.MACs), report.Ratio(b.MACs, a.MACs)},
		{"Parameters", report.Count(a.Params), report.Count(b.Params), report.Ratio(b.Params, a.Params)},
		{"File, with its weights", report.Bytes(a.Bytes), report.Bytes(b.Bytes), report.Ratio(b.Bytes, a.Bytes)},
	}
	if l := r.Latency; l != nil && l.Skipped == "" {
		rows = append(rows, []string{"Time of one inference" + report.AsInt8(l), report.Millis(l.Before), report.Millis(l.After), report.Percent(l.After / l.Before)})
		if m := l.Activations; m != nil {
			rows = append(rows, []string{"Memory for intermediate values", report.Bytes(m.Before), report.Bytes(m.After), report.Ratio(m.After, m.Before)})
		}
	}
	return tabled("Before and after", report.Columns([]string{"Need"}, "Before", "After", "Left"), rows)
}

// targets says what was asked for.
func targets(r *compress.Result) block {
	var rows [][]string
	for _, t := range r.Targets {
		rows = append(rows, []string{t.Target.String(), amount(t.Resource, int64(t.Limit)), amount(t.Resource, t.Reached)})
	}
	return tabled("Targets", report.Columns([]string{"Asked for"}, "At most", "Reached"), rows)
}

// latencyText says how the times came about.
func latencyText(r *compress.Result) block {
	l := r.Latency
	switch {
	case l == nil:
		return text("The models were not timed; --time or --report asks for it.")
	case l.Skipped != "":
		return text("The models were not timed: %s.", l.Skipped)
	}
	said := fmt.Sprintf("Times%s are medians of %s of each model in ONNX Runtime %s, one after the other by turns, on %s of the machine that compressed the model, on %s. "+
		"The original takes %.2f times as long as the compressed model; half of the turns lie between %.2f and %.2f.",
		report.AsInt8(l), number(l.Turns, "run"), r.Environment.Runtime, report.ThreadsText(l), l.Sample, l.Speed, l.Low, l.High)
	if foretold := report.ForetoldText(l); foretold != "" {
		said += " " + strings.ToUpper(foretold[:1]) + foretold[1:] + "."
	}
	if l.Activations != nil {
		said += " Memory is counted from the shapes of the values that are needed at once, at the node where they take most; weights are not in it, nor what a runtime takes for its work."
	}
	return text("%s", said)
}

// asInt8 says how the models of a run for int8 fare then, or why that is not known.
func asInt8(r *compress.Result) []block {
	switch {
	case r.Int8 != nil:
		return int8Blocks(r.Int8)
	case r.Unquantized != "":
		return []block{text("Not judged as int8: %s.", r.Unquantized)}
	}
	return nil
}

// aloneBlocks list the nodes that did not change, by reason.
func aloneBlocks(r *compress.Result) []block {
	var out []block
	var kept []string
	for _, s := range r.Sites {
		if s.Method == compress.Dense && !narrower(r)(s) {
			kept = append(kept, s.Op+" "+s.Name)
		}
	}
	if len(kept) > 0 {
		out = append(out, listed("on offer, and left alone: at no smaller size were they worth what they lose", kept))
	}
	out = append(out, byReason(r.Skipped)...)
	if len(r.Uncounted) > 0 {
		out = append(out, text("The size of these is unknown, so that the counts of multiply-adds lack them:"))
		out = append(out, byReason(r.Uncounted)...)
	}
	var rows [][]string
	for _, m := range r.Merged {
		rows = append(rows, []string{m.First, m.Second, m.Node, report.Count(m.MACs), report.Count(m.Params)})
	}
	return append(out, folded("Neighbouring nodes that became one", tabled("Merged nodes",
		report.Columns([]string{"First", "Second", "Became"}, "Multiply-adds saved", "Parameters saved"), rows)))
}

// byReason lists nodes that have a reason in common together.
func byReason(nodes []compress.Skipped) []block {
	var out []block
	for _, g := range report.ByReason(nodes) {
		var names []string
		for _, n := range g.Members {
			names = append(names, n.Op+" "+n.Name)
		}
		out = append(out, listed(g.Name, names))
	}
	return out
}

// listed shows nodes on request.
func listed(reason string, nodes []string) block {
	points := make([]point, len(nodes))
	for i, n := range nodes {
		points[i] = point{Text: n}
	}
	return folded(fmt.Sprintf("%s: %s", number(len(nodes), "node"), reason), block{Points: points})
}

// repeatBlocks show the command.
func repeatBlocks(command string) []block {
	if command == "" {
		return []block{text("The run was asked for by a program, not by a command.")}
	}
	return []block{text("In the same folder, with the same files:"), {Command: command}}
}

// recordBlocks say what ran on what.
func recordBlocks(r *compress.Result) []block {
	rows := append(environment(r.Environment),
		[]string{"SHA-256 of the original", r.Input.SHA256},
		[]string{"SHA-256 of the result", r.Output.SHA256})
	if c := r.Calibration; c != nil {
		rows = append(rows, []string{"Calibration", number(c.Samples, "sample") + " of " + c.Source})
	}
	if v := r.Verification; v != nil {
		rows = append(rows, []string{"Verification", number(v.Samples, "sample") + " of " + v.Data})
	}
	return []block{
		text("The compressed model names its source, its data and the options in its metadata; onnx-compress status tells whether it still fits them."),
		filesTable(rows),
		stagesTable("How long the steps took", r.Stages),
	}
}

func environment(e compress.EnvironmentResult) [][]string {
	return [][]string{
		{"ONNX Runtime", cmp.Or(e.Runtime, "none")},
		{"Linear algebra", e.Algebra},
		{"Threads", fmt.Sprint(e.Threads)},
		{"Seed", fmt.Sprint(e.Seed)},
	}
}

func filesTable(rows [][]string) block {
	return tabled("Environment and files", report.Columns([]string{"What", "Which"}), rows)
}

func stagesTable(summary string, stages []compress.Stage) block {
	var rows [][]string
	for _, s := range stages {
		rows = append(rows, []string{s.Name, fmt.Sprintf("%.2f", s.Seconds)})
	}
	return folded(summary, tabled("Steps", report.Columns([]string{"Step"}, "Seconds"), rows))
}

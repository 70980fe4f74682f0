package page

import (
	"errors"
	"fmt"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// trialBlocks show how the size was found that the goals allow.
func trialBlocks(t *compress.Trials) []block {
	if t == nil {
		return nil
	}
	var goals [][]string
	for _, g := range t.Goals {
		goals = append(goals, []string{g.Bound.String(), measured(g.Measure, g.Judged), report.ProvedText(g, measured)})
	}
	var steps [][]string
	for _, s := range t.Steps {
		budget, met := fmt.Sprintf("%s=%.4g", t.Over, s.Budget), map[bool]string{true: "yes", false: "no"}[s.Met]
		if len(s.Values) == 0 {
			steps = append(steps, []string{budget, none, none, none, "out of reach", met})
			continue
		}
		var values []string
		for i, v := range s.Values[:min(len(s.Values), len(t.Goals))] {
			values = append(values, measured(t.Goals[i].Measure, v))
		}
		steps = append(steps, []string{budget, report.Count(s.MACs), report.Count(s.Params), small(s.Loss), strings.Join(values, ", "), met})
	}
	why := ""
	if t.Stopped != "" {
		why = " No more were tried: " + t.Stopped + "."
	}
	return []block{
		text("Models were built and run until the smallest was found that keeps what was asked for: %d of them, on %s; the one that is delivered was then judged on %s.%s",
			len(t.Steps), number(t.Judged, "sample"), number(t.Proved, "sample"), why),
		tabled("Goals", report.Columns([]string{"Asked for"}, "When chosen", "On other samples"), goals),
		tabled("Models that were tried", report.Columns([]string{"Budget"}, "Multiply-adds", "Parameters", "Predicted loss", "Measured", "Good enough"), steps),
	}
}

// measured writes what was measured of a goal.
func measured(m verify.Measure, number *float64) string {
	if m == verify.Drop && number != nil {
		return percentPoints(-*number)
	}
	return report.GoalText(m, number)
}

// tuningBlocks show what gradient descent gave.
func tuningBlocks(t *compress.Tuning) []block {
	said := fmt.Sprintf("The compressed model's weights were tuned towards the original's outputs on %s of %s, without labels: %s of %d by %s, %s in %s.",
		number(t.Learned, "sample"), t.Source, number(t.Steps, "step"), t.Batch, t.Optimizer, number(t.Parameters, "weight"), number(t.Tensors, "tensor"))
	if t.Augment != "" {
		said += fmt.Sprintf(" Images were changed meanwhile (%s).", t.Augment)
	}
	out := []block{text("%s", said)}
	if !t.Improved {
		out = append(out, text("No state was better than the start on %s, so that the start was kept.", number(t.Held, "held-out sample")))
	} else {
		out = append(out, text("The state after epoch %d was the best on %s, and was kept.", t.Best, number(t.Held, "held-out sample")))
	}
	if t.Familiar {
		out = append(out, text("The start was fitted to these samples, and looks better on them than it is."))
	}
	if t.Advice != "" {
		out = append(out, text("%s", t.Advice))
	}
	return append(out, curve(t), folded("The numbers", curveTable(t)))
}

// curve draws the losses by epoch.
func curve(t *compress.Tuning) block {
	held, steps := chart.Series{Name: "held-out samples"}, chart.Series{Name: "steps"}
	var best *chart.Mark
	for _, p := range t.Curve {
		held.X, held.Y = append(held.X, float64(p.Epoch)), append(held.Y, p.Held)
		held.Labels = append(held.Labels, fmt.Sprintf("epoch %d: %s on held-out samples", p.Epoch, small(p.Held)))
		if p.Epoch > 0 { // the start has no steps
			steps.X, steps.Y = append(steps.X, float64(p.Epoch)), append(steps.Y, p.Loss)
		}
		if p.Epoch == t.Best {
			best = &chart.Mark{X: float64(p.Epoch), Y: p.Held, Name: fmt.Sprintf("kept: epoch %d", p.Epoch)}
		}
	}
	if len(t.Curve) < 2 {
		return block{}
	}
	plot := chart.Plot{
		Title: "Distance from the original's outputs while tuning", Desc: "The loss after each epoch. The table below has the numbers.",
		X: "epoch", Y: "loss", Series: []chart.Series{held, steps}, Mark: best,
	}
	return drawn(plot.Title, plot, chart.SVG)
}

func curveTable(t *compress.Tuning) block {
	var rows [][]string
	for _, p := range t.Curve {
		rows = append(rows, []string{grouped(p.Epoch), grouped(p.Step), small(p.Loss), small(p.Held), exact(p.Agreement), orElse(p.Accuracy, exact, none)})
	}
	return tabled("Epochs", report.Columns([]string{"Epoch"}, "Steps", "Loss of the steps", "On held-out samples", "Agreement", "Accuracy"), rows)
}

// ofTuning is the page of a tuning by itself.
func ofTuning(r *compress.TuneResult, pictures Pictures) *document {
	d := &document{Title: base(r.Start.Path) + ", tuned", Lead: fmt.Sprintf("%s learned from %s and became %s.", r.Start.Path, r.Original.Path, r.Output.Path)}
	t, v := r.Tuning, r.Verification
	if t == nil {
		d.err = errors.New("it says that it is a tuning, and has none in it")
		return d
	}
	said := fmt.Sprintf("On %s the distance from the original's outputs", number(t.Held, "held-out sample"))
	for _, p := range t.Curve {
		if p.Epoch == t.Best && len(t.Curve) > 0 {
			said += fmt.Sprintf(" went from %s to %s, and agreement from %s to %s.", small(t.Curve[0].Held), small(p.Held), exact(t.Curve[0].Agreement), exact(p.Agreement))
		}
	}
	if !t.Improved {
		said += " No state was better than the start, which was kept."
	}
	if at := report.Elsewhere(r.Output); at != "" {
		said = at + " " + said
	}
	d.add("summary", "Summary", text("%s", said))
	d.add("sizes", "Size", tabled("Original, compressed and tuned", report.Columns([]string{"Need"}, "Original", "Compressed", "Tuned"), [][]string{
		{"Multiply-adds of one inference", report.Count(r.Original.MACs), report.Count(r.Start.MACs), report.Count(r.Output.MACs)},
		{"Parameters", report.Count(r.Original.Params), report.Count(r.Start.Params), report.Count(r.Output.Params)},
		{"File, with its weights", report.Bytes(r.Original.Bytes), report.Bytes(r.Start.Bytes), report.Bytes(r.Output.Bytes)},
	}))
	d.add("tuning", "Tuning", tuningBlocks(t)...)
	if v != nil {
		d.add("behaviour", "Behaviour", behaviourBlocks(v, pictures)...)
	}
	d.add("repeat", "To repeat this", filesTable(append(environment(r.Environment),
		[]string{"SHA-256 of the original", r.Original.SHA256}, []string{"SHA-256 of the start", r.Start.SHA256}, []string{"SHA-256 of the result", r.Output.SHA256})),
		stagesTable("How long the steps took", r.Stages))
	return d
}

package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

type classAccuracy = verify.ClassAccuracy

// What bounds pictures and lists of classes.
const (
	drawnClasses = 20
	openClasses  = 30
)

// behaviourBlocks show how the two models' outputs differ.
func behaviourBlocks(v *verify.Report, pictures Pictures) []block {
	out := []block{text("Both models ran on %s of %s.", number(v.Samples, "sample"), v.Data), outputTable(v)}
	if c := v.Classes; c != nil {
		low, high := verify.Wilson(c.Agreement, v.Samples)
		out = append(out, text("Top class of %s, of %s classes: the same for %s of the samples; with 95 %% confidence between %s and %s of all such samples.",
			c.Output, grouped(c.Count), exact(c.Agreement), report.Percent(low), report.Percent(high)))
		if a := c.Accuracy; a != nil {
			out = append(out, text("Top-1 accuracy on %s: %s before, %s after (%s).", number(a.Labelled, "labelled sample"), exact(a.Before), exact(a.After), percentPoints(a.After-a.Before)))
			out = append(out, classBlocks(a)...)
		}
		out = append(out, folded("Samples whose top class changed", movedTable("Samples whose top class changed, the most moved first", c.Changed)))
	}
	if b := figures(v, pictures); len(b.Figures) > 0 {
		out = append(out, text("Samples that changed most, as the model sees them. Mind to whom this page goes: they are in it."), b)
	}
	return append(out, movedTable("Samples whose outputs moved most", v.Moved))
}

func outputTable(v *verify.Report) block {
	var rows [][]string
	for _, o := range v.Outputs {
		name := o.Name
		if words := report.Uncompared(o); words != "" {
			name += " " + words
		}
		if o.Values == 0 {
			rows = append(rows, []string{name, none, none, none, none, none})
			continue
		}
		rows = append(rows, []string{
			name, decibels(o.Ratio()), fmt.Sprintf("%.5f", o.Cosine), report.Percent(o.MeanRelative), report.Percent(o.MaxRelative),
			fmt.Sprintf("%d, %d", o.NonFiniteOriginal, o.NonFiniteCompressed),
		})
	}
	return tabled("Outputs", report.Columns([]string{"Output"}, "Signal to noise", "Cosine", "Mean error", "Largest error", "Samples with NaN, before and after"), rows)
}

// classBlocks show accuracy by class: a picture of those that changed most, and a table of all.
func classBlocks(a *verify.Accuracy) []block {
	classes := slices.Clone(a.PerClass)
	slices.SortStableFunc(classes, func(a, b classAccuracy) int {
		return cmp.Or(cmp.Compare(math.Abs(b.After-b.Before), math.Abs(a.After-a.Before)), cmp.Compare(a.Label, b.Label))
	})
	rows := make([][]string, len(classes))
	for i, c := range classes {
		rows[i] = []string{"class\u00a0" + strconv.Itoa(c.Label), grouped(c.Samples), report.Percent(c.Before), report.Percent(c.After), percentPoints(c.After - c.Before)}
	}
	all := tabled("Accuracy by class, the most changed first", report.Columns([]string{"Class"}, "Samples", "Before", "After", "Change"), rows)
	if len(rows) > openClasses {
		all = folded("All classes", all)
	}
	told := slices.DeleteFunc(slices.Clone(classes), func(c classAccuracy) bool { return c.Samples < telling })
	return []block{classPicture(told[:min(drawnClasses, len(told))], len(classes)), all}
}

func classPicture(classes []classAccuracy, of int) block {
	if len(classes) == 0 {
		return block{}
	}
	p := chart.Bars{
		Title: "Accuracy by class, before and after", X: "of the class's samples", XPercent: true,
		Desc:   "Two bars for each class, the most changed class first. The table below has the numbers.",
		Series: []chart.BarSeries{{Name: "before"}, {Name: "after"}},
	}
	if len(classes) < of {
		p.Title = fmt.Sprintf("Accuracy of %d classes of %d that changed most", len(classes), of)
		p.Desc += fmt.Sprintf(" Classes with fewer than %d samples are left out.", telling)
	}
	for _, c := range classes {
		p.Names = append(p.Names, "class "+strconv.Itoa(c.Label))
		for i, v := range []float64{c.Before, c.After} {
			s := &p.Series[i]
			s.Values = append(s.Values, v)
			s.Labels = append(s.Labels, fmt.Sprintf("class %d %s: %s of %s", c.Label, s.Name, report.Percent(v), number(c.Samples, "sample")))
		}
	}
	return drawn(p.Title, p, chart.BarsSVG)
}

func movedTable(caption string, moved []verify.Moved) block {
	var rows [][]string
	class := func(v *int) string { return orElse(v, strconv.Itoa, none) }
	for _, m := range moved {
		rows = append(rows, []string{m.Name, orElse(m.Error, report.Percent, "not finite"), class(m.Label), class(m.Before), class(m.After)})
	}
	return tabled(caption, report.Columns([]string{"Sample"}, "Moved by", "Label", "Class before", "Class after"), rows)
}

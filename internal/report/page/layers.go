package page

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

// What bounds the pictures of layers: more than that nobody looks at, and the page stays small.
const (
	drawnLayers  = 40
	drawnSpectra = 48
	drawnMethods = 6
)

// drawn makes a block of a plot or bars.
func drawn[P any](title string, p P, draw func(P) ([]byte, error)) block {
	svg, err := draw(p)
	if err != nil {
		return block{err: err}
	}
	return block{Chart: &picture{title, template.HTML(svg)}}
}

// frontierBlocks show what other budgets would have given.
func frontierBlocks(r *compress.Result) []block {
	f := r.Frontier
	if f == nil || f.Skipped != "" || len(f.Points) == 0 {
		if f != nil && f.Skipped != "" {
			return []block{text("No other budget was looked at: %s.", f.Skipped)}
		}
		return nil
	}
	found, bound := chart.Series{Name: "what the search finds"}, chart.Series{Name: "no plan can be below", Style: chart.Guide}
	var rows [][]string
	positive := f.Chosen.Loss > 0
	for _, p := range f.Points {
		positive = positive || p.Loss > 0
		found.X, found.Y = append(found.X, p.Cost), append(found.Y, p.Loss)
		found.Labels = append(found.Labels, fmt.Sprintf("%s of the %s left: loss %s", report.Percent(p.Cost), resource(f.Over), small(p.Loss)))
		least := "not known"
		if !r.Plan.BesideWidths {
			least = small(p.Bound)
			bound.X, bound.Y = append(bound.X, p.Budget), append(bound.Y, p.Bound)
		}
		rows = append(rows, []string{report.Percent(p.Budget), report.Percent(p.Cost), small(p.Loss), least})
	}
	out := []block{text("Each point is the plan that the search would choose for another budget of %s, made of the ranks that it looked at for this one. "+
		"The loss is the %s: a prediction to compare budgets by, not a measurement. The further down, the closer to the original.", resource(f.Over), lossName(r))}
	series := []chart.Series{found}
	if len(bound.X) > 0 {
		series = append(series, bound)
	}
	if positive {
		plot := chart.Plot{
			Title: "Predicted loss by what is left of the " + resource(f.Over), Desc: "The less is left, the larger the loss. The table below has the numbers.",
			X: "left of the " + resource(f.Over), Y: "loss", XPercent: true, LogY: true, Series: series, Width: 560, Height: 360,
			Mark: &chart.Mark{X: f.Chosen.Cost, Y: f.Chosen.Loss, Name: fmt.Sprintf("chosen: %s left", report.Percent(f.Chosen.Cost))},
		}
		out = append(out, drawn(plot.Title, plot, chart.SVG))
	}
	if !r.Plan.Given && !r.Plan.BesideWidths {
		out = append(out, text("The plan that was carried out has a loss of %s; no plan within the targets, of these ranks, has less than %s.", small(f.Chosen.Loss), small(f.Chosen.Bound)))
	}
	return append(out, folded("The numbers", tabled("Other budgets", report.Columns([]string{"Allowed"}, "Needed", "Predicted loss", "Least possible"), rows)))
}

// share is what a layer contributes to the loss of the whole, where losses are changes of the
// outputs.
func share(r *compress.Result, s *compress.SiteResult) (float64, bool) {
	if s.OutputChange == nil || !(r.Plan.Loss > 0) {
		return 0, false
	}
	return *s.OutputChange / r.Plan.Loss, true
}

// layerBlocks show what became of every layer.
func layerBlocks(r *compress.Result) []block {
	if len(r.Sites) == 0 {
		return nil
	}
	out := []block{text("%s", layersIntro(r)), layerPicture(r), layerTable(r), axisTable(r), corrections(r)}
	if f := r.Refit; f != nil {
		if f.Skipped != "" {
			out = append(out, text("The layers were not solved anew on what the compressed model feeds them: %s.", f.Skipped))
		} else {
			out = append(out, text("%d of %s were solved anew on what the compressed model feeds them, on %s, and kept because they did better on %s others.",
				f.Kept, number(len(r.Sites), "layer"), number(f.Fit, "calibration sample"), grouped(f.Held)))
		}
	}
	return append(out, networkBlocks(r)...)
}

func layersIntro(r *compress.Result) string {
	said := "A rank is the width of the bottleneck that takes a layer's place. The error is that of the layer's own output, as a share of its variance, with the layer's own inputs."
	if r.Calibration == nil {
		said = "A rank is the width of the bottleneck that takes a layer's place. The error is that of the layer's weights, as a share of their squared sum."
	}
	if r.Plan.Measure == compress.OutputChange {
		said += " How much that matters differs: the last column says which part of the expected change of the model's outputs comes from the layer."
	}
	return said
}

// sitesThat lists the sites of which something holds.
func sitesThat(r *compress.Result, holds func(compress.SiteResult) bool) []int {
	var out []int
	for i, s := range r.Sites {
		if holds(s) {
			out = append(out, i)
		}
	}
	return out
}

// largest returns, in their order, the n sites of largest value.
func largest(sites []int, n int, value func(site int) float64) []int {
	slices.SortStableFunc(sites, func(a, b int) int { return cmp.Compare(value(b), value(a)) })
	out := sites[:n]
	slices.Sort(out)
	return out
}

// layerPicture draws the errors of the layers that changed, of the largest where they are many.
func layerPicture(r *compress.Result) block {
	at := sitesThat(r, func(s compress.SiteResult) bool { return s.Method != compress.Dense })
	changed := len(at)
	if changed == 0 {
		return block{}
	}
	b := chart.Bars{Title: "Error of every layer that changed", Desc: "A bar for each layer, in the order of the model. The table below has the numbers.", X: "error of the layer's output", XPercent: true}
	if changed > drawnLayers {
		at = largest(at, drawnLayers, func(i int) float64 { return r.Sites[i].Loss })
		b.Title = fmt.Sprintf("Error of the %d layers of %d that lose most", drawnLayers, changed)
	}
	s := chart.BarSeries{Name: "error"}
	for _, i := range at {
		site := &r.Sites[i]
		b.Names = append(b.Names, site.Name)
		s.Values = append(s.Values, site.Loss)
		s.Labels = append(s.Labels, fmt.Sprintf("%s: %s at rank %s, error %s", site.Name, site.Method, rank(site.Rank), exact(site.Loss)))
	}
	b.Series = []chart.BarSeries{s}
	return drawn(b.Title, b, chart.BarsSVG)
}

// layerTable has a row for every layer.
func layerTable(r *compress.Result) block {
	titles := report.Columns([]string{"Layer", "Operator", "Kernel", "Became"}, "Rank", "Error", "Multiply-adds", "Left", "Parameters", "Left")
	refits := slices.ContainsFunc(r.Sites, func(s compress.SiteResult) bool { return s.Refit != nil })
	if refits {
		titles = append(titles, report.Columns(nil, "Error before refit", "After")...)
	}
	if r.Plan.Measure == compress.OutputChange {
		titles = append(titles, report.Column{Title: "Part of the change", Right: true})
	}
	noted := notes(r) > 0
	if noted {
		titles = append(titles, report.Column{Title: "Note"})
	}
	var rows [][]string
	for i := range r.Sites {
		s := &r.Sites[i]
		row := []string{
			s.Name, s.Op, kernel(s), s.Method, rank(s.Rank), exact(s.Loss),
			report.Count(s.MACsAfter), report.Ratio(s.MACsAfter, s.MACsBefore), report.Count(s.ParamsAfter), report.Ratio(s.ParamsAfter, s.ParamsBefore),
		}
		switch {
		case narrower(r)(*s):
			row[3], row[5] = "narrower", none
		case s.Method == compress.Dense:
			row[3], row[5] = "as it was", none
		}
		if refits {
			row = append(row, refitCells(s.Refit)...)
		}
		if r.Plan.Measure == compress.OutputChange {
			cell := none
			if v, ok := share(r, s); ok && s.Method != compress.Dense {
				cell = report.Percent(v)
			}
			row = append(row, cell)
		}
		if noted {
			row = append(row, s.Note)
		}
		rows = append(rows, row)
	}
	return tabled("Layers, in the order of the model", titles, rows)
}

// narrower tells of a layer whether it computes or reads fewer channels.
func narrower(r *compress.Result) func(compress.SiteResult) bool {
	return func(s compress.SiteResult) bool {
		return len(r.Axes) > 0 && s.Method == compress.Dense && s.ParamsAfter < s.ParamsBefore
	}
}

// axisTable has a row for every axis that might have become narrower.
func axisTable(r *compress.Result) block {
	titles := report.Columns([]string{"Channels of", "Read by"}, "Channels", "Kept", "Error of what reads them")
	if r.Plan.Measure == compress.OutputChange {
		titles = append(titles, report.Column{Title: "Part of the change", Right: true})
	}
	var rows [][]string
	for _, x := range r.Axes {
		row := []string{x.Name, x.ReadBy(), grouped(x.Units), grouped(len(x.Kept)), exact(x.Loss)}
		if r.Plan.Measure == compress.OutputChange {
			cell := none
			if x.OutputChange != nil && r.Plan.Loss > 0 {
				cell = report.Percent(*x.OutputChange / r.Plan.Loss)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return tabled("Channels between layers", titles, rows)
}

func refitCells(f *compress.Refit) []string {
	switch {
	case f == nil || f.Why != "":
		return []string{none, none}
	case !f.Kept:
		return []string{exact(f.Before), "not kept"}
	}
	return []string{exact(f.Before), exact(f.After)}
}

// corrections show the measurements that the search was corrected by.
func corrections(r *compress.Result) block {
	var rows [][]string
	for _, c := range r.Plan.Corrections {
		rows = append(rows, []string{strings.Join(c.Sites, ", "), c.Method, rank(c.Rank), small(c.Predicted), small(c.Measured), grouped(c.Samples), fmt.Sprintf("%.3g×", c.Ratio)})
	}
	return folded("Measurements that the losses were corrected by", tabled("Corrections",
		report.Columns([]string{"Layers", "Method"}, "Rank", "Predicted", "Measured", "Samples", "Ratio"), rows))
}

// spectrum draws the methods of one layer, those that lose least first.
func spectrum(s *compress.SiteResult) chart.Plot {
	p := chart.Plot{
		Title: s.Name, Desc: "A curve for each method: the more is left, the smaller the error.", X: "multiply-adds left", Y: "error", XPercent: true, LogY: true, YPercent: true,
		Width: 340, Height: 260,
	}
	needs := func(q compress.RankInspection) float64 { return float64(q.MACs) / float64(max(s.MACsBefore, 1)) }
	if s.MACsBefore == 0 { // such as a table that is looked up
		p.X = "parameters left"
		needs = func(q compress.RankInspection) float64 { return float64(q.Params) / float64(max(s.ParamsBefore, 1)) }
	}
	type curve struct {
		series chart.Series
		price  float64
	}
	var curves []curve
	for _, m := range s.Spectra {
		c := curve{chart.Series{Name: m.Method}, math.Inf(1)}
		if m.Method == s.Method {
			c.price = -1
		}
		for _, q := range m.Ranks {
			x := needs(q)
			c.series.X, c.series.Y = append(c.series.X, x), append(c.series.Y, q.Loss)
			c.price = min(c.price, x*q.Loss)
		}
		curves = append(curves, c)
	}
	slices.SortStableFunc(curves, func(a, b curve) int { return cmp.Compare(a.price, b.price) })
	for _, c := range curves[:min(drawnMethods, len(curves))] {
		p.Series = append(p.Series, c.series)
	}
	if s.Method != compress.Dense {
		x := needs(compress.RankInspection{MACs: s.MACsAfter, Params: s.ParamsAfter})
		p.Mark = &chart.Mark{X: x, Y: s.Loss, Name: fmt.Sprintf("chosen: rank %s", rank(s.Rank))}
	}
	return p
}

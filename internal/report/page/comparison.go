package page

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Comparison writes the page of two compressions side by side, of one model for the most part.
func Comparison(w io.Writer, a, b *compress.Result) error { return ofTwo(pair{a, b}).write(w) }

// pair are two results, which the page calls A and B.
type pair [2]*compress.Result

// letter is what the page calls a result.
func letter(i int) string { return string(rune('A' + i)) }

func ofTwo(p pair) *document {
	d := &document{Title: base(p[0].Input.Path) + ", compressed twice"}
	d.Lead = fmt.Sprintf("A is %s, B is %s; both became from %s.", p[0].Output.Path, p[1].Output.Path, p[0].Input.Path)
	if p[0].Input.SHA256 != p[1].Input.SHA256 {
		d.Title = base(p[0].Input.Path) + " and " + base(p[1].Input.Path) + ", compressed"
		d.Lead = fmt.Sprintf("A is %s, which became from %s; B is %s, which became from %s.", p[0].Output.Path, p[0].Input.Path, p[1].Output.Path, p[1].Input.Path)
		d.Warnings = append(d.Warnings, "A and B were made from two files, so that what each has left is left of another original.")
	}
	if u, v := p[0].Verification, p[1].Verification; u != nil && v != nil && (u.Data != v.Data || u.Samples != v.Samples) {
		d.Warnings = append(d.Warnings, fmt.Sprintf("A was judged on %s of %s, B on %s of %s: part of what lies between them may lie in the samples.", number(u.Samples, "sample"), u.Data, number(v.Samples, "sample"), v.Data))
	}
	for i, r := range p {
		for _, warning := range warnings(r) {
			d.Warnings = append(d.Warnings, "of "+letter(i)+", "+warning)
		}
	}
	d.Tiles = p.tiles()
	d.add("summary", "Summary", p.summary()...)
	d.add("frontier", "Other budgets", p.frontiers()...)
	d.beside("summary", "frontier")
	d.add("needs", "What each needs and keeps", p.needs())
	d.add("layers", "Layers", p.layers()...)
	d.add("repeat", "To repeat this", p.repeat()...)
	return d
}

// each has one text for either result.
func (p pair) each(of func(r *compress.Result) string) [2]string {
	return [2]string{of(p[0]), of(p[1])}
}

func (p pair) tiles() []tile {
	left := func(name string, of func(f *compress.File) int64, write func(int64) string) tile {
		v := p.each(func(r *compress.Result) string { return report.Ratio(of(&r.Output), of(&r.Input)) })
		n := p.each(func(r *compress.Result) string { return write(of(&r.Output)) })
		return tile{name + ", A and B", v[0] + ", " + v[1], n[0] + " and " + n[1]}
	}
	return []tile{
		left("Multiply-adds left", func(f *compress.File) int64 { return f.MACs }, report.Count),
		left("Parameters left", func(f *compress.File) int64 { return f.Params }, report.Count),
		left("File left", func(f *compress.File) int64 { return f.Bytes }, report.Bytes),
	}
}

// summary says what each gained and cost, and whether what lies between them is more than chance.
func (p pair) summary() []block {
	var out []point
	for i, r := range p {
		v := report.VerdictOf(r)
		out = append(out, point{letter(i) + ".", strings.TrimSpace(v.Gained + " " + v.Cost)})
	}
	if between := p.between(); between != "" {
		out = append(out, point{"Between them.", between})
	}
	return []block{{Points: out}}
}

// between says whether agreements on the same samples are told apart by their intervals.
func (p pair) between() string {
	var low, high [2]float64
	for i, r := range p {
		if r.Verification == nil || r.Calibration == nil {
			return ""
		}
		j := r.Verification.Judge()
		if j.Measure != verify.Agreement && j.Measure != verify.Boxes || j.Low == nil {
			return ""
		}
		low[i], high[i] = *j.Low, *j.High
	}
	switch {
	case low[0] > high[1]:
		return "A gives the original's answer more often, and by more than chance would explain."
	case low[1] > high[0]:
		return "B gives the original's answer more often, and by more than chance would explain."
	}
	return "How often each gives the original's answer differs by no more than chance may explain: their 95 % intervals overlap. More samples would tell."
}

// needs has a row for every number that both can have.
func (p pair) needs() block {
	rows := [][]string{}
	add := func(name string, of func(r *compress.Result) string) {
		v := p.each(of)
		if v[0] != none || v[1] != none {
			rows = append(rows, []string{name, v[0], v[1]})
		}
	}
	add("Multiply-adds", func(r *compress.Result) string { return report.Count(r.Output.MACs) })
	add("Parameters", func(r *compress.Result) string { return report.Count(r.Output.Params) })
	add("File", func(r *compress.Result) string { return report.Bytes(r.Output.Bytes) })
	add("Time of one inference", func(r *compress.Result) string {
		if l := r.Latency; l != nil && l.Skipped == "" {
			return fmt.Sprintf("%s, %.2f times as fast as the original", report.Millis(l.After), l.Speed)
		}
		return none
	})
	add("Asked for", func(r *compress.Result) string {
		var words []string
		for _, t := range r.Targets {
			words = append(words, t.Target.String())
		}
		if r.Trials != nil {
			for _, g := range r.Trials.Goals {
				words = append(words, g.Bound.String())
			}
		}
		return cmp.Or(strings.Join(words, ", "), none)
	})
	judged := func(name string, of func(v *verify.Report) string) {
		add(name, func(r *compress.Result) string {
			if r.Verification == nil || r.Calibration == nil {
				return none
			}
			return of(r.Verification)
		})
	}
	judged("Same answer", func(v *verify.Report) string {
		if v.Classes == nil {
			return none
		}
		return exact(v.Classes.Agreement)
	})
	judged("Accuracy", func(v *verify.Report) string {
		if v.Classes == nil || v.Classes.Accuracy == nil {
			return none
		}
		return exact(v.Classes.Accuracy.After) + ", was " + exact(v.Classes.Accuracy.Before)
	})
	judged("Boxes that match", func(v *verify.Report) string {
		if v.Detections == nil {
			return none
		}
		return exact(v.Detections.Share)
	})
	for _, m := range []struct {
		name    string
		measure verify.Measure
		write   func(float64) string
	}{{"Letters that differ", verify.CER, exact}, {"Overlap of masks", verify.IoU, exact}, {"Signal to noise, where it is least", verify.SNR, decibels}, {"Cosine, where it is least", verify.Cosine, func(v float64) string { return fmt.Sprintf("%.5f", v) }}} {
		judged(m.name, func(v *verify.Report) string {
			f, err := m.measure.Of(v)
			if err != nil {
				return none
			}
			return m.write(f.Value)
		})
	}
	judged("Judged on", func(v *verify.Report) string { return number(v.Samples, "sample") })
	add("Calibrated on", func(r *compress.Result) string {
		if r.Calibration == nil {
			return "nothing"
		}
		return number(r.Calibration.Samples, "sample")
	})
	add("Layers changed", func(r *compress.Result) string {
		changed, schemes := report.Factored(r.Sites)
		if changed == 0 {
			return "none"
		}
		return fmt.Sprintf("%d of %d: %s", changed, len(r.Sites), report.Sizes(schemes))
	})
	return tabled("Side by side", report.Columns([]string{"What", "A", "B"}), rows)
}

// frontiers draw what other budgets would have given, where both are about the same thing.
func (p pair) frontiers() []block {
	for i, r := range p {
		if f := r.Frontier; f == nil || f.Skipped != "" || len(f.Points) == 0 {
			return []block{text("Of %s no other budget was looked at.", letter(i))}
		}
	}
	if p[0].Frontier.Over != p[1].Frontier.Over || lossName(p[0]) != lossName(p[1]) {
		return []block{text("What other budgets would have given cannot be compared: A's are of %s and its loss is the %s, B's are of %s and its loss is the %s.",
			resource(p[0].Frontier.Over), lossName(p[0]), resource(p[1].Frontier.Over), lossName(p[1]))}
	}
	over, positive := resource(p[0].Frontier.Over), false
	var series []chart.Series
	var rows [][]string
	chosen := chart.Series{Name: "chosen", Style: chart.Scatter}
	for i, r := range p {
		s := chart.Series{Name: letter(i)}
		for _, q := range r.Frontier.Points {
			positive = positive || q.Loss > 0
			s.X, s.Y = append(s.X, q.Cost), append(s.Y, q.Loss)
			s.Labels = append(s.Labels, fmt.Sprintf("%s: %s of the %s left: loss %s", letter(i), report.Percent(q.Cost), over, small(q.Loss)))
			rows = append(rows, []string{letter(i), report.Percent(q.Budget), report.Percent(q.Cost), small(q.Loss)})
		}
		c := r.Frontier.Chosen
		chosen.X, chosen.Y = append(chosen.X, c.Cost), append(chosen.Y, c.Loss)
		chosen.Labels = append(chosen.Labels, fmt.Sprintf("%s as it was chosen: %s left, loss %s", letter(i), report.Percent(c.Cost), small(c.Loss)))
		series = append(series, s)
	}
	out := []block{text("Each point is the plan that the search would choose for another budget of %s. The loss is the %s: a prediction. Where one curve lies below the other it loses less at the same size.", over, lossName(p[0]))}
	if positive {
		plot := chart.Plot{
			Title: "Predicted loss by what is left of the " + over, Desc: "A curve for each result, and the plans that were carried out. The table below has the numbers.",
			X: "left of the " + over, Y: "loss", XPercent: true, LogY: true, Series: append(series, chosen), Width: 560, Height: 360,
		}
		out = append(out, drawn(plot.Title, plot, chart.SVG))
	}
	return append(out, folded("The numbers", tabled("Other budgets of both", report.Columns([]string{"Of"}, "Allowed", "Needed", "Predicted loss"), rows)))
}

// twin is a layer in both results; one that a result lacks is nil there.
type twin struct {
	name  string
	sites [2]*compress.SiteResult
}

// twins are the layers of both, in the order of A's, and then those that only B has.
func (p pair) twins() []twin {
	var out []twin
	at := map[string]int{}
	for i, r := range p {
		for k := range r.Sites {
			s := &r.Sites[k]
			if _, known := at[s.Name]; !known {
				at[s.Name] = len(out)
				out = append(out, twin{name: s.Name})
			}
			out[at[s.Name]].sites[i] = s
		}
	}
	return out
}

// left is what a result leaves of a layer's multiply-adds, of its parameters where it has none of these; NaN where it lacks the layer.
func (t twin) left(i int) float64 {
	s := t.sites[i]
	switch {
	case s == nil:
		return math.NaN()
	case s.MACsBefore > 0:
		return float64(s.MACsAfter) / float64(s.MACsBefore)
	case s.ParamsBefore > 0:
		return float64(s.ParamsAfter) / float64(s.ParamsBefore)
	}
	return 1
}

// apart is by how much the results differ at a layer.
func (t twin) apart() float64 {
	d := math.Abs(t.left(0) - t.left(1))
	if math.IsNaN(d) {
		return 1
	}
	return d
}

func (t twin) became(p pair, i int) (method, rankText, loss string) {
	s := t.sites[i]
	switch {
	case s == nil:
		return "not in " + letter(i), none, none
	case narrower(p[i])(*s):
		return "narrower", none, none
	case s.Method == compress.Dense:
		return "as it was", none, none
	}
	return s.Method, rank(s.Rank), exact(s.Loss)
}

// layers show where the results differ.
func (p pair) layers() []block {
	all := p.twins()
	if len(all) == 0 {
		return nil
	}
	var rows [][]string
	same := 0
	for _, t := range all {
		var cells [2][]string
		for i := range p {
			method, at, loss := t.became(p, i)
			cells[i] = []string{method, at, report.Percent(t.left(i)), loss}
			if t.sites[i] == nil {
				cells[i][2] = none
			}
		}
		if slices.Equal(cells[0], cells[1]) {
			same++
			continue
		}
		rows = append(rows, slices.Concat([]string{t.name}, cells[0], cells[1]))
	}
	out := []block{text("%s became the same in both, %s something else.", number(same, "layer"), number(len(rows), "layer"))}
	if len(rows) == 0 {
		return out
	}
	columns := []report.Column{{Title: "Layer"}}
	for i := range p {
		columns = append(columns, report.Columns([]string{letter(i) + ": became"}, letter(i)+": rank", letter(i)+": left", letter(i)+": error")...)
	}
	return append(out, p.layerBars(all), tabled("Layers that differ, in the order of the model", columns, rows))
}

// layerBars draw what is left of the layers that differ, of those that differ most where they are many.
func (p pair) layerBars(all []twin) block {
	differ := slices.DeleteFunc(slices.Clone(all), func(t twin) bool { return t.apart() == 0 })
	if len(differ) == 0 {
		return block{}
	}
	b := chart.Bars{
		Title: "What is left of the multiply-adds of every layer that differs", X: "left", XPercent: true,
		Desc: "Two bars for each layer, in the order of the model. The table below has the numbers.", Series: []chart.BarSeries{{Name: "A"}, {Name: "B"}},
	}
	if n := len(differ); n > drawnLayers {
		at := make([]int, n)
		for i := range at {
			at[i] = i
		}
		var kept []twin
		for _, i := range largest(at, drawnLayers, func(i int) float64 { return differ[i].apart() }) {
			kept = append(kept, differ[i])
		}
		differ = kept
		b.Title = fmt.Sprintf("What is left of the multiply-adds of the %d layers of %d that differ most", drawnLayers, n)
	}
	for _, t := range differ {
		b.Names = append(b.Names, t.name)
		for i := range p {
			method, at, _ := t.became(p, i)
			label := fmt.Sprintf("%s in %s: %s", t.name, letter(i), method)
			if at != none {
				label += " at rank " + at
			}
			v := t.left(i)
			if t.sites[i] != nil {
				label += ", " + report.Percent(v) + " left"
			}
			b.Series[i].Values, b.Series[i].Labels = append(b.Series[i].Values, v), append(b.Series[i].Labels, label)
		}
	}
	return drawn(b.Title, b, chart.BarsSVG)
}

func (p pair) repeat() []block {
	var out []block
	for i, r := range p {
		if r.Command != "" {
			out = append(out, text("%s:", letter(i)), block{Command: r.Command})
		}
	}
	rows := [][]string{{"SHA-256 of A's original", p[0].Input.SHA256}, {"SHA-256 of B's original", p[1].Input.SHA256}, {"SHA-256 of A", p[0].Output.SHA256}, {"SHA-256 of B", p[1].Output.SHA256}}
	return append(out, filesTable(rows))
}

package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Inspection writes the sites of a model and the nodes left alone: of those with the
// same reason the first few, or, when verbose, all.
func Inspection(w io.Writer, i *compress.Inspection, verbose bool) error {
	p := &printer{w: w}
	macs := Count(i.MACs) + " MACs"
	if i.MACs == 0 && len(i.Uncounted) > 0 {
		macs = "MACs unknown"
	}
	p.line("%s: %s, %s parameters; %s, %s with weights",
		i.Path, macs, Count(i.Params), number(len(i.Sites), "site"), number(len(i.Skipped), "other node"))
	if len(i.Outputs) > 0 {
		var gives []string
		for _, o := range i.Outputs {
			gives = append(gives, fmt.Sprintf("%s (%s)", quote.Name(o.Name), o.Kind.Title()))
		}
		p.line("gives %s", strings.Join(gives, ", "))
	}
	for _, o := range i.Outputs {
		if o.Doubt != "" {
			p.note(o.Name, o.Doubt)
		}
	}
	for _, u := range i.Unknown {
		p.line("note: %s; sizes that depend on it are unknown", u)
	}
	if len(i.Unknown) > 0 {
		p.line("      to count all, say at which sizes it runs, for example%s", cmp.Or(ShapeFlags(i.Suggested), " --input-shape NAME=1x3x224x224"))
	}
	rows := make([][]any, 0, len(i.Sites))
	most := int64(0)
	for _, s := range i.Sites {
		most = max(most, s.MACs)
	}
	for _, s := range i.Sites {
		macs := "?"
		if s.MACs > 0 {
			macs = Count(s.MACs)
		}
		rows = append(rows, []any{s.Name, s.Op, kernel(s.Out, s.In, s.Groups, s.Window), s.Type, Count(s.Params), macs, s.BreakEven, s.MaxRank, bar(s.MACs, most)})
	}
	if len(rows) > 0 {
		titles := Columns([]string{"site", "op", "kernel", "type"}, "params", "MACs", "break-even", "full rank")
		if most > 0 && len(rows) > 1 {
			titles = append(titles, Column{Title: "MACs as bars"})
		} else {
			for k := range rows {
				rows[k] = rows[k][:len(titles)]
			}
		}
		p.grid(titles, rows)
	}
	p.spectra(i.Sites, verbose)
	for _, s := range i.Sites {
		p.note(s.Name, s.Note)
	}
	p.nodes("not counted, because their size is unknown:", i.Uncounted, verbose)
	p.nodes("left alone:", i.Skipped, verbose)
	p.axes(i, verbose)
	return p.err
}

// longestBar is how many characters the largest number takes.
const longestBar = 20

// bar draws a number beside the largest one; what is too small to be seen in it has none.
func bar(n, most int64) string {
	if most <= 0 {
		return ""
	}
	return strings.Repeat("█", int(math.Round(longestBar*float64(n)/float64(most))))
}

// ShapeFlags are flags that name shapes of inputs; empty for none.
func ShapeFlags(shapes map[string][]int) string {
	out := ""
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		if len(shapes[name]) == 0 {
			continue // a scalar has no sizes
		}
		out += " --input-shape " + quote.Shell(name+"="+compress.ShapeText(shapes[name]))
	}
	return out
}

// axes writes what may be narrowed, and what may not: of those with the same reason the first few, or, when verbose, all.
func (p *printer) axes(i *compress.Inspection, verbose bool) {
	rows := make([][]any, 0, len(i.Axes))
	for _, x := range i.Axes {
		rows = append(rows, []any{x.Name, strings.Join(x.Producers, ", "), x.ReadBy(), x.Units})
	}
	if len(rows) > 0 {
		at := ""
		for _, name := range slices.Sorted(maps.Keys(i.Supposed)) {
			at += fmt.Sprintf(", %s=%s", name, tensor.ShapeText(i.Supposed[name]))
		}
		if at != "" {
			at = " (seen at" + at[1:] + ")"
		}
		p.line("may become narrower, by %s%s:", compress.Width, at)
		p.grid(Columns([]string{"axis", "computed by", "read by"}, "units"), rows)
	}
	p.whole(i.Whole, verbose)
}

// whole lists axes and channels that stay as they are, those with one reason together.
func (p *printer) whole(list []compress.WholeAxis, all bool) {
	var nodes []compress.Skipped
	for _, x := range list {
		nodes = append(nodes, compress.Skipped{Name: x.Name, Op: number(x.Units, "channel") + " of", Reason: x.Reason})
	}
	p.nodes("stay as wide as they are:", nodes, all)
}

// shownRanks is how many ranks of a spectrum stand in a line.
const shownRanks = 6

// spectra writes what each method loses at some of its ranks, or, when verbose, at all.
func (p *printer) spectra(sites []compress.SiteInspection, verbose bool) {
	var rows [][]any
	for _, s := range sites {
		for _, m := range s.Spectra {
			shown := shownRanks
			if verbose {
				shown = len(m.Ranks)
			}
			rows = append(rows, []any{s.Name, m.Method, JoinInts(m.BreakEven, ","), errorsText(m.Ranks, shown)})
		}
	}
	if len(rows) > 0 {
		p.grid([]Column{{"site", false}, {"method", false}, {"break-even", true}, {"lost at rank", false}}, rows)
	}
}

// errorsText writes what is lost at some ranks, spread evenly over all.
func errorsText(ranks []compress.RankInspection, shown int) string {
	var out []string
	shown = min(shown, len(ranks))
	for i := range shown {
		at := 0
		if shown > 1 {
			at = i * (len(ranks) - 1) / (shown - 1)
		}
		r := ranks[at]
		out = append(out, fmt.Sprintf("%s: %.3g %%", JoinInts(r.Rank, ","), 100*r.Loss))
	}
	return strings.Join(out, "  ")
}

// Method writes what a decomposition method is.
func Method(w io.Writer, m *compress.MethodText) error {
	p := &printer{w: w}
	_, p.err = fmt.Fprintf(w, "%s: %s\n\n%s\n\n", m.Name, m.Title, m.Doc)
	for _, part := range []struct{ name, text string }{
		{"computes", m.Formula},
		{"becomes", m.Chain},
		{"costs", m.Cost},
		{"source", m.Source},
	} {
		p.line("%-10s%s", part.name, part.text)
	}
	return p.err
}

// Methods lists the methods, a line each.
func Methods(w io.Writer, ms []compress.MethodText) error {
	for _, m := range ms {
		if _, err := fmt.Fprintf(w, "%-11s %s\n", m.Name, m.Title); err != nil {
			return err
		}
	}
	return nil
}

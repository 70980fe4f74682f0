package report

import (
	"fmt"
	"io"

	"github.com/onnx-compress/onnx-compress/compress"
)

// Inspection writes the sites of a model and the nodes left alone.
func Inspection(w io.Writer, i *compress.Inspection) error {
	p := &printer{w: w}
	p.line("%s: %s MACs, %s parameters in %d sites and %d other nodes with weights", i.Path, Count(i.MACs), Count(i.Params), len(i.Sites), len(i.Skipped))
	for _, u := range i.Unknown {
		p.line("note: %s; sizes that depend on it are unknown (--input-shape NAME=SIZEx… gives it)", u)
	}
	rows := make([][]any, 0, len(i.Sites))
	for _, s := range i.Sites {
		macs := "?"
		if s.MACs > 0 {
			macs = Count(s.MACs)
		}
		rows = append(rows, []any{s.Name, s.Op, kernel(s.Out, s.In, s.Groups, s.Window), s.Type, Count(s.Params), macs, s.BreakEven, s.MaxRank})
	}
	p.grid([]column{
		{"site", false},
		{"op", false},
		{"kernel", false},
		{"type", false},
		{"params", true},
		{"MACs", true},
		{"break-even", true},
		{"full rank", true},
	}, rows)
	for _, s := range i.Sites {
		if s.Note != "" {
			p.line("note: %s: %s", s.Name, s.Note)
		}
	}
	for _, u := range i.Uncounted {
		p.line("note: %s %s is not counted: %s", u.Op, u.Name, u.Reason)
	}
	p.skipped(i.Skipped)
	return p.err
}

// Method writes what a decomposition method is.
func Method(w io.Writer, m *compress.MethodText) error {
	p := &printer{w: w}
	p.line("%s: %s\n\n%s\n", m.Name, m.Title, m.Doc)
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
		if _, err := fmt.Fprintf(w, "%-10s%s\n", m.Name, m.Title); err != nil {
			return err
		}
	}
	return nil
}

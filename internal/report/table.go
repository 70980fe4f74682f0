package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/onnx-compress/onnx-compress/internal/quote"
)

// Column is a heading, and whether its cells are numbers, which stand on the right.
type Column struct {
	Title string
	Right bool
}

// Columns are those of words, then those of numbers.
func Columns(words []string, numbers ...string) []Column {
	var out []Column
	for _, title := range words {
		out = append(out, Column{title, false})
	}
	for _, title := range numbers {
		out = append(out, Column{title, true})
	}
	return out
}

// grid writes an aligned table without borders, each line indented by two.
func grid(w io.Writer, columns []Column, rows [][]any) error {
	t := table.NewWriter()
	t.SetStyle(bare())
	var configs []table.ColumnConfig
	var header table.Row
	for i, c := range columns {
		header = append(header, c.Title)
		align := text.AlignLeft
		if c.Right {
			align = text.AlignRight
		}
		configs = append(configs, table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align})
	}
	t.SetColumnConfigs(configs)
	if slices.ContainsFunc(columns, func(c Column) bool { return c.Title != "" }) {
		t.AppendHeader(header)
	}
	for _, r := range rows {
		t.AppendRow(quote.Words(r))
	}
	for line := range strings.SplitSeq(t.Render(), "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight("  "+line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// bare is a style of spaces alone, so that a table can be cut by column and
// read aloud.
func bare() table.Style {
	s := table.StyleDefault
	s.Options = table.Options{}
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	s.Format.Header = text.FormatDefault
	return s
}

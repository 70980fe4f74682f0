package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is a heading, and whether its cells are numbers, which stand on the
// right.
type column struct {
	title string
	right bool
}

// columns are those of words, then those of numbers.
func columns(words []string, numbers ...string) []column {
	var out []column
	for _, title := range words {
		out = append(out, column{title, false})
	}
	for _, title := range numbers {
		out = append(out, column{title, true})
	}
	return out
}

// grid writes an aligned table without borders, each line indented by two.
func grid(w io.Writer, columns []column, rows [][]any) error {
	t := table.NewWriter()
	t.SetStyle(plain())
	var configs []table.ColumnConfig
	var header table.Row
	for i, c := range columns {
		header = append(header, c.title)
		align := text.AlignLeft
		if c.right {
			align = text.AlignRight
		}
		configs = append(configs, table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align})
	}
	t.SetColumnConfigs(configs)
	if slices.ContainsFunc(columns, func(c column) bool { return c.title != "" }) {
		t.AppendHeader(header)
	}
	for _, r := range rows {
		t.AppendRow(r)
	}
	for line := range strings.SplitSeq(t.Render(), "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight("  "+line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// plain is a style of spaces alone, so that a table can be cut by column and
// read aloud.
func plain() table.Style {
	s := table.StyleDefault
	s.Options = table.Options{}
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	s.Format.Header = text.FormatDefault
	return s
}

// Package page writes a result as one HTML page that needs nothing else: no network, no
// script, no other file. It is for people who decide, and for those who want to look
// closer.
package page

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

//go:embed page.html page.css
var files embed.FS

// document is what a page shows, from top to bottom.
type document struct {
	Title    string
	Lead     string
	Warnings []string
	Tiles    []tile
	Sections []section

	err error // of a picture
}

// tile is a number that stands out.
type tile struct{ Name, Value, Note string }

// section is a part of the page with a heading.
type section struct {
	ID, Heading string
	Blocks      []block
	// Beside has a section stand beside its neighbour where there is room.
	Beside bool
}

// block is one of its fields.
type block struct {
	Text    string
	Points  []point // a list
	Table   *table
	Chart   *picture
	Figures []figure // side by side
	Network []layerBar
	Command string
	Details *details

	err error // why it could not be drawn
}

// point is an entry of a list: a word to begin with, and what there is to say.
type point struct{ Word, Text string }

// picture is an SVG, with its name for those who do not see it.
type picture struct {
	Name string
	SVG  template.HTML
}

// details are blocks that are shown on request, or when a link leads to their ID, if they have one.
type details struct {
	ID      string
	Summary string
	Blocks  []block
}

// table has a name for every row in its first column.
type table struct {
	Caption string
	Columns []report.Column
	Rows    [][]string
}

// Result writes the page of a compression, with pictures of samples where there are some.
func Result(w io.Writer, r *compress.Result, pictures Pictures) error {
	return ofResult(r, pictures).write(w)
}

// Tuning writes the page of a tuning, with pictures of samples where there are some.
func Tuning(w io.Writer, r *compress.TuneResult, pictures Pictures) error {
	return ofTuning(r, pictures).write(w)
}

// Exploration writes the page of several sizes of a model.
func Exploration(w io.Writer, e *compress.Exploration) error { return ofExploration(e).write(w) }

// FromJSON writes the page of what --json has written, which its schema tells.
func FromJSON(w io.Writer, data []byte) error {
	schema, err := schemaOf(data)
	if err != nil {
		return err
	}
	var known []string
	for _, k := range kinds() {
		if k.schema == schema {
			return k.write(w, data)
		}
		known = append(known, k.schema)
	}
	return fmt.Errorf("there is no page for the schema %q; there is one for %s", schema, strings.Join(known, ", "))
}

// ResultFromJSON reads the result of a compression that --json has written.
func ResultFromJSON(data []byte) (r *compress.Result, err error) {
	schema, err := schemaOf(data)
	if err != nil {
		return nil, err
	}
	if schema != compress.ResultSchema {
		return nil, fmt.Errorf("it is of the schema %q; side by side stand results of compress, which are of %s", schema, compress.ResultSchema)
	}
	err = decoded(nil, data, func(_ io.Writer, v *compress.Result) error { r = v; return nil })
	return r, err
}

// schemaOf is what a document says that it is.
func schemaOf(data []byte) (string, error) {
	var head struct {
		Schema *string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return "", fmt.Errorf("no JSON object: %w", err)
	}
	if head.Schema == nil {
		return "", errors.New("no result of onnx-compress: it names no schema")
	}
	return *head.Schema, nil
}

// kind is a kind of document that there is a page for.
type kind struct {
	schema string
	write  func(w io.Writer, data []byte) error
}

func kinds() []kind {
	return []kind{
		{compress.ResultSchema, func(w io.Writer, data []byte) error {
			return decoded(w, data, func(w io.Writer, r *compress.Result) error { return Result(w, r, nil) })
		}},
		{compress.TuningSchema, func(w io.Writer, data []byte) error {
			return decoded(w, data, func(w io.Writer, r *compress.TuneResult) error { return Tuning(w, r, nil) })
		}},
		{compress.ExplorationSchema, func(w io.Writer, data []byte) error { return decoded(w, data, Exploration) }},
	}
}

// decoded hands a document of one kind on.
func decoded[T any](w io.Writer, data []byte, write func(io.Writer, *T) error) error {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("it says that it is a result, and is not one: %w", err)
	}
	return write(w, &v)
}

// write renders the page, and writes it when it is complete.
func (d *document) write(w io.Writer) error {
	if d.err != nil {
		return d.err
	}
	css, err := files.ReadFile("page.css")
	if err != nil {
		return err
	}
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(css) },
		"words": func(command string) []string { return strings.Split(command, " ") }, // lines break between them, not within a flag
	}).ParseFS(files, "page.html")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return fmt.Errorf("rendering the page: %w", err)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// add appends a section that has something to show.
func (d *document) add(id, heading string, blocks ...block) {
	for _, b := range blocks {
		d.err = cmp.Or(d.err, b.err)
	}
	if kept := shown(blocks); len(kept) > 0 {
		d.Sections = append(d.Sections, section{ID: id, Heading: heading, Blocks: kept})
	}
}

// beside has the last two sections stand beside each other, if these are they.
func (d *document) beside(first, second string) {
	n := len(d.Sections)
	if n < 2 || d.Sections[n-2].ID != first || d.Sections[n-1].ID != second {
		return
	}
	d.Sections[n-2].Beside, d.Sections[n-1].Beside = true, true
}

// shown returns the blocks that have something to show.
func shown(blocks []block) []block {
	return slices.DeleteFunc(slices.Clone(blocks), func(b block) bool {
		return b.Text == "" && len(b.Points) == 0 && b.Table == nil && b.Chart == nil && len(b.Figures) == 0 && len(b.Network) == 0 && b.Command == "" && b.Details == nil
	})
}

// text is a paragraph, formatted.
func text(format string, args ...any) block { return block{Text: fmt.Sprintf(format, args...)} }

// tabled is a table where there are rows, else nothing.
func tabled(caption string, columns []report.Column, rows [][]string) block {
	if len(rows) == 0 {
		return block{}
	}
	return block{Table: &table{caption, columns, rows}}
}

// folded shows blocks on request; nothing where none shows anything.
func folded(summary string, blocks ...block) block {
	if kept := shown(blocks); len(kept) > 0 {
		return block{Details: &details{Summary: summary, Blocks: kept}}
	}
	return block{}
}

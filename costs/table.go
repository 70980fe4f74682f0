package costs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Schema names the shape of a table as JSON.
const Schema = "onnx-compress/costs/1"

// Machine is where a table was measured, and how.
type Machine struct {
	Processor string `json:"processor"`
	Runtime   string `json:"runtime"`  // with its version
	Provider  string `json:"provider"` // what of it computes
	Threads   int    `json:"threads"`
	Batch     int    `json:"batch"`
}

// Point is a piece that was measured.
type Point struct {
	Piece
	Micros float64 `json:"us"`
}

// Model is a model that was timed as a whole, in the same session as the pieces.
type Model struct {
	SHA256 string  `json:"sha256"` // of its file
	Micros float64 `json:"us"`     // the median of one run
	// Int8 says how a model of eight bits was made of it, Static or Dynamic, where that was timed in its place.
	Int8 string `json:"int8,omitempty"`
}

// How ONNX Runtime's quantizer makes models of eight bits: with ranges of activations that are known before, or that every run finds.
const (
	Static  = "static"
	Dynamic = "dynamic"
)

// Table is what a machine takes for pieces of models. It does not change.
type Table struct {
	Machine
	// PerNode is the share in every point that is no kernel's, in microseconds; negative where it puts a profiler's own time right.
	PerNode float64
	Models  []Model
	Points  []Point
	Fits    []Fit

	at map[string]float64
}

// written is a table as JSON.
type written struct {
	Schema string `json:"schema"`
	Machine
	PerNode float64 `json:"per_node_us"`
	Models  []Model `json:"models"`
	Points  []Point `json:"points"`
	Fits    []Fit   `json:"fits"`
}

// New makes a table of measured points, of which no two are of one piece, and fits what lies between.
func New(m Machine, perNode float64, models []Model, points []Point) (*Table, error) {
	t := &Table{Machine: m, PerNode: perNode, Models: slices.Clone(models), Points: slices.Clone(points)}
	slices.SortFunc(t.Points, func(a, b Point) int { return strings.Compare(a.Key(), b.Key()) })
	if err := t.index(); err != nil {
		return nil, err
	}
	t.Fits = fitted(t.Points)
	return t, nil
}

// index checks the table, and makes its points found.
func (t *Table) index() error {
	if math.IsNaN(t.PerNode) || math.IsInf(t.PerNode, 0) || t.Threads < 1 || t.Batch < 1 {
		return errors.New("want at least one thread, a batch of at least 1, and a finite time per node")
	}
	t.at = map[string]float64{}
	for _, p := range t.Points {
		if err := p.check(); err != nil {
			return err
		}
		if _, twice := t.at[p.Key()]; twice {
			return fmt.Errorf("%s is there twice", p.Piece)
		}
		if !finite(p.Micros) {
			return fmt.Errorf("%s: it takes %g µs; want 0 or more", p.Piece, p.Micros)
		}
		t.at[p.Key()] = p.Micros
	}
	for i, m := range t.Models {
		if m.SHA256 == "" || !finite(m.Micros) || m.Micros == 0 {
			return fmt.Errorf("model %d: want the digest of its file, and the microseconds that it takes", i+1)
		}
		if m.Int8 != "" && m.Int8 != Static && m.Int8 != Dynamic {
			return fmt.Errorf("model %d: it became int8 by %q; want %q, %q, or nothing where it did not", i+1, m.Int8, Static, Dynamic)
		}
	}
	return nil
}

// finite tells whether a number may be a time or a factor.
func finite(v float64) bool { return v >= 0 && !math.IsInf(v, 1) }

// Parse reads a table as Write writes it. Errors say what of it is wrong.
func Parse(data []byte) (*Table, error) {
	var w written
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&w); err != nil {
		return nil, fmt.Errorf("no table of costs: %w", err)
	}
	if w.Schema != Schema {
		return nil, fmt.Errorf("no table of costs: its schema is %q, want %q", w.Schema, Schema)
	}
	t := &Table{Machine: w.Machine, PerNode: w.PerNode, Models: w.Models, Points: w.Points, Fits: w.Fits}
	if err := t.index(); err != nil {
		return nil, err
	}
	for i, f := range t.Fits {
		if f.Kind == "" || f.Block < 1 || f.Block > 1<<16 || !finite(f.Work) || !finite(f.Moved) || !finite(f.Constant) {
			return nil, fmt.Errorf("fit %d, %q: want a kind, a block of 1 to 65536 channels, and numbers of at least 0", i+1, f.Kind)
		}
		if slices.ContainsFunc(t.Fits[:i], func(g Fit) bool { return g.Kind == f.Kind }) {
			return nil, fmt.Errorf("the fit of %q is there twice", f.Kind)
		}
	}
	return t, nil
}

// Write writes the table as JSON: the same bytes for the same table.
func (t *Table) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(written{Schema, t.Machine, t.PerNode, emptied(t.Models), emptied(t.Points), emptied(t.Fits)})
}

// emptied is a list that JSON writes as one even where it is empty.
func emptied[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// MissingError says that a table has nothing about a piece, or about a model.
type MissingError struct{ What string }

func (e *MissingError) Error() string { return "the table of costs has nothing about " + e.What }

// Node is what a piece takes, in microseconds: as measured, or else as fitted. Without either it is a *MissingError.
func (t *Table) Node(p Piece) (float64, error) {
	if us, ok := t.at[p.Key()]; ok {
		return us, nil
	}
	for _, kind := range []string{p.Kind(), p.routine()} {
		for i := range t.Fits {
			if t.Fits[i].Kind == kind {
				return t.Fits[i].Micros(p), nil
			}
		}
	}
	return 0, &MissingError{fmt.Sprintf("%s (kind %q)", p, p.Kind())}
}

// Measured tells whether a piece is a point of the table.
func (t *Table) Measured(p Piece) bool { _, ok := t.at[p.Key()]; return ok }

// Chain is what nodes one behind the other take, in microseconds.
func (t *Table) Chain(pieces []Piece) (float64, error) {
	sum := 0.0
	for _, p := range pieces {
		us, err := t.Node(p)
		if err != nil {
			return 0, err
		}
		sum += us
	}
	return sum, nil
}

// Model is what one run of a model takes: without it, a *MissingError.
func (t *Table) Model(sha256 string) (Model, error) {
	for _, m := range t.Models {
		if m.SHA256 == sha256 {
			return m, nil
		}
	}
	return Model{}, &MissingError{"the time of the model as a whole, with the digest " + sha256}
}

// Int8 says how the models became int8 that were timed, Static or Dynamic; it is empty where they were timed as they are.
func (t *Table) Int8() string {
	for _, m := range t.Models {
		if m.Int8 != "" {
			return m.Int8
		}
	}
	return ""
}

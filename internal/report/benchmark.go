package report

import (
	"fmt"
	"io"

	"github.com/onnx-compress/onnx-compress/compress"
)

// dearOperators is how many operators a benchmark lists where not all are wanted.
const dearOperators = 8

// Benchmark writes what models take, and what their operators do: all of them, or the dearest alone.
func Benchmark(w io.Writer, b *compress.Benchmark, verbose bool) error {
	p := &printer{w: w}
	p.line("%s on %s, %s of each model by turns, %s at once: %s", RuntimeText(b.Place), b.Processor, number(b.Turns, "run"), number(b.Batch, "sample"), b.Data)
	columns, rows := Columns([]string{"model"}, "median", "half within", "speed", "half within", "samples/s"), make([][]any, 0, len(b.Models))
	remembered := b.Models[0].Memory > 0
	if remembered {
		columns = append(columns, Column{"memory", true})
	}
	for _, m := range b.Models {
		row := []any{
			m.Path, Millis(m.Time), fmt.Sprintf("%s to %s", Millis(m.TimeLow), Millis(m.TimeHigh)), fmt.Sprintf("%.2f×", m.Speed),
			fmt.Sprintf("%.2f to %.2f", m.SpeedLow, m.SpeedHigh), fmt.Sprintf("%.4g", m.Throughput),
		}
		if remembered {
			row = append(row, Bytes(m.Memory))
		}
		rows = append(rows, row)
	}
	p.grid(columns, rows)
	shown := len(b.Operators)
	if !verbose {
		shown = min(shown, dearOperators)
	}
	if shown == 0 {
		return p.err
	}
	p.line("")
	p.line("microseconds of one run by operator, nodes in brackets:")
	p.grid(operatorColumns(len(b.Models)), operatorRows(b.Operators[:shown]))
	if more := len(b.Operators) - shown; more > 0 {
		p.line("  and %d more", more)
	}
	return p.err
}

// operatorColumns name the models by their place.
func operatorColumns(models int) []Column {
	out := Columns([]string{"operator"}, "first")
	for i := range models - 1 {
		title := fmt.Sprintf("%d.", i+2)
		out = append(out, Column{title, true}, Column{"", true}, Column{"more", true})
	}
	return spaced(out)
}

// spaced puts a column for the nodes behind the first model's time.
func spaced(columns []Column) []Column {
	return append([]Column{columns[0], columns[1], {"", true}}, columns[2:]...)
}

func operatorRows(operators []compress.OperatorTime) [][]any {
	var rows [][]any
	for _, o := range operators {
		row := []any{o.Op}
		for i, us := range o.Micros {
			row = append(row, fmt.Sprintf("%.1f", us), fmt.Sprintf("(%d)", o.Nodes[i]))
			if i > 0 {
				row = append(row, fmt.Sprintf("%+.1f", us-o.Micros[0]))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// RuntimeText names what models were timed in.
func RuntimeText(at compress.Place) string {
	return fmt.Sprintf("ONNX Runtime %s, %s", at.Runtime, number(at.Threads, "thread"))
}

// Millis writes a time of milliseconds.
func Millis(ms float64) string {
	if ms < 1 {
		return fmt.Sprintf("%.0f µs", 1000*ms)
	}
	return fmt.Sprintf("%.3g ms", ms)
}

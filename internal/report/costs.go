package report

import (
	"fmt"
	"io"

	"github.com/onnx-compress/onnx-compress/costs"
)

// Costs writes what a table of costs says, and how well what lies between its points is fitted.
func Costs(w io.Writer, t *costs.Table) error {
	p := &printer{w: w}
	p.line("%s on %s, %s, %s at once: %s measured", t.Runtime, t.Processor, number(t.Threads, "thread"), number(t.Batch, "sample"), number(len(t.Points), "node"))
	for _, m := range t.Models {
		as := "it is"
		if m.Int8 != "" {
			as = "int8, " + m.Int8 + ","
		}
		p.line("the model as %s takes %s", as, Millis(m.Micros/1000))
	}
	var rows [][]any
	for _, f := range t.Fits {
		rows = append(rows, []any{f.Kind, f.Points, f.Block, fmt.Sprintf("%.3g", f.Work), fmt.Sprintf("%.3g", f.Moved), fmt.Sprintf("%.3g", f.Constant), Percent(f.Error), Percent(f.Worst)})
	}
	p.grid(Columns([]string{"kind"}, "nodes", "block", "µs/MMAC", "µs/MB", "µs", "mean error", "worst"), rows)
	return p.err
}

package report

import (
	"fmt"
	"io"

	"github.com/onnx-compress/onnx-compress/compress"
)

// Tuning writes what a tuning did as text: how the loss fell, and what verification found;
// when verbose, the whole curve and how long the stages took.
func Tuning(w io.Writer, r *compress.TuneResult, verbose bool) error {
	p := &printer{w: w}
	p.line("%s → %s", r.Start.Path, r.Output.Path)
	if said := Elsewhere(r.Output); said != "" {
		p.line("%s", said)
	}
	p.learning(r.Tuning, verbose)
	if verbose {
		p.durations(r.Stages)
		p.memory(r.Memory)
	}
	p.line("")
	if p.err != nil {
		return p.err
	}
	return Verification(w, &compress.Verification{Report: r.Verification})
}

// learning writes what gradient descent gave.
func (p *printer) learning(t *compress.Tuning, verbose bool) {
	augmented := ""
	if t.Augment != "" {
		augmented = ", with " + t.Augment
	}
	p.line("tuned on %s of %s%s: %s of %d by %s, %d weights in %s, %.0f samples/s",
		number(t.Learned, "sample"), t.Source, augmented, number(t.Steps, "step"), t.Batch, t.Optimizer, t.Parameters, number(t.Tensors, "tensor"), t.SamplesPerSecond)
	start := t.Curve[0]
	if !t.Improved {
		p.line("NOT IMPROVED: no state was better than the start on %s; the start is kept", number(t.Held, "held-out sample"))
	}
	for _, c := range t.Curve {
		if t.Improved && c.Epoch == t.Best {
			p.line("on %s: loss %.4g → %.4g, agreement %.2f %% → %.2f %% (%s, best at epoch %d)",
				number(t.Held, "held-out sample"), start.Held, c.Held, 100*start.Agreement, 100*c.Agreement, t.End, t.Best)
		}
	}
	if t.Familiar {
		p.line("the start was fitted to these samples, and looks better on them than it is")
	}
	if t.Advice != "" {
		p.line("%s", t.Advice)
	}
	if !verbose {
		return
	}
	var rows [][]any
	for _, c := range t.Curve {
		accuracy := ""
		if c.Accuracy != nil {
			accuracy = fmt.Sprintf("%.2f %%", 100**c.Accuracy)
		}
		rows = append(rows, []any{c.Epoch, c.Step, fmt.Sprintf("%.4g", c.Loss), fmt.Sprintf("%.4g", c.Held), fmt.Sprintf("%.2f %%", 100*c.Agreement), accuracy})
	}
	p.grid([]Column{{"epoch", true}, {"steps", true}, {"loss", true}, {"held out", true}, {"agreement", true}, {"accuracy", true}}, rows)
}

package report

import (
	"fmt"
	"strconv"

	"github.com/onnx-compress/onnx-compress/compress"
)

// calibration says what the losses were measured on, and where that was too few samples.
func (p *printer) calibration(r *compress.Result) {
	p.line("%s", measuredText(r))
	if few := fewText(r.Calibration); few != "" {
		p.line("%s", few)
	}
}

// fewText says that a calibration had too few samples, with numbers; empty where it had not.
func fewText(c *compress.Calibration) string {
	if c == nil || c.Noisiest == "" {
		return ""
	}
	text := fmt.Sprintf("that is few: what node %s reads is known badly", strconv.Quote(c.Noisiest))
	if c.Wanted > 0 {
		text += fmt.Sprintf(", about %s would do", number(c.Wanted, "sample"))
	}
	return text
}

func measuredText(r *compress.Result) string {
	switch c := r.Calibration; {
	case c == nil:
		return "data-free: losses were measured on the weights alone"
	case c.Sweeps == 0:
		return "nothing to calibrate: no site may change"
	case c.DataFree != nil && c.DataFree.Samples == 0:
		return fmt.Sprintf("chosen by the weights alone: %s of %s are too few, and none is held out to judge by", number(c.Samples, "sample"), c.Source)
	case c.DataFree != nil:
		return fmt.Sprintf("chosen by the weights alone: on %s held out the outputs change by %.4g, with ranks and factors calibrated on %s of %s by %.4g",
			number(c.DataFree.Samples, "sample"), c.DataFree.Change, number(c.Samples, "sample"), c.Source, c.DataFree.Calibrated)
	case c.Cached:
		return fmt.Sprintf("calibrated on %s of %s, by an earlier run%s", number(c.Samples, "sample"), c.Source, refitText(r))
	case c.Sweeps > 1:
		return fmt.Sprintf("calibrated on %s of %s, in %d sweeps%s", number(c.Samples, "sample"), c.Source, c.Sweeps, refitText(r))
	default:
		return fmt.Sprintf("calibrated on %s of %s%s", number(c.Samples, "sample"), c.Source, refitText(r))
	}
}

// refitText says what solving the sites anew gave, behind a calibration.
func refitText(r *compress.Result) string {
	switch f := r.Refit; {
	case f == nil:
		return ""
	case f.Skipped != "":
		return "; no refit: " + f.Skipped
	default:
		return fmt.Sprintf("; %d of %s refitted", f.Kept, number(len(r.Sites), "site"))
	}
}

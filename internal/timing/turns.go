// Package timing measures how long models take in ONNX Runtime, one beside the other, so that what else the machine does meets all
// of them alike, and what of it each of their nodes takes.
package timing

import (
	"context"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Limits bound a measurement.
type Limits struct {
	WarmUps int           // turns at the start that do not count
	Settle  int           // runs at the start of each place in a turn that do not count: behind another model, a model finds its weights far away
	Least   int           // turns that count in any case
	Most    int           // turns after which it ends
	For     time.Duration // after which there are no further turns than Least
}

// least is what a run takes where the clock says less: times are divided by.
const least = 1e-9

// Turns runs all of runs in turns, each of which begins one run further on, and returns the seconds that each took: for every run, one
// number a turn. It ends early with the first error.
func Turns(ctx context.Context, l Limits, runs ...func(context.Context) error) ([][]float64, error) {
	out := make([][]float64, len(runs))
	start := time.Now()
	for turn := -l.WarmUps; turn < l.Most && (turn < l.Least || time.Since(start) < l.For); turn++ {
		for i := range runs {
			k := (i + turn + l.WarmUps) % len(runs)
			for range l.Settle {
				if err := runs[k](ctx); err != nil {
					return nil, err
				}
			}
			begun := time.Now()
			if err := runs[k](ctx); err != nil {
				return nil, err
			}
			if took := time.Since(begun); turn >= 0 {
				out[k] = append(out[k], max(took.Seconds(), least))
			}
		}
	}
	return out, nil
}

// Runner runs a session on the inputs, and drops what it computes.
func Runner(s *ort.Session, inputs map[string]tensor.Dense) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := s.Run(ctx, inputs, nil)
		if err == nil {
			out.Close()
		}
		return err
	}
}

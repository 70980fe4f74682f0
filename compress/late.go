package compress

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Foretold is what a table of costs says that the original and the compressed model take, in milliseconds.
type Foretold struct {
	Before float64 `json:"before_ms"`
	After  float64 `json:"after_ms"`
	// Elsewhere names the machine that the table is of, where that is another one: what was measured here is then not held against
	// the target.
	Elsewhere string `json:"elsewhere,omitempty"`
}

// LateError says that a model takes longer than its target allows, or than the original, measured. Nothing is written.
type LateError struct {
	Target Target
	// Limit and Measured are shares of the original's time.
	Limit, Measured float64
	// Corrections is how often the search was made again with less time allowed.
	Corrections int
	// Int8 tells that both models were timed as int8.
	Int8 bool
}

func (e *LateError) Error() string {
	also, as := "", ""
	if e.Int8 {
		as = ", both as int8"
	}
	if e.Corrections > 0 {
		also = fmt.Sprintf(", also after %d corrections", e.Corrections)
	}
	if e.Limit >= 1 {
		alone := ""
		if e.Int8 {
			alone = "quantize the original as it is, or "
		}
		return fmt.Sprintf("target %s: the compressed model is slower than the original, at %.3f of its time%s%s, so it is not delivered; %sask for less time (latency=0.8), for which other ranks are chosen, or leave nodes alone with %s",
			e.Target, e.Measured, as, also, alone, OptionKeep)
	}
	return fmt.Sprintf("target %s is missed: the compressed model takes %.3f of the original's time where %.3f is wanted%s%s; allow more, or make the table of costs on a machine that does nothing else",
		e.Target, e.Measured, e.Limit, as, also)
}

// measureCosts makes the table of costs that a target of time needs, where none was given.
func (o *Options) measureCosts(ctx context.Context, env *Environment, m *onnxio.Model) (err error) {
	if o.latency() == nil || o.Costs != nil {
		return nil
	}
	if env.library == nil {
		_, err = env.need("a target of latency without a table of costs")
		return &UsageError{Err: err}
	}
	src, err := o.front(m)
	if err != nil {
		return err
	}
	o.Costs, err = MeasureTimes(ctx, env, m, CostOptions{Source: src, InputShapes: o.InputShapes, Methods: o.Methods, RankMultiple: o.RankMultiple, block: o.block, int8: o.int8})
	return err
}

// foretells tells whether a table of costs is to say what the models take.
func (o Options) foretells() bool { return o.latency() != nil || o.Time && o.Costs != nil }

// foretold is what the table says of both models; nil where there is none, or where it does not know all that changed.
func (s *Assembled) foretold(env *Environment, a *Analysis, o Options) *Foretold {
	at := a
	if s.Choice.at != nil {
		at = s.Choice.at.a
	}
	if a.forecast == nil || !at.forecast.knows(at.Sites, s.Choice.picks) {
		return nil
	}
	f := &Foretold{Before: float64(a.need(RunTime)) / 1e6, After: float64(a.foreseen(s.Choice)) / 1e6}
	if at := machine(env.library, o.Costs.Threads, o.Costs.Batch); at != o.Costs.Machine {
		f.Elsewhere = fmt.Sprintf("%s on %s", o.Costs.Runtime, o.Costs.Processor)
	}
	return f
}

// tolerated is by how much a measured time may exceed its target, or the original's time, as a share: the place of a file in memory
// makes that much.
const tolerated = 0.02

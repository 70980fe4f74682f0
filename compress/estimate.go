package compress

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Estimate says by how much a model could shrink where every site may lose a little.
type Estimate struct {
	Path string `json:"path"`
	// Tolerance is the share that every site may lose: of its output's variance, or in a
	// data-free estimate of its weight's squared norm.
	Tolerance float64 `json:"tolerance"`
	DataFree  bool    `json:"data_free"`
	// Sites counts those that may change, Factored those that would.
	Sites    int `json:"sites"`
	Factored int `json:"factored"`
	// Before and After are what the model needs; the files are not weighed.
	Before Need `json:"before"`
	After  Need `json:"after"`
}

// Need is what a model needs of the two resources that its file need not be written for.
type Need struct {
	MACs   int64 `json:"macs"`
	Params int64 `json:"params"`
}

// Shrink is the share of the parameters that would go.
func (e *Estimate) Shrink() float64 {
	if e.Before.Params == 0 {
		return 0
	}
	return 1 - float64(e.After.Params)/float64(e.Before.Params)
}

// EstimateShrink finds how few parameters the model m, read from a file, could have if at
// every site the smallest of the coarse ranks is taken that loses at most the tolerance, a
// share in [0, 1). No site is weighed against another and nothing is solved anew, so a real
// run does better; it is a quick look, by svd unless o names other methods. Nothing is
// written, and what o says of targets and verification is not looked at.
func EstimateShrink(ctx context.Context, env *Environment, m *onnxio.Model, o Options, tolerance float64) (*Estimate, error) {
	if !(tolerance >= 0 && tolerance < 1) {
		return nil, &UsageError{Err: fmt.Errorf("the tolerance is %v; want a share of at least 0 and below 1", tolerance)}
	}
	if o.widths() {
		return nil, &UsageError{Err: fmt.Errorf("an estimate looks at every site by itself, which %s does not", Width)}
	}
	o.Probes = -1
	if len(o.Methods) == 0 {
		o.Methods = []string{"svd"}
	}
	if err := onFile(m); err != nil {
		return nil, err
	}
	a, of, err := factored(ctx, env.afresh(), m, o)
	if err != nil {
		return nil, err
	}
	defer of.close()
	return estimate(a, of, tolerance), nil
}

// estimate sums up what the sites could lose.
func estimate(a *Analysis, of *Offers, tolerance float64) *Estimate {
	e := &Estimate{Path: a.model.Path, Tolerance: tolerance, DataFree: of.Calibration == nil, Sites: len(a.Sites)}
	e.Before = Need{a.Costs.MACs, a.Costs.Params}
	e.After = e.Before
	for _, l := range of.ladders() {
		whole := l.rungs[len(l.rungs)-1]
		rung := l.smallest(tolerance)
		e.After.MACs += l.cost(rung, MACs) - l.cost(whole, MACs)
		e.After.Params += l.cost(rung, Params) - l.cost(whole, Params)
		for _, c := range rung {
			if c.method != nil {
				e.Factored++
			}
		}
	}
	return e
}

// smallest is the rung with the fewest parameters at which no site loses more than the
// tolerance; the last one, which loses nothing, where there is no other.
func (l *ladder) smallest(tolerance float64) []option {
	best := l.rungs[len(l.rungs)-1]
	for _, rung := range l.rungs {
		worst := 0.0
		for _, c := range rung {
			worst = max(worst, c.share)
		}
		if worst <= tolerance && l.cost(rung, Params) < l.cost(best, Params) {
			best = rung
		}
	}
	return best
}

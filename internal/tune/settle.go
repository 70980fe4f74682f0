package tune

import (
	"context"
	"math"
	"slices"
)

// tinyLoss is a loss that does not matter, whatever the start's was.
const tinyLoss = 1e-3

// settle judges the state at the end of an epoch, and keeps it where it is the best. That of the last step, to which the rates have fallen, is kept
// unless an earlier one is surely better: which of several is best on few held-out samples is chance.
func (t *trainer) settle(ctx context.Context, epoch int) error {
	last := t.curve[len(t.curve)-1]
	if t.step == last.Step {
		return nil
	}
	state := t.weights
	v, err := t.judge(ctx, state)
	if err != nil {
		return err
	}
	p, each := t.point(v), v.each
	if t.average.vector != nil {
		v, err := t.judge(ctx, t.average.vector)
		if err != nil {
			return err
		}
		if q := t.point(v); q.Held < p.Held {
			p, state, each = q, t.average.vector, v.each
			p.Averaged = true
		}
	}
	if math.IsNaN(p.Held) || math.IsInf(p.Held, 0) {
		t.end = Diverged
		return nil
	}
	p.Blocks = len(t.ends) > 0
	p.Epoch, p.Loss = epoch, t.sum/float64(t.step-last.Step)
	t.sum = 0
	t.curve = append(t.curve, p)
	better := p.Held < t.curve[t.bestPoint()].Held
	if !better && t.best != nil && t.step == t.o.Epochs*t.stepsPerEpoch() {
		v, err := t.judge(ctx, t.best)
		if err != nil {
			return err
		}
		better = !surely(each, v.each)
	}
	if better && surely(t.judged, each) {
		t.best, t.at = slices.Clone(state), epoch
	}
	switch start := t.curve[0].Held; {
	case t.end != "":
	case !(p.Held < 3*max(start, tinyLoss)):
		t.end = Diverged
	case t.o.Patience > 0 && t.now == len(t.stages)-1 && epoch-max(t.at, t.o.Epochs-t.stages[t.now].epochs) >= t.o.Patience:
		t.end = Patient
	}
	return nil
}

// bestPoint is the place in the curve of the best state so far.
func (t *trainer) bestPoint() int {
	return slices.IndexFunc(t.curve, func(p Point) bool { return p.Epoch == t.at })
}

package compress

import (
	"math"

	"github.com/onnx-compress/onnx-compress/verify"
)

// closeness is the share of the original's resource below which a smaller budget is not worth another model.
const closeness = 1. / 64

// bracket is where the smallest budget lies that meets the goals: above the largest that did not, up to the smallest that did.
type bracket struct {
	low, high float64
	// below and above are the excesses there; NaN where there was no model to measure.
	below, above float64
}

func newBracket(most float64) *bracket {
	return &bracket{high: most, below: math.NaN(), above: math.NaN()}
}

// steps is about how many budgets are tried at most.
func (b *bracket) steps() int { return max(1, int(math.Ceil(math.Log2((b.high-b.low)/closeness)))) }

// models is about how many models a run makes and judges at most, one after the other.
func (o Options) models() int {
	if len(o.Goals) == 0 {
		return 1
	}
	return newBracket(1).steps()
}

// narrow tells whether no other budget is worth a model.
func (b *bracket) narrow() bool {
	gain := b.high - b.low
	if b.measured() {
		gain *= 1 - b.share()
	}
	return gain <= closeness
}

// measured tells whether both ends were.
func (b *bracket) measured() bool { return b.below > 0 && b.above <= 0 }

// next is the budget to try, which is not in the outer quarters.
func (b *bracket) next() float64 {
	return b.low + min(max(b.share(), 0.25), 0.75)*(b.high-b.low)
}

// share is how far up the budget lies whose damage would just be allowed, if its logarithm went straight from one end to the other;
// half, where an end was not measured.
func (b *bracket) share() float64 {
	if b.measured() {
		return b.below / (b.below - b.above)
	}
	return 0.5
}

// add brings in what a budget gave.
func (b *bracket) add(budget float64, met bool, excess float64) {
	switch {
	case met:
		b.high, b.above = budget, excess
	case budget >= b.low:
		b.low, b.below = budget, excess
	}
}

// excess is by how much the damage of a step is more than what the goals allow, as the logarithm of the ratio, of the goal where it
// is most; NaN where there was no model.
func (w *work) excess(t *Trial) float64 {
	most := math.NaN()
	for i, v := range t.Values {
		if e := excess(w.o.Goals[i], v, len(w.a.Judge)); math.IsNaN(most) || e > most {
			most = e
		}
	}
	return most
}

// excess is that of one goal, by a value that n samples gave; of shares of samples no less than half a sample's.
func excess(g verify.Bound, value *float64, n int) float64 {
	v, sample := verify.Value(value), 0.5/float64(n)
	switch g.Measure {
	case verify.Agreement:
		return math.Log(max(1-v, sample) / (1 - g.Value))
	case verify.Drop:
		return math.Log(max(v, sample) / g.Value)
	case verify.KL, verify.PPL:
		return math.Log(max(v, 1e-9) / g.Value)
	case verify.Cosine:
		return math.Log(max(1-v, 1e-9) / (1 - g.Value))
	}
	return math.Ln10 / 10 * min(max(g.Value-v, -100), 100)
}

// tight tells whether a step meets the goals, and one of them with next to nothing to spare.
func (w *work) tight(t *Trial) bool {
	for i, g := range w.o.Goals {
		if t.Met && tight(g, t.Values[i], len(w.a.Judge)) {
			return true
		}
	}
	return false
}

// tight tells whether a value meets a goal with next to nothing to spare, so that a smaller model would hardly meet it too: one
// sample more of n would break it, or a twentieth more of the error.
func tight(g verify.Bound, value *float64, n int) bool {
	v := verify.Value(value)
	switch g.Measure {
	case verify.Agreement:
		return v-g.Value < 1/float64(n)-1e-12
	case verify.Drop:
		return g.Value-v < 1/float64(n)-1e-12
	case verify.KL, verify.PPL:
		return v > 0.95*g.Value
	case verify.Cosine:
		return 1-v > 0.95*(1-g.Value)
	}
	return v-g.Value < 0.2
}

package compress

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/verify"
)

// What a smaller budget must win to be worth another model, as a share of the original's resource.
const (
	closeness = 1. / 64 // as long as no budget met the goals: the model is as good as the original then, or there is none
	rewarding = 1. / 32
	unsure    = 1. / 16 // where the samples cannot tell the largest budget that did not meet the goals from one that does
)

// bracket is where the smallest budget lies that meets the goals: above the largest that did not, up to the smallest that did.
type bracket struct {
	low, high float64
	met       bool // whether the upper end did
	// below and above are the excesses there; NaN where there was no model to measure.
	below, above float64
	// noise is the excess up to which the samples cannot tell the lower end from a budget that meets the goals.
	noise float64
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

// gain is about what another budget wins at most.
func (b *bracket) gain() float64 {
	gain := b.high - b.low
	if b.measured() {
		gain *= 1 - b.share()
	}
	return gain
}

// least is what another budget must win to be worth a model.
func (b *bracket) least() float64 {
	switch {
	case !b.met:
		return closeness
	case b.below <= b.noise:
		return unsure
	}
	return rewarding
}

// narrow tells whether no other budget is worth a model.
func (b *bracket) narrow() bool { return b.gain() <= b.least() }

// stopped says why no other budget is tried, after a model that met the goals; n samples judge.
func (b *bracket) stopped(over Resource, n int) string {
	said := fmt.Sprintf("another model could win about %.2g %% of the original's %s, and less than %.2g %% is not worth one", 100*b.gain(), over, 100*b.least())
	if b.least() == unsure {
		said += fmt.Sprintf(" where %d samples cannot tell %s=%.4g from %.4g", n, over, b.low, b.high)
	}
	return said
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
func (b *bracket) add(budget float64, met bool, excess, noise float64) {
	switch {
	case met:
		b.high, b.above, b.met = budget, excess, true
	case budget >= b.low:
		b.low, b.below, b.noise = budget, excess, noise
	}
}

// excess is by how much the damage of a step is more than what the goals allow, as the logarithm of the ratio, of the goal where it
// is most, and the noise of this one; NaN where there was no model.
func (w *work) excess(t *Trial) (most, within float64) {
	most, n := math.NaN(), len(w.a.Judge)
	for i, v := range t.Values {
		if e := excess(w.o.Goals[i], v, n); math.IsNaN(most) || e > most {
			most, within = e, chance(w.o.Goals[i], n)
		}
	}
	return most, within
}

// chance is the excess that a goal which is just met shows on n samples in one case of forty: two deviations of the mean, or of a count of
// samples whose answers change. Errors of samples deviate by about as much as their mean.
func chance(g verify.Bound, n int) float64 {
	count := float64(n)
	switch g.Measure {
	case verify.Agreement, verify.Boxes:
		count *= 1 - g.Value
	case verify.Drop:
		count *= g.Value
	}
	return math.Log1p(2 / math.Sqrt(count))
}

// excess is that of one goal, by a value that n samples gave; of shares of samples no less than half a sample's.
func excess(g verify.Bound, value *float64, n int) float64 {
	v, sample := verify.Value(value), 0.5/float64(n)
	switch g.Measure {
	case verify.Agreement, verify.Boxes:
		return math.Log(max(1-v, sample) / (1 - g.Value))
	case verify.Drop:
		return math.Log(max(v, sample) / g.Value)
	case verify.KL, verify.PPL, verify.CER:
		return math.Log(max(v, 1e-9) / g.Value)
	case verify.Cosine, verify.IoU:
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
	case verify.Agreement, verify.Boxes:
		return v-g.Value < 1/float64(n)-1e-12
	case verify.Drop:
		return g.Value-v < 1/float64(n)-1e-12
	case verify.KL, verify.PPL, verify.CER:
		return v > 0.95*g.Value
	case verify.Cosine, verify.IoU:
		return 1-v > 0.95*(1-g.Value)
	}
	return v-g.Value < 0.2
}

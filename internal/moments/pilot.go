package moments

import (
	"context"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Pilot is taken off a site's input before its products are summed in float32: a number for each channel near its mean.
//
// The second moment about the mean is a difference, E[x xᵀ] − E[x]E[x]ᵀ, which loses (μ/σ)² of the precision of its
// terms where a channel has the mean μ and the deviation σ: of float32's 24 bits one is left at μ = 3000 σ. About a
// number near the mean there is nothing to lose (Chan, Golub and LeVeque, Algorithms for computing the sample variance,
// The American Statistician 37, 1983). [Inputs] moves the moments back to zero in float64, whose 53 bits lose less
// than float32 inputs have lost already.
//
// The first run sets it, by its own mean, so that it is the same for any number of workers. Channels whose mean is less
// than a few deviations have 0, and where all have, inputs are summed as they are.
type Pilot struct {
	known  chan struct{}
	values []float32 // nil for zeros
}

// NewPilot returns one that is to be set.
func NewPilot() *Pilot { return &Pilot{known: make(chan struct{})} }

// deviations is the distance of a mean from zero, in standard deviations, from which it is taken off. Nearer, the
// moments about the mean keep 18 bits of float32's 24.
const deviations = 8

// Set makes the pilot of the first run: of n units of a summation, or nothing where summation is nil. Roots are those of the
// weights of rows that Weigh made, nil where all are 1. It is called once.
func (p *Pilot) Set(summation Summation, x []float32, n int, roots []float32) {
	defer close(p.known)
	if summation == nil {
		return
	}
	g, roots := summation.grid(n), felt(roots)
	mean, variance := make([]float64, g.major*g.minor), make([]float64, g.major*g.minor)
	weights := 0.
	g.some(func(outer int, _ func(func(channel, at int))) { weights += root(roots, outer) * root(roots, outer) })
	g.some(func(outer int, channels func(func(channel, at int))) {
		r := root(roots, outer) / weights
		channels(func(c, at int) { mean[c] += r * float64(x[at]) })
	})
	g.some(func(outer int, channels func(func(channel, at int))) {
		r := root(roots, outer)
		channels(func(c, at int) {
			d := float64(x[at]) - r*mean[c]
			variance[c] += d * d / weights
		})
	})
	values := make([]float32, len(mean))
	for c, m := range mean {
		if m*m > deviations*deviations*variance[c] && !math.IsInf(m, 0) {
			values[c], p.values = float32(m), values
		}
	}
}

// Wait returns when the pilot is set, or with the context's error when that ends first.
func (p *Pilot) Wait(ctx context.Context) error {
	select {
	case <-p.known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Off returns n units of a summation less the pilot: x itself where that is zero, else in buf. Roots are those of Set.
func (p *Pilot) Off(summation Summation, x []float32, n int, roots []float32, buf *[]float32) []float32 {
	if p.values == nil {
		return x
	}
	out, g := grow(buf, len(x)), summation.grid(n)
	roots = felt(roots)
	for at := 0; at < len(x); at += g.inner * g.minor {
		values := p.values[at/(g.inner*g.minor)%g.major*g.minor:][:g.minor]
		from, to := x[at:][:g.inner*g.minor], out[at:][:g.inner*g.minor]
		switch {
		case roots != nil:
			r := float64(roots[at/(g.major*g.inner*g.minor)])
			for i, v := range from {
				to[i] = float32(float64(v) - r*float64(values[i%g.minor]))
			}
		case g.minor == 1:
			for i, v := range from {
				to[i] = v - values[0]
			}
		default:
			for i := 0; i < len(from); i += g.minor {
				row := from[i:][:g.minor]
				for b, v := range row {
					to[i+b] = v - values[b]
				}
			}
		}
	}
	return out
}

// felt returns the roots that are not 0, whose rows Weigh has kept.
func felt(roots []float32) []float32 {
	return slices.DeleteFunc(slices.Clone(roots), func(r float32) bool { return r == 0 })
}

func root(roots []float32, i int) float64 {
	if roots == nil {
		return 1
	}
	return float64(roots[i])
}

// grid is how the numbers of an input lie in memory, [outer, major, inner, minor], with channels [major, minor].
type grid struct{ outer, major, inner, minor int }

// enough is about how many positions tell the mean well enough.
const enough = 1000

// some visits positions spread over all, and lets each visit its channels.
func (g grid) some(visit func(outer int, channels func(func(channel, at int)))) {
	positions := g.outer * g.inner
	for q := 0; q < positions; q += max(positions/enough, 1) {
		outer, inner := q/g.inner, q%g.inner
		visit(outer, func(each func(channel, at int)) {
			for a := range g.major {
				for b := range g.minor {
					each(a*g.minor+b, ((outer*g.major+a)*g.inner+inner)*g.minor+b)
				}
			}
		})
	}
}

func (p Patches) grid(samples int) grid { return grid{samples, p.Channels, tensor.Product(p.In), 1} }

func (p *rows) grid(samples int) grid { return grid{samples, p.groups, p.perGroup, p.k} }

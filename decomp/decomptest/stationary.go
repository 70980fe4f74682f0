package decomptest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// stationary: no small change of the last factor makes the loss smaller, nor of any factor where the method has a
// closed form, for which there are no finer ranks to look for. Along every direction the loss has no slope. Sums of terms whose
// sizes are bounded may touch their bound: of them this holds along directions that leave the size of every term as it is, and
// a term that shrinks must not lose less.
func stationary(t *testing.T, m decomp.Method, s Specimen, spectrum decomp.Spectrum, r decomp.Rank) {
	t.Helper()
	loss, energy := lossOf(t, spectrum, r), spectrum.Energy()
	if s.Condition == 0 || loss <= 1e-9*energy {
		return
	}
	c := chainOf(t, spectrum, r)
	bounded := sumOfTerms(c)
	random := rand.New(rand.NewPCG(1, uint64(len(s.Kernel.Weights))))
	most := 1e-7 * s.Condition * math.Sqrt(loss) * math.Sqrt(energy)
	for range 8 {
		d := direction(c, random, m.Near != nil)
		if bounded {
			keepTerms(c[len(c)-1].Kernel, d[len(d)-1], s.Metric)
		}
		if slope := slopeAlong(t, s, r, c, d); math.Abs(slope) > most {
			t.Errorf("rank %v: slope %g at loss %g (energy %g)", r, slope, loss, energy)
		}
	}
	if !bounded {
		return
	}
	last := c[len(c)-1].Kernel
	for term := range last.In / last.Groups {
		d := make([][]float64, len(c))
		for i, f := range c {
			d[i] = make([]float64, len(f.Kernel.Weights))
		}
		for i, w := range last.Weights {
			if i%(last.In/last.Groups) == term {
				d[len(d)-1][i] = -w
			}
		}
		if slope := slopeAlong(t, s, r, c, d); slope < -most {
			t.Errorf("rank %v: slope %g as term %d shrinks, at loss %g (energy %g)", r, slope, term, loss, energy)
		}
	}
}

// sumOfTerms tells the chains of rank-one terms: between the first and the last factor every channel goes its own way.
func sumOfTerms(c decomp.Chain) bool {
	for _, f := range c[1 : len(c)-1] {
		if f.Kernel.Groups != f.Kernel.Out {
			return false
		}
	}
	return len(c) > 2
}

// direction returns random changes of the factors, each as large as the largest weight of its factor, or of the last alone.
func direction(c decomp.Chain, random *rand.Rand, lastAlone bool) [][]float64 {
	d := make([][]float64, len(c))
	for i, f := range c {
		size := 0.0
		for _, w := range f.Kernel.Weights {
			size = max(size, math.Abs(w))
		}
		d[i] = make([]float64, len(f.Kernel.Weights))
		if lastAlone && i < len(c)-1 {
			continue
		}
		for j := range d[i] {
			d[i][j] = size * random.NormFloat64()
		}
	}
	return d
}

// keepTerms takes off a change d of the last factor what changes the sizes of its terms, its columns in each group as G sees
// them, at first order.
func keepTerms(last decomp.Kernel, d []float64, m decomp.Metric) {
	r, rows := last.In/last.Groups, last.Out/last.Groups
	for g := range last.Groups {
		for term := range r {
			own, change := linalg.New(rows, 1), linalg.New(rows, 1)
			for i := range rows {
				own.Data[i], change.Data[i] = last.Weights[(g*rows+i)*r+term], d[(g*rows+i)*r+term]
			}
			seen := own
			if out := element(m.Out, g); out != nil {
				seen = times(out, own)
			}
			size, along := 0.0, 0.0
			for i, v := range seen.Data {
				size, along = size+v*own.Data[i], along+v*change.Data[i]
			}
			if size <= 0 {
				continue
			}
			for i, v := range own.Data {
				d[(g*rows+i)*r+term] -= along / size * v
			}
		}
	}
}

// slopeAlong returns the derivative of the loss along a change of the factors.
func slopeAlong(t *testing.T, s Specimen, r decomp.Rank, c decomp.Chain, d [][]float64) float64 {
	t.Helper()
	const step = 1e-5
	up := Loss(s.Kernel, compose(t, s, r, moved(c, d, step)), s.Metric)
	down := Loss(s.Kernel, compose(t, s, r, moved(c, d, -step)), s.Metric)
	return (up - down) / (2 * step)
}

func moved(c decomp.Chain, direction [][]float64, step float64) decomp.Chain {
	out := slices.Clone(c)
	for i := range out {
		out[i].Kernel.Weights = slices.Clone(out[i].Kernel.Weights)
		for j := range out[i].Kernel.Weights {
			out[i].Kernel.Weights[j] += step * direction[i][j]
		}
	}
	return out
}

package calib

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Noise says how much of a covariance C = A − E[x]E[x]ᵀ is noise of so many samples, as shares of sums of squares.
//
// The rank of a covariance is at most the number of columns seen, and what they do not span looks free: a factorization puts
// its errors there. The remedy is that of [variance] for sensitivities, on both parts. With α and β the shares, entries off the
// diagonal are multiplied by 1 − α (Ledoit and Wolf, towards the diagonal), and those on it moved by β towards their
// median (Opgen-Rhein and Strimmer, Accurate ranking of differentially expressed genes by a distribution-free shrinkage
// approach, Statistical Applications in Genetics and Molecular Biology 6, 2007): the least expected squared error.
//
// How far single samples lie apart would take a product for each. Two halves of the samples say the same: the difference
// of their covariances C₁ and C₂, of n₁ and n₂ positions, has the variance of n/(n₁n₂) positions, so that that of an entry of the
// whole is estimated by (C₁ − C₂)²·n₁n₂/n². Both are taken about the common mean, which of m samples leaves m − 2 to differ.
type Noise struct {
	OffDiagonal float64 // α, of Σ_{i≠j} C_ij², from 0 to 1
	Diagonal    float64 // β, of Σ_i (C_ii − median)², from 0 to 1
	// Whole is the noise off the diagonal over what is none of Σ_ij C_ij². Of independent normal columns it is how many inputs
	// there are, counted as far as they vary apart, (tr C)²/‖C‖², over the number of columns. At most mostNoise.
	Whole float64
}

// mostNoise stands for no knowledge at all.
const mostNoise = 1e6

// unknownNoise is that of samples that cannot be told apart: nothing but their scale is believed.
var unknownNoise = Noise{1, 1, mostNoise}

// noiseOf returns the shares of the expected squared errors off the diagonal and on it.
func noiseOf(offNoise, off, noise float64, diagonal []float64) Noise {
	squares := off
	for _, v := range diagonal {
		squares += v * v
	}
	return Noise{shareOf(offNoise, off, 1), shareOf(noise, scatter(diagonal), 1), shareOf(offNoise, max(squares-offNoise, 0), mostNoise)}
}

// half is what one half of the samples says of a group of columns, beside E[x xᵀ].
type half struct {
	mean      []float64
	positions int64
}

// join sets the upper triangle of out to what both halves say together, of so many samples, second telling what each says; the
// numbers of a are used up, and become the mean of all.
func join(a, b half, samples int64, second func(i, j int) (a, b float64), out *linalg.Matrix) Noise {
	n := a.positions + b.positions
	share := float64(b.positions) / float64(max(n, 1))
	apart := make([]float64, len(a.mean))
	for i, v := range b.mean {
		apart[i] = a.mean[i] - v
		a.mean[i] += share * (v - a.mean[i])
	}
	var off, offNoise, noise float64
	diagonal := make([]float64, len(a.mean))
	for i := range out.Rows {
		for j := i; j < out.Cols; j++ {
			first, other := second(i, j)
			difference := first - other
			whole := first - share*difference
			out.Set(i, j, whole)
			difference -= apart[i]*a.mean[j] + a.mean[i]*apart[j]
			c := whole - a.mean[i]*a.mean[j]
			if i == j {
				diagonal[i] = max(c, 0)
				noise += difference * difference
			} else {
				off += 2 * c * c
				offNoise += 2 * difference * difference
			}
		}
	}
	scale := scaleOfNoise(a.positions, b.positions, samples)
	return noiseOf(offNoise*scale, off, noise*scale, diagonal)
}

// scaleOfNoise is what the squared difference of halves is multiplied with: infinite where they cannot differ.
func scaleOfNoise(n1, n2, samples int64) float64 {
	if n1 == 0 || n2 == 0 || samples <= 2 {
		return math.Inf(1)
	}
	n := float64(n1) + float64(n2)
	return float64(n1) / n * (float64(n2) / n) * float64(samples) / float64(samples-2)
}

// shareOf is noise as a share of all, at most the given one, which is also where there is too little to tell.
func shareOf(noise, all, most float64) float64 {
	switch {
	case math.IsNaN(noise) || math.IsInf(noise, 1): // also 0·∞, where the halves could not differ
		return most
	case noise == 0:
		return 0
	}
	return min(noise/all, most)
}

// median returns that of numbers, 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// scatter is the sum of the squared distances from the median.
func scatter(v []float64) float64 {
	sum, m := 0., median(v)
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return sum
}

// columnNoise is the noise of columns, one a row, of which the first ones are one half: for A = Σ x xᵀ/n, where Σ_ij of two sums
// of outer products is that of the squared products of their columns. mean is E[x], roots are those of the columns' weights, nil
// where all are 1.
func columnNoise(b linalg.Backend, x linalg.Block32, roots []float32, mean []float64, first int, samples int64) Noise {
	n := x.Rows
	weight := func(t int) float64 { // in C₁ − C₂
		if t < first {
			return 1 / float64(first)
		}
		return -1 / float64(n-first)
	}
	var all, noise float64
	const block = 128
	gram := make([]float32, block*block)
	diagonal, apart := make([]float64, x.Cols), make([]float64, x.Cols)
	for i := 0; i < n; i += block {
		left := centredRows(x, roots, mean, i, min(i+block, n))
		for r := range left.Rows {
			for k, v := range left.Data[r*left.Stride:][:left.Cols] {
				square := float64(v) * float64(v)
				diagonal[k] += square / float64(n)
				apart[k] += weight(i+r) * square
			}
		}
		for j := i; j < n; j += block {
			right := left
			if j > i {
				right = centredRows(x, roots, mean, j, min(j+block, n))
			}
			g := linalg.Block32{Rows: left.Rows, Cols: right.Rows, Stride: right.Rows, Data: gram[:left.Rows*right.Rows]}
			clear(g.Data)
			b.GemmAdd32(false, true, left, right, g)
			twice := 2.
			if j == i {
				twice = 1
			}
			for r := range g.Rows {
				for c, v := range g.Data[r*g.Stride:][:g.Cols] {
					square := twice * float64(v) * float64(v)
					all += square / (float64(n) * float64(n))
					noise += square * weight(i+r) * weight(j+c)
				}
			}
		}
	}
	own := 0.
	for k, v := range apart {
		own += v * v
		all -= diagonal[k] * diagonal[k]
	}
	scale := scaleOfNoise(int64(first), int64(n-first), samples)
	return noiseOf(max(noise-own, 0)*scale, max(all, 0), own*scale, diagonal)
}

// centredRows returns columns from (included) to to (excluded) about their mean.
func centredRows(x linalg.Block32, roots []float32, mean []float64, from, to int) linalg.Block32 {
	out := linalg.NewBlock32(to-from, x.Cols)
	for t := from; t < to; t++ {
		root := 1.
		if roots != nil {
			root = float64(roots[t])
		}
		row := out.Data[(t-from)*out.Stride:]
		for k, v := range x.Data[t*x.Stride:][:x.Cols] {
			row[k] = float32(float64(v) - root*mean[k])
		}
	}
	return out
}

// Input returns the input side of the metric of errors at the site, less what is noise, in the form at hand: the second moment or,
// where centred is set, that about the mean. Of counts it is always the second moment: about the mean it is not diagonal.
func (s Stats) Input(centred bool) decomp.Metric {
	switch {
	case s.Counts != nil:
		return decomp.Metric{Diagonal: s.Mean}
	case s.Columns.Rows > 0:
		return s.sampled(centred)
	case s.Mean == nil:
		return decomp.Metric{In: s.A}
	}
	out := make([]*linalg.Matrix, len(s.A))
	for g, m := range s.A {
		c, mean := m.Clone(), s.Mean[g]
		addSquare(c, -1, mean)
		noise := s.noise(g)
		for i, v := range noise.lessened(diagonalOf(c), diagonalOf(m)) {
			for k := range c.Cols {
				c.Data[i*c.Cols+k] *= 1 - noise.OffDiagonal
			}
			c.Data[i*c.Cols+i] = v
		}
		if !centred {
			addSquare(c, 1, mean)
		}
		out[g] = c
	}
	return decomp.Metric{In: out}
}

// addSquare adds t·v vᵀ to a matrix.
func addSquare(m *linalg.Matrix, t float64, v []float64) {
	for i, x := range v {
		row := m.Row(i)
		for k, y := range v {
			row[k] += t * (x * y)
		}
	}
}

func diagonalOf(m *linalg.Matrix) []float64 {
	out := make([]float64, m.Rows)
	for i := range out {
		out[i] = m.At(i, i)
	}
	return out
}

// noise is that of a group; none where it was not measured.
func (s Stats) noise(g int) Noise {
	if s.Noise == nil {
		return Noise{}
	}
	return s.Noise[g]
}

// lessened returns the diagonal of a covariance less its noise, at least 0. The second moments about zero
// stand for variances of which nothing is known.
func (n Noise) lessened(variances, moments []float64) []float64 {
	out, target := slices.Clone(variances), median(variances)
	if n == unknownNoise {
		target = 0
		for _, v := range moments {
			target += v / float64(len(moments))
		}
	}
	for i, v := range out {
		v = max(v, 0) // rounding must not make a variance negative
		out[i] = v + n.diagonal()*(max(target, 0)-v)
	}
	return out
}

// diagonal is β, at most α, so that what is left of a covariance is one: (1 − α)·C and what is added to its diagonal, at least 0.
func (n Noise) diagonal() float64 { return min(n.Diagonal, n.OffDiagonal) }

// sampled is Input where columns are kept: the sample of what is left of them, and what is added to the diagonal of its moment.
func (s Stats) sampled(centred bool) decomp.Metric {
	noise, mean := s.noise(0), s.Mean[0]
	x := s.sample(mean)
	variances, moments := make([]float64, x.Cols), make([]float64, x.Cols)
	for i, v := range x.Data {
		variances[i%x.Cols] += v * v
	}
	for k, v := range mean {
		moments[k] = variances[k] + v*v
	}
	kept := math.Sqrt(1 - noise.OffDiagonal)
	for i := range x.Data {
		x.Data[i] *= kept
	}
	if !centred {
		x = &linalg.Matrix{Rows: x.Rows + 1, Cols: x.Cols, Data: append(x.Data, mean...)}
	}
	out := decomp.Metric{Sample: []*linalg.Matrix{x}}
	if noise.OffDiagonal > 0 {
		added := noise.lessened(variances, moments)
		for k, v := range variances {
			added[k] = max(added[k]-(1-noise.OffDiagonal)*v, 0)
		}
		out.Diagonal = [][]float64{added}
	}
	return out
}

// sample returns S = √w(x − mean)/√n, one column x of weight w a row, so that SᵀS is their second moment about the mean.
func (s Stats) sample(mean []float64) *linalg.Matrix {
	n, k := s.Columns.Rows, s.Columns.Cols
	out := linalg.New(n, k)
	scale := 1 / math.Sqrt(float64(n))
	for i := range out.Data {
		root := 1.
		if s.Roots != nil {
			root = float64(s.Roots[i/k])
		}
		out.Data[i] = (float64(s.Columns.Data[i]) - root*mean[i%k]) * scale
	}
	return out
}

package decomptest

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Degenerate returns kernels and metrics as trained networks and small samples leave them: channels that weight decay
// has put to sleep, constant inputs, gray images as RGB, moments with rounding in them. Every factorization of one must
// keep the laws or refuse the rank.
func Degenerate() []Specimen {
	r := rand.New(rand.NewPCG(9, 1))
	var out []Specimen
	for _, s := range []decomp.Shape{
		{Out: 12, In: 6, Window: []int{3, 3}, Groups: 1},
		{Out: 9, In: 12, Groups: 1},
		{Out: 8, In: 6, Window: []int{3, 2}, Groups: 2},
	} {
		out = append(out, degenerateOf(r, s)...)
	}
	return append(out, mixed(r, decomp.Shape{Out: 32, In: 8, Window: []int{3, 1}, Groups: 1}, 3))
}

// mixed has inputs whose channels are mixes of a few, as behind a layer of so many channels without an activation.
func mixed(r *rand.Rand, s decomp.Shape, channels int) Specimen {
	taps := s.Cols() / s.In
	mix := each(s.In*channels, r.NormFloat64)
	in := drawn(r, s.Cols(), 40*s.Cols(), true, func(x []float64) {
		source := slices.Clone(x[:channels*taps])
		clear(x)
		for i := range x {
			for c := range channels {
				x[i] += mix[i/taps*channels+c] * source[c*taps+i%taps]
			}
		}
	})
	return Specimen{Name: "degenerate mixes of few channels " + s.String(), Kernel: kernel(r, s), Metric: decomp.Metric{In: []*linalg.Matrix{in}}}
}

// degenerateOf are those of one shape.
func degenerateOf(r *rand.Rand, s decomp.Shape) []Specimen {
	taps := s.Cols() / (s.In / s.Groups)
	var out []Specimen
	add := func(name string, k decomp.Kernel, in, g []*linalg.Matrix) {
		out = append(out, Specimen{Name: "degenerate " + name + " " + s.String(), Kernel: k, Metric: decomp.Metric{In: in, Out: g}})
	}
	// seen is a second moment of every group, of columns that draw makes of noise [K].
	seen := func(samples int, centred bool, draw func(x []float64)) []*linalg.Matrix {
		return each(s.Groups, func() *linalg.Matrix { return drawn(r, s.Cols(), samples, centred, draw) })
	}
	channel := func(i int) int { return i / taps }
	asleep := func(by float64) func(x []float64) {
		return func(x []float64) {
			for i := range x {
				if channel(i)%3 == 1 {
					x[i] *= by
				}
			}
		}
	}
	plain, outputs := kernel(r, s), moments(r, s.Groups, s.Rows(), 0.1)
	many := 4 * s.Cols()
	for _, by := range []float64{0, 1e-19, 1e-22, 1e-160} {
		name := map[float64]string{0: "0", 1e-19: "1e-19", 1e-22: "1e-22", 1e-160: "1e-160"}[by]
		add("inputs of "+name, plain, seen(many, false, asleep(by)), outputs)
		weak := plain
		weak.Weights = slices.Clone(plain.Weights)
		for i := range weak.Weights {
			if i/s.Cols()%4 == 1 || channel(i%s.Cols())%3 == 2 {
				weak.Weights[i] *= by
			}
		}
		add("weights of "+name, weak, seen(many, false, func([]float64) {}), outputs)
		add("weights of "+name+" and no metric", weak, nil, nil)
		add("weights and inputs of "+name, weak, seen(many, false, asleep(by)), outputs)
		all := plain
		all.Weights = slices.Clone(plain.Weights)
		multiply(all.Weights, by)
		add("kernel and inputs of "+name, all, seen(many, false, func(x []float64) { multiply(x, by) }), outputs)
	}
	constant := func(x []float64) {
		for i := range x {
			if channel(i)%2 == 0 {
				x[i] = 3
			}
		}
	}
	add("constant channels", plain, seen(many, false, constant), outputs)
	add("constant channels, about the mean", plain, seen(many, true, constant), outputs)
	gray := func(x []float64) {
		for i := range x {
			x[i] = x[i%taps]
		}
	}
	add("gray as RGB", plain, seen(many, false, gray), outputs)
	add("gray as RGB, few samples", plain, seen(2, true, gray), nil)
	add("everything constant", plain, seen(many, true, func(x []float64) {
		for i := range x {
			x[i] = 1
		}
	}), outputs)
	add("means of 3000", plain, seen(many, false, func(x []float64) {
		for i := range x {
			x[i] += 3000
		}
	}), nil)
	add("one sample about its mean", plain, seen(1, true, func([]float64) {}), outputs)
	// Rounding leaves eigenvalues below zero.
	rounded := seen(3, true, func([]float64) {})
	for _, a := range rounded {
		for i := range a.Rows {
			a.Data[i*a.Cols+i] -= 4e-16 * a.MaxAbs()
		}
	}
	add("moment with eigenvalues below zero", plain, rounded, outputs)
	sleeping := each(s.Groups, func() *linalg.Matrix {
		m := linalg.New(s.Rows(), s.Rows())
		m.Set(0, 0, 1e-30)
		m.Set(1, 1, 1)
		return m
	})
	add("outputs that are not felt", plain, seen(many, false, func([]float64) {}), sleeping)
	return out
}

// drawn is the second moment of random columns, about zero or their mean.
func drawn(r *rand.Rand, k, samples int, centred bool, draw func(x []float64)) *linalg.Matrix {
	rows, mean := linalg.New(samples, k), make([]float64, k)
	for n := range samples {
		x := rows.Row(n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		draw(x)
		for i, v := range x {
			mean[i] += v / float64(samples)
		}
	}
	m := linalg.New(k, k)
	for n := range samples {
		for i := range k {
			for j := range k {
				a, b := rows.At(n, i), rows.At(n, j)
				if centred {
					a, b = a-mean[i], b-mean[j]
				}
				m.Data[i*k+j] += a * b / float64(samples)
			}
		}
	}
	for i := range k {
		m.Data[i*k+i] = math.Max(m.Data[i*k+i], 0)
	}
	return m
}

package decomptest

import (
	"math"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Zoo returns kernels and metrics that factorizations find hard.
func Zoo() []Specimen {
	r := rand.New(rand.NewPCG(7, 1))
	conv := decomp.Shape{Out: 13, In: 7, Window: []int{3, 3}, Groups: 1}
	expand := decomp.Shape{Out: 23, In: 5, Window: []int{1, 1}, Groups: 1}
	grouped := decomp.Shape{Out: 12, In: 8, Window: []int{3, 1}, Groups: 4}
	matrix := decomp.Shape{Out: 17, In: 31, Groups: 1}
	var zoo []Specimen
	add := func(name string, k decomp.Kernel, in, out []*linalg.Matrix, condition float64) {
		zoo = append(zoo, Specimen{Name: name, Kernel: k, Metric: decomp.Metric{In: in, Out: out}, Condition: condition})
	}
	underMetrics(r, add, []named{
		{"conv", conv},
		{"expanding", expand},
		{"grouped", grouped},
		{"matrix", matrix},
		{"one weight", decomp.Shape{Out: 1, In: 1, Groups: 1}},
		{"one output", decomp.Shape{Out: 1, In: 19, Groups: 1}},
		{"one input", decomp.Shape{Out: 19, In: 1, Window: []int{1, 1}, Groups: 1}},
		{"depthwise", decomp.Shape{Out: 6, In: 6, Window: []int{3, 3}, Groups: 6}},
		{"depthwise multiplied", decomp.Shape{Out: 24, In: 3, Window: []int{2}, Groups: 3}},
		{"square", decomp.Shape{Out: 29, In: 29, Groups: 1}},
		{"1-D", decomp.Shape{Out: 11, In: 3, Window: []int{7}, Groups: 1}},
		{"3-D", decomp.Shape{Out: 5, In: 2, Window: []int{3, 2, 3}, Groups: 1}},
		{"prime", decomp.Shape{Out: 53, In: 61, Groups: 1}},
	})
	hardKernels(r, add)
	hardMetrics(r, add, conv, expand, grouped, matrix)
	for _, s := range []decomp.Shape{matrix, {Out: 23, In: 6, Groups: 1}, {Out: 11, In: 11, Groups: 1}, {Out: 1, In: 8, Groups: 1}, {Out: 9, In: 1, Groups: 1}, {Out: 6, In: 12, Groups: 2}} {
		zoo = append(zoo, Formed(8, s)...)
		zoo = append(zoo, hardForms(r, s)...)
	}
	underMetrics(r, add, []named{
		{"many inputs", decomp.Shape{Out: 2, In: 23, Window: []int{3, 3}, Groups: 1}},
		{"many outputs", decomp.Shape{Out: 41, In: 2, Window: []int{3, 3}, Groups: 1}},
		{"grouped windows", decomp.Shape{Out: 10, In: 6, Window: []int{3, 2}, Groups: 2}},
		{"single taps", decomp.Shape{Out: 7, In: 4, Window: []int{1, 3, 1, 2}, Groups: 1}},
	})
	return append(zoo, Degenerate()...)
}

type named struct {
	name string
	decomp.Shape
}

// underMetrics adds random kernels of the shapes under no metric, one on either side, and both.
func underMetrics(r *rand.Rand, add adder, shapes []named) {
	for _, s := range shapes {
		k := kernel(r, s.Shape)
		add(s.name+", no metric", k, nil, nil, 1)
		add(s.name+", input metric", k, moments(r, s.Groups, s.Cols(), 0.1), nil, 100)
		add(s.name+", output metric", k, nil, moments(r, s.Groups, s.Rows(), 0.1), 100)
		add(s.name+", both metrics", k, moments(r, s.Groups, s.Cols(), 0.1), moments(r, s.Groups, s.Rows(), 0.1), 100)
	}
}

type adder func(name string, k decomp.Kernel, in, out []*linalg.Matrix, condition float64)

// hardKernels adds kernels that are singular or out of scale.
func hardKernels(r *rand.Rand, add adder) {
	for _, s := range []decomp.Shape{
		{Out: 13, In: 7, Window: []int{3, 3}, Groups: 1},
		{Out: 23, In: 5, Window: []int{1, 1}, Groups: 1},
	} {
		in, out := moments(r, 1, s.Cols(), 0.1), moments(r, 1, s.Rows(), 0.1)
		zero := decomp.Kernel{Shape: s, Weights: make([]float64, s.Params())}
		add("zero kernel "+s.String(), zero, in, out, 0)
		for _, scale := range []struct {
			name string
			by   float64
		}{{"tiny", 1e-140}, {"huge", 1e140}, {"odd power of two", 8}} {
			k := kernel(r, s)
			multiply(k.Weights, scale.by)
			add(scale.name+" kernel "+s.String(), k, in, out, 100)
		}
		low := kernel(r, s) // rank 2
		for i := range low.Weights {
			o, c := i/s.Cols(), i%s.Cols()
			low.Weights[i] = math.Sin(float64(3*o+1))*math.Cos(float64(c)) + 1e-3*math.Cos(float64(2*o))*math.Sin(float64(5*c))
		}
		add("rank 2 kernel "+s.String(), low, in, out, 0)
		dead := kernel(r, s) // no weights on the first input channel and for the last output
		for i := range dead.Weights {
			if i%s.Cols() < s.Cols()/s.In || i/s.Cols() == s.Out-1 {
				dead.Weights[i] = 0
			}
		}
		add("dead channels "+s.String(), dead, in, out, 100)
	}
	n := 16
	add("identity kernel", decomp.Kernel{Shape: decomp.Shape{Out: n, In: n, Groups: 1}, Weights: linalg.Identity(n).Data}, nil, nil, 0)
	graded := decomp.Kernel{Shape: decomp.Shape{Out: n, In: n, Groups: 1}, Weights: decaying(r, n, 1e-11).Data}
	add("ill-conditioned kernel", graded, nil, nil, 0)
	add("ill-conditioned kernel and metric", graded, []*linalg.Matrix{decaying(r, n, 1e-9)}, []*linalg.Matrix{decaying(r, n, 1e-9)}, 0)
}

// hardMetrics adds metrics that are singular, ill-conditioned or out of scale.
func hardMetrics(r *rand.Rand, add adder, shapes ...decomp.Shape) {
	for _, s := range shapes {
		k, o, c := kernel(r, s), s.Rows(), s.Cols()
		name := " " + s.String()
		add("ill-conditioned input"+name, k, each(s.Groups, func() *linalg.Matrix { return decaying(r, c, 1e-12) }), nil, 0)
		add("ill-conditioned output"+name, k, nil, each(s.Groups, func() *linalg.Matrix { return decaying(r, o, 1e-12) }), 0)
		add("few samples"+name, k, each(s.Groups, func() *linalg.Matrix { return gram(r, c, max(1, min(o, c)/2)) }), nil, 0)
		add("one sample, both sides"+name, k, each(s.Groups, func() *linalg.Matrix { return gram(r, c, 1) }),
			each(s.Groups, func() *linalg.Matrix { return gram(r, o, 1) }), 0)
		add("zero input"+name, k, each(s.Groups, func() *linalg.Matrix { return linalg.New(c, c) }), nil, 0)
		add("zero output"+name, k, nil, each(s.Groups, func() *linalg.Matrix { return linalg.New(o, o) }), 0)
		add("dead inputs"+name, k, each(s.Groups, func() *linalg.Matrix {
			a := gram(r, c, 2*c)
			for i := range c {
				for j := range c {
					if i%3 == 0 || j%3 == 0 {
						a.Set(i, j, 0)
					}
				}
			}
			return a
		}), nil, 0)
		for _, scale := range []struct {
			name string
			by   float64
		}{{"tiny", 1e-250}, {"huge", 1e250}} {
			big := func(n int) func() *linalg.Matrix {
				return func() *linalg.Matrix {
					m := gram(r, n, 2*n)
					multiply(m.Data, scale.by)
					return m
				}
			}
			add(scale.name+" input"+name, k, each(s.Groups, big(c)), nil, 0)
			add(scale.name+" output"+name, k, nil, each(s.Groups, big(o)), 0)
		}
		if s.Groups > 1 {
			some := make([]*linalg.Matrix, s.Groups)
			some[1] = gram(r, c, 2*c)
			add("one group measured"+name, k, some, nil, 0)
		}
	}
}

// hardForms returns samples and diagonals that are singular, ill-conditioned or out of scale.
func hardForms(r *rand.Rand, s decomp.Shape) []Specimen {
	var out []Specimen
	add := func(name string, m decomp.Metric, condition float64) {
		out = append(out, Specimen{Name: name + " " + s.String(), Kernel: kernel(r, s), Metric: m, Condition: condition})
	}
	for _, scale := range []struct {
		name string
		by   float64
	}{{"zero", 0}, {"tiny", 1e-120}, {"huge", 1e120}} {
		sample, diagonal := samples(r, s.Groups, s.Cols(), 3), diagonals(r, s.Groups, s.Cols())
		for g := range s.Groups {
			multiply(sample[g].Data, scale.by)
			multiply(diagonal[g], scale.by*scale.by)
		}
		add(scale.name+" sample", decomp.Metric{Sample: sample}, 0)
		add(scale.name+" diagonal", decomp.Metric{Diagonal: diagonal}, 0)
	}
	graded, unseen := diagonals(r, s.Groups, s.Cols()), diagonals(r, s.Groups, s.Cols())
	for g := range s.Groups {
		for i := range s.Cols() {
			graded[g][i] = math.Pow(10, -float64(i))
			if i%3 == 1 {
				unseen[g][i] = 0
			}
		}
	}
	add("graded diagonal", decomp.Metric{Diagonal: graded}, 0)
	add("diagonal with zeros", decomp.Metric{Diagonal: unseen}, 0)
	add("one row", decomp.Metric{Sample: samples(r, s.Groups, s.Cols(), 1)}, 0)
	if s.Groups > 1 {
		some := make([]*linalg.Matrix, s.Groups)
		some[1] = samples(r, 1, s.Cols(), 3)[0]
		add("one group sampled", decomp.Metric{Sample: some}, 0)
	}
	return out
}

// each makes n of something, one after the other.
func each[T any](n int, one func() T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = one()
	}
	return out
}

func multiply(v []float64, by float64) {
	for i := range v {
		v[i] *= by
	}
}

// samples returns for each group rows with a common mean, scaled to stand for a second moment.
func samples(r *rand.Rand, groups, cols, rows int) []*linalg.Matrix {
	return each(groups, func() *linalg.Matrix {
		m := linalg.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = (0.3 + r.NormFloat64()) / math.Sqrt(float64(rows))
		}
		return m
	})
}

// diagonals returns for each group numbers from a tenth to one.
func diagonals(r *rand.Rand, groups, cols int) [][]float64 {
	return each(groups, func() []float64 { return each(cols, func() float64 { return 0.1 + 0.9*r.Float64() }) })
}

func kernel(r *rand.Rand, s decomp.Shape) decomp.Kernel {
	return decomp.Kernel{Shape: s, Weights: each(int(s.Params()), func() float64 { return r.NormFloat64() / math.Sqrt(float64(s.Cols())) })}
}

// moments returns second moments whose eigenvalues fall geometrically from 1 to least.
func moments(r *rand.Rand, groups, n int, least float64) []*linalg.Matrix {
	return each(groups, func() *linalg.Matrix { return decaying(r, n, least) })
}

// gram returns the second moment of a number of random samples with a common mean.
func gram(r *rand.Rand, n, samples int) *linalg.Matrix {
	m := linalg.New(n, n)
	for range samples {
		x := make([]float64, n)
		for i := range x {
			x[i] = 1 + r.NormFloat64()
		}
		for i := range n {
			for j := range n {
				m.Data[i*n+j] += x[i] * x[j] / float64(samples)
			}
		}
	}
	return m
}

// decaying returns a symmetric matrix with random eigenvectors and eigenvalues that fall geometrically from 1 to least.
func decaying(r *rand.Rand, n int, least float64) *linalg.Matrix {
	m := linalg.New(n, n)
	for i := range n {
		m.Data[i*n+i] = math.Pow(least, float64(i)/float64(max(n-1, 1)))
	}
	for range 3 { // H·M·H for three random reflections H = I − 2vvᵀ
		v, norm := make([]float64, n), 0.0
		for i := range v {
			v[i] = r.NormFloat64()
			norm = math.Hypot(norm, v[i])
		}
		h := linalg.Identity(n)
		for i := range n {
			for j := range n {
				h.Data[i*n+j] -= 2 * v[i] * v[j] / (norm * norm)
			}
		}
		m = times(times(h, m), h)
	}
	for i := range n {
		for j := range i {
			m.Data[i*n+j] = m.Data[j*n+i]
		}
	}
	return m
}

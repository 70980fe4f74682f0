package refit

import (
	"context"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// problem is one site's regression.
type problem struct {
	backend linalg.Backend
	choice  *Choice
	kernel  decomp.Kernel // W
	base    []float64     // F, what the ridge pulls towards: W, or the fold of a narrower site
	columns []int         // that its weights may use; nil for all
	g       []*linalg.Matrix
	shift   bool       // whether the site takes a bias
	start   *remainder // on the samples held out, of the chain that there was
}

func (p *problem) candidates(short bool) []candidate {
	var out []candidate
	for _, both := range []bool{false, true} {
		if both && !short {
			break
		}
		if p.shift {
			out = append(out, candidate{ridge: math.Inf(1), short: both})
		}
		list := ridges()
		if p.choice.Narrow != nil {
			list = append(list, 10) // folds of few columns want that
		}
		for _, r := range list {
			if single := p.choice.single(); single && !math.IsInf(r, 1) || !single && p.choice.Method.Refit != nil {
				out = append(out, candidate{fit: true, ridge: r, short: both})
			}
		}
	}
	return out
}

// weight returns G of a group, nil for the identity.
func (p *problem) weight(g int) *linalg.Matrix {
	if p.g == nil {
		return nil
	}
	return p.g[g]
}

// fit solves for a candidate on the given moments, unless the context ends: at a large site that takes long.
func (p *problem) fit(ctx context.Context, f facts, c candidate) (chain decomp.Chain, err error) {
	err = linalg.Until(ctx, p.backend, func(b linalg.Backend) error {
		q := *p
		q.backend = b
		chain, err = q.solve(f, c)
		return err
	})
	return chain, err
}

// solve does the work of fit.
func (p *problem) solve(f facts, c candidate) (decomp.Chain, error) {
	t := f.target(c.short)
	var chain decomp.Chain
	switch {
	case !c.fit && p.choice.Chain != nil:
		chain = slices.Clone(p.choice.Chain)
	case !c.fit:
		chain = p.single(p.kernel.Weights)
	default:
		var err error
		if chain, err = p.regress(f, t, c); err != nil {
			return nil, err
		}
	}
	return chain, p.center(chain, f, t)
}

// center gives a chain the shift that takes the mean off the errors of a target, where the site takes one.
func (p *problem) center(chain decomp.Chain, f facts, t target) error {
	last := &chain[len(chain)-1]
	last.Shift = nil
	if !p.shift {
		return nil
	}
	d, err := p.change(chain)
	if err != nil {
		return err
	}
	last.Shift = make([]float64, 0, p.kernel.Out)
	for g := range d {
		for i := range d[g].Rows {
			last.Shift = append(last.Shift, t.e[g][i]-dot(d[g].Row(i), f.x[g]))
		}
	}
	return nil
}

// from is the problem with factors that start from those of a chain that came of it, which are near the best.
func (p *problem) from(chain decomp.Chain) *problem {
	if p.choice.single() {
		return p
	}
	choice, out := *p.choice, *p
	choice.Chain, out.choice = chain, &choice
	return &out
}

// single is the chain of one factor: the site's own kernel with these weights.
func (p *problem) single(weights []float64) decomp.Chain {
	axes := make([]bool, len(p.kernel.Window))
	for i := range axes {
		axes[i] = true
	}
	return decomp.Chain{{Part: "refit", Kernel: decomp.Kernel{Shape: p.kernel.Shape, Weights: weights}, Axes: axes}}
}

// regress solves for new weights and splits them; of a narrower site, what stays of them.
func (p *problem) regress(f facts, t target, c candidate) (decomp.Chain, error) {
	systems := p.systems(f, t)
	kernels, err := p.wanted(systems, c.ridge, system.exactly)
	if err != nil {
		return nil, err
	}
	wanted, n := kernels[0], p.choice.Narrow
	var in []*linalg.Matrix
	for _, s := range systems {
		in = append(in, s.a)
	}
	switch {
	case p.choice.single():
		return p.single(wanted.Weights), nil
	case n == nil:
		return p.choice.Method.Refit(p.backend, wanted, decomp.Metric{In: in, Out: p.g}, p.choice.Chain)
	}
	metric := decomp.Metric{In: in}
	if g := p.weight(0); g != nil {
		metric.Out = []*linalg.Matrix{g.Some(n.Out, n.Out)}
	}
	chain, err := p.choice.Method.Refit(p.backend, wanted.Some(n.In).SomeRows(n.Out), metric, p.choice.Chain.Some(n.In, n.Out))
	if err != nil {
		return nil, err
	}
	return chain.Among(p.kernel.Shape, n.In, n.Out), nil
}

// variances returns a matrix whose diagonal float32 rounding has not made negative: m itself, or a copy.
func variances(m *linalg.Matrix) *linalg.Matrix {
	out := m
	for i := range m.Rows {
		if m.At(i, i) < 0 {
			if out == m {
				out = m.Clone()
			}
			out.Set(i, i, 0)
		}
	}
	return out
}

// less returns m − a bᵀ.
func less(m *linalg.Matrix, a, b []float64) *linalg.Matrix {
	out := linalg.New(m.Rows, m.Cols)
	for i := range m.Rows {
		row, from := out.Row(i), m.Row(i)
		for j := range row {
			row[j] = from[j] - a[i]*b[j]
		}
	}
	return out
}

// change returns W' − W per group.
func (p *problem) change(c decomp.Chain) ([]*linalg.Matrix, error) {
	kernel, err := c.Compose(p.backend, p.kernel.Shape)
	if err != nil {
		return nil, err
	}
	rows, cols := p.kernel.Rows(), p.kernel.Cols()
	var out []*linalg.Matrix
	for g := range p.kernel.Groups {
		m := linalg.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = kernel.Weights[g*rows*cols+i] - p.kernel.Weights[g*rows*cols+i]
		}
		out = append(out, m)
	}
	return out, nil
}

// remainder is what a chain leaves of both targets before its shift, on some moments: with D = W' − W, E[e − Dx] of each group, and
// tr G E[(e − Dx)(e − Dx)ᵀ].
type remainder struct {
	mean   [][]float64
	square float64
}

// remainder of a chain; a nil one changes nothing.
func (p *problem) remainder(f facts, c decomp.Chain) (*remainder, error) {
	var d []*linalg.Matrix
	if c != nil {
		var err error
		if d, err = p.change(c); err != nil {
			return nil, err
		}
	}
	out := &remainder{}
	for g := range p.kernel.Groups {
		out.square += weighed(f.ee[g], p.weight(g))
		if d == nil {
			out.mean = append(out.mean, f.both.e[g])
			continue
		}
		mean := slices.Clone(f.both.e[g])
		for i := range mean {
			mean[i] -= dot(d[g].Row(i), f.x[g])
		}
		out.mean = append(out.mean, mean)
		// (E[e xᵀ] − ½ D E[x xᵀ]) Dᵀ and its transpose are what D takes away.
		half := p.backend.Mul(false, false, -0.5, d[g], f.xx[g])
		accumulate(half.Data, f.both.ex[g].Data)
		if m := p.weight(g); m == nil {
			out.square -= 2 * dot(half.Data, d[g].Data)
		} else {
			out.square -= 2 * weighed(p.backend.Mul(false, true, 1, half, d[g]), m)
		}
	}
	return out, nil
}

// left is the mean squared error tr G E[(e − Dx − s)(e − Dx − s)ᵀ] with the shift s, nil for none.
func (p *problem) left(r *remainder, shift []float64) float64 {
	total, rows := r.square, p.kernel.Rows()
	for g, mean := range r.mean {
		if shift == nil {
			break
		}
		s := shift[g*rows : (g+1)*rows]
		for i := range s {
			total += p.weighted(g, i, s) * (s[i] - 2*mean[i])
		}
	}
	return max(total, 0)
}

// weighted is row i of G times a vector.
func (p *problem) weighted(g, i int, v []float64) float64 {
	if m := p.weight(g); m != nil {
		return dot(m.Row(i), v)
	}
	return v[i]
}

// judge returns the mean squared error under G of what a chain leaves of both targets, on the given moments.
func (p *problem) judge(f facts, c decomp.Chain) (float64, error) {
	r, err := p.remainder(f, c)
	if err != nil {
		return 0, err
	}
	return p.left(r, c[len(c)-1].Shift), nil
}

// energy is tr G W Cov(x) Wᵀ, the variance of what the site computes, or its mean square where it takes no bias.
func (p *problem) energy(f facts) float64 {
	k, total := p.kernel, 0.
	for g, xx := range f.xx {
		if p.shift {
			xx = less(xx, f.x[g], f.x[g])
		}
		w := &linalg.Matrix{Rows: k.Rows(), Cols: k.Cols(), Data: k.Weights[g*k.Rows()*k.Cols() : (g+1)*k.Rows()*k.Cols()]}
		total += weighed(p.backend.Mul(false, true, 1, p.backend.Mul(false, false, 1, w, xx), w), p.weight(g))
	}
	return max(total, math.SmallestNonzeroFloat64)
}

// weighed is tr G M, or tr M for nil.
func weighed(m, g *linalg.Matrix) float64 {
	if g != nil {
		return dot(m.Data, g.Data)
	}
	trace := 0.
	for i := range m.Rows {
		trace += m.At(i, i)
	}
	return trace
}

func dot(a, b []float64) float64 {
	sum := 0.
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

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
	g       []*linalg.Matrix
	shift   bool // whether the site takes a bias
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
	t := f.own
	if c.short {
		t = f.both
	}
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
	last := &chain[len(chain)-1]
	last.Shift = nil
	if !p.shift {
		return chain, nil
	}
	d, err := p.change(chain)
	if err != nil {
		return nil, err
	}
	last.Shift = make([]float64, 0, p.kernel.Out)
	for g := range d {
		for i := range d[g].Rows {
			last.Shift = append(last.Shift, t.e[g][i]-dot(d[g].Row(i), f.x[g]))
		}
	}
	return chain, nil
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

// regress solves for new weights and splits them.
func (p *problem) regress(f facts, t target, c candidate) (decomp.Chain, error) {
	if p.choice.Narrow != nil {
		return p.regressNarrow(f, t, c)
	}
	k := p.kernel
	wanted := decomp.Kernel{Shape: k.Shape, Weights: slices.Clone(k.Weights)}
	metric := decomp.Metric{Out: p.g}
	for g, xx := range f.xx {
		a, ex := xx, t.ex[g]
		if p.shift {
			a, ex = less(xx, f.x[g], f.x[g]), less(ex, t.e[g], f.x[g])
		}
		a = variances(a)
		metric.In = append(metric.In, a)
		if math.IsInf(c.ridge, 1) || ex.MaxAbs() == 0 {
			continue
		}
		delta, err := p.delta(a, ex, c.ridge)
		if err != nil {
			return nil, err
		}
		weights := wanted.Weights[g*k.Rows()*k.Cols():]
		for o := range k.Rows() {
			for c := range k.Cols() {
				weights[o*k.Cols()+c] += delta.At(c, o)
			}
		}
	}
	if p.choice.Chain == nil || c.whole {
		return p.single(wanted.Weights), nil
	}
	return p.choice.Method.Refit(p.backend, wanted, metric, p.choice.Chain)
}

// regressNarrow solves for new weights F + Δ in the columns that are kept, F the fold: with e = z − Wx − b, which the sums
// have, F is short of e + (W−F)x, so that
//
//	Δ_S = (E[e xᵀ] + (W−F) E[x xᵀ])_S (A_SS + λI)⁻¹.
//
// What is split into factors is what stays of that.
func (p *problem) regressNarrow(f facts, t target, c candidate) (decomp.Chain, error) {
	k, n := p.kernel, p.choice.Narrow
	change := &linalg.Matrix{Rows: k.Rows(), Cols: k.Cols(), Data: slices.Clone(n.Fold.Weights)}
	for i, w := range k.Weights {
		change.Data[i] -= w
	}
	ex, xx := p.backend.Mul(false, false, -1, change, f.xx[0]), f.xx[0]
	accumulate(ex.Data, t.ex[0].Data)
	if p.shift {
		e := slices.Clone(t.e[0])
		for i := range e {
			e[i] -= dot(change.Row(i), f.x[0])
		}
		xx, ex = less(xx, f.x[0], f.x[0]), less(ex, e, f.x[0])
	}
	columns := k.Columns(0, n.In)
	a := variances(xx.Some(columns, columns))
	wanted := decomp.Kernel{Shape: k.Shape, Weights: slices.Clone(n.Fold.Weights)}
	if !math.IsInf(c.ridge, 1) {
		delta, err := p.delta(a, ex.Some(nil, columns), c.ridge)
		if err != nil {
			return nil, err
		}
		for o := range k.Rows() {
			for i, col := range columns {
				wanted.Weights[o*k.Cols()+col] += delta.At(i, o)
			}
		}
	}
	if p.choice.single() || c.whole {
		return p.single(wanted.Weights), nil
	}
	metric := decomp.Metric{In: []*linalg.Matrix{a}}
	if g := p.weight(0); g != nil {
		metric.Out = []*linalg.Matrix{g.Some(n.Out, n.Out)}
	}
	chain, err := p.choice.Method.Refit(p.backend, wanted.Some(n.In).SomeRows(n.Out), metric, p.choice.Chain.Some(n.In, n.Out))
	if err != nil {
		return nil, err
	}
	return chain.Among(k.Shape, n.In, n.Out), nil
}

// delta returns (A + λI)⁻¹ Σ_xe, [K, O], with λ the given share of A's mean diagonal.
func (p *problem) delta(a, ex *linalg.Matrix, ridge float64) (*linalg.Matrix, error) {
	trace := 0.
	for i := range a.Rows {
		trace += a.At(i, i)
	}
	if trace == 0 {
		return linalg.New(ex.Cols, ex.Rows), nil // the input is constant
	}
	lifted := a.Clone()
	for i := range a.Rows {
		lifted.Data[i*a.Cols+i] += ridge * trace / float64(a.Rows)
	}
	return p.backend.SolveSPD(lifted, ex.T())
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
	k := p.kernel
	rows, cols := k.Rows(), k.Cols()
	out := make([]*linalg.Matrix, k.Groups)
	if whole := p.twoSteps(c); whole {
		r := c[0].Kernel.Rows()
		for g := range out {
			first := &linalg.Matrix{Rows: r, Cols: cols, Data: c[0].Kernel.Weights[g*r*cols : (g+1)*r*cols]}
			last := &linalg.Matrix{Rows: rows, Cols: r, Data: c[1].Kernel.Weights[g*rows*r : (g+1)*rows*r]}
			out[g] = p.backend.Mul(false, false, 1, last, first)
		}
	} else {
		kernel, err := c.Compose(k.Shape)
		if err != nil {
			return nil, err
		}
		for g := range out {
			out[g] = &linalg.Matrix{Rows: rows, Cols: cols, Data: slices.Clone(kernel.Weights[g*rows*cols : (g+1)*rows*cols])}
		}
	}
	for g, m := range out {
		for i := range m.Data {
			m.Data[i] -= k.Weights[g*rows*cols+i]
		}
	}
	return out, nil
}

// twoSteps tells whether a chain is a product of two matrices in every group: the first step takes all taps.
func (p *problem) twoSteps(c decomp.Chain) bool {
	return len(c) == 2 && c[0].Kernel.Groups == p.kernel.Groups && c[1].Kernel.Groups == p.kernel.Groups && !slices.Contains(c[0].Axes, false)
}

// judge returns the mean squared error under G of what a chain leaves of both targets, on the given moments:
//
//	tr G E[(e − Dx − s)(e − Dx − s)ᵀ],  D = W' − W, s the shift
//
// A nil chain changes nothing.
func (p *problem) judge(f facts, c decomp.Chain) (float64, error) {
	k := p.kernel
	var d []*linalg.Matrix
	var shift []float64
	if c != nil {
		var err error
		if d, err = p.change(c); err != nil {
			return 0, err
		}
		shift = c[len(c)-1].Shift
	}
	total := 0.
	for g := range k.Groups {
		left := f.ee[g].Clone()
		if d != nil {
			// (E[e xᵀ] − ½ D E[x xᵀ]) Dᵀ and its transpose are what D takes away.
			half := p.backend.Mul(false, false, -0.5, d[g], f.xx[g])
			accumulate(half.Data, f.both.ex[g].Data)
			taken := p.backend.Mul(false, true, 1, half, d[g])
			for i := range left.Rows {
				for j := range left.Cols {
					left.Data[i*left.Cols+j] -= taken.At(i, j) + taken.At(j, i)
				}
			}
		}
		if shift != nil {
			s := shift[g*k.Rows() : (g+1)*k.Rows()]
			rest := make([]float64, k.Rows()) // E[e − Dx] − ½ s
			for i := range rest {
				rest[i] = f.both.e[g][i] - s[i]/2
				if d != nil {
					rest[i] -= dot(d[g].Row(i), f.x[g])
				}
			}
			for i := range left.Rows {
				for j := range left.Cols {
					left.Data[i*left.Cols+j] -= rest[i]*s[j] + s[i]*rest[j]
				}
			}
		}
		total += weighed(left, p.weight(g))
	}
	return max(total, 0), nil
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

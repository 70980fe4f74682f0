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
	metric  decomp.Metric // of the outputs that a chain has: G, or what a narrower site has of it
	shift   bool          // whether the site takes a bias
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
	w, err := p.product(chain)
	if err != nil {
		return err
	}
	last.Shift = make([]float64, 0, p.kernel.Out)
	for g, plain := range groupsOf(p.kernel) {
		now, before := w.times(g, f.x[g]), multiplied(plain, f.x[g])
		for i, e := range t.e[g] {
			last.Shift = append(last.Shift, e-(now[i]-before[i]))
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
	metric := p.metric
	metric.In = in
	switch {
	case p.choice.single():
		return p.single(wanted.Weights), nil
	case n == nil:
		return p.choice.Method.Refit(p.backend, wanted, metric, p.choice.Chain)
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

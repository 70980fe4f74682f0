package refit

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// wanted solves for the weights W_ls = F + Δ of each target under one ridge, in the columns that they may use: with e = z − Wx − b, which
// the sums have, F is short of e + (W−F)x, so that
//
//	Δ = (E[e xᵀ] + (W−F) E[x xᵀ]) (A + λI)⁻¹.
//
// solve is one of a system's ways.
func (p *problem) wanted(systems []system, ridge float64, solve func(system, linalg.Backend, float64) (*linalg.Matrix, error)) ([]decomp.Kernel, error) {
	rows, cols := p.kernel.Rows(), p.kernel.Cols()
	var kernels []decomp.Kernel
	for g, s := range systems {
		for len(kernels) < s.ex.Rows/rows {
			kernels = append(kernels, decomp.Kernel{Shape: p.kernel.Shape, Weights: slices.Clone(p.base)})
		}
		if math.IsInf(ridge, 1) || s.ex.MaxAbs() == 0 {
			continue
		}
		delta, err := solve(s, p.backend, ridge)
		if err != nil {
			return nil, err
		}
		for t := range kernels {
			weights := kernels[t].Weights[g*rows*cols:]
			for i := range delta.Rows {
				col := i
				if p.columns != nil {
					col = p.columns[i]
				}
				for o, v := range delta.Row(i)[t*rows : (t+1)*rows] {
					weights[o*cols+col] += v
				}
			}
		}
	}
	return kernels, nil
}

// system is what one group's Δ is solved from: the moments A of the columns that it may use, and what F is short of against these, the
// rows of all targets below each other.
type system struct{ a, ex *linalg.Matrix }

func (p *problem) systems(f facts, targets ...target) []system {
	var out []system
	for g := range f.xx {
		out = append(out, p.system(f, g, targets))
	}
	return out
}

func (p *problem) system(f facts, g int, targets []target) system {
	rows, cols := p.kernel.Rows(), p.kernel.Cols()
	var change, moved *linalg.Matrix // F − W, and its product with E[x xᵀ]
	if p.columns != nil {
		change = &linalg.Matrix{Rows: rows, Cols: cols, Data: slices.Clone(p.base[g*rows*cols : (g+1)*rows*cols])}
		for i, w := range p.kernel.Weights[g*rows*cols : (g+1)*rows*cols] {
			change.Data[i] -= w
		}
		moved = p.backend.Mul(false, false, -1, change, f.xx[g])
	}
	ex := &linalg.Matrix{Cols: cols}
	for _, t := range targets {
		one, e := t.ex[g], t.e[g]
		if change != nil {
			one, e = one.Clone(), slices.Clone(e)
			accumulate(one.Data, moved.Data)
			for i := range e {
				e[i] -= dot(change.Row(i), f.x[g])
			}
		}
		if p.shift {
			one = less(one, e, f.x[g])
		}
		ex.Data, ex.Rows = append(ex.Data, one.Data...), ex.Rows+one.Rows
	}
	a := f.xx[g]
	if p.shift {
		a = less(a, f.x[g], f.x[g])
	}
	if p.columns != nil {
		a, ex = a.Some(p.columns, p.columns), ex.Some(nil, p.columns)
	}
	return system{variances(a), ex}
}

// ofDiagonal is a share of a matrix's mean diagonal.
func ofDiagonal(m *linalg.Matrix, share float64) float64 {
	trace := 0.
	for i := range m.Rows {
		trace += m.At(i, i)
	}
	return share * trace / float64(m.Rows)
}

// lifted returns a matrix with more on its diagonal.
func lifted(m *linalg.Matrix, by float64) *linalg.Matrix {
	out := m.Clone()
	for i := range out.Rows {
		out.Data[i*out.Cols+i] += by
	}
	return out
}

// exactly returns Δᵀ = (A + λI)⁻¹ Σ_xe, [K, O].
func (s system) exactly(backend linalg.Backend, ridge float64) (*linalg.Matrix, error) {
	lift := ofDiagonal(s.a, ridge)
	if lift == 0 {
		return linalg.New(s.ex.Cols, s.ex.Rows), nil // the input is constant
	}
	return backend.SolveSPD(lifted(s.a, lift), s.ex.T())
}

// roughly is exactly in float32, which takes half the time and a quarter of the memory. What it rounds is as if A were a little
// another one, by far less than the steps between ridges; where that leaves A without a root, it is exactly after all.
func (s system) roughly(backend linalg.Backend, ridge float64) (*linalg.Matrix, error) {
	lift := ofDiagonal(s.a, ridge)
	if lift == 0 {
		return s.exactly(backend, ridge)
	}
	// Numbers of float32 that neither overflow nor vanish: A with λ as its unit, and Σ by its largest number.
	most := s.ex.MaxAbs()
	left, right := linalg.NewBlock32(s.a.Rows, s.a.Cols), linalg.NewBlock32(s.ex.Cols, s.ex.Rows)
	for i := range s.a.Rows {
		for j, v := range s.a.Row(i) {
			left.Data[i*left.Stride+j] = float32(v / lift)
		}
		left.Data[i*left.Stride+i] = float32(s.a.At(i, i)/lift + 1)
	}
	for o := range s.ex.Rows {
		for i, v := range s.ex.Row(o) {
			right.Data[i*right.Stride+o] = float32(v / most)
		}
	}
	if backend.SolveSPD32(left, right) != nil {
		return s.exactly(backend, ridge)
	}
	out := linalg.New(right.Rows, right.Cols)
	for i := range out.Rows {
		for o := range out.Cols {
			out.Set(i, o, float64(right.Data[i*right.Stride+o])*most/lift)
		}
	}
	if out.Check() != nil {
		return s.exactly(backend, ridge)
	}
	return out, nil
}

// shortlist leaves out what is not worth solving for exactly, nor factoring. Factors take most of the time, and what they lose of W_ls
// depends little on the ridge; so the ridges and targets are held against each other by W_ls as it is, about, and the best
// stays, beside those that keep the weights and have its target.
func (w *walk) shortlist(ctx context.Context, st *stop, p *problem, fit, held facts, list []candidate) ([]candidate, error) {
	var out, ridged []candidate
	for _, c := range list {
		if c.fit && !math.IsInf(c.ridge, 1) {
			ridged = append(ridged, c)
		} else {
			out = append(out, c)
		}
	}
	if len(ridged) <= 1 {
		return list, nil
	}
	left, err := w.compare(ctx, st, p, fit, held, ridged)
	if err != nil {
		return nil, err
	}
	return leading(out, ridged, left), nil
}

// leading adds to the candidates that keep the weights the best of those with a ridge, by what each leaves of the errors. Only its
// target is looked at where factors are made.
func leading(others, ridged []candidate, left []float64) []candidate {
	best := 0
	for i, v := range left {
		if v < left[best] {
			best = i
		}
	}
	c := ridged[best]
	others = slices.DeleteFunc(others, func(o candidate) bool { return o.fit && o.short != c.short })
	return append(others, c)
}

// compare returns about what W_ls of each candidate leaves of the errors on the samples held out, +Inf where it cannot be solved for.
// One system per ridge answers for all targets.
func (w *walk) compare(ctx context.Context, st *stop, p *problem, fit, held facts, ridged []candidate) ([]float64, error) {
	p, fit, held = p.sketch(fit, held)
	both := slices.ContainsFunc(ridged, func(c candidate) bool { return c.short })
	targets := []target{fit.own}
	if both {
		targets = append(targets, fit.both)
	}
	systems := p.systems(fit, targets...)
	left := make([]float64, len(ridged))
	var xx []rough
	for g, m := range held.xx {
		xx = append(xx, roughly(less(m, held.x[g], held.x[g])))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.solvers(st))
	for i, c := range ridged {
		if slices.IndexFunc(ridged, func(o candidate) bool { return o.ridge == c.ridge }) < i {
			continue
		}
		group.Go(func() error {
			return linalg.Until(ctx, p.backend, func(b linalg.Backend) error {
				q := *p
				q.backend = b
				lefts, err := q.compare(fit, held, xx, systems, targets, c.ridge)
				for i, o := range ridged {
					switch {
					case o.ridge != c.ridge:
					case o.short:
						left[i] = lefts[1]
					default:
						left[i] = lefts[0]
					}
				}
				return err
			})
		})
	}
	return left, group.Wait()
}

// compare returns what is left of the errors by W_ls of each target. The covariances xx
// of the inputs held out are in float32, as W_ls is.
func (p *problem) compare(fit, held facts, xx []rough, systems []system, targets []target, ridge float64) ([]float64, error) {
	left := slices.Repeat([]float64{math.Inf(1)}, len(targets))
	kernels, err := p.wanted(systems, ridge, system.roughly)
	if unsolvable(err) {
		return left, nil // the ridge may be too small for rounding
	}
	plain := groupsOf(p.kernel)
	for i, kernel := range kernels {
		left[i] = 0
		for g, change := range groupsOf(kernel) {
			for at, w := range plain[g].Data {
				change.Data[at] -= w
			}
			left[i] += p.leftBy(change, fit, held, xx[g], targets[i], g)
		}
		left[i] = max(left[i], 0)
	}
	return left, err
}

// leftBy is what is left of a group's errors by a change D of its weights, tr G E[(e − Dx − s)(e − Dx − s)ᵀ] with the shift s that takes
// the mean off those of a target.
func (p *problem) leftBy(change *linalg.Matrix, fit, held facts, xx rough, t target, g int) float64 {
	mean := multiplied(change, held.x[g])
	crossed, felt := less(held.both.ex[g], held.both.e[g], held.x[g]), change
	moved := xx.times(p.backend, change)
	for i, v := range moved.Data {
		crossed.Data[i] = v - 2*crossed.Data[i]
	}
	if m := p.weight(g); m != nil {
		felt = p.backend.Mul(false, false, 1, m, change)
	}
	total := weighed(held.ee[g], p.weight(g)) - p.norm(g, held.both.e[g]) + dot(crossed.Data, felt.Data)
	for i, e := range held.both.e[g] {
		mean[i] = e - mean[i]
	}
	if p.shift {
		for i, v := range multiplied(change, fit.x[g]) {
			mean[i] -= t.e[g][i] - v
		}
	}
	return total + p.norm(g, mean)
}

// rough is a matrix in float32, as shares of its largest number.
type rough struct {
	shares linalg.Block32
	unit   float64
}

func roughly(m *linalg.Matrix) rough {
	out := rough{linalg.NewBlock32(m.Rows, m.Cols), m.MaxAbs()}
	if out.unit > 0 {
		for i, v := range m.Data {
			out.shares.Data[i] = float32(v / out.unit)
		}
	}
	return out
}

// times is a product of m and the matrix.
func (r rough) times(b linalg.Backend, m *linalg.Matrix) *linalg.Matrix {
	by := roughly(m)
	product := linalg.NewBlock32(m.Rows, r.shares.Cols)
	b.GemmAdd32(false, false, by.shares, r.shares, product)
	out := linalg.New(product.Rows, product.Cols)
	for i, v := range product.Data {
		out.Data[i] = float64(v) * by.unit * r.unit
	}
	return out
}

// sketched is how many random combinations of a group's outputs tell one ridge from another.
const sketched = 64

// sketch is the same problem of few outputs: P z of the outputs z, with P random and E[PᵀP] = G. What a solution leaves of errors under G
// is on average what it leaves of them, and all solutions are seen by the same P. Nothing is gained, and the problem stays, where a
// group has few outputs, or far more than inputs, or where G has no root.
func (p *problem) sketch(fit, held facts) (*problem, facts, facts) {
	k := p.kernel
	if k.Rows() <= 2*sketched || k.Rows() > 3*len(ridges())*k.Cols() && p.g != nil {
		return p, fit, held
	}
	r := rand.New(rand.NewPCG(uint64(k.Rows()), uint64(k.Cols())))
	var by []*linalg.Matrix
	for g := range k.Groups {
		m := linalg.New(sketched, k.Rows())
		for i := range m.Data {
			m.Data[i] = float64(2*r.IntN(2)-1) / math.Sqrt(sketched)
		}
		if weight := p.weight(g); weight != nil {
			// Gradients of few samples leave G singular.
			root, err := p.backend.Cholesky(lifted(weight, ofDiagonal(weight, 1e-9)))
			if err != nil {
				return p, fit, held
			}
			m = p.backend.Mul(false, false, 1, m, root)
		}
		by = append(by, m)
	}
	q := *p
	q.kernel.Out, q.g = k.Groups*sketched, nil
	q.kernel.Weights = p.combined(by, k.Weights)
	q.base = p.combined(by, p.base)
	return &q, p.sketchFacts(by, fit), p.sketchFacts(by, held)
}

// combined are those combinations of the rows of weights, group by group.
func (p *problem) combined(by []*linalg.Matrix, weights []float64) []float64 {
	rows, cols := p.kernel.Rows(), p.kernel.Cols()
	var out []float64
	for g, m := range by {
		w := &linalg.Matrix{Rows: rows, Cols: cols, Data: weights[g*rows*cols : (g+1)*rows*cols]}
		out = append(out, p.backend.Mul(false, false, 1, m, w).Data...)
	}
	return out
}

func (p *problem) sketchFacts(by []*linalg.Matrix, f facts) facts {
	targets := func(t target) target {
		var out target
		for g, m := range by {
			e := &linalg.Matrix{Rows: len(t.e[g]), Cols: 1, Data: t.e[g]}
			out.ex = append(out.ex, p.backend.Mul(false, false, 1, m, t.ex[g]))
			out.e = append(out.e, p.backend.Mul(false, false, 1, m, e).Data)
		}
		return out
	}
	out := f
	out.own, out.both, out.ee = targets(f.own), targets(f.both), nil
	for g := range f.ee {
		m := by[g]
		out.ee = append(out.ee, p.backend.Mul(false, true, 1, p.backend.Mul(false, false, 1, m, f.ee[g]), m))
	}
	return out
}

package refit

import "github.com/onnx-compress/onnx-compress/linalg"

// facts are the mean moments of one part of the samples, per group: of inputs x, and of errors e.
type facts struct {
	n    int64            // positions
	xx   []*linalg.Matrix // E[x xᵀ], [K, K]
	x    [][]float64      // E[x]
	own  target           // what makes up for the site's own error
	both target           // and for the shortcut's; own where there is none
	ee   []*linalg.Matrix // E[e eᵀ] of both, [O, O]; nil but for the samples held out, which judge
}

// target has E[e xᵀ], [O, K], and E[e].
type target struct {
	ex []*linalg.Matrix
	e  [][]float64
}

// target is what makes up for the site's own error, or, short, for the shortcut's too.
func (f facts) target(short bool) target {
	if short {
		return f.both
	}
	return f.own
}

// inputFacts are those of the facts that are about inputs alone.
type inputFacts struct {
	n  int64
	xx []*linalg.Matrix
	x  [][]float64
}

// means turns the sums of one part into mean moments.
func (s *sums) means(part int) facts {
	in, p := s.inputs, s.parts[part]
	if in.done[part] == nil {
		done := inputFacts{n: in.parts[part].Positions()}
		done.xx, done.x = in.parts[part].Means()
		in.done[part] = &done
	}
	f := facts{n: in.done[part].n, xx: in.done[part].xx, x: in.done[part].x}
	f.own.ex, f.own.e = p.own.Means(f.n)
	f.both = f.own
	if s.short {
		f.both.ex, f.both.e = p.both.Means(f.n)
	}
	if part == 1 {
		f.ee, _ = s.ee.Means()
	}
	return f
}

// merge returns the moments of both parts together, but for those that judge. Unless a is to be kept, the largest of its numbers become theirs.
func merge(a, b facts, keep bool) facts {
	share := float64(b.n) / float64(max(a.n+b.n, 1))
	matrices := func(x, y []*linalg.Matrix) []*linalg.Matrix {
		out := make([]*linalg.Matrix, len(x))
		for g := range x {
			out[g] = &linalg.Matrix{Rows: x[g].Rows, Cols: x[g].Cols, Data: blend(x[g].Data, y[g].Data, share)}
		}
		return out
	}
	vectors := func(x, y [][]float64) [][]float64 {
		out := make([][]float64, len(x))
		for g := range x {
			out[g] = blend(x[g], y[g], share)
		}
		return out
	}
	targets := func(x, y target) target { return target{matrices(x.ex, y.ex), vectors(x.e, y.e)} }
	out := facts{
		n: a.n + b.n, xx: a.xx, x: vectors(a.x, b.x), own: targets(a.own, b.own), both: targets(a.both, b.both),
	}
	if keep {
		out.xx = matrices(a.xx, b.xx)
		return out
	}
	for g, m := range a.xx {
		blendInto(m.Data, m.Data, b.xx[g].Data, share)
	}
	return out
}

func blend(a, b []float64, share float64) []float64 {
	out := make([]float64, len(a))
	blendInto(out, a, b, share)
	return out
}

// blendInto is blend into numbers that may be those of a.
func blendInto(to, a, b []float64, share float64) {
	for i := range a {
		to[i] = a[i] + share*(b[i]-a[i])
	}
}

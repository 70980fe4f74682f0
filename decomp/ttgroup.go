package decomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// ttGroup is one group's kernel under its metric, with what the trains of several ranks have in common.
type ttGroup struct {
	*modeGroup
	limits Rank
	inputs *linalg.Matrix // orthonormal basis of the input mode, leading first [r, C]
	seen   *linalg.Matrix // the tensor [C, taps·O] in that basis
	second map[int]*linalg.Matrix
	known  map[string]found[train]
}

func newTTGroup(m *modeGroup, limits Rank) *ttGroup {
	return &ttGroup{modeGroup: m, limits: limits, second: map[int]*linalg.Matrix{}, known: map[string]found[train]{}}
}

// at returns the train of a rank, found when it is first asked for.
func (t *ttGroup) at(r Rank) (found[train], error) {
	return known(t.known, fmt.Sprint(r), func() (f found[train], err error) {
		if slices.Equal(r, t.limits) {
			return found[train]{factors: t.exact().even()}, nil
		}
		x, err := t.start(r)
		if err == nil {
			x, err = t.improved(x)
		}
		if err != nil {
			return f, err
		}
		return t.measured(x), nil
	})
}

// measured takes a train out of the whitened coordinates and measures its loss.
func (t *ttGroup) measured(x train) found[train] {
	out := t.rotated(x, func(w whitening) *linalg.Matrix { return w.inverse }).even()
	return found[train]{factors: out, loss: t.lossOf(out.last, out.columns(t.space.b))}
}

// rotated multiplies every mode of a train by a matrix of its whitening.
func (t *ttGroup) rotated(x train, by func(whitening) *linalg.Matrix) train {
	b, sides := t.space.b, t.space.sides
	out := train{first: rotated(b, x.first, by(sides[1])), last: rotated(b, x.last, by(sides[0])), taps: x.taps}
	for i, m := range x.window {
		side := by(sides[2+i])
		if side == nil {
			out.window = append(out.window, m)
			continue
		}
		k := x.taps[i]
		wide := &linalg.Matrix{Rows: m.Rows / k, Cols: k * m.Cols, Data: m.Data}
		wide = mode{before: 1, length: k, after: m.Cols}.times(b, wide, side)
		out.window = append(out.window, &linalg.Matrix{Rows: m.Rows, Cols: m.Cols, Data: wide.Data})
	}
	return out
}

// start returns the train of successive singular value decompositions from the inputs on, in whitened coordinates.
func (t *ttGroup) start(r Rank) (train, error) {
	b := t.space.b
	if t.inputs == nil {
		turned := t.space.target.T()
		turned = &linalg.Matrix{Rows: t.space.in, Cols: len(turned.Data) / t.space.in, Data: turned.Data}
		basis, err := leadingBasis(b, turned)
		if err != nil {
			return train{}, err
		}
		t.inputs, t.seen = basis, b.Mul(false, false, 1, basis, turned)
	}
	out := train{first: t.inputs.RowRange(0, r[0]), taps: t.space.window}
	rest := t.seen.RowRange(0, r[0])
	for i, k := range out.taps {
		rest = &linalg.Matrix{Rows: r[i] * k, Cols: len(rest.Data) / (r[i] * k), Data: rest.Data}
		basis, known := t.second[r[0]]
		if i > 0 || !known {
			var err error
			if basis, err = leadingBasis(b, rest); err != nil {
				return train{}, err
			}
		}
		if i == 0 {
			t.second[r[0]] = basis
		}
		basis = filled(basis, r[i+1])
		rest = b.Mul(false, false, 1, basis, rest)
		core := swapped(basis, r[i+1], r[i], k)
		out.window = append(out.window, &linalg.Matrix{Rows: r[i+1] * k, Cols: r[i], Data: core.Data})
	}
	out.last = rest
	return out, nil
}

// leadingBasis returns the left singular vectors of m in rows, leading first, from the smaller of its two Gram
// matrices; fewer than m has rows where the others see nothing.
func leadingBasis(b linalg.Backend, m *linalg.Matrix) (*linalg.Matrix, error) {
	wide := m.Rows <= m.Cols
	values, v, err := b.SymEig(b.Mul(!wide, wide, 1, m, m))
	if err != nil {
		return nil, err
	}
	reverseColumns(v)
	slices.Reverse(values)
	if wide {
		return v.T(), nil
	}
	basis := b.Mul(true, true, 1, v, m)
	n := 0
	for i, value := range values {
		if !(value > 1e-13*values[0]) { // below that, rounding has turned the vector
			break
		}
		scaleBy(basis.Row(i), 1/math.Sqrt(squaredNorm(basis.Row(i))))
		n++
	}
	return basis.RowRange(0, n), nil
}

// filled returns the first n rows of m, rows of zeros where it has fewer.
func filled(m *linalg.Matrix, n int) *linalg.Matrix {
	if n <= m.Rows {
		return m.RowRange(0, n)
	}
	out := linalg.New(n, m.Cols)
	copy(out.Data, m.Data)
	return out
}

// Effort at one rank: evaluations of the descent as there is work for, in multiply-accumulates.
const (
	ttWork      = 4e9
	ttPlainWork = 3e8 // without a metric, where successive decompositions are nearly the best
	ttMostFits  = 7
)

// improved lowers the loss of a train in whitened coordinates under the metric: with the last factor always the best
// for the others, all others descend together. It returns x with a better last factor where nothing else helps.
func (t *ttGroup) improved(x train) (train, error) {
	s := t.space
	r, k, o := float64(x.last.Rows), float64(t.w.Cols), float64(t.w.Rows)
	work, each, least := ttPlainWork, 2*r*k*(r+o), 0
	if s.metric != nil {
		work, each, least = ttWork, each+r*k*k, leastFits
	}
	finish := func(x train) (train, error) {
		v, err := s.bestLast(x.columns(s.b), math.Inf(1))
		x.last = v.out
		return x, err
	}
	evaluations := rounds(work, each, least, ttMostFits)
	if evaluations < 2 {
		return finish(x)
	}
	wanted := s.seen(s.target)
	energy := dot(wanted.Data, s.target.Data)
	at, _, err := descend(flat(x.head()), effort{evaluations: evaluations, gain: 1e-4}, func(numbers []float64) (float64, []float64, error) {
		y := x.withHead(numbers)
		grown := y.grown(s.b)
		v, err := s.bestLast(grown[len(grown)-1], math.Inf(1))
		if err != nil {
			return 0, nil, err
		}
		return energy - dot(v.out.Data, v.right.Data), flat(y.ontoFactors(s.b, grown, s.slope(v, wanted)).head()), nil
	})
	if unanswered(err) {
		return finish(x)
	}
	if err != nil {
		return x, err
	}
	return finish(x.withHead(at))
}

// exact writes the kernel as a train of the largest ranks: up to the bond where what lies behind becomes smaller than
// what lies before, the factors only sort; there the kernel itself stands, and behind it they sort again.
func (t *ttGroup) exact() train {
	taps := t.space.window
	lengths := append([]int{t.space.in}, taps...)
	turned := t.w.T() // [C·taps, O]
	rows, cols := t.space.in, len(turned.Data)/t.space.in
	placed := false
	factors := make([]*linalg.Matrix, len(lengths))
	for i, n := range lengths {
		if i > 0 {
			rows, cols = rows*n, cols/n
			if placed {
				rows = t.limits[i-1] * n
			}
		}
		switch {
		case placed || rows <= cols:
			factors[i] = linalg.Identity(rows) // [r', (r, k)]; behind the kernel (r', k) is the channel before
			if placed {
				factors[i] = nil
			}
		default:
			factors[i], placed = (&linalg.Matrix{Rows: rows, Cols: cols, Data: turned.Data}).T(), true
		}
	}
	return t.assembled(factors, lengths, turned, placed)
}

func (t *ttGroup) assembled(factors []*linalg.Matrix, lengths []int, turned *linalg.Matrix, placed bool) train {
	out := train{taps: t.space.window}
	for i, m := range factors {
		after := t.limits[i]
		if i == 0 {
			out.first = m
			continue
		}
		k, before := lengths[i], t.limits[i-1]
		core := linalg.New(after*k, before)
		if m == nil { // channel (tap, r') before becomes r' behind, at its tap
			for c := range after {
				for tap := range k {
					core.Set(c*k+tap, tap*after+c, 1)
				}
			}
		} else {
			core.Data = swapped(m, after, before, k).Data
		}
		out.window = append(out.window, core)
	}
	if placed {
		out.last = linalg.Identity(t.w.Rows)
	} else {
		out.last = &linalg.Matrix{Rows: t.w.Cols, Cols: t.w.Rows, Data: turned.Data}
	}
	return out
}

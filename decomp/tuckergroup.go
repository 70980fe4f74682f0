package decomp

import (
	"github.com/onnx-compress/onnx-compress/linalg"
)

// tuckerGroup is one group's kernel, from which factors of any pair of ranks can be made.
type tuckerGroup struct {
	*split
	size   tuckerSize
	coords coordinates
	output whitening      // of G, lifted
	start  *linalg.Matrix // [C or less, C]: the first r1 rows are the leading subspace of the input mode
	plain  *orthogonal    // where A is the identity
	rungs  []int          // the coarse numbers of r2
	solved map[[2]int]tuckerFit
}

// tuckerFit is W' = out · core · (head ⊗ I).
type tuckerFit struct {
	head *linalg.Matrix // P [r1, C]
	core *linalg.Matrix // Z [r2, r1·taps]; nil, with out, to be solved for when they are asked for
	out  *linalg.Matrix // U [O, r2]
	loss float64        // in the units of the split
}

func newTuckerGroup(s *split, size tuckerSize) (*tuckerGroup, error) {
	g := &tuckerGroup{split: s, size: size, rungs: size.side(1, 1), solved: map[[2]int]tuckerFit{}}
	var err error
	if g.output, err = whiten(s.b, s.out, liftOut); err != nil {
		return nil, err
	}
	if s.in == nil {
		if g.plain, err = newOrthogonal(s, g.output.root); err != nil {
			return nil, err
		}
		g.start = g.plain.leading.RowRange(0, size.most[0])
		return g, nil
	}
	if g.coords, err = s.coordinates(); err != nil {
		return nil, err
	}
	g.start, _, err = g.coords.leading(s)
	return g, err
}

// solve returns the factors of a pair of ranks.
func (g *tuckerGroup) solve(r1, r2 int) (tuckerFit, error) {
	return known(g.solved, [2]int{r1, r2}, func() (tuckerFit, error) { return g.fit(r1, r2) })
}

// fit finds the factors of a pair. The head starts from that of the next larger r2 of the coarse ladder, of which it is
// a restriction.
func (g *tuckerGroup) fit(r1, r2 int) (tuckerFit, error) {
	switch {
	case [2]int{r1, r2} == g.size.most:
		return g.exact(), nil
	case g.in == nil:
		return g.iterated(r1, r2)
	case g.ladderEffort(r1).evaluations < 2:
		return g.unmoved(r1, r2)
	}
	for _, larger := range g.rungs {
		if larger > r2 && g.size.worth(r1, larger) && [2]int{r1, larger} != g.size.most {
			f, err := g.solve(r1, larger)
			if err != nil {
				return tuckerFit{}, err
			}
			return g.improve(f.head, r2, g.ladderEffort(r1))
		}
	}
	return g.improve(g.start.RowRange(0, r1), r2, g.ladderEffort(r1))
}

// unmoved returns the factors of a pair with the head that it starts from. The pairs of the coarse ladder with the same
// head are solved together.
func (g *tuckerGroup) unmoved(r1, r2 int) (tuckerFit, error) {
	v, left, vectors, err := g.open(g.start.RowRange(0, r1))
	if err != nil {
		return tuckerFit{}, err
	}
	for _, rung := range g.rungs {
		at := [2]int{r1, rung}
		if _, ok := g.solved[at]; ok || rung == r2 || !g.size.worth(r1, rung) || at == g.size.most {
			continue
		}
		if g.solved[at], err = g.finish(g.cut(v, left, vectors, rung)); err != nil {
			return tuckerFit{}, err
		}
	}
	return g.finish(g.cut(v, left, vectors, r2))
}

// iterated returns the factors of a pair where A is the identity.
func (g *tuckerGroup) iterated(r1, r2 int) (tuckerFit, error) {
	head, loss, err := g.plain.iterate(r1, r2)
	if err != nil {
		return tuckerFit{}, err
	}
	if g.out == nil && loss > cancels*g.energy {
		return tuckerFit{head: head, loss: loss}, nil
	}
	return g.improve(head, r2, effort{})
}

// exact returns the factors of the full pair, two of which only sort.
func (g *tuckerGroup) exact() tuckerFit {
	switch {
	case g.width > g.rows*g.taps:
		return tuckerFit{head: byTap(g.w, g.taps), core: fromTaps(linalg.Identity(g.rows*g.taps), g.taps), out: linalg.Identity(g.rows)}
	case g.rows > g.width*g.taps:
		return tuckerFit{head: linalg.Identity(g.width), core: linalg.Identity(g.width * g.taps), out: g.w}
	}
	return tuckerFit{head: linalg.Identity(g.width), core: g.w, out: linalg.Identity(g.rows)}
}

// open returns what is seen through a head, with the best tail L of any rank and the eigenvectors of
// Q (W A Mᵀ B⁻¹ M A Wᵀ) Q, Q = G^½.
func (g *tuckerGroup) open(head *linalg.Matrix) (v *seen, best, vectors *linalg.Matrix, err error) {
	v = g.through(head)
	if best, err = g.bestTail(v); err != nil {
		return nil, nil, nil, err
	}
	left, right := times(g.b, g.output.root, best), times(g.b, g.output.root, v.wam)
	_, vectors, err = symmetricEig(g.b, g.b.Mul(false, true, 1, left, right))
	return v, left, vectors, err
}

// cut returns the best tail of rank r2 for a head: Q⁻¹ U · Uᵀ Q L, with U the leading eigenvectors that open found.
func (g *tuckerGroup) cut(v *seen, left, vectors *linalg.Matrix, r2 int) *trial {
	u := leadingRows(vectors, r2)
	f := &trial{seen: v, core: g.b.Mul(false, false, 1, u, left)}
	f.tail = g.b.Mul(false, false, 1, g.mapOut(u), f.core)
	f.loss = g.lossAt(f)
	return f
}

func (g *tuckerGroup) try(head *linalg.Matrix, r2 int) (*trial, error) {
	v, left, vectors, err := g.open(head)
	if err != nil {
		return nil, err
	}
	return g.cut(v, left, vectors, r2), nil
}

// mapOut returns Q⁻¹U for Uᵀ.
func (g *tuckerGroup) mapOut(u *linalg.Matrix) *linalg.Matrix {
	if g.output.inverse == nil {
		return u.T()
	}
	return g.b.Mul(false, true, 1, g.output.inverse, u)
}

// leadingRows returns the last n columns of m as rows, the last first.
func leadingRows(m *linalg.Matrix, n int) *linalg.Matrix {
	out := linalg.New(n, m.Rows)
	for i := range n {
		row := out.Row(i)
		for j := range row {
			row[j] = m.At(j, m.Cols-1-i)
		}
	}
	return out
}

// improve lowers the loss from a head, and returns the factors.
func (g *tuckerGroup) improve(head *linalg.Matrix, r2 int, limit effort) (tuckerFit, error) {
	f, err := g.try(head, r2)
	if err != nil {
		return tuckerFit{}, err
	}
	if limit.evaluations > 1 && f.loss > negligible*g.energy && head.Rows < g.width {
		f, err = g.coords.descend(g.split, f, limit, func(head *linalg.Matrix) (*trial, error) {
			return g.try(head, r2)
		})
		if err != nil {
			return tuckerFit{}, err
		}
	}
	return g.finish(f)
}

// Limits of the descent of one pair of a ladder, whose start has been improved for another.
const (
	tuckerLadderRounds = 6
	tuckerLadderBudget = 1e9
	tuckerLadderGain   = 5e-3
)

func (g *tuckerGroup) ladderEffort(r1 int) effort {
	if r1 == g.width {
		return effort{}
	}
	return g.effort(r1, tuckerLadderRounds, tuckerLadderBudget, tuckerLadderGain)
}

// finish solves for the last factor, and keeps what cannot be found again from the head.
func (g *tuckerGroup) finish(f *trial) (tuckerFit, error) {
	out, err := g.last(f)
	if err != nil {
		return tuckerFit{}, err
	}
	f.tail = g.b.Mul(false, false, 1, out, f.core)
	return tuckerFit{head: f.head, loss: g.lossFor(f)}, nil
}

// last returns the best last factor for a head and a core.
func (g *tuckerGroup) last(f *trial) (*linalg.Matrix, error) {
	gram, rest := g.b.Mul(false, true, 1, g.timesGram(f.core, f.seen), f.core), g.b.Mul(false, true, 1, f.core, f.wam)
	out := linalg.New(f.core.Rows, g.rows)
	for range 2 { // the second time for what the ridge left out
		more, err := solveRidged(g.b, gram, rest)
		if err != nil {
			return nil, err
		}
		add(out, more)
		subtract(rest, g.b.Mul(false, false, 1, gram, more))
	}
	return out.T(), nil
}

// whole returns factors with those that were left to be solved for.
func (g *tuckerGroup) whole(f tuckerFit, r2 int) (tuckerFit, error) {
	if f.core != nil {
		return f, nil
	}
	if g.in == nil && g.out == nil {
		var err error
		f.core, f.out, err = g.plain.tail(f.head, r2)
		return f, err
	}
	t, err := g.try(f.head, r2)
	if err != nil {
		return f, err
	}
	f.core = t.core
	f.out, err = g.last(t)
	return f, err
}

// resolve returns the best of what comes of a given head, of the group's own start, and of a given head and core.
func (g *tuckerGroup) resolve(head, core *linalg.Matrix) (tuckerFit, error) {
	r1, r2 := head.Rows, core.Rows
	if [2]int{r1, r2} == g.size.most {
		return g.exact(), nil
	}
	var limit effort
	if g.in != nil {
		limit = g.refitEffort(r1)
	}
	given := &trial{seen: g.through(head), core: core}
	best, err := g.finish(given)
	if err != nil {
		return tuckerFit{}, err
	}
	best.core = core
	if best.out, err = g.last(given); err != nil {
		return tuckerFit{}, err
	}
	own, err := g.fit(r1, r2)
	if err != nil {
		return tuckerFit{}, err
	}
	moved, err := g.improve(head, r2, limit)
	if err != nil {
		return tuckerFit{}, err
	}
	for _, f := range []tuckerFit{own, moved} {
		if f.loss < best.loss {
			best = f
		}
	}
	return g.whole(best, r2)
}

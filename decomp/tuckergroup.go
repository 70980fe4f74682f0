package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
)

// tuckerGroup is one group's kernel, from which factors of any pair of ranks can be made.
type tuckerGroup struct {
	*split
	size   tuckerSize
	coords coordinates
	output whitening      // of G, lifted
	start  *linalg.Matrix // [C or less, C]: the first r1 rows are the leading subspace of the input mode
	rungs  []int          // the coarse numbers of r2
	solved map[[2]int]tuckerFit
}

// tuckerFit is W' = out · core · (head ⊗ I).
type tuckerFit struct {
	head *linalg.Matrix // P [r1, C]
	core *linalg.Matrix // Z [r2, r1·taps]
	out  *linalg.Matrix // U [O, r2]
	loss float64        // in the units of the split
}

func newTuckerGroup(s *split, size tuckerSize) (*tuckerGroup, error) {
	c, err := s.coordinates()
	if err != nil {
		return nil, err
	}
	start, err := c.leading(s)
	if err != nil {
		return nil, err
	}
	output, err := whiten(s.b, s.out, liftOut)
	if err != nil {
		return nil, err
	}
	return &tuckerGroup{split: s, size: size, coords: c, output: output, start: start, rungs: size.side(1, 1), solved: map[[2]int]tuckerFit{}}, nil
}

// solve returns the factors of a pair of ranks. The head of a pair starts from that of the next larger r2 of the coarse
// ladder, of which it is a restriction.
func (g *tuckerGroup) solve(r1, r2 int) (tuckerFit, error) {
	at := [2]int{r1, r2}
	if f, ok := g.solved[at]; ok {
		return f, nil
	}
	f, err := g.fit(r1, r2)
	if err != nil {
		return tuckerFit{}, err
	}
	g.solved[at] = f
	return f, nil
}

func (g *tuckerGroup) fit(r1, r2 int) (tuckerFit, error) {
	if [2]int{r1, r2} == g.size.most {
		return g.exact(), nil
	}
	if g.in == nil || r1 == g.start.Rows {
		return g.improve(g.start.RowRange(0, r1), r2)
	}
	for _, larger := range g.rungs {
		if larger > r2 && g.size.has(r1, larger) {
			f, err := g.solve(r1, larger)
			if err != nil {
				return tuckerFit{}, err
			}
			return g.improve(f.head, r2)
		}
	}
	return g.improve(g.start.RowRange(0, r1), r2)
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

// projection is the best tail of rank r2 for a head: with U the leading eigenvectors of Q (W A Mᵀ B⁻¹ M A Wᵀ) Q, Q = G^½,
// it is Q⁻¹ U · Uᵀ Q L, L the best tail of any rank.
type projection struct {
	u    *linalg.Matrix // Uᵀ [r2, O]
	core *linalg.Matrix // Uᵀ Q L [r2, r1·taps]
	tail *linalg.Matrix // [O, r1·taps]
}

func (g *tuckerGroup) project(v *seen, r2 int) (projection, error) {
	best, err := g.bestTail(v)
	if err != nil {
		return projection{}, err
	}
	left := best
	seen := v.wam
	if g.output.root != nil {
		left = g.b.Mul(false, false, 1, g.output.root, best)
		seen = g.b.Mul(false, false, 1, g.output.root, v.wam)
	}
	_, vectors, err := symmetricEig(g.b, g.b.Mul(false, true, 1, left, seen))
	if err != nil {
		return projection{}, err
	}
	u := leadingRows(vectors, r2)
	p := projection{u: u, core: g.b.Mul(false, false, 1, u, left)}
	p.tail = g.b.Mul(false, false, 1, g.mapOut(u), p.core)
	return p, nil
}

// mapOut returns Q⁻¹U for Uᵀ.
func (g *tuckerGroup) mapOut(u *linalg.Matrix) *linalg.Matrix {
	if g.output.inverse == nil {
		return u.T()
	}
	return g.b.Mul(false, true, 1, g.output.inverse, u)
}

// symmetricEig is SymEig of a matrix that is symmetric but for its rounding.
func symmetricEig(b linalg.Backend, m *linalg.Matrix) ([]float64, *linalg.Matrix, error) {
	for i := range m.Rows {
		for j := range i {
			mean := (m.At(i, j) + m.At(j, i)) / 2
			m.Set(i, j, mean)
			m.Set(j, i, mean)
		}
	}
	return b.SymEig(m)
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

// lossAt returns the loss of a tail that need not be the best: energy − 2 tr(G L (W A Mᵀ)ᵀ) + tr(G L B Lᵀ).
func (g *tuckerGroup) lossAt(v *seen, tail *linalg.Matrix) float64 {
	weighted := g.weighted(tail)
	return g.energy - 2*inner(weighted, v.wam) + inner(weighted, g.b.Mul(false, false, 1, tail, v.gram))
}

// improve lowers the loss from a head, and returns the factors.
func (g *tuckerGroup) improve(head *linalg.Matrix, r2 int) (tuckerFit, error) {
	v := g.through(head)
	p, err := g.project(v, r2)
	if err != nil {
		return tuckerFit{}, err
	}
	switch {
	case g.in == nil:
		v, p, err = g.iterate(v, p)
	case head.Rows < g.width && g.lossAt(v, p.tail) > negligible*g.energy:
		if head, err = g.descend(v, p.tail, r2); err == nil {
			v = g.through(head)
			p, err = g.project(v, r2)
		}
	}
	if err != nil {
		return tuckerFit{}, err
	}
	return g.finish(v, p.core)
}

// finish solves for the last factor.
func (g *tuckerGroup) finish(v *seen, core *linalg.Matrix) (tuckerFit, error) {
	coreB := core
	if g.in == nil {
		coreB = fromTaps(g.b.Mul(false, false, 1, byTap(core, g.taps), v.gram), g.taps)
	} else {
		coreB = g.b.Mul(false, false, 1, core, v.gram)
	}
	gram, rest := g.b.Mul(false, true, 1, coreB, core), g.b.Mul(false, true, 1, core, v.wam)
	out := linalg.New(core.Rows, g.rows)
	for range 2 { // the second time for what the ridge left out
		more, err := solveRidged(g.b, gram, rest)
		if err != nil {
			return tuckerFit{}, err
		}
		add(out, more)
		subtract(rest, g.b.Mul(false, false, 1, gram, more))
	}
	f := tuckerFit{head: v.head, core: core, out: out.T()}
	f.loss = g.lossOf(v, g.b.Mul(false, false, 1, f.out, core))
	return f, nil
}

// Limits of the descent of one pair, whose start has been improved for another.
const (
	tuckerRounds     = 8
	tuckerWorthwhile = 2e-3
)

// descend lowers the loss from a head, as that of a pair does.
func (g *tuckerGroup) descend(v *seen, tail *linalg.Matrix, r2 int) (*linalg.Matrix, error) {
	cost := 2 * float64(v.head.Rows) * float64(g.in.Rows) * float64(g.in.Rows)
	limit := effort{evaluations: min(int(roundBudget/8/cost), tuckerRounds), gain: tuckerWorthwhile}
	if limit.evaluations < 2 {
		return v.head, nil
	}
	return g.coords.descend(g.split, v.head, tail, limit, func(head *linalg.Matrix) (float64, *linalg.Matrix, error) {
		v := g.through(head)
		p, err := g.project(v, r2)
		if err != nil {
			return math.Inf(1), nil, err
		}
		return g.lossAt(v, p.tail), g.slope(v, p.tail), nil
	})
}

// Limits of iterate.
const (
	mostIterations = 10
	stillGaining   = 2e-4
)

// iterate is higher-order orthogonal iteration for a kernel whose input metric is the identity: the head is the leading
// subspace of the kernel seen through the tail, and the other way round.
func (g *tuckerGroup) iterate(v *seen, p projection) (*seen, projection, error) {
	loss := g.lossBy(v, p.tail)
	w := g.w
	if g.output.root != nil {
		w = g.b.Mul(false, false, 1, g.output.root, g.w)
	}
	for range mostIterations {
		if loss <= negligible*g.energy || v.head.Rows == g.width {
			break
		}
		through := byTap(g.b.Mul(false, false, 1, p.u, w), g.taps)
		_, vectors, err := symmetricEig(g.b, g.b.Mul(true, false, 1, through, through))
		if err != nil {
			return nil, p, err
		}
		nextV := g.through(leadingRows(vectors, v.head.Rows))
		next, err := g.project(nextV, p.u.Rows)
		if err != nil {
			return nil, p, err
		}
		after := g.lossBy(nextV, next.tail)
		if !(after < loss) {
			break
		}
		gain := loss - after
		v, p, loss = nextV, next, after
		if gain <= stillGaining*loss {
			break
		}
	}
	return v, p, nil
}

// resolve returns the best of what comes of a given head, of the group's own start, and of a given head and core.
func (g *tuckerGroup) resolve(head, core *linalg.Matrix) (tuckerFit, error) {
	if [2]int{head.Rows, core.Rows} == g.size.most {
		return g.exact(), nil
	}
	best, err := g.finish(g.through(head), core)
	if err != nil {
		return tuckerFit{}, err
	}
	for _, from := range []*linalg.Matrix{head, g.start.RowRange(0, head.Rows)} {
		f, err := g.improve(from, core.Rows)
		if err != nil {
			return tuckerFit{}, err
		}
		if f.loss < best.loss {
			best = f
		}
	}
	return best, nil
}

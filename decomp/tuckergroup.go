package decomp

import (
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

// tuckerTrial is a head with its best tail of rank r2: with U the leading eigenvectors of Q (W A Mᵀ B⁻¹ M A Wᵀ) Q,
// Q = G^½, it is Q⁻¹ U · Uᵀ Q L, L the best tail of any rank.
type tuckerTrial struct {
	trial
	u *linalg.Matrix // Uᵀ [r2, O]
}

func (g *tuckerGroup) try(head *linalg.Matrix, r2 int) (*tuckerTrial, error) {
	f := &tuckerTrial{trial: trial{seen: g.through(head)}}
	best, err := g.bestTail(f.seen)
	if err != nil {
		return nil, err
	}
	left, right := best, f.wam
	if g.output.root != nil {
		left = g.b.Mul(false, false, 1, g.output.root, best)
		right = g.b.Mul(false, false, 1, g.output.root, f.wam)
	}
	_, vectors, err := symmetricEig(g.b, g.b.Mul(false, true, 1, left, right))
	if err != nil {
		return nil, err
	}
	f.u = leadingRows(vectors, r2)
	f.core = g.b.Mul(false, false, 1, f.u, left)
	f.tail = g.b.Mul(false, false, 1, g.mapOut(f.u), f.core)
	f.loss = g.lossAt(&f.trial)
	return f, nil
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
func (g *tuckerGroup) lossAt(f *trial) float64 {
	weighted := g.weighted(f.tail)
	loss := g.energy - 2*inner(weighted, f.wam)
	if g.in == nil {
		return loss + inner(weighted, g.timesGram(f.tail, f.seen))
	}
	f.gram = g.b.Mul(true, false, 1, weighted, f.tail)
	return loss + inner(f.gram, f.mam)
}

// timesGram returns m·B for m [n, r·taps].
func (g *tuckerGroup) timesGram(m *linalg.Matrix, v *seen) *linalg.Matrix {
	if g.in == nil {
		return fromTaps(g.b.Mul(false, false, 1, byTap(m, g.taps), v.mam), g.taps)
	}
	return g.b.Mul(false, false, 1, m, v.mam)
}

// improve lowers the loss from a head, and returns the factors.
func (g *tuckerGroup) improve(head *linalg.Matrix, r2 int) (tuckerFit, error) {
	f, err := g.try(head, r2)
	if err != nil {
		return tuckerFit{}, err
	}
	switch best := &f.trial; {
	case f.loss <= negligible*g.energy || head.Rows == g.width:
		return g.finish(best)
	case g.in == nil:
		if best, err = g.iterate(f); err != nil {
			return tuckerFit{}, err
		}
		return g.finish(best)
	default:
		if best, err = g.descend(best, r2); err != nil {
			return tuckerFit{}, err
		}
		return g.finish(best)
	}
}

// finish solves for the last factor.
func (g *tuckerGroup) finish(f *trial) (tuckerFit, error) {
	gram, rest := g.b.Mul(false, true, 1, g.timesGram(f.core, f.seen), f.core), g.b.Mul(false, true, 1, f.core, f.wam)
	out := linalg.New(f.core.Rows, g.rows)
	for range 2 { // the second time for what the ridge left out
		more, err := solveRidged(g.b, gram, rest)
		if err != nil {
			return tuckerFit{}, err
		}
		add(out, more)
		subtract(rest, g.b.Mul(false, false, 1, gram, more))
	}
	done := tuckerFit{head: f.head, core: f.core, out: out.T()}
	done.loss = g.lossOf(f.seen, g.b.Mul(false, false, 1, done.out, f.core))
	return done, nil
}

// Limits of the descent of one pair, whose start has been improved for another.
const (
	tuckerRounds     = 6
	tuckerWorthwhile = 5e-3
)

// descend lowers the loss from a trial, as that of a pair does.
func (g *tuckerGroup) descend(f *trial, r2 int) (*trial, error) {
	cost := 2 * float64(f.head.Rows) * float64(g.in.Rows) * float64(g.in.Rows)
	limit := effort{evaluations: min(int(roundBudget/8/cost), tuckerRounds), gain: tuckerWorthwhile}
	if limit.evaluations < 2 {
		return f, nil
	}
	return g.coords.descend(g.split, f, limit, func(head *linalg.Matrix) (*trial, error) {
		f, err := g.try(head, r2)
		if err != nil {
			return nil, err
		}
		return &f.trial, nil
	})
}

// Limits of iterate.
const (
	mostIterations = 10
	stillGaining   = 2e-4
)

// iterate is higher-order orthogonal iteration for a kernel whose input metric is the identity: the head is the leading
// subspace of the kernel seen through the tail, and the other way round.
func (g *tuckerGroup) iterate(f *tuckerTrial) (*trial, error) {
	w := g.w
	if g.output.root != nil {
		w = g.b.Mul(false, false, 1, g.output.root, g.w)
	}
	for range mostIterations {
		through := byTap(g.b.Mul(false, false, 1, f.u, w), g.taps)
		_, vectors, err := symmetricEig(g.b, g.b.Mul(true, false, 1, through, through))
		if err != nil {
			return nil, err
		}
		next, err := g.try(leadingRows(vectors, f.head.Rows), f.u.Rows)
		if err != nil {
			return nil, err
		}
		if !(next.loss < f.loss) {
			break
		}
		gain := f.loss - next.loss
		f = next
		if gain <= stillGaining*f.loss {
			break
		}
	}
	return &f.trial, nil
}

// resolve returns the best of what comes of a given head, of the group's own start, and of a given head and core.
func (g *tuckerGroup) resolve(head, core *linalg.Matrix) (tuckerFit, error) {
	if [2]int{head.Rows, core.Rows} == g.size.most {
		return g.exact(), nil
	}
	best, err := g.finish(&trial{seen: g.through(head), core: core})
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

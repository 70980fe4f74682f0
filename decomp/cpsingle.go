package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpSingle alternates least squares in single precision, in memory of its own that every sweep uses again. The tensor is
// scaled to norm 1; the vectors of a term have norm 1, and its size stands apart.
type cpSingle struct {
	b      linalg.Backend
	target linalg.Block32 // [O, K]
	norm   float64        // of the tensor as it was

	at, before cpSingleTerms
	grams      []linalg.Block32 // of the vectors of each mode [r, r], the upper triangles
	system     linalg.Block32   // [r, r]
	wide       linalg.Block32   // [r, K]
	taps       linalg.Block32   // products of the window vectors of each term [r, ∏window]
	right      []float32        // of the normal equations
	passes     int              // over the columns' factors in a sweep
}

// cpSingleTerms are terms with vectors of norm 1 in the order of cpTerms.all [r, length], and the norms of the terms.
type cpSingleTerms struct {
	modes []linalg.Block32
	size  []float32
}

// Sweeps in single precision begin with a ridge on the norms of the terms that is as large as the error, and falls to a small
// share of it. Terms that must not be large share the tensor out among themselves, where without the ridge some grow
// against each other and the others are long in coming: half as many sweeps get as far. Ridges are shares of the largest
// element of the diagonal of the Gram matrix, which is 1, times the share of the energy that the sweep before missed.
const (
	ridgeFirst  = 2
	ridgeLast   = 5e-3
	settle      = 4    // sweeps at the end, each with a tenth of the ridge of the one before
	ridgeLeast  = 1e-6 // below this, equations may be singular in single precision
	singleTries = 16
)

// ridge is that of one of n sweeps.
func ridge(first float64, sweep, n int, missed float64) float32 {
	last := float64(max(n-settle, 1))
	share := first * math.Pow(ridgeLast/first, min(float64(sweep)/last, 1))
	return float32(max(missed*share*math.Pow(0.1, max(float64(sweep)-last, 0)), ridgeLeast))
}

// newSingle takes terms over; false where single precision cannot hold the numbers.
func (s *modeSpace) newSingle(x cpTerms) (*cpSingle, bool) {
	norm := math.Sqrt(s.energy)
	if !(norm > 0) || math.IsInf(norm, 1) {
		return nil, false
	}
	r := x.out.Rows
	passes := 1
	if 2*r*(s.in+r/2) < len(s.target.Data) { // what the products with the tensor cost by far exceeds the rest
		passes = 2
	}
	out := &cpSingle{passes: passes, b: s.b, norm: norm, target: narrowed(s.target, 1/norm)}
	out.system, out.wide = linalg.NewBlock32(r, r), linalg.NewBlock32(r, s.target.Cols)
	out.taps = linalg.NewBlock32(r, s.target.Cols/s.in)
	out.at, out.before = cpSingleTerms{size: make([]float32, r)}, cpSingleTerms{size: make([]float32, r)}
	for _, m := range x.all() {
		out.at.modes = append(out.at.modes, narrowed(m, 1))
		out.before.modes = append(out.before.modes, linalg.NewBlock32(r, m.Cols))
		out.grams = append(out.grams, linalg.NewBlock32(r, r))
	}
	for i := range out.at.size {
		out.at.size[i] = 1 / float32(norm)
	}
	for i := range out.at.modes {
		for t := range r {
			out.at.size[t] *= unit32(row32(out.at.modes[i], t))
		}
	}
	return out, true
}

// terms returns the terms in double precision.
func (c *cpSingle) terms() cpTerms {
	var all []*linalg.Matrix
	for i, m := range c.at.modes {
		wide := linalg.New(m.Rows, m.Cols)
		for j, v := range m.Data {
			wide.Data[j] = float64(v)
			if i == 0 {
				wide.Data[j] *= float64(c.at.size[j/m.Cols]) * c.norm
			}
		}
		all = append(all, wide)
	}
	return cpOf(all)
}

// alternate sweeps so many times, as modeSpace does, with a heavy ridge at first unless the terms are near their best. It
// returns false where single precision does not serve.
func (c *cpSingle) alternate(sweeps int, near bool) bool {
	ahead, missed, first, ok := 0.0, 1.0, float64(ridgeFirst), false
	if near {
		first, missed = ridgeLast, 0
	}
	for i := range sweeps {
		if i > 0 {
			c.beyond(float32(ahead))
			ahead = further(ahead)
		}
		if missed, ok = c.sweep(ridge(first, i, sweeps, missed)); !ok {
			return false
		}
	}
	return true
}

// beyond goes on along the difference to the terms before.
func (c *cpSingle) beyond(ahead float32) {
	power := 1 / float64(len(c.at.modes))
	for t := range c.at.size {
		now, then := float32(math.Pow(float64(c.at.size[t]), power)), float32(math.Pow(float64(c.before.size[t]), power))
		c.before.size[t] = c.at.size[t]
		for i := 1; i < len(c.at.modes); i++ { // a sweep solves for the outputs first, whatever they were
			row, old := row32(c.at.modes[i], t), row32(c.before.modes[i], t)
			for j, v := range row {
				row[j], old[j] = (1+ahead)*now*v-ahead*then*old[j], v
			}
			unit32(row)
		}
	}
}

// sweep is that of modeSpace. It returns the share of the energy that is missed, and false where there is no answer.
func (c *cpSingle) sweep(ridge float32) (missed float64, ok bool) {
	modes := c.at.modes
	for i := 1; i < len(modes); i++ {
		c.gram(i)
	}
	multiplyTaps32(c.taps, modes[2:])
	rowProducts32(c.wide, modes[1], c.taps)
	clear(modes[0].Data)
	c.b.GemmAdd32(false, true, c.wide, c.target, modes[0])
	if _, ok = c.solve(0, ridge); !ok {
		return 0, false
	}
	clear(c.wide.Data)
	c.b.GemmAdd32(false, false, modes[0], c.target, c.wide)
	for range c.passes {
		multiplyTaps32(c.taps, modes[2:])
		overLast32(modes[1], c.wide, c.taps)
		if _, ok = c.solve(1, ridge); !ok {
			return 0, false
		}
		overFirst32(c.taps, c.wide, modes[1])
		for i := 2; i < len(modes); i++ {
			overOthers32(modes[i], c.taps, modes[2:], i-2)
			if missed, ok = c.solve(i, ridge); !ok {
				return 0, false
			}
		}
	}
	return missed, true
}

// gram forms the inner products of the vectors of a mode.
func (c *cpSingle) gram(i int) {
	clear(c.grams[i].Data)
	c.b.SyrkAdd32(false, c.at.modes[i], c.grams[i])
}

// solve replaces the right-hand side of the normal equations in mode i by their solution, as boundedSolve does, and
// splits it into vectors of norm 1 and sizes. It returns the share of the energy that is then missed.
func (c *cpSingle) solve(i int, ridge float32) (missed float64, ok bool) {
	x := c.at.modes[i]
	c.right = append(c.right[:0], x.Data...)
	for range singleTries {
		c.normal(i, ridge)
		if c.b.SolveSPD32(c.system, x) == nil {
			size := squaredNorm32(x.Data)
			if math.IsNaN(size) {
				return 0, false
			}
			if size <= cpBound {
				missed = 1 - dot32(x.Data, c.right) - float64(ridge)*size
				for t := range c.at.size {
					c.at.size[t] = unit32(row32(x, t))
				}
				c.gram(i)
				return missed, true
			}
		}
		ridge *= 4
		copy(x.Data, c.right)
	}
	return 0, false
}

// normal forms the matrix of the normal equations of mode i: the product of the Gram matrices of all others, element by
// element.
func (c *cpSingle) normal(i int, ridge float32) {
	r, first := c.system.Rows, true
	for j, g := range c.grams {
		if j == i {
			continue
		}
		for t := range r {
			to, from := c.system.Data[t*r+t:(t+1)*r], g.Data[t*r+t:(t+1)*r]
			if first {
				copy(to, from)
				continue
			}
			for k, v := range from {
				to[k] *= v
			}
		}
		first = false
	}
	for t := range r {
		c.system.Data[t*r+t] += ridge
	}
}

// multiplyTaps32 writes the products of the window vectors of each term.
func multiplyTaps32(to linalg.Block32, window []linalg.Block32) {
	if len(window) == 1 {
		copy(to.Data, window[0].Data)
		return
	}
	product := window[0]
	for i, m := range window[1:] {
		next := to
		if i+2 < len(window) {
			next = linalg.NewBlock32(m.Rows, product.Cols*m.Cols)
		}
		rowProducts32(next, product, m)
		product = next
	}
}

// overOthers32 contracts the taps m of each term with all window vectors but those of mode i.
func overOthers32(to, m linalg.Block32, window []linalg.Block32, i int) {
	for j := len(window) - 1; j > i; j-- {
		next := linalg.NewBlock32(m.Rows, m.Cols/window[j].Cols)
		overLast32(next, m, window[j])
		m = next
	}
	for _, w := range window[:i] {
		next := linalg.NewBlock32(m.Rows, m.Cols/w.Cols)
		overFirst32(next, m, w)
		m = next
	}
	copy(to.Data, m.Data)
}

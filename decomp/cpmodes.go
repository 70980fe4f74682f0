package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// modeSpace is the kernel of one group as a tensor [O, C, window modes...] in coordinates in which every mode is
// whitened by its own marginal of the metric: O by G, the others by A summed over all modes but one.
//
// Where there is no A, or it is the Kronecker product of its marginals, plain least squares on target are least squares
// under the metric; else metric holds what is left of A.
type modeSpace struct {
	b      linalg.Backend
	in     int            // input channels
	window []int          // length of each window mode
	target *linalg.Matrix // the kernel in these coordinates [O, K]; K = C·∏window
	metric *linalg.Matrix // A in these coordinates [K, K], nil for the identity
	energy float64        // ‖target‖²
	sides  []whitening    // of O, of C, and of each window mode

	targetSeen *linalg.Matrix     // what wanted returns, once it was asked for
	narrow     *[3]linalg.Block32 // metric, target and wanted in single precision, scaled to a target of norm 1; likewise
}

// newModeSpace takes a group's kernel w [O, K] and its metric, all normalized; nil for the identity.
func newModeSpace(b linalg.Backend, w *linalg.Matrix, in int, window []int, a, g *linalg.Matrix) (*modeSpace, error) {
	if a != nil && a.MaxAbs() == 0 {
		a = nil
	}
	s := &modeSpace{b: b, in: in, window: window, target: w, metric: a, sides: make([]whitening, 2+len(window))}
	var err error
	if s.sides[0], err = whiten(b, g, liftOut); err != nil {
		return nil, err
	}
	if a != nil {
		for i, m := range s.inner() {
			if s.sides[1+i], err = whiten(b, m.marginal(a), liftIn); err != nil {
				return nil, err
			}
		}
		for range 2 { // the columns, then the rows
			for i, m := range s.inner() {
				s.metric = m.times(b, s.metric, s.sides[1+i].inverse)
			}
			s.metric = s.metric.T()
		}
	}
	s.target = s.whitened(w)
	s.energy = squaredNorm(s.target.Data)
	return s, nil
}

func (s *modeSpace) held() []*linalg.Matrix {
	out := []*linalg.Matrix{s.target, s.metric, s.targetSeen}
	for _, w := range s.sides {
		out = append(out, w.held()...)
	}
	return out
}

// whitened takes a matrix [O, K] into these coordinates.
func (s *modeSpace) whitened(w *linalg.Matrix) *linalg.Matrix {
	w = times(s.b, s.sides[0].root, w)
	for i, m := range s.inner() {
		w = m.times(s.b, w, s.sides[1+i].root)
	}
	return w
}

// seen returns m·A for rows m, in the coordinates of the space.
func (s *modeSpace) seen(m *linalg.Matrix) *linalg.Matrix { return rotated(s.b, m, s.metric) }

// wanted returns target·A.
func (s *modeSpace) wanted() *linalg.Matrix {
	if s.targetSeen == nil {
		s.targetSeen = s.seen(s.target)
	}
	return s.targetSeen
}

// lastOf is what is left to the last factor D of W' = Dᵀ·columns when the columns are given.
type lastOf struct {
	seen  *linalg.Matrix // columns·A [r, K]
	right *linalg.Matrix // columns·A·Tᵀ [r, O]
	out   *linalg.Matrix // the best D [r, O]
	ridge float64        // with which it keeps within its bound
}

// bestLast solves for D under the metric, ‖D‖² bounded.
func (s *modeSpace) bestLast(columns *linalg.Matrix, limit float64) (lastOf, error) {
	v := lastOf{seen: s.seen(columns)}
	v.right = s.b.Mul(false, true, 1, v.seen, s.target)
	var err error
	v.out, v.ridge, err = boundedRidge(s.b, s.b.Mul(false, true, 1, v.seen, columns), v.right, limit)
	return v, err
}

// mode is one index of several that together number the columns of a matrix: [before, length, after].
type mode struct{ before, length, after int }

// inner returns the modes of the columns: the input channels, then the window modes.
func (s *modeSpace) inner() []mode {
	lengths := append([]int{s.in}, s.window...)
	out := make([]mode, len(lengths))
	after := 1
	for i := len(lengths) - 1; i >= 0; i-- {
		out[i] = mode{length: lengths[i], after: after}
		after *= lengths[i]
	}
	for i := range out {
		out[i].before = after / out[i].length / out[i].after
	}
	return out
}

// marginal returns a second moment of all columns summed over all modes but this, scaled to a mean diagonal of 1.
func (m mode) marginal(a *linalg.Matrix) *linalg.Matrix {
	out := linalg.New(m.length, m.length)
	for p := range m.before {
		for i := range m.length {
			for n := range m.after {
				row := a.Row((p*m.length+i)*m.after + n)
				for j := range m.length {
					out.Data[i*m.length+j] += row[(p*m.length+j)*m.after+n]
				}
			}
		}
	}
	if trace := traceOf(out); trace > 0 {
		scaleBy(out.Data, float64(m.length)/trace)
	}
	return out
}

// times multiplies this mode of the columns of x by a symmetric matrix, nil for the identity.
func (m mode) times(b linalg.Backend, x, by *linalg.Matrix) *linalg.Matrix {
	if by == nil {
		return x
	}
	rows := x.Rows * m.before
	if m.after == 1 {
		out := b.Mul(false, false, 1, &linalg.Matrix{Rows: rows, Cols: m.length, Data: x.Data}, by)
		return &linalg.Matrix{Rows: x.Rows, Cols: x.Cols, Data: out.Data}
	}
	moved := linalg.New(rows*m.after, m.length)
	for r := range rows {
		transpose(moved.Data[r*m.length*m.after:], x.Data[r*m.length*m.after:], m.length, m.after)
	}
	moved = b.Mul(false, false, 1, moved, by)
	out := linalg.New(x.Rows, x.Cols)
	for r := range rows {
		transpose(out.Data[r*m.length*m.after:], moved.Data[r*m.length*m.after:], m.after, m.length)
	}
	return out
}

// transpose writes the transpose of a rows×cols block of from to to.
func transpose(to, from []float64, rows, cols int) {
	for i := range rows {
		for j, v := range from[i*cols : (i+1)*cols] {
			to[j*rows+i] = v
		}
	}
}

// modeGroup is one group's kernel under its metric.
type modeGroup struct {
	space   *modeSpace
	w, a, g *linalg.Matrix // normalized; nil for the identity
	scale   int            // of w alone
	lossBy  int            // losses here are in units of 2^lossBy
	energy  float64        // tr(G W A Wᵀ) in those units
}

func newModeGroup(b linalg.Backend, w *linalg.Matrix, in int, window []int, a, g *linalg.Matrix) (*modeGroup, error) {
	w, scaleW := normalized(w)
	a, scaleA := normalized(a)
	g, scaleG := normalized(g)
	space, err := newModeSpace(b, w, in, window, a, g)
	if err != nil {
		return nil, err
	}
	out := &modeGroup{space: space, w: w, a: a, g: g, scale: scaleW, lossBy: 2*scaleW + scaleA + scaleG}
	out.energy = out.cost(w)
	return out, nil
}

// total is the energy in the units of what newModeGroup was given.
func (m *modeGroup) total() float64 { return math.Ldexp(m.energy, m.lossBy) }

// write adds the group's factors to the weights of a chain, each with its part of the scale.
func (m *modeGroup) write(chain Chain, factors []*linalg.Matrix) {
	each := math.Exp2(float64(m.scale) / float64(len(factors)))
	for i, f := range factors {
		for _, v := range f.Data {
			chain[i].Kernel.Weights = append(chain[i].Kernel.Weights, v*each)
		}
	}
}

// read is the reverse of write: factor i of one group of a chain, without its part of this group's scale.
func (m *modeGroup) read(chain Chain, i, group, rows, cols int) *linalg.Matrix {
	each := math.Exp2(-float64(m.scale) / float64(len(chain)))
	out := linalg.New(rows, cols)
	for j, v := range chain[i].Kernel.Weights[group*len(out.Data):][:len(out.Data)] {
		out.Data[j] = v * each
	}
	return out
}

// cost returns tr(G E A Eᵀ).
func (m *modeGroup) cost(e *linalg.Matrix) float64 {
	weighted := times(m.space.b, m.g, rotated(m.space.b, e, m.a))
	return max(inner(weighted, e), 0)
}

// lossOf returns the loss of W' = Dᵀ·columns, infinite where it is not a number.
func (m *modeGroup) lossOf(d, columns *linalg.Matrix) float64 {
	e := m.w.Clone()
	subtract(e, m.space.b.Mul(true, false, 1, d, columns))
	if loss := m.cost(e); !math.IsNaN(loss) {
		return loss
	}
	return math.Inf(1)
}

package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// coordinates are those in which a split's metric is about the identity: A ≈ Ā ⊗ τ, with Ā [X, X] the mean of A over
// the taps of the tail and τ [a, a] its correlation between them, of mean diagonal one. A head is [r, X] times Ā^½.
// Each is nil for the identity.
type coordinates struct {
	root, inverse *linalg.Matrix // Ā^½ and Ā^-½, lifted
	mean          *linalg.Matrix // Ā
	tapRoot       *linalg.Matrix // τ^½
	outRoot       *linalg.Matrix // G^½
}

// rootLift is a lift that only keeps rounding out of roots that need no inverse.
const rootLift = 1e-15

func (s *split) coordinates() (coordinates, error) {
	var c coordinates
	out, err := whiten(s.b, s.out, rootLift)
	if err != nil {
		return c, err
	}
	c.outRoot = out.root
	if s.in == nil {
		return c, nil
	}
	c.mean = linalg.New(s.width, s.width)
	tau := linalg.New(s.taps, s.taps)
	for x := range s.width {
		for t := range s.taps {
			row := s.in.Row(x*s.taps + t)
			for y := range s.width {
				c.mean.Data[x*s.width+y] += row[y*s.taps+t] / float64(s.taps)
			}
			for u := range s.taps {
				tau.Data[t*s.taps+u] += row[x*s.taps+u]
			}
		}
	}
	trace := traceOf(c.mean)
	if trace == 0 {
		return c, nil
	}
	for i := range tau.Data {
		tau.Data[i] /= trace
	}
	near, err := whiten(s.b, c.mean, liftIn)
	if err != nil {
		return c, err
	}
	c.root, c.inverse = near.root, near.inverse
	if s.taps > 1 {
		taps, err := whiten(s.b, tau, rootLift)
		if err != nil {
			return c, err
		}
		c.tapRoot = taps.root
	}
	return c, nil
}

func (c coordinates) held() []*linalg.Matrix {
	return []*linalg.Matrix{c.root, c.inverse, c.mean, c.tapRoot, c.outRoot}
}

// to takes a head [r, X] into the coordinates.
func (c coordinates) to(b linalg.Backend, head *linalg.Matrix) *linalg.Matrix {
	return rotated(b, head, c.root)
}

// from takes a head back, and a gradient there: both are multiplied by Ā^-½.
func (c coordinates) from(b linalg.Backend, head *linalg.Matrix) *linalg.Matrix {
	return rotated(b, head, c.inverse)
}

// outside returns (G^½ ⊗ τ^½)·m for m [O·a, n].
func (c coordinates) outside(s *split, m *linalg.Matrix) *linalg.Matrix {
	if c.outRoot != nil {
		wide := &linalg.Matrix{Rows: s.rows, Cols: s.taps * m.Cols, Data: m.Data}
		m = &linalg.Matrix{Rows: m.Rows, Cols: m.Cols, Data: s.b.Mul(false, false, 1, c.outRoot, wide).Data}
	}
	if c.tapRoot == nil {
		return m
	}
	out := linalg.New(m.Rows, m.Cols)
	for i := range out.Rows {
		first := i / s.taps * s.taps
		for u := range s.taps {
			axpy(out.Row(i), c.tapRoot.At(i%s.taps, u), m.Row(first+u))
		}
	}
	return out
}

// leading returns the heads of the truncated singular value decompositions of the kernel as a matrix [O·a, X] under
// G ⊗ τ and Ā, most important row first: those of rank r are the first r rows; and the squares of the singular values.
// Where A is Ā ⊗ τ, the heads are the best there are, and what rank r loses is the sum of the squares from r on. The
// eigenproblem is that of the smaller side, and only roots are taken of the larger one.
func (c coordinates) leading(s *split) (*linalg.Matrix, []float64, error) {
	w := c.outside(s, byTap(s.w, s.taps))
	if w.Rows <= w.Cols {
		right := w.Clone()
		_, squares, err := diagonalize(s.b, right, moment{full: c.mean}, right.Rows)
		if err != nil {
			return nil, nil, err
		}
		return normalRows(right), squares, nil
	}
	x := c.to(s.b, w).T()
	u, squares, err := diagonalize(s.b, x, moment{}, x.Rows)
	if err != nil {
		return nil, nil, err
	}
	return normalRows(c.from(s.b, u)), squares, nil
}

// normalRows scales every row to norm one, zero rows aside.
func normalRows(m *linalg.Matrix) *linalg.Matrix {
	for i := range m.Rows {
		unitRow(m.Row(i))
	}
	return m
}

// curvatureLift bounds how unlike the components of a head may become in the coordinates of a descent.
const curvatureLift = 1e-4

// curvature returns Lᵀ(G ⊗ τ)L [r, r] taken apart: its root, applied to a head in the coordinates whose best tail is L,
// makes the second derivative of the loss about the identity.
func (c coordinates) curvature(s *split, tail *linalg.Matrix) (whitening, error) {
	l := c.outside(s, byTap(tail, s.taps))
	return whiten(s.b, s.b.Mul(true, false, 1, l, l), curvatureLift)
}

// descend lowers the loss from a trial, in the coordinates, and returns the best trial that it made.
func (c coordinates) descend(s *split, from *trial, limit effort, try func(head *linalg.Matrix) (*trial, error)) (*trial, error) {
	scaling, err := c.curvature(s, from.tail)
	if err != nil {
		return nil, err
	}
	best, next := from, from
	_, _, err = descend(times(s.b, scaling.root, c.to(s.b, from.head)).Data, limit, func(x []float64) (float64, []float64, error) {
		if next == nil {
			head := times(s.b, scaling.inverse, &linalg.Matrix{Rows: from.head.Rows, Cols: from.head.Cols, Data: x})
			if next, err = try(c.from(s.b, head)); err != nil {
				return math.Inf(1), nil, err
			}
		}
		made := next
		next = nil
		if made.loss < best.loss {
			best = made
		}
		return made.loss / 2, times(s.b, scaling.inverse, c.from(s.b, s.slope(made))).Data, nil
	})
	return best, err
}

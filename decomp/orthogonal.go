package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// orthogonal is higher-order orthogonal iteration of the two channel modes of a kernel whose input metric is the
// identity (De Lathauwer et al. 2000): the leading subspace of the one mode is taken of the kernel as it is seen through
// that of the other. The kernel is laid out so that no step has to copy it.
type orthogonal struct {
	b          linalg.Backend
	rows, taps int
	white      *linalg.Matrix // Q·W as [O·a, C], Q = G^½
	energy     float64        // of white
	leading    *linalg.Matrix // [C, C]: the principal directions of the input mode, as rows
	first      map[int]eigen  // of the output mode, seen through the first r1 of them
}

// eigen is an eigen-decomposition, values ascending and vectors in columns.
type eigen struct {
	values  []float64
	vectors *linalg.Matrix
}

func newOrthogonal(s *split, root *linalg.Matrix) (*orthogonal, error) {
	w := times(s.b, root, s.w)
	o := &orthogonal{b: s.b, rows: s.rows, taps: s.taps, white: byTap(w, s.taps), first: map[int]eigen{}}
	o.energy = squaredNorm(w.Data)
	_, vectors, err := symmetricEig(s.b, s.b.Mul(true, false, 1, o.white, o.white))
	if err != nil {
		return nil, err
	}
	o.leading = leadingRows(vectors, vectors.Rows)
	return o, nil
}

// seenThrough returns the kernel seen through a head of orthonormal rows [r1, C], as [O, a·r1].
func (o *orthogonal) seenThrough(head *linalg.Matrix) *linalg.Matrix {
	y := o.b.Mul(false, true, 1, o.white, head)
	return &linalg.Matrix{Rows: o.rows, Cols: o.taps * head.Rows, Data: y.Data}
}

// outputs decomposes the output mode of what seenThrough returned.
func (o *orthogonal) outputs(y *linalg.Matrix) (eigen, error) {
	values, vectors, err := symmetricEig(o.b, o.b.Mul(false, true, 1, y, y))
	return eigen{values, vectors}, err
}

// inputs returns the leading r1 directions of the input mode, seen through rows u [r2, O].
func (o *orthogonal) inputs(u *linalg.Matrix, r1 int) (*linalg.Matrix, error) {
	wide := &linalg.Matrix{Rows: o.rows, Cols: o.taps * o.white.Cols, Data: o.white.Data}
	z := o.b.Mul(false, false, 1, u, wide)
	z = &linalg.Matrix{Rows: u.Rows * o.taps, Cols: o.white.Cols, Data: z.Data}
	_, vectors, err := symmetricEig(o.b, o.b.Mul(true, false, 1, z, z))
	if err != nil {
		return nil, err
	}
	return leadingRows(vectors, r1), nil
}

// loss returns what is left when the leading r2 directions of the output mode are kept.
func (o *orthogonal) loss(e eigen, r2 int) float64 {
	kept := 0.0
	for _, v := range e.values[len(e.values)-r2:] {
		kept += v
	}
	return o.energy - kept
}

// Limits of iterate.
const (
	mostIterations = 10
	stillGaining   = 1e-3
)

// iterate returns a head [r1, C] of orthonormal rows, and the loss with r2 outputs.
func (o *orthogonal) iterate(r1, r2 int) (*linalg.Matrix, float64, error) {
	head := o.leading.RowRange(0, r1)
	e, err := known(o.first, r1, func() (eigen, error) { return o.outputs(o.seenThrough(head)) })
	if err != nil {
		return nil, 0, err
	}
	loss := o.loss(e, r2)
	for range mostIterations {
		if r1 == o.white.Cols || loss <= negligible*o.energy {
			break
		}
		next, err := o.inputs(leadingRows(e.vectors, r2), r1)
		if err != nil {
			return nil, 0, err
		}
		if e, err = o.outputs(o.seenThrough(next)); err != nil {
			return nil, 0, err
		}
		after := o.loss(e, r2)
		if !(after < loss) {
			break
		}
		gain := loss - after
		head, loss = next, after
		if gain <= stillGaining*loss {
			break
		}
	}
	return head, loss, nil
}

// tail returns the core [r2, r1·a] and the last factor [O, r2] that are the best for a head of orthonormal rows where Q
// is the identity.
func (o *orthogonal) tail(head *linalg.Matrix, r2 int) (core, out *linalg.Matrix, err error) {
	y := o.seenThrough(head)
	e, err := o.outputs(y)
	if err != nil {
		return nil, nil, err
	}
	u := leadingRows(e.vectors, r2)
	y = o.b.Mul(false, false, 1, u, y)
	y = &linalg.Matrix{Rows: r2 * o.taps, Cols: head.Rows, Data: y.Data}
	return fromTaps(y, o.taps), u.T(), nil
}

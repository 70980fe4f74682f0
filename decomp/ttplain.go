package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// middle is a train between subspaces of the two channel modes, where A is the identity.
type middle struct {
	bases []*linalg.Matrix // [r', r·k] of orthonormal rows, up to the last bond but one
	rest  *linalg.Matrix   // [r·k, O]: what they leave, in the coordinates of the iteration
	out   eigen            // of its output mode
}

// ttPlainWork is what one train may cost beyond its first, in multiply-accumulates with the kernel.
const ttPlainWork = 4e7

// successive returns the train of successive singular value decompositions where A is the identity. The channels
// begin with their subspaces of orthogonal iteration; what lies between is decomposed as the outputs' show it. Where
// all directions weigh about the same, and the kernel is small, both are done twice.
func (t *ttGroup) successive(r Rank) (trainFit, error) {
	last, more := r[len(r)-1], 0
	if float64(len(t.w.Data)*(r[0]+last)) <= ttPlainWork {
		more = 1
	}
	f, err := t.plain.iterate(r[0], last, more)
	if err != nil {
		return trainFit{}, err
	}
	y := t.plain.seenThrough(f.head, r[0])
	m, err := t.middle(y, f.out, r)
	if err == nil && more > 0 && f.flat {
		var again middle
		if again, err = t.middle(y, m.out, r); err == nil && again.out.above(last) > m.out.above(last) {
			m = again
		}
	}
	if err != nil {
		return trainFit{}, err
	}
	heads := append([]*linalg.Matrix{t.plain.headOf(f, r[0])}, m.bases...)
	found := trainFit{heads: heads, tail: func() opened { // from the coordinates of the iteration
		o := opened{left: t.b.Mul(true, true, 1, t.plain.outputs, m.rest), vectors: t.b.Mul(true, false, 1, t.plain.outputs, m.out.vectors)}
		o.weigh(t.b, t.output, m.out.values)
		return o
	}}
	if found.loss = t.energy - m.out.above(last); t.output.seen != nil {
		found.loss = t.energy - found.tail().kept(last)
	}
	if found.loss > cancels*t.energy {
		return found, nil
	}
	return t.closed(heads, found.tail(), last), nil
}

// middle decomposes y [O, a·r1], what is seen through the inputs, as the leading outputs of an eigen-decomposition show it.
func (t *ttGroup) middle(y *linalg.Matrix, outputs eigen, r Rank) (middle, error) {
	var m middle
	u := leadingRows(outputs.vectors, r[len(r)-1])
	rest, shown := byInput(y, t.taps, r[0]), byInput(t.b.Mul(false, false, 1, u, y), t.taps, r[0])
	for i, k := range t.window[:len(t.window)-1] {
		rest, shown = withRows(rest, r[i]*k), withRows(shown, r[i]*k)
		basis, err := leadingBasis(t.b, shown)
		if err != nil {
			return m, err
		}
		basis = filled(basis, r[i+1])
		m.bases = append(m.bases, basis)
		rest, shown = t.b.Mul(false, false, 1, basis, rest), t.b.Mul(false, false, 1, basis, shown)
	}
	m.rest = withRows(rest, len(rest.Data)/t.rows)
	var err error
	m.out, err = t.plain.inputsOf(m.rest)
	return m, err
}

// withRows is the same numbers in so many rows.
func withRows(m *linalg.Matrix, rows int) *linalg.Matrix {
	return &linalg.Matrix{Rows: rows, Cols: len(m.Data) / rows, Data: m.Data}
}

// byInput turns y [O, a·r] into [r, a·O].
func byInput(y *linalg.Matrix, taps, r int) *linalg.Matrix {
	out := linalg.New(r, taps*y.Rows)
	for o := range y.Rows {
		row := y.Row(o)
		for t := range taps {
			for i := range r {
				out.Data[i*out.Cols+t*y.Rows+o] = row[t*r+i]
			}
		}
	}
	return out
}

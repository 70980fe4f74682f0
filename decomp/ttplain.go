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
// begin with a subspace that is chosen with that of the outputs; what lies between is decomposed as the outputs show it.
// Where the kernel is small, both subspaces are those of orthogonal iteration, and where all directions weigh about the
// same, what lies between is done again with the outputs that are then the best.
func (t *ttGroup) successive(r Rank) (trainFit, error) {
	last := r[len(r)-1]
	var f iterated
	var err error
	small := float64(len(t.w.Data)*(r[0]+last)) <= ttPlainWork
	if small {
		f, err = t.plain.iterate(r[0], last, 1)
	} else {
		f.head, err = t.plain.begin(r[0], last)
	}
	if err != nil {
		return trainFit{}, err
	}
	y := t.plain.seenThrough(f.head, r[0])
	m, err := t.middle(y, f.out, r)
	if err == nil && small && f.flat {
		var again middle
		if again, err = t.middle(y, m.out, r); err == nil && again.out.above(last) > m.out.above(last) {
			m = again
		}
	}
	if err != nil {
		return trainFit{}, err
	}
	found := trainFit{heads: append([]*linalg.Matrix{t.plain.headOf(f.head, r[0])}, m.bases...)}
	found.tail = func() opened { // from the coordinates of the iteration
		return opened{
			left:    t.b.Mul(true, true, 1, t.plain.outputs, m.rest),
			vectors: t.b.Mul(true, false, 1, t.plain.outputs, m.out.vectors),
			worth:   t.plain.worth(m.out, t.output),
		}
	}
	if found.loss = t.energy - (opened{worth: t.plain.worth(m.out, t.output)}).kept(last); found.loss > cancels*t.energy {
		return found, nil
	}
	return t.closed(found.heads, found.tail(), last), nil
}

// middle decomposes y [O, a·r1], what is seen through the inputs, as the leading outputs of an eigen-decomposition show it;
// without one, as the first ones do.
func (t *ttGroup) middle(y *linalg.Matrix, outputs eigen, r Rank) (middle, error) {
	var m middle
	last := r[len(r)-1]
	seen := y.RowRange(0, last)
	if outputs.vectors != nil {
		seen = t.b.Mul(false, false, 1, leadingRows(outputs.vectors, last), y)
	}
	rest, shown := byInput(y, t.taps, r[0]), byInput(seen, t.taps, r[0])
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

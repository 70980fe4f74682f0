package decomp

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// orthogonal is a kernel whose input metric is the identity, turned to the principal directions of its two channel
// modes (De Lathauwer et al. 2000). What is left of it in the first r1 and r2 of these is its higher-order singular
// value decomposition, from which orthogonal iteration starts: the directions of one mode are taken anew of the kernel
// as it is seen through those of the other. A rung costs a few eigenproblems of the size of a channel mode, and the
// first of them is one for all rungs with the same r1, or the same r2.
type orthogonal struct {
	b                 linalg.Backend
	rows, width, taps int
	core              *linalg.Matrix // [O·a, C], by principal directions of both modes
	inputs, outputs   *linalg.Matrix // [C, C] and [O, O]: those directions, leading first, as rows
	energy            float64        // ‖core‖²
	// first has the directions of either mode, seen through so many leading ones of the other; no more than firstKept.
	first [2]map[int]eigen
}

// eigen is an eigen-decomposition, values ascending and vectors in columns.
type eigen struct {
	values  []float64
	vectors *linalg.Matrix
}

// above is the sum of the n largest values.
func (e eigen) above(n int) float64 {
	sum := 0.0
	for _, v := range e.values[len(e.values)-n:] {
		sum += v
	}
	return sum
}

// newOrthogonal takes Q·W [O, C·taps], Q = G^½.
func newOrthogonal(b linalg.Backend, w *linalg.Matrix, taps int) (*orthogonal, error) {
	o := &orthogonal{b: b, rows: w.Rows, width: w.Cols / taps, taps: taps, core: byTap(w, taps), energy: squaredNorm(w.Data)}
	o.first = [2]map[int]eigen{{}, {}}
	in, err := o.inputsOf(o.core)
	if err != nil {
		return nil, err
	}
	out, err := o.outputsOf(o.wide())
	if err != nil {
		return nil, err
	}
	o.inputs, o.outputs = leadingRows(in.vectors, o.width), leadingRows(out.vectors, o.rows)
	o.core = b.Mul(false, true, 1, o.core, o.inputs)
	o.core.Data = b.Mul(false, false, 1, o.outputs, o.wide()).Data
	return o, nil
}

func (o *orthogonal) held() []*linalg.Matrix {
	o.first = [2]map[int]eigen{{}, {}}
	return []*linalg.Matrix{o.core, o.inputs, o.outputs}
}

// wide is the core as [O, a·C].
func (o *orthogonal) wide() *linalg.Matrix {
	return &linalg.Matrix{Rows: o.rows, Cols: o.taps * o.width, Data: o.core.Data}
}

// inputsOf decomposes the input mode of z [n, C].
func (o *orthogonal) inputsOf(z *linalg.Matrix) (eigen, error) {
	values, vectors, err := symmetricEig(o.b, o.b.Mul(true, false, 1, z, z))
	return eigen{values, vectors}, err
}

// outputsOf decomposes the output mode of y [O, n].
func (o *orthogonal) outputsOf(y *linalg.Matrix) (eigen, error) {
	values, vectors, err := symmetricEig(o.b, o.b.Mul(false, true, 1, y, y))
	return eigen{values, vectors}, err
}

// seenThrough returns the core seen through rows of inputs [r1, C], as [O, a·r1]; nil stands for the first r1.
func (o *orthogonal) seenThrough(head *linalg.Matrix, r1 int) *linalg.Matrix {
	if head != nil {
		y := o.b.Mul(false, true, 1, o.core, head)
		return &linalg.Matrix{Rows: o.rows, Cols: o.taps * r1, Data: y.Data}
	}
	y := linalg.New(o.rows, o.taps*r1)
	for i := range o.core.Rows {
		copy(y.Data[i*r1:(i+1)*r1], o.core.Row(i))
	}
	return y
}

// seenFrom returns the core seen from rows of outputs [r2, O], as [r2·a, C]; nil stands for the first r2.
func (o *orthogonal) seenFrom(u *linalg.Matrix, r2 int) *linalg.Matrix {
	if u == nil {
		return o.core.RowRange(0, r2*o.taps)
	}
	z := o.b.Mul(false, false, 1, u, o.wide())
	return &linalg.Matrix{Rows: r2 * o.taps, Cols: o.width, Data: z.Data}
}

// kept is the energy of the core in the first r1 and r2 directions.
func (o *orthogonal) kept(r1, r2 int) float64 {
	sum := 0.0
	for i := range r2 * o.taps {
		sum += squaredNorm(o.core.Row(i)[:r1])
	}
	return sum
}

// Limits of iterate.
const (
	mostIterations = 2
	stillGaining   = 1e-2
)

// iterated is a pair of subspaces, in the coordinates of the core.
type iterated struct {
	head *linalg.Matrix // [r1, C]; nil for the leading directions
	out  eigen          // of the output mode, seen through the head
	loss float64
	flat bool // the directions hardly tell what matters from what does not: the first step won much
}

// iterate finds the subspaces of r1 inputs and r2 outputs, those of the outputs the best for those of the inputs. It
// begins with the mode of which less is kept, which the other must not wait for, and goes on for so many times.
func (o *orthogonal) iterate(r1, r2, most int) (iterated, error) {
	var best iterated
	var err error
	if r1 == o.width || r1*o.rows < r2*o.width {
		best.out, err = o.shared(1, r1, func() (eigen, error) { return o.outputsOf(o.seenThrough(nil, r1)) })
	} else {
		best, err = o.turned(nil, r1, r2)
	}
	if err != nil {
		return best, err
	}
	best.loss = o.energy - best.out.above(r2)
	gain := o.energy - o.kept(r1, r2) - best.loss
	flat := gain > stillGaining*best.loss
	for range most {
		if r1 == o.width || gain <= stillGaining*best.loss || best.loss <= negligible*o.energy {
			break
		}
		next, err := o.turned(leadingRows(best.out.vectors, r2), r1, r2)
		if err != nil {
			return best, err
		}
		if gain = best.loss - next.loss; !(gain > 0) {
			break
		}
		best = next
	}
	best.flat = flat
	return best, nil
}

// firstKept is how many decompositions of either mode are kept: those of a coarse ladder, and not of every rank around it.
const firstKept = 8

// shared returns one of the decompositions that all pairs with one rank share.
func (o *orthogonal) shared(mode, rank int, find func() (eigen, error)) (eigen, error) {
	if len(o.first[mode]) >= firstKept {
		if _, there := o.first[mode][rank]; !there {
			clear(o.first[mode])
		}
	}
	return known(o.first[mode], rank, find)
}

// turned takes the inputs anew, seen from rows of outputs u [r2, O], nil for the leading ones, and then the outputs.
func (o *orthogonal) turned(u *linalg.Matrix, r1, r2 int) (iterated, error) {
	find := func() (eigen, error) { return o.inputsOf(o.seenFrom(u, r2)) }
	var in eigen
	var err error
	if u == nil {
		in, err = o.shared(0, r2, find)
	} else {
		in, err = find()
	}
	if err != nil {
		return iterated{}, err
	}
	f := iterated{head: leadingRows(in.vectors, r1)}
	if f.out, err = o.outputsOf(o.seenThrough(f.head, r1)); err != nil {
		return iterated{}, err
	}
	f.loss = o.energy - f.out.above(r2)
	return f, nil
}

// begin returns the subspace of r1 inputs that iterate begins with, nil for the leading directions.
func (o *orthogonal) begin(r1, r2 int) (*linalg.Matrix, error) {
	if r1 == o.width || r1*o.rows < r2*o.width {
		return nil, nil
	}
	in, err := o.shared(0, r2, func() (eigen, error) { return o.inputsOf(o.seenFrom(nil, r2)) })
	if err != nil {
		return nil, err
	}
	return leadingRows(in.vectors, r1), nil
}

// worth returns what each direction of outputs, leading first, keeps of the energy under G itself, q being G taken apart.
func (o *orthogonal) worth(e eigen, q whitening) []float64 {
	found := opened{vectors: e.vectors}
	if q.seen != nil {
		found.vectors = o.b.Mul(true, false, 1, o.outputs, e.vectors)
	}
	found.weigh(o.b, q, e.values)
	return found.worth
}

// headOf returns rows of inputs in the coordinates of the kernel.
func (o *orthogonal) headOf(head *linalg.Matrix, r1 int) *linalg.Matrix {
	if head == nil {
		return o.inputs.RowRange(0, r1)
	}
	return o.b.Mul(false, false, 1, head, o.inputs)
}

// tail returns the core tensor [r2, r1·a] and the outputs [O, r2] that belong to the subspaces.
func (o *orthogonal) tail(f iterated, r1, r2 int) (core, out *linalg.Matrix) {
	u := leadingRows(f.out.vectors, r2)
	y := o.b.Mul(false, false, 1, u, o.seenThrough(f.head, r1))
	y = &linalg.Matrix{Rows: r2 * o.taps, Cols: r1, Data: y.Data}
	return fromTaps(y, o.taps), o.b.Mul(false, false, 1, u, o.outputs).T()
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

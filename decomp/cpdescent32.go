package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpDescentSingle evaluates a descent in single precision, in memory of its own that every evaluation uses again. The tensor is
// scaled to norm 1. Since the norms of the terms are bounded, so is what rounding does to the value: a small part of the whole.
type cpDescentSingle struct {
	of                       *cpDescent
	norm                     float64
	metric, target, wanted   linalg.Block32
	in, taps                 linalg.Block32
	window                   []linalg.Block32
	columns, seen, slope     linalg.Block32 // [r, K]
	gram, right, out, missed linalg.Block32
}

// leastSingleRidge keeps equations from being singular in single precision, as a share of the mean of their diagonal.
const leastSingleRidge = 1e-6

// single returns the descent in single precision; false where that cannot hold the numbers.
func (d *cpDescent) single() (*cpDescentSingle, bool) {
	norm := math.Sqrt(d.energy)
	if !(norm > 0) || math.IsInf(norm, 1) {
		return nil, false
	}
	metric, target, wanted := d.inSingle(norm)
	r, k, o := d.free.in.Rows, d.target.Cols, d.target.Rows
	out := &cpDescentSingle{
		of: d, norm: norm, metric: metric, target: target, wanted: wanted,
		in: linalg.NewBlock32(r, d.in), taps: linalg.NewBlock32(r, k/d.in),
		columns: linalg.NewBlock32(r, k), seen: linalg.NewBlock32(r, k), slope: linalg.NewBlock32(r, k),
		gram: linalg.NewBlock32(r, r), right: linalg.NewBlock32(r, o), out: linalg.NewBlock32(r, o), missed: linalg.NewBlock32(o, k),
	}
	for _, n := range d.window {
		out.window = append(out.window, linalg.NewBlock32(r, n))
	}
	return out, true
}

// inSingle returns metric, target and wanted in single precision.
func (s *modeSpace) inSingle(norm float64) (metric, target, wanted linalg.Block32) {
	if s.narrow == nil {
		s.narrow = &[3]linalg.Block32{narrowed(s.metric, 1), narrowed(s.target, 1/norm), narrowed(s.wanted(), 1/norm)}
	}
	return s.narrow[0], s.narrow[1], s.narrow[2]
}

// eval is that of cpDescent.
func (d *cpDescentSingle) eval(numbers []float64) (float64, []float64, error) {
	y := cpOf(unflat(d.of.free.all(), numbers))
	for i, m := range append([]linalg.Block32{d.in}, d.window...) {
		for j, v := range y.inner()[i].Data {
			m.Data[j] = float32(v)
		}
	}
	sizes := y.innerSizes()
	if err := d.solve(sizes); err != nil {
		return 0, nil, err
	}
	for i, v := range d.wanted.Data {
		d.missed.Data[i] = -v
	}
	d.of.b.GemmAdd32(true, false, d.out, d.seen, d.missed)
	clear(d.slope.Data)
	d.of.b.GemmAdd32(false, false, d.out, d.missed, d.slope)
	y.out = linalg.New(d.out.Rows, d.out.Cols)
	for i, v := range d.out.Data {
		y.out.Data[i] = float64(v) * d.norm
	}
	grad := d.ontoFactors()
	d.of.pull(y, sizes, grad)
	return d.of.whole - d.norm*d.norm*dot32(d.out.Data, d.right.Data), grad, nil
}

// solve finds the best D for the inner vectors.
func (d *cpDescentSingle) solve(sizes []float64) error {
	multiplyTaps32(d.taps, d.window)
	rowProducts32(d.columns, d.in, d.taps)
	for _, m := range []linalg.Block32{d.seen, d.gram, d.right} {
		clear(m.Data)
	}
	d.of.b.GemmAdd32(false, false, d.columns, d.metric, d.seen)
	d.of.b.GemmAdd32(false, true, d.seen, d.columns, d.gram)
	d.of.b.GemmAdd32(false, true, d.seen, d.target, d.right)
	n, mean := d.gram.Rows, 0.0
	for i := range n {
		mean += float64(d.gram.Data[i*n+i]) / float64(n)
	}
	for i, size := range sizes {
		d.gram.Data[i*n+i] += float32(d.of.ridge*size + leastSingleRidge*mean)
	}
	copy(d.out.Data, d.right.Data)
	return d.of.b.SolveSPD32(d.gram, d.out)
}

// ontoFactors carries twice the derivative by the columns over to the vectors that they are products of.
func (d *cpDescentSingle) ontoFactors() []float64 {
	by := 2 * d.norm * d.norm
	var out []float64
	add := func(m linalg.Block32) {
		for _, v := range m.Data {
			out = append(out, by*float64(v))
		}
	}
	in := linalg.NewBlock32(d.in.Rows, d.in.Cols)
	overLast32(in, d.slope, d.taps)
	add(in)
	taps := linalg.NewBlock32(d.taps.Rows, d.taps.Cols)
	overFirst32(taps, d.slope, d.in)
	for i, w := range d.window {
		one := linalg.NewBlock32(w.Rows, w.Cols)
		overOthers32(one, taps, d.window, i)
		add(one)
	}
	return out
}

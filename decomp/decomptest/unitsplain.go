package decomptest

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// PlainOrder returns the units of an axis in the order in which they leave, by the textbook's steps: one downdate of rank one
// after the other, for every column of the unit that costs least. decomp.Eliminate is held against it, in answers and in time.
// Moments must have inverses; b only prepares the steps.
func PlainOrder(b linalg.Backend, a Axis) ([]int, error) {
	var all []*plainGroup
	for _, r := range a.Readers {
		for g := range r.Kernel.Groups {
			p, err := newPlainGroup(b, r, g)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	var order []int
	for range a.Units {
		best, least := -1, math.Inf(1)
		for u := range a.Units {
			cost := 0.0
			for _, p := range all {
				cost += p.cost(p.units[u])
			}
			if cost < least && !slices.Contains(order, u) {
				best, least = u, cost
			}
		}
		for _, p := range all {
			for _, c := range p.units[best] {
				p.leave(c)
			}
		}
		order = append(order, best)
	}
	return order, nil
}

// plainGroup is one group of a reader: B = (A_SS)⁻¹, and (√Scale·G^½ F)ᵀ [K, O] for the fold F.
type plainGroup struct {
	units         [][]int // the columns of every unit
	inverse, fold *linalg.Matrix
	gone          []bool
}

func newPlainGroup(b linalg.Backend, r decomp.Reader, group int) (*plainGroup, error) {
	rows, cols := r.Kernel.Rows(), r.Kernel.Cols()
	p := &plainGroup{units: make([][]int, unitsOf(r)), gone: make([]bool, cols)}
	width := r.Kernel.In / r.Kernel.Groups
	taps := cols / width
	for u := range p.units {
		for _, c := range channelsOf(r, u) {
			for t := 0; c/width == group && t < taps; t++ {
				p.units[u] = append(p.units[u], c%width*taps+t)
			}
		}
	}
	in := input(r.Metric, group)
	if in == nil {
		in = linalg.Identity(cols)
	}
	w := &linalg.Matrix{Rows: rows, Cols: cols, Data: r.Kernel.Weights[group*rows*cols:][:rows*cols]}
	if out := element(r.Metric.Out, group); out != nil {
		factor, err := b.Cholesky(out)
		if err != nil {
			return nil, err
		}
		w = b.Mul(false, false, 1, factor, w)
	}
	p.fold = w.T()
	multiply(p.fold.Data, math.Sqrt(r.Scale))
	var err error
	p.inverse, err = b.InverseSPD(in)
	return p, err
}

// cost is what it costs to take out these columns: those of the first, of the second without the first, and so on.
func (p *plainGroup) cost(columns []int) float64 {
	if len(columns) == 0 || p.gone[columns[0]] {
		return 0
	}
	n, o, total := len(columns), p.fold.Cols, 0.0
	block := &plainGroup{inverse: linalg.New(n, n), fold: linalg.New(n, o), gone: make([]bool, n)}
	for i, c := range columns {
		copy(block.fold.Row(i), p.fold.Row(c))
		for j, d := range columns {
			block.inverse.Set(i, j, p.inverse.At(c, d))
		}
	}
	for i := range n {
		for _, v := range block.fold.Row(i) {
			total += v * v / block.inverse.At(i, i)
		}
		block.leave(i)
	}
	return total
}

// leave takes one column out.
func (p *plainGroup) leave(c int) {
	row, fold := p.inverse.Row(c), p.fold.Row(c)
	pivot := row[c]
	p.gone[c] = true
	for i, gone := range p.gone {
		if gone {
			continue
		}
		by, inverse, to := row[i]/pivot, p.inverse.Row(i), p.fold.Row(i)
		for j, v := range row {
			inverse[j] -= by * v
		}
		for o, v := range fold {
			to[o] -= by * v
		}
	}
}

package moments

import "github.com/onnx-compress/onnx-compress/linalg"

// rows sums over the rows of matrices: every row of length k is a column x. A unit has one
// matrix of perGroup rows for each group, one behind the other.
type rows struct {
	densely
	k, groups, perGroup int
}

// Rows is the summation for samples of perSample rows of length k, row-major. The product is
// taken in place.
func Rows(k, perSample int) Summation { return StackedRows(k, 1, perSample) }

// StackedRows is the summation for samples [groups, rows, k], each matrix with moments of its own.
func StackedRows(k, groups, rowsEach int) Summation {
	return &rows{k: k, groups: groups, perGroup: rowsEach}
}

func (p *rows) Size() int                   { return p.groups * p.k * p.k }
func (p *rows) Scratch(int) int             { return 0 }
func (p *rows) Positions(samples int) int64 { return int64(p.perGroup) * int64(samples) }

func (p *rows) Run(b linalg.Backend, x []float32, samples int, partial []float32, _ *Scratch) {
	each, n := p.perGroup, samples*p.groups
	if p.groups == 1 {
		each, n = samples*p.perGroup, 1 // one product for all
	}
	for i := range n {
		in := linalg.Block32{Rows: each, Cols: p.k, Stride: p.k, Data: x[i*each*p.k:][:each*p.k]}
		b.SyrkAdd32(true, in, square(partial[i%p.groups*p.k*p.k:], p.k))
	}
}

// square is the k×k block at the start of buf.
func square(buf []float32, k int) linalg.Block32 {
	return linalg.Block32{Rows: k, Cols: k, Stride: k, Data: buf[:k*k]}
}

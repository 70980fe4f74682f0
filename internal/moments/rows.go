package moments

import "github.com/onnx-compress/onnx-compress/internal/linalg"

// rows sums over the rows of a matrix: every row of length k is a column x.
type rows struct{ k, perSample int }

// Rows plans for samples of perSample rows of length k, row-major. The product is
// taken in place.
func Rows(k, perSample int) Plan { return &rows{k, perSample} }

func (p *rows) Size() int                   { return p.k * p.k }
func (p *rows) Scratch(int) int             { return 0 }
func (p *rows) Positions(samples int) int64 { return int64(p.perSample) * int64(samples) }
func (p *rows) dense() bool                 { return true }

func (p *rows) same(Plan) bool                  { return true }
func (p *rows) expand(values, []*linalg.Matrix) {}

func (p *rows) Run(b linalg.Backend, x []float32, samples int, partial []float32, _ *Scratch) {
	in := linalg.Block32{Rows: samples * p.perSample, Cols: p.k, Stride: p.k, Data: x}
	b.SyrkAdd32(true, in, square(partial, p.k))
}

// square is the k×k block at the start of buf.
func square(buf []float32, k int) linalg.Block32 {
	return linalg.Block32{Rows: k, Cols: k, Stride: k, Data: buf[:k*k]}
}

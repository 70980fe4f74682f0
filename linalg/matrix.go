package linalg

import (
	"fmt"
	"math"
)

// Matrix is a dense row-major matrix: element (i, j) is Data[i*Cols+j].
type Matrix struct {
	Rows, Cols int
	Data       []float64
}

// New returns a zero matrix of the given size.
func New(rows, cols int) *Matrix {
	return &Matrix{Rows: rows, Cols: cols, Data: make([]float64, rows*cols)}
}

// Identity returns the n×n identity matrix.
func Identity(n int) *Matrix {
	m := New(n, n)
	for i := range n {
		m.Data[i*n+i] = 1
	}
	return m
}

// At returns element (i, j).
func (m *Matrix) At(i, j int) float64 { return m.Data[i*m.Cols+j] }

// Set stores v at (i, j).
func (m *Matrix) Set(i, j int, v float64) { m.Data[i*m.Cols+j] = v }

// Row returns row i as a slice of the matrix's own storage.
func (m *Matrix) Row(i int) []float64 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// Clone returns a copy that shares no storage with m.
func (m *Matrix) Clone() *Matrix {
	return &Matrix{Rows: m.Rows, Cols: m.Cols, Data: append([]float64(nil), m.Data...)}
}

// T returns the transpose as a new matrix.
func (m *Matrix) T() *Matrix {
	const tile = 32 // keeps both the rows read and the rows written in cache
	t := New(m.Cols, m.Rows)
	for i0 := 0; i0 < m.Rows; i0 += tile {
		for j0 := 0; j0 < m.Cols; j0 += tile {
			for i := i0; i < min(i0+tile, m.Rows); i++ {
				for j := j0; j < min(j0+tile, m.Cols); j++ {
					t.Data[j*m.Rows+i] = m.Data[i*m.Cols+j]
				}
			}
		}
	}
	return t
}

// RowRange returns rows from (included) to to (excluded) as a matrix over m's own storage.
func (m *Matrix) RowRange(from, to int) *Matrix {
	return &Matrix{Rows: to - from, Cols: m.Cols, Data: m.Data[from*m.Cols : to*m.Cols]}
}

// Some returns some rows of m, all for nil, and some columns.
func (m *Matrix) Some(rows, columns []int) *Matrix {
	n := len(rows)
	if rows == nil {
		n = m.Rows
	}
	out := New(n, len(columns))
	for i := range n {
		from := m.Row(i)
		if rows != nil {
			from = m.Row(rows[i])
		}
		to := out.Row(i)
		for j, c := range columns {
			to[j] = from[c]
		}
	}
	return out
}

// MaxAbs returns the largest magnitude in m, or NaN when m holds one; 0 for an empty matrix.
func (m *Matrix) MaxAbs() float64 {
	largest := 0.0
	for _, v := range m.Data {
		if v = math.Abs(v); !(v <= largest) {
			if math.IsNaN(v) {
				return v
			}
			largest = v
		}
	}
	return largest
}

// Check reports a size that disagrees with the data and, as a *NumericalError, the first element that is NaN or infinite.
func (m *Matrix) Check() error {
	if m.Rows < 0 || m.Cols < 0 || len(m.Data) != m.Rows*m.Cols {
		return fmt.Errorf("linalg: a %d×%d matrix holds %d numbers, wanted %d", m.Rows, m.Cols, len(m.Data), m.Rows*m.Cols)
	}
	for i, v := range m.Data {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return numerical(ErrNotFinite, fmt.Sprintf("element (%d, %d) is %v", i/m.Cols, i%m.Cols, v), m.Rows, m.Cols)
		}
	}
	return nil
}

// Block32 is a window of a row-major float32 buffer: element (i, j) is Data[i*Stride+j].
//
// A window of columns costs nothing, which is what lag correlations of a flattened image need:
//
//	x := linalg.Block32{Rows: c, Cols: h * w, Stride: h * w, Data: padded}
//	b.GemmAdd32(false, true, x.Columns(0, n-lag), x.Columns(lag, n), dst)
type Block32 struct {
	Rows, Cols, Stride int
	Data               []float32
}

// NewBlock32 returns a zero rows×cols block without gaps.
func NewBlock32(rows, cols int) Block32 {
	return Block32{Rows: rows, Cols: cols, Stride: cols, Data: make([]float32, rows*cols)}
}

// Columns returns columns from (included) to to (excluded), over the same buffer.
func (b Block32) Columns(from, to int) Block32 {
	out := Block32{Rows: b.Rows, Cols: to - from, Stride: b.Stride}
	if b.Rows > 0 && to > from {
		out.Data = b.Data[from : (b.Rows-1)*b.Stride+to]
	}
	return out
}

// valid reports whether every element of b lies inside its buffer.
func (b Block32) valid() bool {
	if b.Rows < 0 || b.Cols < 0 || b.Stride < b.Cols {
		return false
	}
	return b.Rows == 0 || b.Cols == 0 || len(b.Data) >= (b.Rows-1)*b.Stride+b.Cols
}

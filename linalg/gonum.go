package linalg

import (
	"gonum.org/v1/gonum/blas"
	gonumblas "gonum.org/v1/gonum/blas/gonum"
	"gonum.org/v1/gonum/lapack"
	gonumlapack "gonum.org/v1/gonum/lapack/gonum"
)

// Gonum returns the implementation in pure Go, which is always there.
func Gonum() Backend { return gonumBackend{} }

type gonumBackend struct {
	blas   gonumblas.Implementation
	lapack gonumlapack.Implementation
}

func (gonumBackend) Name() string { return "gonum (pure Go)" }

func (g gonumBackend) Mul(transA, transB bool, alpha float64, a, b *Matrix) *Matrix {
	m, n, k := mulSize(transA, transB, a.Rows, a.Cols, b.Rows, b.Cols)
	c := New(m, n)
	x := panels[float64]{data: a.Data, stride: a.Cols, trans: transA}
	y := panels[float64]{data: b.Data, stride: b.Cols, trans: !transB}
	tiles(m, n, k, false, x, y, func(i, j, rows, cols, depth int, x, y []float64, ldx, ldy int) {
		g.blas.Dgemm(blas.NoTrans, blas.Trans, rows, cols, depth, alpha, x, ldx, y, ldy, 1, c.Data[i*n+j:], n)
	})
	return c
}

func (g gonumBackend) SymEig(a *Matrix) ([]float64, *Matrix, error) {
	if err := checkSquare(a); err != nil {
		return nil, nil, err
	}
	n := a.Rows
	values, vectors := make([]float64, n), a.Clone()
	if n == 0 {
		return values, vectors, nil
	}
	query := make([]float64, 1)
	g.lapack.Dsyev(lapack.EVCompute, blas.Upper, n, vectors.Data, n, values, query, -1)
	work := make([]float64, int(query[0]))
	if !g.lapack.Dsyev(lapack.EVCompute, blas.Upper, n, vectors.Data, n, values, work, len(work)) {
		return nil, nil, numerical(ErrNotConverged, "eigen-decomposition (dsyev)", n, n)
	}
	fixColumnSigns(vectors, nil)
	return values, vectors, nil
}

// SymEigValues takes the way of SymEig: gonum's other one panics where it has to scale the matrix (dsterf, v0.17).
func (g gonumBackend) SymEigValues(a *Matrix) ([]float64, error) {
	values, _, err := g.SymEig(a)
	return values, err
}

func (g gonumBackend) SVD(a *Matrix) (*Matrix, []float64, *Matrix, error) {
	if err := a.Check(); err != nil {
		return nil, nil, nil, err
	}
	m, n := a.Rows, a.Cols
	k := min(m, n)
	u, s, vt := New(m, k), make([]float64, k), New(k, n)
	if k == 0 {
		return u, s, vt, nil
	}
	work := a.Clone()
	query := make([]float64, 1)
	g.lapack.Dgesvd(lapack.SVDStore, lapack.SVDStore, m, n, work.Data, n, s, u.Data, k, vt.Data, n, query, -1)
	space := make([]float64, int(query[0]))
	if !g.lapack.Dgesvd(lapack.SVDStore, lapack.SVDStore, m, n, work.Data, n, s, u.Data, k, vt.Data, n, space, len(space)) {
		return nil, nil, nil, numerical(ErrNotConverged, "singular value decomposition (dgesvd)", m, n)
	}
	fixColumnSigns(u, vt)
	return u, s, vt, nil
}

func (g gonumBackend) SolveSPD(a, b *Matrix) (*Matrix, error) {
	if err := checkSystem(a, b); err != nil {
		return nil, err
	}
	n, factor, x := a.Rows, a.Clone(), b.Clone()
	if n == 0 || b.Cols == 0 {
		return x, nil
	}
	if !g.lapack.Dpotrf(blas.Upper, n, factor.Data, n) {
		return nil, numerical(ErrNotPositiveDefinite, "Cholesky factorization", n, n)
	}
	g.lapack.Dpotrs(blas.Upper, n, b.Cols, factor.Data, n, x.Data, x.Cols)
	return x, nil
}

func (g gonumBackend) Cholesky(a *Matrix) (*Matrix, error) {
	if err := checkSquare(a); err != nil {
		return nil, err
	}
	n, factor := a.Rows, a.Clone()
	if n > 0 && !g.lapack.Dpotrf(blas.Upper, n, factor.Data, n) {
		return nil, numerical(ErrNotPositiveDefinite, "Cholesky factorization", n, n)
	}
	clearLower(factor)
	return factor, nil
}

func (g gonumBackend) InverseSPD(a *Matrix) (*Matrix, error) {
	inverse, err := g.Cholesky(a)
	if err != nil || a.Rows == 0 {
		return inverse, err
	}
	g.lapack.Dpotri(blas.Upper, a.Rows, inverse.Data, a.Rows) // it fails where the diagonal of the factor has a zero
	mirrorUpper(inverse)
	return inverse, nil
}

func (g gonumBackend) SyrkAdd32(trans bool, x, dst Block32) {
	n, k := syrk32Size(trans, x, dst)
	p := panels[float32]{data: x.Data, stride: x.Stride, trans: trans}
	tiles(n, n, k, true, p, p, func(i, j, rows, cols, depth int, x, y []float32, ldx, ldy int) {
		if i == j {
			g.blas.Ssyrk(blas.Upper, blas.NoTrans, rows, depth, 1, x, ldx, 1, dst.Data[i*dst.Stride+j:], dst.Stride)
			return
		}
		g.blas.Sgemm(blas.NoTrans, blas.Trans, rows, cols, depth, 1, x, ldx, y, ldy, 1, dst.Data[i*dst.Stride+j:], dst.Stride)
	})
}

func (g gonumBackend) GemmAdd32(transA, transB bool, a, b, dst Block32) {
	m, n, k := gemm32Size(transA, transB, a, b, dst)
	x := panels[float32]{data: a.Data, stride: a.Stride, trans: transA}
	y := panels[float32]{data: b.Data, stride: b.Stride, trans: !transB}
	tiles(m, n, k, false, x, y, func(i, j, rows, cols, depth int, x, y []float32, ldx, ldy int) {
		g.blas.Sgemm(blas.NoTrans, blas.Trans, rows, cols, depth, 1, x, ldx, y, ldy, 1, dst.Data[i*dst.Stride+j:], dst.Stride)
	})
}

// SolveSPD32 solves in double precision: gonum has no LAPACK in single precision.
func (g gonumBackend) SolveSPD32(a, b Block32) error {
	n, m := solve32Size(a, b)
	if n == 0 || m == 0 {
		return nil
	}
	system, x := widened(a), widened(b)
	if !g.lapack.Dpotrf(blas.Upper, n, system.Data, n) {
		return numerical(ErrNotPositiveDefinite, "Cholesky factorization", n, n)
	}
	g.lapack.Dpotrs(blas.Upper, n, m, system.Data, n, x.Data, m)
	for i := range n {
		for j, v := range x.Row(i) {
			b.Data[i*b.Stride+j] = float32(v)
		}
	}
	return nil
}

// widened returns a block in double precision.
func widened(b Block32) *Matrix {
	out := New(b.Rows, b.Cols)
	for i := range b.Rows {
		row := out.Row(i)
		for j := range row {
			row[j] = float64(b.Data[i*b.Stride+j])
		}
	}
	return out
}

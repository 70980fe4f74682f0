// Package linalg is the dense linear algebra of the house: products, symmetric eigenproblems, singular
// values and what Cholesky factors answer, behind one interface with two implementations. Gonum is pure Go and always
// there; OpenBLAS is loaded at run time from a shared library, without cgo, and is many times faster.
//
// Both follow the same conventions of order and sign, both run one thread a call and may be called from
// any number of goroutines, and for the same input each returns the same bytes every time. The two agree
// with each other to about 1e-10 relative in everything that is mathematically unique (eigenvalues,
// singular values, subspaces, products of factors).
//
// The routines are those of BLAS and LAPACK (Anderson et al., LAPACK Users' Guide, SIAM 1999), whose names the errors
// give. A Matrix is a value that anybody can write down:
//
//	a := &linalg.Matrix{Rows: 2, Cols: 2, Data: []float64{2, 1, 1, 2}}
//	values, vectors, err := linalg.Gonum().SymEig(a) // values 1 and 3
package linalg

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Backend is one implementation of the operations.
//
// Matrices that do not fit together are a mistake in the calling code, not in anybody's data; as with
// an index out of range, the operations panic on them. NaN and infinite elements are data: the
// factorizations return them as a *NumericalError, and so whatever else keeps them from an answer.
type Backend interface {
	// Name says which implementation this is, its version and where it was found.
	Name() string

	// Mul returns alpha·op(a)·op(b), where op(x) is xᵀ when its flag is set and x otherwise.
	Mul(transA, transB bool, alpha float64, a, b *Matrix) *Matrix

	// SymEig returns the eigen-decomposition a = V·diag(values)·Vᵀ of a symmetric matrix: values
	// ascending, eigenvector i in column i of vectors, each with its element of largest magnitude
	// (the first of several) positive. Only the upper triangle of a is read. Where values repeat,
	// the basis of their subspace is the implementation's choice.
	SymEig(a *Matrix) (values []float64, vectors *Matrix, err error)

	// SymEigValues returns the values of SymEig alone, by OpenBLAS in a fraction of its time and memory.
	SymEigValues(a *Matrix) ([]float64, error)

	// SVD returns the thin singular value decomposition a = U·diag(s)·VT with k = min(rows, cols):
	// u is rows×k, s descending, vt is k×cols. Each column of u has its element of largest
	// magnitude (the first of several) positive.
	SVD(a *Matrix) (u *Matrix, s []float64, vt *Matrix, err error)

	// SolveSPD returns X with a·X = b by Cholesky factorization. a is symmetric positive definite
	// (only its upper triangle is read), else the error is a *NumericalError of ErrNotPositiveDefinite.
	SolveSPD(a, b *Matrix) (*Matrix, error)

	// Cholesky returns the upper triangular R with a = RᵀR, all of whose diagonal is positive. a and the error are those
	// of SolveSPD.
	Cholesky(a *Matrix) (*Matrix, error)

	// InverseSPD returns a⁻¹, both triangles of it, in less than half the time that SolveSPD takes with the identity. a and
	// the error are those of SolveSPD.
	InverseSPD(a *Matrix) (*Matrix, error)

	// SyrkAdd32 adds x·xᵀ to dst, or xᵀ·x when trans is set, in float32. Only the upper triangle
	// of dst (its diagonal included) is read and written.
	SyrkAdd32(trans bool, x, dst Block32)

	// GemmAdd32 adds op(a)·op(b) to dst in float32, with op as in Mul.
	GemmAdd32(transA, transB bool, a, b, dst Block32)

	// SolveSPD32 replaces b by the X with a·X = b as SolveSPD finds it, in float32. a is used up. NaN and infinite
	// elements are not looked for: a result may have them where a or b has.
	SolveSPD32(a, b Block32) error
}

// What a NumericalError wraps.
var (
	// ErrNotPositiveDefinite says that a matrix given to SolveSPD has an eigenvalue that is not positive.
	ErrNotPositiveDefinite = errors.New("the matrix is not positive definite")
	// ErrNotFinite says that a matrix has an element that is NaN or infinite.
	ErrNotFinite = errors.New("wanted finite numbers")
	// ErrNotConverged says that the iterations of an eigen- or singular value decomposition did not end.
	ErrNotConverged = errors.New("the iterations did not converge")
)

// NumericalError says that an operation has no answer for the numbers that it was given. Other numbers of the same
// size, such as a shorter step or a larger ridge, may have one, so callers that have others to try look for this error
// and for no other.
type NumericalError struct {
	What string // the operation or the element, and the size of its matrix
	Err  error  // ErrNotPositiveDefinite, ErrNotFinite or ErrNotConverged
}

func (e *NumericalError) Error() string { return "linalg: " + e.What + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the numbers.
func (e *NumericalError) Unwrap() error { return e.Err }

// numerical returns a NumericalError about an operation on a matrix of that size.
func numerical(err error, what string, rows, cols int) error {
	return &NumericalError{What: fmt.Sprintf("%s of a %d×%d matrix", what, rows, cols), Err: err}
}

// mulSize returns the sizes of op(a)·op(b): m×k times k×n.
func mulSize(transA, transB bool, aRows, aCols, bRows, bCols int) (m, n, k int) {
	m, k = aRows, aCols
	if transA {
		m, k = k, m
	}
	kb, n := bRows, bCols
	if transB {
		kb, n = n, kb
	}
	if k != kb {
		panic(fmt.Sprintf("linalg: product of %d×%d (transposed: %t) and %d×%d (transposed: %t)", aRows, aCols, transA, bRows, bCols, transB))
	}
	return m, n, k
}

// gemm32Size checks the blocks of GemmAdd32 and returns the sizes of the product.
func gemm32Size(transA, transB bool, a, b, dst Block32) (m, n, k int) {
	m, n, k = mulSize(transA, transB, a.Rows, a.Cols, b.Rows, b.Cols)
	checkBlocks(m, n, dst, a, b)
	return m, n, k
}

// syrk32Size checks the blocks of SyrkAdd32 and returns the order of dst and the length of the sums.
func syrk32Size(trans bool, x, dst Block32) (n, k int) {
	n, k = x.Rows, x.Cols
	if trans {
		n, k = k, n
	}
	checkBlocks(n, n, dst, x)
	return n, k
}

// checkBlocks refuses an m×n product of operands that dst cannot take, and blocks without room for their elements.
func checkBlocks(m, n int, dst Block32, operands ...Block32) {
	if dst.Rows != m || dst.Cols != n {
		panic(fmt.Sprintf("linalg: a %d×%d product added to a %d×%d block", m, n, dst.Rows, dst.Cols))
	}
	if !dst.valid() || slices.ContainsFunc(operands, func(b Block32) bool { return !b.valid() }) {
		panic("linalg: a float32 block reaches beyond its buffer")
	}
}

// checkSquare refuses what no symmetric factorization can take.
func checkSquare(a *Matrix) error {
	if a.Rows != a.Cols {
		panic(fmt.Sprintf("linalg: a %d×%d matrix where a square one is wanted", a.Rows, a.Cols))
	}
	return a.Check()
}

// checkSystem refuses what no Cholesky solve can take.
func checkSystem(a, b *Matrix) error {
	if a.Rows != b.Rows {
		panic(fmt.Sprintf("linalg: a %d×%d system with a %d×%d right-hand side", a.Rows, a.Cols, b.Rows, b.Cols))
	}
	return errors.Join(checkSquare(a), b.Check())
}

// clearLower makes a square matrix upper triangular.
func clearLower(m *Matrix) {
	for i := range m.Rows {
		clear(m.Row(i)[:i])
	}
}

// mirrorUpper copies the upper triangle of a square matrix to the lower one.
func mirrorUpper(m *Matrix) {
	const tile = 32 // as in T
	n := m.Rows
	for i0 := 0; i0 < n; i0 += tile {
		for j0 := 0; j0 <= i0; j0 += tile {
			for i := i0; i < min(i0+tile, n); i++ {
				for j := j0; j < min(j0+tile, i); j++ {
					m.Data[i*n+j] = m.Data[j*n+i]
				}
			}
		}
	}
}

// transposeSquare exchanges the two triangles of a square matrix.
func transposeSquare(m *Matrix) {
	const tile = 32 // as in T
	n := m.Rows
	for i0 := 0; i0 < n; i0 += tile {
		for j0 := 0; j0 <= i0; j0 += tile {
			for i := i0; i < min(i0+tile, n); i++ {
				for j := j0; j < min(j0+tile, i); j++ {
					m.Data[i*n+j], m.Data[j*n+i] = m.Data[j*n+i], m.Data[i*n+j]
				}
			}
		}
	}
}

// solve32Size checks the blocks of SolveSPD32 and returns the order of a and the number of right-hand sides.
func solve32Size(a, b Block32) (n, m int) {
	if a.Rows != a.Cols || a.Rows != b.Rows {
		panic(fmt.Sprintf("linalg: a %d×%d system with a %d×%d right-hand side", a.Rows, a.Cols, b.Rows, b.Cols))
	}
	checkBlocks(b.Rows, b.Cols, b, a)
	return b.Rows, b.Cols
}

// fixColumnSigns makes the element of largest magnitude of every column of m positive (the first of
// equals) and flips the row of the same number of partner, when there is one, along with it.
func fixColumnSigns(m, partner *Matrix) {
	largest := make([]float64, m.Cols)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			if math.Abs(v) > math.Abs(largest[j]) {
				largest[j] = v
			}
		}
	}
	for j, v := range largest {
		if v >= 0 {
			continue
		}
		for i := range m.Rows {
			m.Data[i*m.Cols+j] = -m.Data[i*m.Cols+j]
		}
		if partner != nil {
			row := partner.Row(j)
			for i := range row {
				row[i] = -row[i]
			}
		}
	}
}

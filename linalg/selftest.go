package linalg

import (
	"errors"
	"math"
)

// selfTest runs every operation of a loaded library once on numbers whose answers are known. It finds, in
// well under a millisecond, a library that takes its arguments in another form than it is given them.
func selfTest(b Backend) error {
	near := func(got []float64, want ...float64) bool {
		for i := range want {
			if !(math.Abs(got[i]-want[i]) < 1e-12) {
				return false
			}
		}
		return true
	}
	x := &Matrix{Rows: 2, Cols: 3, Data: []float64{1, 2, 3, 4, 5, 6}}
	if got := b.Mul(false, true, 2, x, x); !near(got.Data, 28, 64, 64, 154) {
		return errors.New("its matrix product (dgemm) is wrong")
	}
	// [[2,1],[1,2]] has the eigenvalues 1 and 3, and so has the Gram matrix of the one below.
	spd := &Matrix{Rows: 2, Cols: 2, Data: []float64{2, 1, 1, 2}}
	half := math.Sqrt(0.5)
	values, vectors, err := b.SymEig(spd)
	if err != nil {
		return err
	}
	if !near(values, 1, 3) || !near([]float64{vectors.At(0, 1), vectors.At(1, 1)}, half, half) {
		return errors.New("its symmetric eigen-decomposition (dsyevd) is wrong")
	}
	tall := &Matrix{Rows: 3, Cols: 2, Data: []float64{1, 0, 0, 1, 1, 1}}
	u, s, vt, err := b.SVD(tall)
	if err != nil {
		return err
	}
	us := &Matrix{Rows: 3, Cols: 2, Data: make([]float64, 6)}
	for i := range us.Data {
		us.Data[i] = u.Data[i] * s[i%2]
	}
	if !near(s, math.Sqrt(3), 1) || !near(b.Mul(false, false, 1, us, vt).Data, tall.Data...) {
		return errors.New("its singular value decomposition (dgesdd) is wrong")
	}
	solution, err := b.SolveSPD(spd, &Matrix{Rows: 2, Cols: 1, Data: []float64{4, 5}})
	if err != nil {
		return err
	}
	if !near(solution.Data, 1, 2) {
		return errors.New("its Cholesky solution (dpotrf, dpotrs) is wrong")
	}
	inverse, err := b.InverseSPD(spd)
	if err != nil {
		return err
	}
	if !near(inverse.Data, 2./3, -1./3, -1./3, 2./3) {
		return errors.New("its inverse by Cholesky factorization (dpotri) is wrong")
	}
	x32 := Block32{Rows: 2, Cols: 3, Stride: 3, Data: []float32{1, 2, 3, 4, 5, 6}}
	gram, product := NewBlock32(2, 2), NewBlock32(3, 3)
	b.SyrkAdd32(false, x32, gram)
	b.GemmAdd32(true, false, x32, x32, product)
	wide := func(v []float32) []float64 {
		out := make([]float64, len(v))
		for i := range v {
			out[i] = float64(v[i])
		}
		return out
	}
	if !near(wide(gram.Data), 14, 32, 0, 77) || !near(wide(product.Data), 17, 22, 27, 22, 29, 36, 27, 36, 45) {
		return errors.New("its products in single precision (ssyrk, sgemm) are wrong")
	}
	solved := Block32{Rows: 2, Cols: 1, Stride: 1, Data: []float32{8, 12}}
	if err := b.SolveSPD32(Block32{Rows: 2, Cols: 2, Stride: 2, Data: []float32{4, 2, 0, 5}}, solved); err != nil {
		return err
	}
	if !near(wide(solved.Data), 1, 2) {
		return errors.New("its Cholesky solution in single precision (spotrf, strsm) is wrong")
	}
	return nil
}

package linalg

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/onnx-compress/onnx-compress/internal/dynlib"
)

// Open loads OpenBLAS, with its LAPACK, from the shared library at path and returns it as a Backend. The
// library is held to one thread a call and stays loaded for the life of the process; opening it again is
// cheap. Builds whose symbols carry the prefix scipy_ (the wheels scipy-openblas32) and plain ones (an
// operating system's package) both serve, with 32-bit or 64-bit integers.
//
// It is an error when the file cannot be loaded, is no OpenBLAS, lacks LAPACK, threads through OpenMP
// (which cannot be held to one thread from here), or gives wrong answers to a small test.
func Open(path string) (Backend, error) {
	// As it is loaded OpenBLAS starts a thread for each processor, and these look for work that never comes, for tens of milliseconds each.
	if err := dynlib.Setenv("OPENBLAS_NUM_THREADS", "1"); err != nil {
		return nil, fmt.Errorf("linalg: open OpenBLAS: %w", err)
	}
	library, err := dynlib.Open(path)
	if err != nil {
		return nil, fmt.Errorf("linalg: open OpenBLAS: %w", err)
	}
	o, err := bind(library)
	if err != nil {
		return nil, fmt.Errorf("linalg: %s: %w", path, err)
	}
	o.name += " at " + path
	if err := selfTest(o); err != nil {
		return nil, fmt.Errorf("linalg: %s: %w", path, err)
	}
	return o, nil
}

// openBLAS calls the Fortran interfaces of BLAS and LAPACK, whose arguments are all pointers: no number is
// passed by value, so no calling convention for floating point is involved. Integers are passed as
// pointers to int64. On a little-endian machine (all that Go's ports with shared libraries are) a library
// built with 32-bit integers reads the low half of the same bytes, so one call suits both builds.
//
// Fortran stores matrices by columns. What is a row-major m×n matrix here is its n×m transpose there, so
// every operation is phrased for the transposes and nothing has to be copied.
type openBLAS struct {
	name string
	// calls holds a token for each call under way. OpenBLAS keeps a fixed number of work buffers and ends
	// the process when more calls come at once; more than there are processors gain nothing anyhow.
	calls chan struct{}

	dgemm, dsyevd, dgesdd, dgesvd, dpotrf, dpotrs, dpotri, sgemm, ssyrk, spotrf, strsm uintptr
}

// maxCalls stays below the number of work buffers of every build (at least 2 for each of the threads it was
// configured for, 64 in the wheels).
const maxCalls = 64

var versionPattern = regexp.MustCompile(`OpenBLAS\s+(\S+)`)

// bind finds the symbols of an OpenBLAS and sets it to one thread.
func bind(library *dynlib.Library) (*openBLAS, error) {
	prefix := "scipy_"
	if _, err := library.Symbol(prefix + "openblas_set_num_threads"); err != nil {
		prefix = ""
	}
	o := &openBLAS{calls: make(chan struct{}, min(runtime.NumCPU(), maxCalls))}
	var setThreads, parallel, config, core uintptr
	for _, want := range []struct {
		to     *uintptr
		symbol string
		reason string
	}{
		{&setThreads, "openblas_set_num_threads", "this is not OpenBLAS"},
		{&parallel, "openblas_get_parallel", "this is not OpenBLAS"},
		{&config, "openblas_get_config", "this is not OpenBLAS"},
		{&core, "openblas_get_corename", "this is not OpenBLAS"},
		{&o.dgemm, "dgemm_", "this OpenBLAS has no Fortran interface"},
		{&o.sgemm, "sgemm_", "this OpenBLAS has no Fortran interface"},
		{&o.ssyrk, "ssyrk_", "this OpenBLAS has no Fortran interface"},
		{&o.dsyevd, "dsyevd_", "this OpenBLAS was built without LAPACK"},
		{&o.dgesdd, "dgesdd_", "this OpenBLAS was built without LAPACK"},
		{&o.dgesvd, "dgesvd_", "this OpenBLAS was built without LAPACK"},
		{&o.dpotrf, "dpotrf_", "this OpenBLAS was built without LAPACK"},
		{&o.dpotrs, "dpotrs_", "this OpenBLAS was built without LAPACK"},
		{&o.dpotri, "dpotri_", "this OpenBLAS was built without LAPACK"},
		{&o.spotrf, "spotrf_", "this OpenBLAS was built without LAPACK"},
		{&o.strsm, "strsm_", "this OpenBLAS has no Fortran interface"},
	} {
		address, err := library.Symbol(prefix + want.symbol)
		if err != nil {
			return nil, fmt.Errorf("%s: it has no symbol %s", want.reason, want.symbol)
		}
		*want.to = address
	}
	const openMP = 2 // openblas_get_parallel: 0 sequential, 1 the platform's threads, 2 OpenMP
	if kind, _, _ := purego.SyscallN(parallel); int32(kind) == openMP && os.Getenv("OMP_NUM_THREADS") != "1" {
		return nil, errors.New("this OpenBLAS threads through OpenMP, whose thread count each calling thread has for itself; " +
			"use a build on the platform's threads (libopenblas0-pthread, scipy-openblas32) or set OMP_NUM_THREADS=1")
	}
	purego.SyscallN(setThreads, 1)
	var getConfig, getCore func() string
	purego.RegisterFunc(&getConfig, config)
	purego.RegisterFunc(&getCore, core)
	o.name = "OpenBLAS"
	if v := versionPattern.FindStringSubmatch(getConfig()); v != nil {
		o.name += " " + v[1]
	}
	o.name += " (" + getCore() + " kernels)"
	return o, nil
}

func (o *openBLAS) Name() string { return o.name }

// ptr shortens the argument lists below.
type ptr = unsafe.Pointer

// call calls a Fortran routine. The pragma keeps what the arguments point to on the heap and alive until it
// returns, for which each conversion to uintptr must stand in the argument list itself. After the pointers
// come the lengths of the character arguments, by value, as Fortran compilers pass them.
//
//go:uintptrescapes
func (o *openBLAS) call(routine uintptr, args ...uintptr) {
	o.calls <- struct{}{}
	defer func() { <-o.calls }()
	purego.SyscallN(routine, args...)
}

func fortranTrans(t bool) byte {
	if t {
		return 'T'
	}
	return 'N'
}

// leading returns the leading dimension of a matrix with rows of n elements; Fortran wants 1 for none.
func leading(n int) int64 { return int64(max(n, 1)) }

func (o *openBLAS) Mul(transA, transB bool, alpha float64, a, b *Matrix) *Matrix {
	rows, cols, depth := mulSize(transA, transB, a.Rows, a.Cols, b.Rows, b.Cols)
	c := New(rows, cols)
	if rows == 0 || cols == 0 || depth == 0 {
		return c
	}
	// cᵀ = op(b)ᵀ·op(a)ᵀ
	ta, tb, beta := fortranTrans(transA), fortranTrans(transB), 0.0
	m, n, k, lda, ldb := int64(rows), int64(cols), int64(depth), leading(a.Cols), leading(b.Cols)
	o.call(o.dgemm, uintptr(ptr(&tb)), uintptr(ptr(&ta)), uintptr(ptr(&n)), uintptr(ptr(&m)), uintptr(ptr(&k)),
		uintptr(ptr(&alpha)), uintptr(ptr(&b.Data[0])), uintptr(ptr(&ldb)), uintptr(ptr(&a.Data[0])), uintptr(ptr(&lda)),
		uintptr(ptr(&beta)), uintptr(ptr(&c.Data[0])), uintptr(ptr(&n)), 1, 1)
	return c
}

func (o *openBLAS) GemmAdd32(transA, transB bool, a, b, dst Block32) {
	rows, cols, depth := gemm32Size(transA, transB, a, b, dst)
	if rows == 0 || cols == 0 || depth == 0 {
		return
	}
	ta, tb, one := fortranTrans(transA), fortranTrans(transB), float32(1)
	m, n, k := int64(rows), int64(cols), int64(depth)
	lda, ldb, ldc := leading(a.Stride), leading(b.Stride), leading(dst.Stride)
	o.call(o.sgemm, uintptr(ptr(&tb)), uintptr(ptr(&ta)), uintptr(ptr(&n)), uintptr(ptr(&m)), uintptr(ptr(&k)),
		uintptr(ptr(&one)), uintptr(ptr(&b.Data[0])), uintptr(ptr(&ldb)), uintptr(ptr(&a.Data[0])), uintptr(ptr(&lda)),
		uintptr(ptr(&one)), uintptr(ptr(&dst.Data[0])), uintptr(ptr(&ldc)), 1, 1)
}

func (o *openBLAS) SyrkAdd32(trans bool, x, dst Block32) {
	order, depth := syrk32Size(trans, x, dst)
	if order == 0 || depth == 0 {
		return
	}
	// The upper triangle by rows is the lower one by columns, and x by columns is xᵀ.
	uplo, t, one := byte('L'), fortranTrans(!trans), float32(1)
	n, k, ldx, ldd := int64(order), int64(depth), leading(x.Stride), leading(dst.Stride)
	o.call(o.ssyrk, uintptr(ptr(&uplo)), uintptr(ptr(&t)), uintptr(ptr(&n)), uintptr(ptr(&k)),
		uintptr(ptr(&one)), uintptr(ptr(&x.Data[0])), uintptr(ptr(&ldx)),
		uintptr(ptr(&one)), uintptr(ptr(&dst.Data[0])), uintptr(ptr(&ldd)), 1, 1)
}

func (o *openBLAS) SymEig(a *Matrix) ([]float64, *Matrix, error) {
	values, columns, err := o.symmetric('V', a)
	if err != nil || a.Rows == 0 {
		return values, columns, err
	}
	transposeSquare(columns)
	fixColumnSigns(columns, nil)
	return values, columns, nil
}

func (o *openBLAS) SymEigValues(a *Matrix) ([]float64, error) {
	values, _, err := o.symmetric('N', a)
	return values, err
}

// symmetric solves the eigenproblem of a symmetric matrix: with the job V, the vectors are in the rows of the matrix that
// comes back.
func (o *openBLAS) symmetric(job byte, a *Matrix) ([]float64, *Matrix, error) {
	if err := checkSquare(a); err != nil {
		return nil, nil, err
	}
	values, columns := make([]float64, a.Rows), a.Clone()
	if a.Rows == 0 {
		return values, columns, nil
	}
	uplo, n := byte('L'), int64(a.Rows)
	run := func(work []float64, lwork int64, iwork []int64, liwork int64) int32 {
		var info int64
		o.call(o.dsyevd, uintptr(ptr(&job)), uintptr(ptr(&uplo)), uintptr(ptr(&n)), uintptr(ptr(&columns.Data[0])), uintptr(ptr(&n)),
			uintptr(ptr(&values[0])), uintptr(ptr(&work[0])), uintptr(ptr(&lwork)), uintptr(ptr(&iwork[0])), uintptr(ptr(&liwork)),
			uintptr(ptr(&info)), 1, 1)
		return int32(info)
	}
	query, iquery := make([]float64, 1), make([]int64, 1)
	info := run(query, -1, iquery, -1)
	if info == 0 {
		lwork, liwork := int64(query[0]), int64(int32(iquery[0]))
		info = run(make([]float64, lwork), lwork, make([]int64, liwork), liwork)
	}
	if info != 0 {
		return nil, nil, numerical(ErrNotConverged, fmt.Sprintf("eigen-decomposition (dsyevd: %d)", info), a.Rows, a.Rows)
	}
	return values, columns, nil
}

func (o *openBLAS) SVD(a *Matrix) (*Matrix, []float64, *Matrix, error) {
	if err := a.Check(); err != nil {
		return nil, nil, nil, err
	}
	small := min(a.Rows, a.Cols)
	u, s, vt := New(a.Rows, small), make([]float64, small), New(small, a.Cols)
	if small == 0 {
		return u, s, vt, nil
	}
	// Divide and conquer is several times as fast, and fails on rare matrices that iteration still takes apart.
	var tried []string
	for _, r := range []struct {
		name string
		run  func(a, u *Matrix, s []float64, vt *Matrix) int32
	}{{"dgesdd", o.divide}, {"dgesvd", o.iterate}} {
		switch info := r.run(a.Clone(), u, s, vt); {
		case info == 0:
			fixColumnSigns(u, vt)
			return u, s, vt, nil
		case info < 0:
			return nil, nil, nil, fmt.Errorf("linalg: singular value decomposition of a %d×%d matrix: %s refuses its argument %d", a.Rows, a.Cols, r.name, -info)
		default:
			tried = append(tried, fmt.Sprintf("%s: %d", r.name, info))
		}
	}
	return nil, nil, nil, numerical(ErrNotConverged, "singular value decomposition ("+strings.Join(tried, ", ")+")", a.Rows, a.Cols)
}

// divide is dgesdd on aᵀ = V·S·Uᵀ: LAPACK's left vectors by columns are vt by rows, its right ones are u. It
// overwrites a, and returns LAPACK's info: 0, or above it where the iterations did not converge.
func (o *openBLAS) divide(a, u *Matrix, s []float64, vt *Matrix) int32 {
	job, m, n, k := byte('S'), int64(a.Cols), int64(a.Rows), int64(len(s))
	iwork := make([]int64, 8*len(s))
	return withWork(func(work []float64, lwork int64) int32 {
		var info int64
		o.call(o.dgesdd, uintptr(ptr(&job)), uintptr(ptr(&m)), uintptr(ptr(&n)), uintptr(ptr(&a.Data[0])), uintptr(ptr(&m)),
			uintptr(ptr(&s[0])), uintptr(ptr(&vt.Data[0])), uintptr(ptr(&m)), uintptr(ptr(&u.Data[0])), uintptr(ptr(&k)),
			uintptr(ptr(&work[0])), uintptr(ptr(&lwork)), uintptr(ptr(&iwork[0])), uintptr(ptr(&info)), 1)
		return int32(info)
	})
}

// iterate is divide by dgesvd.
func (o *openBLAS) iterate(a, u *Matrix, s []float64, vt *Matrix) int32 {
	job, m, n, k := byte('S'), int64(a.Cols), int64(a.Rows), int64(len(s))
	return withWork(func(work []float64, lwork int64) int32 {
		var info int64
		o.call(o.dgesvd, uintptr(ptr(&job)), uintptr(ptr(&job)), uintptr(ptr(&m)), uintptr(ptr(&n)), uintptr(ptr(&a.Data[0])), uintptr(ptr(&m)),
			uintptr(ptr(&s[0])), uintptr(ptr(&vt.Data[0])), uintptr(ptr(&m)), uintptr(ptr(&u.Data[0])), uintptr(ptr(&k)),
			uintptr(ptr(&work[0])), uintptr(ptr(&lwork)), uintptr(ptr(&info)), 1, 1)
		return int32(info)
	})
}

// withWork runs a routine of LAPACK with the working memory that it asks for.
func withWork(run func(work []float64, lwork int64) int32) int32 {
	query := make([]float64, 1)
	if info := run(query, -1); info != 0 {
		return info
	}
	lwork := int64(query[0])
	return run(make([]float64, lwork), lwork)
}

func (o *openBLAS) SolveSPD(a, b *Matrix) (*Matrix, error) {
	if err := checkSystem(a, b); err != nil {
		return nil, err
	}
	if a.Rows == 0 || b.Cols == 0 {
		return b.Clone(), nil
	}
	factor, err := o.factored(a)
	if err != nil {
		return nil, err
	}
	x := b.T() // bᵀ by rows is b by columns
	uplo, n, right, info := byte('L'), int64(a.Rows), int64(b.Cols), int64(0)
	o.call(o.dpotrs, uintptr(ptr(&uplo)), uintptr(ptr(&n)), uintptr(ptr(&right)), uintptr(ptr(&factor.Data[0])), uintptr(ptr(&n)),
		uintptr(ptr(&x.Data[0])), uintptr(ptr(&n)), uintptr(ptr(&info)), 1)
	if int32(info) != 0 {
		return nil, fmt.Errorf("linalg: Cholesky solution of a %d×%d system failed (dpotrs: %d)", a.Rows, a.Rows, int32(info))
	}
	return x.T(), nil
}

func (o *openBLAS) Cholesky(a *Matrix) (*Matrix, error) {
	factor, err := o.factored(a)
	if err == nil {
		clearLower(factor)
	}
	return factor, err
}

func (o *openBLAS) InverseSPD(a *Matrix) (*Matrix, error) {
	inverse, err := o.factored(a)
	if err != nil || a.Rows == 0 {
		return inverse, err
	}
	uplo, n, info := byte('L'), int64(a.Rows), int64(0)
	o.call(o.dpotri, uintptr(ptr(&uplo)), uintptr(ptr(&n)), uintptr(ptr(&inverse.Data[0])), uintptr(ptr(&n)), uintptr(ptr(&info)), 1)
	if int32(info) != 0 {
		return nil, fmt.Errorf("linalg: inverse of a %d×%d matrix failed (dpotri: %d)", a.Rows, a.Rows, int32(info))
	}
	mirrorUpper(inverse)
	return inverse, nil
}

// factored returns a copy of a with its Cholesky factor in the upper triangle.
func (o *openBLAS) factored(a *Matrix) (*Matrix, error) {
	if err := checkSquare(a); err != nil {
		return nil, err
	}
	factor := a.Clone()
	if a.Rows == 0 {
		return factor, nil
	}
	uplo, n, info := byte('L'), int64(a.Rows), int64(0)
	o.call(o.dpotrf, uintptr(ptr(&uplo)), uintptr(ptr(&n)), uintptr(ptr(&factor.Data[0])), uintptr(ptr(&n)), uintptr(ptr(&info)), 1)
	if int32(info) != 0 {
		return nil, numerical(ErrNotPositiveDefinite, "Cholesky factorization", a.Rows, a.Rows)
	}
	return factor, nil
}

func (o *openBLAS) SolveSPD32(a, b Block32) error {
	order, sides := solve32Size(a, b)
	if order == 0 || sides == 0 {
		return nil
	}
	uplo, n, lda, info := byte('L'), int64(order), leading(a.Stride), int64(0)
	o.call(o.spotrf, uintptr(ptr(&uplo)), uintptr(ptr(&n)), uintptr(ptr(&a.Data[0])), uintptr(ptr(&lda)), uintptr(ptr(&info)), 1)
	if int32(info) != 0 {
		return numerical(ErrNotPositiveDefinite, "Cholesky factorization in single precision", order, order)
	}
	// a is L·Lᵀ by columns, and b by rows is bᵀ by columns: Xᵀ = bᵀ·L⁻ᵀ·L⁻¹.
	side, diag, m, ldb, one := byte('R'), byte('N'), int64(sides), leading(b.Stride), float32(1)
	for _, trans := range []byte{'T', 'N'} {
		o.call(o.strsm, uintptr(ptr(&side)), uintptr(ptr(&uplo)), uintptr(ptr(&trans)), uintptr(ptr(&diag)), uintptr(ptr(&m)), uintptr(ptr(&n)),
			uintptr(ptr(&one)), uintptr(ptr(&a.Data[0])), uintptr(ptr(&lda)), uintptr(ptr(&b.Data[0])), uintptr(ptr(&ldb)), 1, 1, 1, 1)
	}
	return nil
}

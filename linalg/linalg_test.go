package linalg_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func TestMul(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		r := rand.New(rand.NewPCG(2, 1))
		for _, size := range [][3]int{{1, 1, 1}, {2, 3, 4}, {64, 64, 1000}, {65, 129, 1001}, {3, 200, 7}, {70, 1, 2100}, {0, 3, 2}, {3, 2, 0}} {
			m, n, k := size[0], size[1], size[2]
			for _, trans := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
				x, y := random(r, m, k), random(r, k, n)
				if trans[0] {
					x = x.T()
				}
				if trans[1] {
					y = y.T()
				}
				got, want := b.Mul(trans[0], trans[1], -1.5, x, y), naive(trans[0], trans[1], -1.5, x, y)
				if d := distance(got, want); d > 1e-13 {
					t.Errorf("%v, transposed %v: off by %g", size, trans, d)
				}
			}
		}
	})
}

func TestSymEig(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		for name, a := range zoo() {
			if a.Rows != a.Cols {
				continue
			}
			values, v, err := b.SymEig(a)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !slices.IsSorted(values) {
				t.Errorf("%s: eigenvalues %v are not ascending", name, values)
			}
			if d := distance(naive(true, false, 1, v, v), linalg.Identity(a.Rows)); d > 1e-13 {
				t.Errorf("%s: eigenvectors miss orthonormality by %g", name, d)
			}
			if d := distance(naive(false, true, 1, columns(v, values), v), a); d > 1e-13 {
				t.Errorf("%s: V·Λ·Vᵀ misses the matrix by %g", name, d)
			}
			checkSigns(t, name, v)
			alone, err := b.SymEigValues(a)
			if err != nil || len(alone) != len(values) {
				t.Errorf("%s: %d values alone, and %v", name, len(alone), err)
				continue
			}
			for i, w := range alone {
				if math.Abs(w-values[i]) > 1e-13*max(math.Abs(values[0]), math.Abs(values[len(values)-1])) {
					t.Errorf("%s: value %d is %g, and alone %g", name, i, values[i], w)
				}
			}
		}
	})
}

func TestSVD(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		for name, a := range zoo() {
			u, s, vt, err := b.SVD(a)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			k := min(a.Rows, a.Cols)
			if u.Rows != a.Rows || u.Cols != k || len(s) != k || vt.Rows != k || vt.Cols != a.Cols {
				t.Errorf("%s: factors are %d×%d, %d and %d×%d", name, u.Rows, u.Cols, len(s), vt.Rows, vt.Cols)
				continue
			}
			if !descending(s) {
				t.Errorf("%s: singular values %v are not descending", name, s)
			}
			if d := distance(naive(true, false, 1, u, u), linalg.Identity(k)); d > 1e-13 {
				t.Errorf("%s: left vectors miss orthonormality by %g", name, d)
			}
			if d := distance(naive(false, true, 1, vt, vt), linalg.Identity(k)); d > 1e-13 {
				t.Errorf("%s: right vectors miss orthonormality by %g", name, d)
			}
			if d := distance(naive(false, false, 1, columns(u, s), vt), a); d > 1e-13 {
				t.Errorf("%s: U·S·VT misses the matrix by %g", name, d)
			}
			checkSigns(t, name, u)
		}
	})
}

// Where divide and conquer does not converge, iteration gives the same decomposition.
func TestSVDSecondTry(t *testing.T) {
	b := openBLAS(t)
	second := linalg.WithoutDivide(b, false)
	for name, a := range zoo() {
		_, want, _, err := b.SVD(a)
		if err != nil {
			t.Fatal(err)
		}
		u, s, vt, err := second.SVD(a)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, v := range s {
			if math.Abs(v-want[i]) > 1e-12*want[0] {
				t.Errorf("%s: singular value %d is %g, wanted %g", name, i, v, want[i])
			}
		}
		if d := distance(naive(false, false, 1, columns(u, s), vt), a); d > 1e-13 {
			t.Errorf("%s: U·S·VT misses the matrix by %g", name, d)
		}
		checkSigns(t, name, u)
	}
	_, _, _, err := linalg.WithoutDivide(b, true).SVD(zoo()["tall"])
	var numerical *linalg.NumericalError
	const want = "linalg: singular value decomposition (dgesdd: 1, dgesvd: 2) of a 61×13 matrix: the iterations did not converge"
	if !errors.As(err, &numerical) || !errors.Is(err, linalg.ErrNotConverged) || err.Error() != want {
		t.Errorf("got error %q, wanted %q", err, want)
	}
}

func descending(s []float64) bool {
	for i := 1; i < len(s); i++ {
		if !(s[i] <= s[i-1]) || s[i] < 0 {
			return false
		}
	}
	return true
}

func checkSigns(t *testing.T, name string, m *linalg.Matrix) {
	t.Helper()
	for j := range m.Cols {
		largest := 0.0
		for i := range m.Rows {
			if v := m.At(i, j); math.Abs(v) > math.Abs(largest) {
				largest = v
			}
		}
		if largest < 0 {
			t.Errorf("%s: the largest element of column %d is %g, wanted it positive", name, j, largest)
		}
	}
}

func TestSolveSPD(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		r := rand.New(rand.NewPCG(3, 1))
		for _, size := range [][2]int{{1, 1}, {5, 3}, {40, 1}, {67, 90}, {0, 2}, {4, 0}} {
			a, want := spread(r, size[0], 1e-2), random(r, size[0], size[1])
			x, err := b.SolveSPD(a, naive(false, false, 1, a, want))
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(x, want); d > 1e-12 {
				t.Errorf("%v: off by %g", size, d)
			}
		}
		indefinite := &linalg.Matrix{Rows: 2, Cols: 2, Data: []float64{1, 2, 2, 1}}
		if _, err := b.SolveSPD(indefinite, linalg.New(2, 1)); !errors.Is(err, linalg.ErrNotPositiveDefinite) {
			t.Errorf("indefinite system: got %v", err)
		}
	})
}

func TestCholesky(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		r := rand.New(rand.NewPCG(5, 1))
		for _, n := range []int{0, 1, 5, 40, 67, 131} {
			a := spread(r, n, 1e-2)
			upper := a.Clone() // the lower triangle is not read
			for i := range n {
				for j := range i {
					upper.Set(i, j, math.Pi)
				}
			}
			factor, err := b.Cholesky(upper)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if slices.ContainsFunc(factor.Row(i)[:i], func(v float64) bool { return v != 0 }) || !(factor.At(i, i) > 0) {
					t.Fatalf("%d: row %d of the factor is not that of an upper triangle with a positive diagonal", n, i)
				}
			}
			if d := distance(naive(true, false, 1, factor, factor), a); d > 1e-13 {
				t.Errorf("%d: RᵀR is off by %g", n, d)
			}
			inverse, err := b.InverseSPD(upper)
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(naive(false, false, 1, a, inverse), linalg.Identity(n)); d > 1e-12 {
				t.Errorf("%d: a·a⁻¹ is off by %g", n, d)
			}
			if d := distance(inverse.T(), inverse); d != 0 {
				t.Errorf("%d: the inverse is off its transpose by %g", n, d)
			}
		}
		indefinite := &linalg.Matrix{Rows: 2, Cols: 2, Data: []float64{1, 2, 2, 1}}
		_, errFactor := b.Cholesky(indefinite)
		_, errInverse := b.InverseSPD(indefinite)
		if !errors.Is(errFactor, linalg.ErrNotPositiveDefinite) || !errors.Is(errInverse, linalg.ErrNotPositiveDefinite) {
			t.Errorf("indefinite matrix: got %v and %v", errFactor, errInverse)
		}
	})
}

func TestNotFinite(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			a := linalg.Identity(3)
			a.Set(1, 2, bad)
			_, _, errEig := b.SymEig(a)
			_, errValues := b.SymEigValues(a)
			_, _, _, errSVD := b.SVD(a)
			_, errSolve := b.SolveSPD(a, linalg.New(3, 1))
			_, errFactor := b.Cholesky(a)
			_, errInverse := b.InverseSPD(a)
			for _, err := range []error{errEig, errValues, errSVD, errSolve, errFactor, errInverse} {
				var numerical *linalg.NumericalError
				if !errors.As(err, &numerical) || !errors.Is(err, linalg.ErrNotFinite) || !strings.Contains(err.Error(), "(1, 2)") {
					t.Errorf("%v: got error %v, wanted a numerical one that names the element", bad, err)
				}
			}
		}
	})
}

// TestBackendsAgree holds the two backends against each other in what is mathematically unique.
func TestBackendsAgree(t *testing.T) {
	fast, slow := openBLAS(t), linalg.Gonum()
	near := func(name string, got, want []float64) {
		scale := 0.0
		for _, v := range want {
			scale = max(scale, math.Abs(v))
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-12*scale {
				t.Errorf("%s: value %d is %g and %g", name, i, got[i], want[i])
			}
		}
	}
	for name, a := range zoo() {
		_, s1, _, err1 := fast.SVD(a)
		_, s2, _, err2 := slow.SVD(a)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		near(name+", singular", s1, s2)
		if a.Rows != a.Cols {
			continue
		}
		v1, q1, err1 := fast.SymEig(a)
		v2, q2, err2 := slow.SymEig(a)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		near(name+", eigen", v1, v2)
		if name == "prime" { // well separated: the leading subspaces are unique
			for _, k := range []int{1, 10, 50} {
				p1, p2 := leading(q1, k), leading(q2, k)
				if d := distance(naive(false, true, 1, p1, p1), naive(false, true, 1, p2, p2)); d > 1e-10 {
					t.Errorf("%s: projectors on the leading %d eigenvectors differ by %g", name, k, d)
				}
			}
		}
	}
}

// leading returns the last k columns, those of the largest eigenvalues.
func leading(v *linalg.Matrix, k int) *linalg.Matrix { return v.T().RowRange(v.Rows-k, v.Rows).T() }

// TestConcurrent runs many factorizations at once and wants the bytes of a single run from each.
func TestConcurrent(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		r := rand.New(rand.NewPCG(4, 1))
		a, x := spread(r, 60, 1e-6), random(r, 60, 37)
		run := func() []float64 {
			values, v, err1 := b.SymEig(a)
			u, s, vt, err2 := b.SVD(x)
			if err := errors.Join(err1, err2); err != nil {
				t.Error(err)
			}
			return slices.Concat(values, v.Data, u.Data, s, vt.Data, b.Mul(true, false, 1, x, x).Data)
		}
		want := run()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if !slices.Equal(run(), want) {
					t.Error("a concurrent run gave other numbers")
				}
			})
		}
		all.Wait()
	})
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text.so")
	if _, err := linalg.Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: got %v, wanted an error that names it", err)
	}
	if err := os.WriteFile(path, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := linalg.Open(path); err == nil || !strings.Contains(err.Error(), "OpenBLAS: load "+path+": ") {
		t.Errorf("a text: got %v, wanted an error that names it and the loader's reason", err)
	}
	other := provisiontest.Need(t, provision.ONNXRuntime)
	if _, err := linalg.Open(other); err == nil || !strings.Contains(err.Error(), "not OpenBLAS") {
		t.Errorf("another library: got %v, wanted it refused as not OpenBLAS", err)
	}
}

func TestName(t *testing.T) {
	if name := openBLAS(t).Name(); !strings.HasPrefix(name, "OpenBLAS 0.") || !strings.Contains(name, "kernels) at ") {
		t.Errorf("got %q", name)
	}
}

// TestMisfit wants the same panic from both backends for a mistake in the calling code.
func TestMisfit(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		for name, call := range map[string]func(){
			"product": func() { b.Mul(false, false, 1, linalg.New(2, 3), linalg.New(2, 3)) },
			"eigen":   func() { _, _, _ = b.SymEig(linalg.New(2, 3)) },
			"solve":   func() { _, _ = b.SolveSPD(linalg.New(2, 2), linalg.New(3, 1)) },
			"factor":  func() { _, _ = b.Cholesky(linalg.New(2, 3)) },
			"inverse": func() { _, _ = b.InverseSPD(linalg.New(2, 3)) },
			"syrk":    func() { b.SyrkAdd32(false, linalg.NewBlock32(2, 3), linalg.NewBlock32(3, 3)) },
			"gemm": func() {
				b.GemmAdd32(false, false, linalg.NewBlock32(2, 3), linalg.NewBlock32(3, 2), linalg.NewBlock32(2, 3))
			},
			"short": func() {
				b.SyrkAdd32(false, linalg.Block32{Rows: 2, Cols: 3, Stride: 3, Data: make([]float32, 5)}, linalg.NewBlock32(2, 2))
			},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", name)
					}
				}()
				call()
			}()
		}
	})
}

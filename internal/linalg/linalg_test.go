package linalg_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// openBLAS opens the machine's OpenBLAS, or skips the test where there is none.
func openBLAS(t testing.TB) linalg.Backend {
	t.Helper()
	b, err := linalg.Open(provisiontest.Need(t, provision.OpenBLAS))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// everyBackend runs a test on each backend; that of OpenBLAS is skipped on its own.
func everyBackend(t *testing.T, test func(*testing.T, linalg.Backend)) {
	t.Run("gonum", func(t *testing.T) { test(t, linalg.Gonum()) })
	t.Run("openblas", func(t *testing.T) { test(t, openBLAS(t)) })
}

func random(r *rand.Rand, rows, cols int) *linalg.Matrix {
	m := linalg.New(rows, cols)
	for i := range m.Data {
		m.Data[i] = r.NormFloat64()
	}
	return m
}

func scaled(m *linalg.Matrix, by float64) *linalg.Matrix {
	out := m.Clone()
	for i := range out.Data {
		out.Data[i] *= by
	}
	return out
}

// naive is the product from its definition.
func naive(transA, transB bool, alpha float64, a, b *linalg.Matrix) *linalg.Matrix {
	if transA {
		a = a.T()
	}
	if transB {
		b = b.T()
	}
	c := linalg.New(a.Rows, b.Cols)
	for i := range c.Rows {
		for j := range c.Cols {
			for k := range a.Cols {
				c.Data[i*c.Cols+j] += alpha * a.At(i, k) * b.At(k, j)
			}
		}
	}
	return c
}

// distance returns the largest difference of two matrices over the largest element of the second.
func distance(a, b *linalg.Matrix) float64 {
	if a.Rows != b.Rows || a.Cols != b.Cols {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a.Data {
		worst = max(worst, math.Abs(a.Data[i]-b.Data[i]))
	}
	if worst == 0 {
		return 0
	}
	return worst / b.MaxAbs()
}

// columns returns m·diag(s).
func columns(m *linalg.Matrix, s []float64) *linalg.Matrix {
	out := m.Clone()
	for i := range out.Data {
		out.Data[i] *= s[i%m.Cols]
	}
	return out
}

// spread returns a symmetric n×n matrix with eigenvalues from 1 down to the given one.
func spread(r *rand.Rand, n int, least float64) *linalg.Matrix {
	q, _, _, err := linalg.Gonum().SVD(random(r, n, n))
	if err != nil {
		panic(err)
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Pow(least, float64(i)/float64(max(n-1, 1)))
	}
	return naive(false, true, 1, columns(q, values), q)
}

// zoo returns matrices that factorizations find hard; the square ones are symmetric.
func zoo() map[string]*linalg.Matrix {
	r := rand.New(rand.NewPCG(1, 1))
	g := random(r, 30, 20)
	rankOne := naive(false, true, 1, random(r, 17, 1), random(r, 23, 1))
	return map[string]*linalg.Matrix{
		"1x1":             {Rows: 1, Cols: 1, Data: []float64{-3}},
		"empty":           linalg.New(0, 0),
		"zero":            linalg.New(7, 7),
		"zero wide":       linalg.New(3, 9),
		"identity":        linalg.Identity(11),
		"gram":            naive(true, false, 1, g, g),
		"rank deficient":  naive(false, true, 1, g, g),
		"indefinite":      naive(false, false, 1, columns(linalg.Identity(5), []float64{-2, 0, 5, -7, 1}), linalg.Identity(5)),
		"ill-conditioned": spread(r, 40, 1e-14),
		"clustered":       spread(r, 31, 0.999999),
		"tiny":            scaled(spread(r, 19, 1e-3), 1e-280),
		"huge":            scaled(spread(r, 19, 1e-3), 1e280),
		"prime":           spread(r, 101, 1e-5),
		"tall":            random(r, 61, 13),
		"wide":            random(r, 13, 67),
		"row":             random(r, 1, 29),
		"column":          random(r, 29, 1),
		"outer product":   rankOne,
	}
}

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

func TestNotFinite(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			a := linalg.Identity(3)
			a.Set(1, 2, bad)
			_, _, errEig := b.SymEig(a)
			_, _, _, errSVD := b.SVD(a)
			_, errSolve := b.SolveSPD(a, linalg.New(3, 1))
			for _, err := range []error{errEig, errSVD, errSolve} {
				if err == nil || !strings.Contains(err.Error(), "(1, 2)") {
					t.Errorf("%v: got error %v, wanted one that names the element", bad, err)
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

// TestFloat32 compares the products in single precision with their definition, on windows of larger buffers.
func TestFloat32(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		r := rand.New(rand.NewPCG(5, 1))
		for range 60 {
			m, n, k := 1+r.IntN(80), 1+r.IntN(80), 1+r.IntN(1200)
			checkGemm32(t, b, r, m, n, k, r.IntN(2) == 0, r.IntN(2) == 0)
			checkSyrk32(t, b, r, m, k, r.IntN(2) == 0)
		}
	})
}

// window returns a rows×cols window of random numbers inside a larger buffer, and the buffer.
func window(r *rand.Rand, rows, cols int) linalg.Block32 {
	left, right := r.IntN(5), r.IntN(5)
	whole := linalg.NewBlock32(rows+2, left+cols+right)
	for i := range whole.Data {
		whole.Data[i] = r.Float32() - 0.5
	}
	return whole.Columns(left, left+cols).RowRange(1, rows+1)
}

func wide(b linalg.Block32) *linalg.Matrix {
	m := linalg.New(b.Rows, b.Cols)
	for i := range b.Rows {
		for j := range b.Cols {
			m.Set(i, j, float64(b.At(i, j)))
		}
	}
	return m
}

func checkGemm32(t *testing.T, b linalg.Backend, r *rand.Rand, m, n, k int, transA, transB bool) {
	t.Helper()
	x, y, dst := window(r, m, k), window(r, k, n), window(r, m, n)
	if transA {
		x = window(r, k, m)
	}
	if transB {
		y = window(r, n, k)
	}
	before := slices.Clone(dst.Data)
	want := naive(transA, transB, 1, wide(x), wide(y))
	for i, v := range wide(dst).Data {
		want.Data[i] += v
	}
	b.GemmAdd32(transA, transB, x, y, dst)
	if d := distance(wide(dst), want); d > 1e-5 {
		t.Errorf("%d×%d×%d, transposed %t %t: off by %g", m, n, k, transA, transB, d)
	}
	for i := range before {
		if i%dst.Stride >= dst.Cols && dst.Data[i] != before[i] {
			t.Fatalf("%d×%d×%d: wrote outside of its window", m, n, k)
		}
	}
}

func checkSyrk32(t *testing.T, b linalg.Backend, r *rand.Rand, n, k int, trans bool) {
	t.Helper()
	x, dst := window(r, n, k), window(r, n, n)
	if trans {
		x = window(r, k, n)
	}
	want := wide(dst)
	for i, v := range naive(trans, !trans, 1, wide(x), wide(x)).Data {
		if i%n >= i/n {
			want.Data[i] += v
		}
	}
	b.SyrkAdd32(trans, x, dst)
	if d := distance(wide(dst), want); d > 1e-5 {
		t.Errorf("order %d, depth %d, transposed %t: off by %g", n, k, trans, d)
	}
}

func FuzzFloat32(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(4), uint16(5), false, true)
	f.Add(uint64(2), uint8(65), uint8(64), uint16(1001), true, false)
	f.Fuzz(func(t *testing.T, seed uint64, m, n uint8, k uint16, transA, transB bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		checkGemm32(t, linalg.Gonum(), r, int(m)%130+1, int(n)%130+1, int(k)%2100+1, transA, transB)
		checkSyrk32(t, linalg.Gonum(), r, int(m)%130+1, int(k)%2100+1, transA)
	})
}

func TestOpenRefuses(t *testing.T) {
	path := t.TempDir() + "/no-such-library.so"
	for range 20 { // the loader's reason must not be lost between threads
		if _, err := linalg.Open(path); err == nil || strings.Count(err.Error(), path) < 2 {
			t.Errorf("missing file: got %v, wanted an error that names it and the loader's reason", err)
		}
	}
	if runtime.GOOS == "linux" {
		if _, err := linalg.Open("libm.so.6"); err == nil || !strings.Contains(err.Error(), "not OpenBLAS") {
			t.Errorf("another library: got %v, wanted it refused as not OpenBLAS", err)
		}
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

func BenchmarkSymEig(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 1))
	for _, n := range []int{64, 256, 576} {
		g := random(r, n, 2*n)
		a := linalg.Gonum().Mul(false, true, 1, g, g)
		forBackends(b, fmt.Sprint(n), func(k linalg.Backend) error { _, _, err := k.SymEig(a); return err })
	}
}

func BenchmarkMul(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 2))
	for _, n := range []int{64, 576} {
		x := random(r, n, n)
		forBackends(b, fmt.Sprint(n), func(k linalg.Backend) error { k.Mul(false, false, 1, x, x); return nil })
	}
}

// BenchmarkMoments measures what calibration does most: the lag correlation of a padded image's channels, and the
// second moment of im2col columns.
func BenchmarkMoments(b *testing.B) {
	for _, c := range []int{16, 64} {
		n := 34 * 34
		image, dst := linalg.NewBlock32(c, n), linalg.NewBlock32(c, c)
		forBackends(b, fmt.Sprintf("lag/%d", c), func(k linalg.Backend) error {
			k.GemmAdd32(false, true, image.Columns(0, n-35), image.Columns(35, n), dst)
			return nil
		})
		patches, gram := linalg.NewBlock32(9*c, 1024), linalg.NewBlock32(9*c, 9*c)
		forBackends(b, fmt.Sprintf("columns/%d", c), func(k linalg.Backend) error { k.SyrkAdd32(false, patches, gram); return nil })
	}
}

func forBackends(b *testing.B, name string, op func(linalg.Backend) error) {
	run := func(b *testing.B, k linalg.Backend) {
		for b.Loop() {
			if err := op(k); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run(name+"/gonum", func(b *testing.B) { run(b, linalg.Gonum()) })
	b.Run(name+"/openblas", func(b *testing.B) { run(b, openBLAS(b)) })
}

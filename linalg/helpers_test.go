package linalg_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
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

package decomp

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func squaredNorm(v []float64) float64 { return dot(v, v) }

// axpy adds t·b to a.
func axpy(a []float64, t float64, b []float64) {
	for i, v := range b {
		a[i] += t * v
	}
}

// plus returns a + t·b.
func plus(a []float64, t float64, b []float64) []float64 {
	out := slices.Clone(a)
	axpy(out, t, b)
	return out
}

func scaleBy(v []float64, by float64) {
	for i := range v {
		v[i] *= by
	}
}

// unitRow scales a row to norm one, unless it is zero, and returns the norm that it had.
func unitRow(row []float64) float64 {
	norm := math.Sqrt(squaredNorm(row))
	if norm > 0 {
		for i := range row {
			row[i] /= norm
		}
	}
	return norm
}

// inner returns tr(aᵀ·b).
func inner(a, b *linalg.Matrix) float64 { return dot(a.Data, b.Data) }

func add(a, b *linalg.Matrix) { axpy(a.Data, 1, b.Data) }

func subtract(a, b *linalg.Matrix) { axpy(a.Data, -1, b.Data) }

// times returns by·m, nil for the identity.
func times(b linalg.Backend, by, m *linalg.Matrix) *linalg.Matrix {
	if by == nil {
		return m
	}
	return b.Mul(false, false, 1, by, m)
}

// rotated returns m·by, nil for the identity.
func rotated(b linalg.Backend, m, by *linalg.Matrix) *linalg.Matrix {
	if by == nil {
		return m
	}
	return b.Mul(false, false, 1, m, by)
}

func traceOf(m *linalg.Matrix) float64 {
	sum := 0.0
	for i := range m.Rows {
		sum += m.At(i, i)
	}
	return sum
}

// largestDiagonal is the largest element of the diagonal, at least 0.
func largestDiagonal(m *linalg.Matrix) float64 {
	largest := 0.0
	for i := range m.Rows {
		largest = max(largest, m.At(i, i))
	}
	return largest
}

package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// narrowed returns by·m in single precision.
func narrowed(m *linalg.Matrix, by float64) linalg.Block32 {
	out := linalg.NewBlock32(m.Rows, m.Cols)
	for i, v := range m.Data {
		out.Data[i] = float32(v * by)
	}
	return out
}

func row32(m linalg.Block32, i int) []float32 { return m.Data[i*m.Cols:][:m.Cols] }

func dot32(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

func squaredNorm32(v []float32) float64 { return dot32(v, v) }

// unit32 scales a row to norm 1, unless it is zero, and returns the norm that it had.
func unit32(row []float32) float32 {
	norm := math.Sqrt(squaredNorm32(row))
	if !(norm > 0) {
		return 0
	}
	by := float32(1 / norm)
	for i := range row {
		row[i] *= by
	}
	return float32(norm)
}

// rowProducts32, overLast32 and overFirst32 are rowProducts, overLast and overFirst into memory that is given.
func rowProducts32(out, a, b linalg.Block32) {
	for s := range a.Rows {
		to, right := row32(out, s), row32(b, s)
		for i, v := range row32(a, s) {
			block := to[i*len(right):][:len(right)]
			for j, w := range right {
				block[j] = v * w
			}
		}
	}
}

func overLast32(out, m, right linalg.Block32) {
	for s := range m.Rows {
		row, by, to := row32(m, s), row32(right, s), row32(out, s)
		for i := range to {
			block, sum := row[i*len(by):][:len(by)], float32(0)
			for j, v := range by {
				sum += v * block[j]
			}
			to[i] = sum
		}
	}
}

func overFirst32(out, m, left linalg.Block32) {
	clear(out.Data)
	for s := range m.Rows {
		row, to := row32(m, s), row32(out, s)
		for i, v := range row32(left, s) {
			block := row[i*len(to):][:len(to)]
			for j := range to {
				to[j] += v * block[j]
			}
		}
	}
}

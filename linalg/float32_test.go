package linalg_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

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
	block := whole.Columns(left, left+cols)
	block.Rows, block.Data = rows, block.Data[block.Stride:]
	return block
}

func wide(b linalg.Block32) *linalg.Matrix {
	m := linalg.New(b.Rows, b.Cols)
	for i := range b.Rows {
		for j := range b.Cols {
			m.Set(i, j, float64(b.Data[i*b.Stride+j]))
		}
	}
	return m
}

// absolute returns |m|.
func absolute(m *linalg.Matrix) *linalg.Matrix {
	out := m.Clone()
	for i, v := range out.Data {
		out.Data[i] = math.Abs(v)
	}
	return out
}

// rounding is the largest difference of two sums, as a share of what their terms come to without signs: that is what
// rounding goes by, and a sum whose terms cancel says nothing of it.
func rounding(got, want, terms *linalg.Matrix) float64 {
	worst := 0.0
	for i := range got.Data {
		worst = max(worst, math.Abs(got.Data[i]-want.Data[i])/terms.Data[i])
	}
	return worst
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
	terms := naive(transA, transB, 1, absolute(wide(x)), absolute(wide(y)))
	for i, v := range wide(dst).Data {
		want.Data[i] += v
		terms.Data[i] += math.Abs(v)
	}
	b.GemmAdd32(transA, transB, x, y, dst)
	if d := rounding(wide(dst), want, terms); d > 1e-6 {
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
	want, terms := wide(dst), absolute(wide(dst))
	sizes := naive(trans, !trans, 1, absolute(wide(x)), absolute(wide(x))).Data
	for i, v := range naive(trans, !trans, 1, wide(x), wide(x)).Data {
		if i%n >= i/n {
			want.Data[i] += v
			terms.Data[i] += sizes[i]
		}
	}
	b.SyrkAdd32(trans, x, dst)
	if d := rounding(wide(dst), want, terms); d > 1e-6 {
		t.Errorf("order %d, depth %d, transposed %t: off by %g", n, k, trans, d)
	}
}

// TestSolveSPD32 holds solutions against their system, on windows of larger buffers.
func TestSolveSPD32(t *testing.T) {
	everyBackend(t, func(t *testing.T, b linalg.Backend) {
		r := rand.New(rand.NewPCG(6, 1))
		for range 40 {
			n, m := 1+r.IntN(80), 1+r.IntN(30)
			x := wide(window(r, n, 2*n))
			system := naive(false, true, 1, x, x)
			for i := range n {
				system.Data[i*n+i]++
			}
			a, right := window(r, n, n), window(r, n, m)
			for i := range n {
				for j := i; j < n; j++ { // below the diagonal stand numbers that are not to be read
					a.Data[i*a.Stride+j] = float32(system.At(i, j))
				}
			}
			want, before := wide(right), slices.Clone(right.Data)
			if err := b.SolveSPD32(a, right); err != nil {
				t.Fatal(err)
			}
			if d := distance(naive(false, false, 1, system, wide(right)), want); d > 1e-4 {
				t.Errorf("order %d, %d right-hand sides: off by %g", n, m, d)
			}
			for i := range before {
				if i%right.Stride >= right.Cols && right.Data[i] != before[i] {
					t.Fatalf("order %d, %d right-hand sides: wrote outside of its window", n, m)
				}
			}
		}
		indefinite := linalg.Block32{Rows: 2, Cols: 2, Stride: 2, Data: []float32{1, 2, 2, 1}}
		if err := b.SolveSPD32(indefinite, linalg.NewBlock32(2, 1)); !errors.Is(err, linalg.ErrNotPositiveDefinite) {
			t.Errorf("of an indefinite matrix: got %v, wanted %v", err, linalg.ErrNotPositiveDefinite)
		}
		if err := b.SolveSPD32(linalg.NewBlock32(0, 0), linalg.NewBlock32(0, 3)); err != nil {
			t.Errorf("of an empty matrix: %v", err)
		}
	})
}

func FuzzFloat32(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(4), uint16(5), false, true)
	f.Add(uint64(2), uint8(65), uint8(64), uint16(1001), true, false)
	f.Add(uint64(86), uint8(0), uint8(0), uint16(5), true, true) // whose terms cancel
	f.Fuzz(func(t *testing.T, seed uint64, m, n uint8, k uint16, transA, transB bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		checkGemm32(t, linalg.Gonum(), r, int(m)%130+1, int(n)%130+1, int(k)%2100+1, transA, transB)
		checkSyrk32(t, linalg.Gonum(), r, int(m)%130+1, int(k)%2100+1, transA)
	})
}

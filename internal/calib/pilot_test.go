package calib

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// distant draws n samples of deviation 1 about 3000.
func distant(n int, shape ...int) memory {
	r := rand.New(rand.NewPCG(uint64(n), 12))
	var out memory
	for i := range n {
		d := tensor.New(tensor.Float32, shape...)
		for k := range d.Float32s() {
			d.Float32s()[k] = float32(r.NormFloat64() + 3000)
		}
		out = append(out, samples.Sample{Name: fmt.Sprint("sample ", i), Label: -1, Inputs: map[string]tensor.Dense{"x": d}})
	}
	return out
}

// windows writes out the columns of a 3×3 convolution of samples [channels, size, size], padded by 1, those of one
// channel after the other.
func windows(src memory, channels, size, stride int) [][]float64 {
	var out [][]float64
	for _, s := range src {
		v := s.Inputs["x"].Float32s()
		for y := 0; y < size; y += stride {
			for x := 0; x < size; x += stride {
				var column []float64
				for c := range channels {
					for tap := range 9 {
						u, w := y+tap/3-1, x+tap%3-1
						if u < 0 || u >= size || w < 0 || w >= size {
							column = append(column, 0)
						} else {
							column = append(column, float64(v[(c*size+u)*size+w]))
						}
					}
				}
				out = append(out, column)
			}
		}
	}
	return out
}

// lines cuts samples into rows of length k.
func lines(src memory, k int) [][]float64 {
	var out [][]float64
	for _, s := range src {
		for row := range slices.Chunk(s.Inputs["x"].Float32s(), k) {
			var column []float64
			for _, v := range row {
				column = append(column, float64(v))
			}
			out = append(out, column)
		}
	}
	return out
}

// about returns the second moment of columns from to to about their mean, in float64.
func about(columns [][]float64, from, to int) *linalg.Matrix {
	k, n := to-from, float64(len(columns))
	mean, m := make([]float64, k), linalg.New(k, k)
	for _, c := range columns {
		for i := range mean {
			mean[i] += c[from+i] / n
		}
	}
	for _, c := range columns {
		for i := range k {
			for j := range k {
				m.Data[i*k+j] += (c[from+i] - mean[i]) * (c[from+j] - mean[j]) / n
			}
		}
	}
	return m
}

// Covariances keep their digits where means are large, at every kind of site, and are the same for any number of threads.
func TestCovarianceFarFromZero(t *testing.T) {
	image := []int{4, 8, 8}
	pads := graph.Ints("pads", 1, 1, 1, 1)
	for _, c := range []struct {
		name    string
		shape   []int
		n       int
		build   func(b *testmodels.Builder, x string) string
		columns func(src memory) [][]float64
		samples int // that Collect is told of
	}{
		{
			"conv", image, 9, func(b *testmodels.Builder, x string) string { return b.Conv(x, 4, 5, []int{3, 3}, pads) },
			func(src memory) [][]float64 { return windows(src, 4, 8, 1) }, 0,
		},
		{"strided conv", image, 9, func(b *testmodels.Builder, x string) string {
			return b.Conv(x, 4, 5, []int{3, 3}, pads, graph.Ints("strides", 2, 2))
		}, func(src memory) [][]float64 { return windows(src, 4, 8, 2) }, 0},
		{"depthwise conv", image, 9, func(b *testmodels.Builder, x string) string {
			return b.Conv(x, 4, 4, []int{3, 3}, pads, graph.Int("group", 4))
		}, func(src memory) [][]float64 { return windows(src, 4, 8, 1) }, 0},
		{
			"rows",
			[]int{5, 12},
			40, func(b *testmodels.Builder, x string) string { return b.Linear(x, 12, 8, true) },
			func(src memory) [][]float64 { return lines(src, 12) }, 0,
		},
		{
			"kept columns",
			[]int{24},
			20, func(b *testmodels.Builder, x string) string { return b.Linear(x, 24, 8, true) },
			func(src memory) [][]float64 { return lines(src, 24) }, 20,
		},
		{
			"columns that were kept",
			[]int{24},
			40, func(b *testmodels.Builder, x string) string { return b.Linear(x, 24, 8, true) },
			func(src memory) [][]float64 { return lines(src, 24) }, 20,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := func() *testmodels.Builder {
				b := testmodels.NewBuilder(1, 17, 8)
				dims := []any{"N"}
				for _, n := range c.shape {
					dims = append(dims, n)
				}
				y := c.build(b, b.Input("x", tensor.Float32, dims...))
				b.Output(y, tensor.Float32, slices.Repeat([]any{nil}, len(dims))...)
				return b
			}
			src := distant(c.n, c.shape...)
			columns := c.columns(src)
			var first Stats
			for _, threads := range []int{1, 3} {
				got := collected(t, build(), src, Options{Batch: 4, Samples: c.samples, Threads: threads, Backend: linalg.Gonum()})[0]
				if threads == 1 {
					first = got
				} else if !reflect.DeepEqual(got, first) {
					t.Errorf("with %d threads the statistics differ", threads)
				}
				got.Noise = nil // the covariance as it was summed
				metric := got.Input(true)
				if s := metric.Sample; s != nil {
					metric.In = []*linalg.Matrix{linalg.Gonum().Mul(true, false, 1, s[0], s[0])}
				}
				for g, have := range metric.In {
					want := about(columns, g*have.Rows, (g+1)*have.Rows)
					for i := range want.Rows {
						for j := range want.Rows {
							scale := math.Sqrt(want.At(i, i) * want.At(j, j))
							if d := math.Abs(have.At(i, j) - want.At(i, j)); !(d <= 1e-5*scale) {
								t.Fatalf("group %d: covariance (%d, %d) is %v, want %v", g, i, j, have.At(i, j), want.At(i, j))
							}
						}
					}
				}
			}
		})
	}
}

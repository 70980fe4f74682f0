package calib

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// stackModel multiplies [batch, 2, 3, 5, 6], or with the weights on the left [batch, 2, 3, 6, 5], with a stack of
// matrices to four channels.
func stackModel(t *testing.T, batch any, left bool) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	if left {
		x := b.Input("x", tensor.Float32, batch, 2, 3, 6, 5)
		b.Node("MatMul", []string{b.Weight("w", 6, 1, 2, 3, 4, 6), x})
		b.Output(b.Rename("y"), tensor.Float32, batch, 2, 3, 4, 5)
	} else {
		x := b.Input("x", tensor.Float32, batch, 2, 3, 5, 6)
		b.Node("MatMul", []string{x, b.Weight("w", 6, 2, 3, 6, 4)})
		b.Output(b.Rename("y"), tensor.Float32, batch, 2, 3, 5, 4)
	}
	return testkit.Built(t, b)
}

// The moments of a stack of matrices are those of each matrix' own columns, filler left out.
func TestStackedMoments(t *testing.T) {
	lib := orttest.Open(t)
	const k, n, groups, samples = 6, 5, 6, 7
	for _, left := range []bool{false, true} {
		for _, batch := range []any{"N", 4} {
			t.Run(fmt.Sprint(left, batch), func(t *testing.T) {
				m := stackModel(t, batch, left)
				shape := []int{2, 3, n, k}
				if left {
					shape = []int{2, 3, k, n}
				}
				src := random(samples, "x", tensor.Float32, shape...)
				sites := sitetest.Sites(t, m, src[0])
				stats, err := Collect(context.Background(), lib, m, sites, src, testkit.Count(samples), Options{Batch: 3, Probes: 40})
				if err != nil {
					t.Fatal(err)
				}
				s := stats[0]
				if len(s.A) != groups || len(s.G) != groups || s.Positions != samples*n || s.Samples != samples {
					t.Fatalf("%d groups of moments, %d of sensitivities, %d positions of %d samples", len(s.A), len(s.G), s.Positions, s.Samples)
				}
				for g := range groups {
					want, mean := linalg.New(k, k), make([]float64, k)
					for _, sample := range src {
						v := sample.Inputs["x"].Float32s()[g*n*k:]
						at := func(p, i int) float64 {
							if left {
								return float64(v[i*n+p])
							}
							return float64(v[p*k+i])
						}
						for p := range n {
							for i := range k {
								mean[i] += at(p, i) / (samples * n)
								for j := range k {
									want.Data[i*k+j] += at(p, i) * at(p, j) / (samples * n)
								}
							}
						}
					}
					if d := worst(s.A[g], want); !(d <= 1e-6) {
						t.Errorf("group %d: the moments differ from the definition by %.2g of the largest entry", g, d)
					}
					for i, v := range mean {
						if d := math.Abs(v - s.Mean[g][i]); !(d <= 1e-6) {
							t.Errorf("group %d: the mean of input %d is %g, want %g", g, i, s.Mean[g][i], v)
						}
					}
					// The site's output is the model's, so that g = v has the identity as its second moment.
					for i := range 4 {
						for j := range 4 {
							want := 0.
							if i == j {
								want = 1
							}
							if d := math.Abs(s.G[g].At(i, j) - want); !(d <= 0.2) {
								t.Errorf("group %d: G[%d, %d] = %g, want about %g", g, i, j, s.G[g].At(i, j), want)
							}
						}
					}
				}
				want := slices.Clone(shape)
				if want[3] = 4; left {
					want[2], want[3] = 4, n
				}
				if !slices.Equal(s.OutputShape, want) {
					t.Errorf("output shape %v, want %v", s.OutputShape, want)
				}
			})
		}
	}
}

package decomp_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// BenchmarkLadder factors one kernel by each method and asks for the loss of all its coarse ranks: at the three sizes of
// ResNet-20 under a full metric, at the largest of ResNet-18 under none and a full one.
func BenchmarkLadder(b *testing.B) {
	algebra, err := linalg.Open(provisiontest.Need(b, provision.OpenBLAS))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		channels int
		full     bool
	}{{"16", 16, true}, {"32", 32, true}, {"64", 64, true}, {"512-plain", 512, false}, {"512", 512, true}} {
		s := decomp.Shape{Out: c.channels, In: c.channels, Window: []int{3, 3}, Groups: 1}
		k, m := decaying(algebra, s, c.full)
		for _, method := range decomp.Methods() {
			b.Run(method.Name+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					spectrum, err := method.Factor(algebra, k, m)
					if err != nil {
						b.Fatal(err)
					}
					ranks := method.Ranks(s, 1)
					for _, r := range ranks[:len(ranks)-1] {
						if _, err := spectrum.Loss(r); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(len(ranks)), "ranks")
				}
			})
		}
	}
}

// decaying returns a kernel and a metric, or none, whose spectra fall like those of trained networks.
func decaying(algebra linalg.Backend, s decomp.Shape, full bool) (decomp.Kernel, decomp.Metric) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func(rows, cols int) *linalg.Matrix {
		m := linalg.New(rows, cols)
		for i := range m.Data {
			m.Data[i] = r.NormFloat64() / math.Sqrt(float64(1+i/cols))
		}
		return m
	}
	mixed := algebra.Mul(true, false, 1, random(s.Rows(), s.Rows()), random(s.Rows(), s.Cols()))
	moment := func(n int) *linalg.Matrix {
		x := algebra.Mul(false, false, 1, random(n, n), random(n, n))
		return algebra.Mul(true, false, 1/float64(n), x, x)
	}
	k := decomp.Kernel{Shape: s, Weights: mixed.Data}
	if !full {
		return k, decomp.Metric{}
	}
	return k, decomp.Metric{In: []*linalg.Matrix{moment(s.Cols())}, Out: []*linalg.Matrix{moment(s.Rows())}}
}

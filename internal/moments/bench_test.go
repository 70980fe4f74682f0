package moments

import (
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// BenchmarkConv times the two ways to sum a convolution's moments over a batch of 32.
// The rate counts the multiply-adds of the symmetric product of patches, whichever way
// it is computed.
func BenchmarkConv(b *testing.B) {
	const samples = 32
	same := func(c, size, k int) conv {
		pad := []int{k / 2, k / 2}
		return conv{c, 1, []int{size, size}, []int{k, k}, nil, nil, pad, pad}
	}
	backend, err := linalg.Open(provisiontest.Need(b, provision.OpenBLAS))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []conv{
		same(3, 32, 3), same(16, 32, 3), same(32, 16, 3), same(64, 8, 3), same(128, 16, 3), same(256, 7, 3),
		same(64, 56, 3), same(16, 55, 3), same(512, 7, 3), same(64, 13, 3), same(32, 28, 5), same(16, 28, 7),
		{64, 1, []int{14, 14}, []int{3, 3}, nil, nil, nil, nil},
		{64, 1, []int{128}, []int{3}, nil, nil, []int{1}, []int{1}},
		{32, 1, []int{28, 28}, []int{3, 1}, nil, nil, []int{1, 0}, []int{1, 0}},
		{32, 32, []int{28, 28}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{128, 32, []int{28, 28}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{96, 96, []int{56, 56}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{256, 256, []int{7, 7}, []int{5, 5}, nil, nil, []int{2, 2}, []int{2, 2}},
	} {
		p := c.patches()
		x := noise(samples*p.Channels*tensor.Product(p.In), 1)
		for name, summation := range map[string]Summation{"direct": Direct(p), "lag": newLag(p, math.MaxInt)} {
			b.Run(c.String()+"/"+name, func(b *testing.B) {
				var s Scratch
				partial := make([]float32, summation.Size())
				for b.Loop() {
					summation.Run(backend, x, samples, partial, &s)
				}
				k := float64(p.Length())
				macs := k * (k + 1) / 2 * float64(p.Groups) * float64(summation.Positions(samples)) * float64(b.N)
				b.ReportMetric(macs/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}

// BenchmarkInputs times the sums of a batch of 32 whose pilot is zero, and of one that lies far from zero.
func BenchmarkInputs(b *testing.B) {
	const samples = 32
	backend, err := linalg.Open(provisiontest.Need(b, provision.OpenBLAS))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []conv{
		{16, 1, []int{32, 32}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{64, 1, []int{28, 28}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{32, 1, []int{28, 28}, []int{3, 3}, []int{2, 2}, nil, []int{1, 1}, []int{1, 1}},
		{128, 1, []int{28, 28}, []int{1, 1}, nil, nil, nil, nil},
		{32, 32, []int{28, 28}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
	} {
		p := c.patches()
		summation := Conv(p)
		for name, x := range map[string][]float32{"near": noise(samples*p.Channels*tensor.Product(p.In), 1), "far": far(samples, p.Channels, tensor.Product(p.In), 1)} {
			b.Run(c.String()+"/"+name, func(b *testing.B) {
				pilot := NewPilot()
				pilot.Set(summation, x, samples, nil)
				sum := NewInputs(p.Groups, p.Length(), pilot)
				var s Scratch
				var buf []float32
				var part Part
				for b.Loop() {
					sum.Run(backend, summation, pilot.Off(summation, x, samples, nil, &buf), samples, nil, &part, &s)
					sum.Add(&part)
				}
			})
		}
	}
}

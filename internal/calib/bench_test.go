package calib

import (
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// BenchmarkCollect sweeps 64 samples through the trained demo model on one thread.
func BenchmarkCollect(b *testing.B) {
	lib := orttest.Open(b)
	m, err := testmodels.Fashion()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	in := specs(b, m)[0]
	src := random(64, in.Name, in.Type, in.Shape[1:]...)
	sites := sitetest.Sites(b, m, src[0])
	openblas, err := linalg.Open(provisiontest.Need(b, provision.OpenBLAS))
	if err != nil {
		b.Fatal(err)
	}
	for name, backend := range map[string]linalg.Backend{"gonum": linalg.Gonum(), "openblas": openblas} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Collect(context.Background(), lib, m, sites, src, testkit.Count(64), Options{Backend: backend}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(64*b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}

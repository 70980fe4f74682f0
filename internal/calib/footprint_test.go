package calib

import (
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Batches shrink to a quarter of the memory, workers to half of it; fixed batches stay.
func TestWithin(t *testing.T) {
	for _, c := range []struct {
		memory, sample               int64
		fixed                        bool
		batch, workers, want, wanted int
	}{
		{1 << 20, 0, false, 32, 4, 32, 4},
		{1 << 20, 1 << 10, false, 32, 4, 32, 4},
		{1 << 20, 1 << 15, false, 32, 4, 8, 2},
		{1 << 20, 1 << 22, false, 32, 4, 1, 1},
		{1 << 20, 1 << 18, true, 32, 4, 32, 2},
	} {
		if batch, workers := within(c.memory, c.sample, c.fixed, c.batch, c.workers); batch != c.want || workers != c.wanted {
			t.Errorf("%d of %d bytes a sample, fixed %v: batch %d, %d workers, want %d and %d", c.memory, c.sample, c.fixed, batch, workers, c.want, c.wanted)
		}
	}
}

// Two products, of 12 and 4 numbers; a fixed batch counts as it is.
func TestFootprint(t *testing.T) {
	src := random(6, "x", tensor.Float32, 6)
	for _, c := range []struct {
		batch any
		count int
	}{{"N", 1}, {4, 4}} {
		m := chain(t, c.batch, 4, nil)
		inputs, err := samples.Inputs(m)
		if err != nil {
			t.Fatal(err)
		}
		col := newCollector(sitetest.Sites(t, m, src[0]), inputs, Options{Probes: 1}.withDefaults())
		gs, err := col.newGradients(orttest.Open(t), m, inputs)
		if err != nil {
			t.Fatal(err)
		}
		bytes, fixed, err := gs.footprint(context.Background(), src, 0)
		if want := int64(c.count * 4 * (12 + 4)); err != nil || bytes != want || fixed != (c.count > 1) {
			t.Errorf("batch %v: %d bytes, fixed %v (%v), want %d", c.batch, bytes, fixed, err, want)
		}
	}
}

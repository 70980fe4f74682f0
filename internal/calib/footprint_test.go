package calib

import (
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Batches shrink to an eighth of the memory, workers to a quarter of it; fixed batches stay.
func TestWithin(t *testing.T) {
	for _, c := range []struct {
		memory, sample               int64
		fixed                        bool
		batch, workers, want, wanted int
	}{
		{1 << 20, 0, false, 32, 4, 32, 4},
		{1 << 20, 1 << 10, false, 32, 4, 32, 4},
		{1 << 20, 1 << 15, false, 32, 4, 4, 2},
		{1 << 20, 1 << 22, false, 32, 4, 1, 1},
		{1 << 20, 1 << 17, true, 32, 4, 32, 2},
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

// TestLive: a value counts from the node that makes it to the last that reads it, and the outputs to the end.
func TestLive(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 6)
	first := b.Node("MatMul", []string{x, b.Weight("first", 6, 6, 50)})
	small := b.Node("MatMul", []string{first, b.Weight("small", 50, 50, 3)})
	wide := b.Node("MatMul", []string{small, b.Weight("wide", 3, 3, 20)})
	b.Node("Add", []string{wide, b.Node("Relu", []string{wide})})
	b.Output(b.Rename("y"), tensor.Float32, "N", 20)
	m := testkit.Built(t, b)
	values, err := grad.Observe(t.Context(), nil, m, random(1, "x", tensor.Float32, 1, 6)[0].Inputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wanted []string
		want   int64
	}{{nil, 4 * 60}, {[]string{small}, 4 * 63}, {[]string{first}, 4 * 110}} {
		if got := live(m, values, c.wanted); got != c.want {
			t.Errorf("%q wanted: %d bytes, want %d", c.wanted, got, c.want)
		}
	}
}

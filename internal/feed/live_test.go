package feed

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
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
		if batch, workers := Within(c.memory, c.sample, c.fixed, c.batch, c.workers); batch != c.want || workers != c.wanted {
			t.Errorf("%d of %d bytes a sample, fixed %v: batch %d, %d workers, want %d and %d", c.memory, c.sample, c.fixed, batch, workers, c.want, c.wanted)
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
	size := Float32s(m, map[string]tensor.Dense{"x": tensor.New(tensor.Float32, 1, 6)})
	for _, c := range []struct {
		wanted []string
		want   int64
	}{{nil, 4 * 60}, {[]string{small}, 4 * 63}, {[]string{first}, 4 * 110}} {
		if got := Live(m, size, c.wanted); got != c.want {
			t.Errorf("%q wanted: %d bytes, want %d", c.wanted, got, c.want)
		}
	}
}

// TestFit: runs hold no more than is enough, whatever the memory.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		live           int64
		fixed          bool
		memory         int64
		batch, workers int
	}{
		{0, false, 1 << 20, 32, 4},
		{1 << 10, false, 1 << 40, 32, 4},
		{4 << 20, false, 1 << 40, 4, 4},
		{64 << 20, false, 1 << 40, 1, 4},
		{64 << 20, true, 1 << 40, 32, 4},
		{4 << 20, false, 64 << 20, 1, 2},
	} {
		if batch, workers := Fit(c.live, c.fixed, c.memory, 32, 4); batch != c.batch || workers != c.workers {
			t.Errorf("%+v: batch %d, %d workers", c, batch, workers)
		}
	}
}

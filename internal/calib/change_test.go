package calib

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// pair is two models of one product each, x·w and 3·x·w for class scores, with a batch.
func pair(t *testing.T, batch any) (m, changed *onnxio.Model) {
	build := func(scale float64) *onnxio.Model {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", tensor.Float32, batch, 6)
		w := b.Weight("w", 6, 6, 4)
		y := b.Node("MatMul", []string{x, w})
		b.Node("Mul", []string{y, b.Tensor("scale", tensor.Float32, []int{1}, []float64{scale})})
		b.Output(b.Rename("y"), tensor.Float32, batch, 4)
		return testkit.Built(t, b)
	}
	return build(1), build(3)
}

// The change of x·w to 3·x·w is 4·‖x·w‖² about its mean over the classes, whatever the batch
// that the model runs in, and whatever fills it up.
func TestChange(t *testing.T) {
	lib, src := orttest.Open(t), random(25, "x", tensor.Float32, 6)
	for _, batch := range []any{"N", 1, 10} {
		m, changed := pair(t, batch)
		b := linalg.Gonum()
		p := b.Mul(false, true, 2, centring(4), matrix(t, m, "w")) // [4,6]
		want := 0.
		for _, s := range src {
			x, err := s.Inputs["x"].Float64s()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range b.Mul(false, false, 1, p, &linalg.Matrix{Rows: 6, Cols: 1, Data: x}).Data {
				want += v * v / float64(len(src))
			}
		}
		var first float64
		for _, threads := range []int{1, 3} {
			o, err := Observe(t.Context(), lib, m, src, testkit.Count(len(src)), Options{Batch: 4, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			if o.Samples() != len(src) {
				t.Errorf("batch %v: %d samples were kept", batch, o.Samples())
			}
			got, err := o.Change(t.Context(), changed, func(string, int, int) {})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got/want-1) > 1e-5 {
				t.Errorf("batch %v: the change is %g, want %g", batch, got, want)
			}
			if first == 0 {
				first = got
			} else if got != first {
				t.Errorf("batch %v: %g in one thread, %g in %d", batch, first, got, threads)
			}
			if same, err := o.Change(t.Context(), m, func(string, int, int) {}); same != 0 || err != nil {
				t.Errorf("batch %v: nothing changed, by %g: %v", batch, same, err)
			}
		}
	}
}

// Outputs are kept as far as a quarter of the memory goes: 16 bytes a sample here.
func TestObserveWithinMemory(t *testing.T) {
	m, changed := pair(t, "N")
	src := random(25, "x", tensor.Float32, 6)
	o, err := Observe(t.Context(), orttest.Open(t), m, src, testkit.Count(len(src)), Options{Batch: 4, Memory: 4 * 16 * 7})
	if err != nil {
		t.Fatal(err)
	}
	if o.Samples() != 7 {
		t.Errorf("%d samples were kept, want 7", o.Samples())
	}
	if change, err := o.Change(t.Context(), changed, func(string, int, int) {}); err != nil || change <= 0 {
		t.Errorf("%g: %v", change, err)
	}
}

func TestObserveWeights(t *testing.T) {
	lib, src := orttest.Open(t), random(5, "x", tensor.Float32, 6)
	m, changed := pair(t, "N")
	var got [2]float64
	for i, w := range []float64{1, 5} {
		o, err := Observe(t.Context(), lib, m, src, testkit.Count(len(src)), Options{Weights: map[string]float64{graph.Of(m).Outputs()[0].Name(): w}})
		if err != nil {
			t.Fatal(err)
		}
		if got[i], err = o.Change(t.Context(), changed, func(string, int, int) {}); err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(got[1]/got[0]-5) > 1e-9 {
		t.Errorf("the change is %g, and %g with five times the weight", got[0], got[1])
	}
}

func TestObserveCancelled(t *testing.T) {
	lib, src := orttest.Open(t), &testkit.Watched[samples.Sample]{Memory: random(25, "x", tensor.Float32, 6)}
	m, changed := pair(t, "N")
	ctx, cancel := context.WithCancel(t.Context())
	o, err := Observe(ctx, lib, m, src, testkit.Count(25), Options{Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Change(ctx, changed, func(string, int, int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("the change, cancelled after a run: %v", err)
	}
	if _, err := Observe(ctx, lib, m, src, testkit.Count(25), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("observing, cancelled before: %v", err)
	}
	src.Returned(t)
}

// Samples may lie along another axis of an output than the first: the change, the shares and how many samples count are the same.
func TestChangeAlongAnotherAxis(t *testing.T) {
	lib, src := orttest.Open(t), random(7, "x", tensor.Float32, 4, 6)
	build := func(batch any, aside bool, scale float64) *onnxio.Model {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", tensor.Float32, batch, 4, 6)
		for _, name := range []string{"y", "z"} {
			y := b.Node("MatMul", []string{x, b.Weight("w"+name, 6, 6, 5)})
			if aside {
				y = b.Node("Transpose", []string{y}, graph.Ints("perm", 1, 0, 2))
			}
			b.Node("Mul", []string{y, b.Tensor("scale"+name, tensor.Float32, []int{1}, []float64{scale})})
			b.Output(b.Rename(name), tensor.Float32, nil, nil, 5)
		}
		return testkit.Built(t, b)
	}
	measure := func(batch any, aside bool) (float64, map[string]float64) {
		t.Helper()
		m := build(batch, aside, 1)
		o, err := Observe(t.Context(), lib, m, src, testkit.Count(7), Options{Batch: 4})
		if err != nil || o.Samples() != 7 {
			t.Fatalf("%d samples, %v", o.Samples(), err)
		}
		change, err := o.Change(t.Context(), build(batch, aside, 3), func(string, int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		shares, err := Shares(t.Context(), lib, m, src, testkit.Count(7), Options{Batch: 4})
		if err != nil {
			t.Fatal(err)
		}
		return change, shares
	}
	want, shares := measure("N", false)
	for _, batch := range []any{"N", 4} {
		got, other := measure(batch, true)
		if math.Abs(got/want-1) > 1e-5 {
			t.Errorf("batch %v: the change is %g, want %g", batch, got, want)
		}
		for name, v := range shares {
			if math.Abs(other[name]/v-1) > 1e-5 {
				t.Errorf("batch %v: the share of %s is %g, want %g", batch, name, other[name], v)
			}
		}
	}
}

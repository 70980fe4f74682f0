package tune

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

const wide = 6

// mlp is y = relu(x·W)·V over the last axis, in a batch that may be fixed, with weights moved off by noise.
func mlp(t *testing.T, batch any, noise float64, axes ...any) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, append(append([]any{batch}, axes...), wide)...)
	w := make([]float64, wide*wide)
	for i := range w {
		w[i] = math.Sin(float64(i*i)) + noise*math.Cos(float64(7*i))
	}
	h := b.Node("Relu", []string{b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{wide, wide}, w)})})
	b.Node("MatMul", []string{h, b.Tensor("v", tensor.Float32, []int{wide, wide}, w)})
	b.Output(b.Rename("y"), tensor.Float32, append(append([]any{batch}, axes...), wide)...)
	return testkit.Built(t, b)
}

// drawn are samples of x of the given shapes, in turns.
func drawn(n int, whole bool, shapes ...[]int) memory {
	var src memory
	for i := range n {
		d := tensor.New(tensor.Float32, shapes[i%len(shapes)]...)
		for k := range d.Float32s() {
			d.Float32s()[k] = float32(math.Sin(float64(i*31 + k*17)))
		}
		src = append(src, samples.Sample{Name: fmt.Sprint("sample ", i), Label: -1, Whole: whole, Inputs: map[string]tensor.Dense{"x": d}})
	}
	return src
}

// Held-out samples that do not fill the batch of a model count as those of a model that takes any batch: the filler is none.
func TestHeldSamplesOfAFixedBatch(t *testing.T) {
	lib := orttest.Open(t)
	src := drawn(22, false, []int{wide})
	o := Options{Epochs: 1, Batch: 4}
	fixed := distil(t, lib, mlp(t, 4, 0), mlp(t, 4, 0.1), src, o)
	free := distil(t, lib, mlp(t, "N", 0), mlp(t, "N", 0.1), src, o)
	for i := range free.Curve {
		p, q := fixed.Curve[i], free.Curve[i]
		if math.Abs(p.Held-q.Held) > 1e-5*q.Held || p.Agreement != q.Agreement || !(q.Held > 0) {
			t.Errorf("in batches of 4 %+v, in any %+v", p, q)
		}
	}
}

// Samples of several lengths, and sets of several sizes, are tuned on: each in a run of its own shape, and the loss is that of
// all, whatever the number of threads.
func TestSeveralSizes(t *testing.T) {
	lib := orttest.Open(t)
	for name, c := range map[string]struct {
		axes []any
		src  memory
	}{
		"lengths": {[]any{"S"}, drawn(60, false, []int{2, wide}, []int{3, wide}, []int{5, wide}, []int{3, wide})},
		"sets":    {nil, drawn(40, true, []int{2, wide}, []int{3, wide}, []int{4, wide})},
	} {
		original, small := mlp(t, "N", 0, c.axes...), mlp(t, "N", 0.1, c.axes...)
		var first *Result
		for _, threads := range []int{1, 3} {
			d := distil(t, lib, original, small, c.src, Options{Epochs: 12, Batch: 16, Threads: threads, Optimizer: Adam, Rate: 1e-2})
			if d.Curve[d.Best].Held > d.Curve[0].Held/2 {
				t.Errorf("%s: the loss goes from %g to %g", name, d.Curve[0].Held, d.Curve[d.Best].Held)
			}
			if first == nil {
				first = d
			} else if !slices.Equal(testkit.Bytes(t, first.Model), testkit.Bytes(t, d.Model)) {
				t.Errorf("%s: %d threads give another model", name, threads)
			}
		}
	}
}

// The mean of a step is over its samples, however they fall into runs.
func TestUnevenRuns(t *testing.T) {
	s := &sizes{of: map[int]string{0: "a", 1: "b", 2: "a", 3: "a", 4: "b", 5: "a", 6: "a"}, cut: map[string]int{"a": 2, "b": 1}}
	want := [][]int{{1}, {0, 2}, {4}, {3, 5}}
	if got := s.deal([]int{0, 1, 2, 3, 4, 5, 6}); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("runs %v, want %v", got, want)
	}
}

// Models that compute in another floating-point type at the end are held to the original's in float32.
func TestOtherOutputTypes(t *testing.T) {
	lib := orttest.Open(t)
	for _, typ := range []tensor.Type{tensor.Float64, tensor.Float16} {
		build := func(noise float64) *onnxio.Model {
			b := testmodels.NewBuilder(3, 17, 8)
			x := b.Input("x", tensor.Float32, "N", wide)
			w := make([]float64, wide*wide)
			for i := range w {
				w[i] = math.Sin(float64(i*i)) + noise*math.Cos(float64(7*i))
			}
			h := b.Node("Relu", []string{b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{wide, wide}, w)})})
			h = b.Node("Cast", []string{h}, graph.Int("to", int(typ)))
			b.Node("MatMul", []string{h, b.Tensor("v", typ, []int{wide, wide}, w)})
			b.Output(b.Rename("y"), typ, "N", wide)
			return testkit.Built(t, b)
		}
		for _, loss := range Losses() {
			d := distil(t, lib, build(0), build(0.1), drawn(60, false, []int{wide}), Options{Epochs: 8, Batch: 16, Optimizer: Adam, Rate: 1e-2, Loss: loss})
			if d.Parameters != wide*wide || !d.Improved {
				t.Errorf("%s, %s: %d weights, improved %v", typ, loss, d.Parameters, d.Improved)
			}
		}
	}
}

// Constants that are no weights are no parameters, and may hold anything: masks of attention and biases of positions, added as
// they are or looked up. Biases and scales are.
func TestMasksAreNoParameters(t *testing.T) {
	const s = 4
	mask := func(low float64) []float64 {
		v := make([]float64, s*s)
		for i := range s {
			for j := i + 1; j < s; j++ {
				v[i*s+j] = low
			}
		}
		return v
	}
	infinite := math.Inf(-1)
	for name, c := range map[string]struct {
		add  func(b *testmodels.Builder, scores string) string
		want []string
	}{
		"minus infinity": {func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Tensor("mask", tensor.Float32, []int{s, s}, mask(infinite))})
		}, nil},
		"least number": {func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Tensor("mask", tensor.Float32, []int{1, s, s}, mask(-math.MaxFloat32))})
		}, nil},
		"bias of positions": {func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Tensor("table", tensor.Float32, []int{s, s}, mask(-0.5))})
		}, nil},
		"table of biases": {func(b *testmodels.Builder, x string) string {
			at := b.Ints("buckets", make([]int, s)...)
			return b.Node("Add", []string{x, b.Node("Gather", []string{b.Tensor("table", tensor.Float32, []int{2, s}, []float64{0, 1, 2, infinite, 0, 0, 0, 0}), at})})
		}, nil},
		"scaled mask": {func(b *testmodels.Builder, x string) string {
			x = b.Node("Add", []string{x, b.Tensor("mask", tensor.Float32, []int{s, s}, mask(-1e9))})
			return b.Node("Mul", []string{x, b.Tensor("scale", tensor.Float32, []int{1, 1, s}, []float64{1, 2, 1, 2})})
		}, nil},
	} {
		build := func(noise float64) *onnxio.Model {
			b := testmodels.NewBuilder(3, 17, 8)
			x := b.Input("x", tensor.Float32, "N", s, wide)
			w := make([]float64, wide*wide)
			for i := range w {
				w[i] = math.Sin(float64(i*i)) + noise*math.Cos(float64(7*i))
			}
			q := b.Node("MatMul", []string{x, b.Tensor("q", tensor.Float32, []int{wide, wide}, w)})
			q = b.Node("Add", []string{q, b.Tensor("bias", tensor.Float32, []int{wide}, w[:wide])})
			scores := c.add(b, b.Node("MatMul", []string{q, b.Node("Transpose", []string{x}, graph.Ints("perm", 0, 2, 1))}))
			p := b.Node("Softmax", []string{scores}, graph.Int("axis", -1))
			b.Node("MatMul", []string{p, x})
			b.Output(b.Rename("y"), tensor.Float32, "N", s, wide)
			return testkit.Built(t, b)
		}
		small := build(0.2)
		if got, want := newParameters(small, nil).names(), append([]string{"q", "bias"}, c.want...); !slices.Equal(got, want) {
			t.Errorf("%s: the parameters are %q, want %q", name, got, want)
		}
		if d := distil(t, orttest.Open(t), build(0), small, drawn(40, false, []int{s, wide}), Options{Epochs: 2, Batch: 8}); !(d.Curve[d.Best].Held < d.Curve[0].Held) {
			t.Errorf("%s: nothing is won", name)
		}
	}
}

// A weight that is not finite is named.
func TestWeightsNotFinite(t *testing.T) {
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 2)
	b.Node("MatMul", []string{x, b.Tensor("kernel", tensor.Float32, []int{2, 2}, []float64{1, math.NaN(), 0, 1})})
	b.Output(b.Rename("y"), tensor.Float32, "N", 2)
	m := testkit.Built(t, b)
	_, err := Run(context.Background(), orttest.Open(t), m, m, drawn(20, false, []int{2}), testkit.Count(20), Options{Epochs: 1})
	testkit.WantError(t, err, `element 1 of the weight "kernel" is NaN`)
}

// A model that gives out its samples along axis 1 learns as one that has them first, in batches of any size and of its own.
func TestSamplesAlongAnotherAxis(t *testing.T) {
	lib := orttest.Open(t)
	src := drawn(22, false, []int{4, wide})
	build := func(batch any, noise float64, aside bool) *onnxio.Model {
		m := mlp(t, batch, noise, 4)
		if !aside {
			return m
		}
		p := graph.Of(m).Parts()
		p.Nodes = append(p.Nodes, graph.NewNode("Transpose", "turn", []string{"y"}, []string{"turned"}, graph.Ints("perm", 1, 0, 2)))
		p.Outputs = []graph.Value{graph.NewValue("turned", tensor.Float32, nil)}
		out := p.Model()
		t.Cleanup(func() { out.Close() })
		return out
	}
	for _, batch := range []any{"N", 4} {
		for _, loss := range []Loss{MSE, Cosine} {
			o := Options{Epochs: 2, Batch: 4, Loss: loss}
			first := distil(t, lib, build(batch, 0, false), build(batch, 0.1, false), src, o)
			aside := distil(t, lib, build(batch, 0, true), build(batch, 0.1, true), src, o)
			for i := range first.Curve {
				p, q := aside.Curve[i], first.Curve[i]
				if math.Abs(p.Held-q.Held) > 1e-4*q.Held || math.Abs(p.Agreement-q.Agreement) > 1e-4 || !(q.Held > 0) {
					t.Errorf("batch %v, %s: along axis 1 %+v, along axis 0 %+v", batch, loss, p, q)
				}
			}
		}
	}
}

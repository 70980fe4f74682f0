package compress

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// alike is a network of two convolutions over "image" [N,3,9,9], between which 8 of 24 units are nearly what others are, with an activation.
func alike(t testing.TB, activate func(b *testmodels.Builder, x string) string) *onnxio.Model {
	t.Helper()
	const in, units, distinct, taps = 3, 24, 16, 9
	b, r := testmodels.NewBuilder(3, 17, 8), rand.New(rand.NewPCG(3, 44))
	w, bias := make([]float64, units*in*taps), make([]float64, units)
	for u := range units {
		from := u - distinct
		for i := range in * taps {
			if w[u*in*taps+i] = 0.2 * r.NormFloat64(); from >= 0 {
				w[u*in*taps+i] = w[from*in*taps+i] + 1e-3*r.NormFloat64()
			}
		}
		if bias[u] = 0.3 * r.NormFloat64(); from >= 0 {
			bias[u] = bias[from]
		}
	}
	x := b.Input("image", tensor.Float32, "N", in, 9, 9)
	x = b.Node("Conv", []string{x, b.Tensor("first", tensor.Float32, []int{units, in, 3, 3}, w), b.Tensor("first_bias", tensor.Float32, []int{units}, bias)})
	x = activate(b, x)
	b.Conv(x, units, 5, []int{3, 3})
	b.Output(b.Rename("y"), tensor.Float32, "N", 5, 5, 5)
	return built(t, b)
}

// geluOf is GELU in single operators.
func geluOf(b *testmodels.Builder, x string) string {
	number := func(name string, v float64) string { return b.Tensor(name, tensor.Float32, nil, []float64{v}) }
	y := b.Node("Erf", []string{b.Node("Div", []string{x, number("root", math.Sqrt2)})})
	return b.Node("Mul", []string{b.Node("Mul", []string{x, b.Node("Add", []string{y, number("one", 1)})}), number("half", 0.5)})
}

// TestHidden: without samples units that are nearly what others are leave first, at hardly a loss, with any activation whose moments are
// known, and the same bytes come with other threads and from the plan.
func TestHidden(t *testing.T) {
	needRuntime(t)
	for name, activate := range map[string]func(b *testmodels.Builder, x string) string{
		"relu": func(b *testmodels.Builder, x string) string { return b.Node("Relu", []string{x}) },
		"relu6": func(b *testmodels.Builder, x string) string {
			return b.Node("Clip", []string{x, b.Tensor("zero", tensor.Float32, nil, []float64{0}), b.Tensor("six", tensor.Float32, nil, []float64{6})})
		},
		"gelu": geluOf,
		"norm": func(b *testmodels.Builder, x string) string {
			same := func(name string, v float64) string {
				return b.Tensor(name, tensor.Float32, []int{24}, slices.Repeat([]float64{v}, 24))
			}
			x = b.Node("BatchNormalization", []string{x, same("scale", 0.7), same("shift", 0.2), same("mean", 0.1), same("variance", 2)})
			return b.Node("Relu", []string{x})
		},
		"none": func(b *testmodels.Builder, x string) string { return b.Node("Identity", []string{x}) },
	} {
		m := alike(t, activate)
		o := Options{Methods: []string{Width}, Targets: []Target{share(Params, 0.7)}, RankMultiple: 1}
		r, written := run(t, m, o, threads(1))
		x := r.Axes[0]
		if len(r.Axes) != 1 || len(x.Kept) != 16 || x.Loss > 1e-3 || !(x.Loss > 0) {
			t.Errorf("%s: axes %+v", name, r.Axes)
		}
		if db := decibels(t, r); db < 30 {
			t.Errorf("%s: without units that others stand for, %.1f dB", name, db)
		}
		sameNodes(t, m, written)
		if _, again := run(t, m, o, threads(4)); !bytes.Equal(written, again) {
			t.Errorf("%s: other bytes with other threads", name)
		}
		if _, planned := run(t, m, Options{FromPlan: reread(t, PlanOf(r))}); !bytes.Equal(unrecorded(t, planned), unrecorded(t, written)) {
			t.Errorf("%s: the plan gives other bytes", name)
		}
	}
}

// TestHiddenRefused: without samples what cannot be told from weights stays as wide as it is, and says why.
func TestHiddenRefused(t *testing.T) {
	needRuntime(t)
	for word, activate := range map[string]func(b *testmodels.Builder, x string) string{
		"moments are known": func(b *testmodels.Builder, x string) string { return b.Node("Tanh", []string{x}) },
		"MaxPool": func(b *testmodels.Builder, x string) string {
			return b.Node("MaxPool", []string{x}, graph.Ints("kernel_shape", 1, 1))
		},
		"sites compute it": func(b *testmodels.Builder, x string) string {
			return b.Node("Mul", []string{x, b.Conv("image", 3, 24, []int{3, 3})})
		},
	} {
		_, err := Run(t.Context(), in(t), alike(t, activate), to(t, Options{Methods: []string{Width}, Targets: []Target{half(Params)}}))
		testkit.WantError(t, err, "without samples", word)
	}
}

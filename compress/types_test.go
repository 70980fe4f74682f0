package compress

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestElementTypes compresses models of each type, with samples where the runtime takes them.
func TestElementTypes(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		model string
		typ   tensor.Type
		runs  bool
	}{
		{"cnn_float16", tensor.Float16, true},
		{"matmul_float16", tensor.Float16, true},
		{"matmul_float64", tensor.Float64, true},
		{"conv_float64", tensor.Float64, false},
		{"conv_bfloat16", tensor.BFloat16, false},
		{"matmul_bfloat16", tensor.BFloat16, false},
	} {
		t.Run(c.model, func(t *testing.T) {
			m := zoo(t, c.model)
			o := Options{Targets: []Target{share(Params, 0.8)}}
			data := Options{Targets: o.Targets, Source: whole(t, m, 12), CalibSamples: 8, Probes: 1}
			if !c.runs {
				r, _ := run(t, m, o)
				written(t, r, c.typ)
				if r.Unverified == "" {
					t.Error("a model that the runtime does not take was verified")
				}
				for _, probes := range []int{-1, 1} {
					data.Probes = probes
					_, err := Run(t.Context(), in(t), m, RunOptions{Options: data, Output: out(t)})
					testkit.WantError(t, err, "NOT_IMPLEMENTED", "data-free", "float32")
				}
				return
			}
			for _, o := range []Options{o, data} {
				r, _ := run(t, m, o)
				written(t, r, c.typ)
				if r.Verification == nil {
					t.Errorf("not verified: %s", r.Unverified)
				}
			}
		})
	}
}

// written wants factors in the model's own type, and their rounding counted.
func written(t *testing.T, r *Result, typ tensor.Type) {
	t.Helper()
	m, err := onnxio.Read(r.Output.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, p := range graph.Of(m).Initializers() {
		if got := p.Type(); strings.Contains(p.Name(), "svd") && got != typ {
			t.Errorf("%s is of type %v, want %v", p.Name(), got, typ)
		}
	}
	unit := map[tensor.Type]float64{tensor.Float16: math.Ldexp(1, -11), tensor.BFloat16: math.Ldexp(1, -8)}[typ]
	for _, s := range r.Sites {
		switch {
		case unit == 0 || s.Method == Dense:
			if unit == 0 && s.Rounding != nil {
				t.Errorf("%s: rounding %g to %v", s.Name, *s.Rounding, typ)
			}
		case s.Rounding == nil || !(*s.Rounding > 1e-4*unit*unit) || !(*s.Rounding < 30*unit*unit):
			t.Errorf("%s: rounding %v, want about the square of %g", s.Name, s.Rounding, unit)
		}
	}
}

// TestHalfPrecisionRange: factors of weights at both ends of the range of float16 are in its middle.
func TestHalfPrecisionRange(t *testing.T) {
	for _, scale := range []float64{6e4, 1, 1e-5} {
		b := testmodels.NewBuilder(3, 17, 8).Float(tensor.Float16)
		x := b.Input("x", tensor.Float16, "N", 96)
		b.Node("MatMul", []string{x, b.Random("w", -scale, scale, 96, 64)})
		b.Output(b.Rename("y"), tensor.Float16, "N", 64)
		r, _ := run(t, built(t, b), Options{Targets: []Target{share(Params, 0.6)}})
		s := r.Sites[0]
		if s.Method == Dense || s.Rounding == nil || *s.Rounding > 1e-6 {
			t.Errorf("scale %g: %+v", scale, s)
		}
		m, err := onnxio.Read(r.Output.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for _, p := range graph.Of(m).Initializers() {
			d, err := p.Dense()
			if err != nil {
				t.Fatal(err)
			}
			largest := float32(0)
			for _, v := range d.Float32s() {
				largest = max(largest, v)
			}
			if want := math.Sqrt(scale); !(float64(largest) > want/10 && float64(largest) < want*10) {
				t.Errorf("scale %g: the largest weight of %s is %g, want about %g", scale, p.Name(), largest, want)
			}
		}
	}
}

// TestRoundingIsNoted: a loss that is little more than rounding has a note.
func TestRoundingIsNoted(t *testing.T) {
	b := testmodels.NewBuilder(3, 22, 10).Float(tensor.BFloat16)
	x := b.Input("x", tensor.BFloat16, "N", 64)
	v := make([]float64, 64*64) // of rank 2, but for its own rounding
	for i := range v {
		v[i] = math.Sin(float64(i/64)) + math.Cos(float64(i%64))
	}
	b.Node("MatMul", []string{x, b.Tensor("w", tensor.BFloat16, []int{64, 64}, v)})
	b.Output(b.Rename("y"), tensor.BFloat16, "N", 64)
	r, _ := run(t, built(t, b), Options{Targets: []Target{share(Params, 0.2)}})
	if s := r.Sites[0]; s.Rounding == nil || !strings.Contains(s.Note, "rounding the factors to bfloat16 adds") {
		t.Errorf("%+v", s)
	}
}

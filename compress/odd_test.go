package compress

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// odd are models at the edge of what a model is.
func odd(t *testing.T) map[string]*onnxio.Model {
	build := func(fill func(b *testmodels.Builder)) *onnxio.Model {
		b := testmodels.NewBuilder(1, 17, 8)
		fill(b)
		return built(t, b)
	}
	weight := func(b *testmodels.Builder, x string, n int) {
		b.Linear(x, n, n, false)
		b.Output(b.Rename("y"), tensor.Float32, nil, n)
	}
	models := map[string]*onnxio.Model{
		"no nodes": build(func(b *testmodels.Builder) { b.Output(b.Input("x", tensor.Float32, 2), tensor.Float32, 2) }),
		"no inputs": build(func(b *testmodels.Builder) {
			b.Linear(b.Node("Abs", []string{b.Random("constant", -1, 1, 4, 9)}), 9, 9, false)
			b.Output(b.Rename("y"), tensor.Float32, 4, 9)
		}),
		"unused input": build(func(b *testmodels.Builder) {
			b.Input("unused", tensor.String, "N", "M")
			weight(b, b.Input("x", tensor.Float32, "N", 9), 9)
		}),
		"zeros": build(func(b *testmodels.Builder) {
			b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 9), b.Random("zeros", 0, 0, 9, 9)})
			b.Output(b.Rename("y"), tensor.Float32, "N", 9)
		}),
		"empty weight": build(func(b *testmodels.Builder) {
			b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 9), b.Random("empty", 0, 1, 9, 0)})
			b.Output(b.Rename("y"), tensor.Float32, "N", 0)
		}),
		"no rows":    build(func(b *testmodels.Builder) { weight(b, b.Input("x", tensor.Float32, 0, 9), 9) }),
		"one by one": build(func(b *testmodels.Builder) { weight(b, b.Input("x", tensor.Float32, "N", 1), 1) }),
		"large numbers": build(func(b *testmodels.Builder) {
			b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 9), b.Random("large", -3e38, 3e38, 9, 9)})
			b.Output(b.Rename("y"), tensor.Float32, "N", 9)
		}),
	}
	p := graph.Of(models["zeros"]).Parts()
	p.Inputs = append(p.Inputs, graph.NewSequence("list", p.Inputs[0]))
	models["input that is no tensor"] = save(t, p.Model())
	return models
}

// TestOddModels: whatever a model is, it is compressed, or refused in words, with data and
// without; nothing half-done is left.
func TestOddModels(t *testing.T) {
	for name, m := range odd(t) {
		if _, err := Inspect(m, nil, Selection{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, src := range []memory{nil, drawn(20, "x", 9)} {
			for _, target := range []Target{share(Params, 0.9), share(MACs, 0.9), share(MACs, 1), {Resource: Bytes, Value: 0.9, Fraction: true}} {
				o := RunOptions{Output: out(t), Options: Options{Targets: []Target{target}, Probes: 1}}
				if src != nil {
					o.Source = src
				}
				r, err := Run(context.Background(), in(t), m, o)
				switch {
				case err != nil:
					t.Logf("%s, %s, data %v: %v", name, target, src != nil, err)
					empty(t, filepath.Dir(o.Output))
				case r.Verification == nil && r.Unverified == "":
					t.Errorf("%s, %s: neither verified nor said to be unverified", name, target)
				default:
					t.Logf("%s, %s, data %v: %d of %d parameters; %s", name, target, src != nil, r.Output.Params, r.Input.Params, r.Unverified)
				}
			}
		}
		// What asks for nothing is had without data.
		_, err := Run(context.Background(), in(t), m, RunOptions{Output: out(t), Options: Options{Targets: []Target{share(Params, 1)}}})
		if unmet := (*UnmetError)(nil); err != nil && !errors.As(err, &unmet) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

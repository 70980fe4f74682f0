package compress

import (
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// halves is a model with an If whose branches share a weight, and call what they make as the If does, as merged decoders have it.
func halves(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(3, 17, 8)
	x, choice := b.Input("x", tensor.Float32, "N", 24), b.Input("choice", tensor.Bool)
	h, shared := b.Node("Tanh", []string{b.Linear(x, 24, 24, false)}), b.Weight("shared", 24, 24, 24)
	branch := func(name, act string) graph.Attr {
		return graph.Body(name, b.Body(name, func(body *testmodels.Builder) {
			body.Node("MatMul", []string{body.Node(act, []string{h}), shared})
			body.Output(body.Rename("y"), tensor.Float32, "N", 24)
		}))
	}
	b.Node("If", []string{choice}, branch("then_branch", "Relu"), branch("else_branch", "Sigmoid"))
	b.Output(b.Rename("y"), tensor.Float32, "N", 24)
	return save(t, testkit.Built(t, b))
}

// TestTuneInside: weights that only branches read are tuned along those that the samples take, and come back into them.
func TestTuneInside(t *testing.T) {
	needRuntime(t)
	for name, c := range map[string]struct {
		model  func(*testing.T) *onnxio.Model
		around int // at most so many tensors are tuned where the branches stay closed
	}{"forked": {forked, 6}, "halves": {halves, 2}} {
		m, src := c.model(t), choosing(60, never)
		o := to(t, Options{Targets: []Target{share(Params, 0.8)}, Source: src, CalibSamples: 30, Methods: []string{"svd"}, Probes: 1})
		runTo(t, m, o)
		small, err := onnxio.Read(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		r, err := Tune(context.Background(), in(t), m, small, TuneOptions{Output: out(t), Source: src, Descent: Descent{Epochs: 1}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Tuning.Tensors <= c.around {
			t.Errorf("%s: %d weights tuned", name, r.Tuning.Tensors)
		}
	}
}

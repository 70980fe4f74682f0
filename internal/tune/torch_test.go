package tune

import (
	"context"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// The whole graph of a training step against PyTorch, for every loss: a residual network and a transformer layer. The loss
// agrees to 1e-5, each gradient to 1e-4 of its largest entry (PyTorch computes in float64, the runtime in float32).
func TestTrainingGraphAgainstPyTorch(t *testing.T) {
	lib := orttest.Open(t)
	want := testkit.Arrays(t, "testdata/losses.npz")
	for _, network := range []struct{ name, inside string }{
		{"resnet", "/blocks/blocks.1/conv2/Conv_output_0"}, {"transformer", "/up/Add_output_0"},
	} {
		m, err := onnxio.Read(filepath.Join("..", "..", "grad", "testdata", network.name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		feeds := map[string]tensor.Dense{}
		for key, d := range testkit.Arrays(t, filepath.Join("..", "..", "grad", "testdata", network.name+".npz")) {
			if !strings.Contains(key, ":") {
				feeds[key] = d
			}
		}
		for _, kind := range []string{"logits", "kl", "cosine", "mse", "features", "supervised"} {
			t.Run(network.name+"/"+kind, func(t *testing.T) {
				shape := want[network.name+":t"].Shape
				terms := []term{{value: "y", loss: Loss(kind), weight: 0.7, shape: shape}}
				answers := []tensor.Dense{want[network.name+":t"]}
				var labels *supervision
				switch kind {
				case "features":
					terms[0].loss = Logits
					inside := want[network.name+":f"]
					terms = append(terms, term{value: network.inside, loss: MSE, weight: 0.25, shape: inside.Shape})
					answers = append(answers, inside)
				case "supervised":
					terms[0].loss = Logits
					labels = &supervision{value: "y", shape: shape, distill: 0.5}
				}
				o, err := newObjective(m, terms, nil, labels, 3)
				if err != nil {
					t.Fatal(err)
				}
				defer o.model.Close()
				compareStep(t, lib, o, feeds, answers, want[network.name+":labels"], network.name+"/"+kind, want)
			})
		}
	}
}

// compareStep runs the graph of one step, its parameters fed.
func compareStep(t *testing.T, lib *ort.Library, o *objective, feeds map[string]tensor.Dense, answers []tensor.Dense, labels tensor.Dense, key string, want map[string]tensor.Dense) {
	feeds = maps.Clone(feeds)
	for i, a := range answers {
		feeds[o.teachers[i]] = a
	}
	if o.labels != "" {
		feeds[o.labels] = labels
	}
	values, err := grad.Observe(context.Background(), lib, o.model, feeds)
	if err != nil {
		t.Fatal(err)
	}
	p := newParameters(o.model, nil)
	block, err := grad.ChannelBlock(context.Background(), lib)
	if err != nil {
		t.Fatal(err)
	}
	g, err := o.differentiate(values, p.names(), block)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Model.Close()
	weights, err := p.load(o.model)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(feeds, p.feeds(weights))
	feeds[g.Cotangents[o.loss]] = tensor.FromFloat32([]int{}, []float32{1})
	session, err := feed.Host{Library: lib}.NewSession(g.Model)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	r, err := session.Run(context.Background(), feeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := map[string][]float32{}
	for i, out := range session.Outputs() {
		at[out.Name] = r.Get(i).Float32s()
	}
	loss, _ := want[key+":loss"].Float64s()
	if got := float64(at[o.loss][0]); math.Abs(got-loss[0]) > 1e-5*math.Abs(loss[0]) {
		t.Errorf("loss %g, PyTorch has %g", got, loss[0])
	}
	compared := 0
	for name, d := range want {
		weight, ok := strings.CutPrefix(name, key+":g:")
		if !ok {
			continue
		}
		compared++
		got, ok := at[g.Gradients[weight]]
		if !ok {
			t.Errorf("%s is not tuned", weight)
			continue
		}
		worst, size := 0., 1e-4 // the gradient of a key's bias is zero but for rounding
		for i, v := range d.Float32s() {
			worst, size = max(worst, math.Abs(float64(got[i]-v))), max(size, math.Abs(float64(v)))
		}
		if !(worst <= 1e-4*size) {
			t.Errorf("gradient of %s is off by %.3g of %.3g", weight, worst, size)
		}
	}
	if compared < 15 {
		t.Errorf("only %d gradients compared", compared)
	}
}

package refit

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// unread is a source that must not be read.
type unread struct{ t *testing.T }

func (unread) Len() int         { return 9 }
func (unread) Describe() string { return "unread" }
func (u unread) Sample(int) (samples.Sample, error) {
	u.t.Error("a sample is read")
	return samples.Sample{}, nil
}

// wideChain is x [N,100] → 3 → 90: two matrices.
func wideChain(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 100), b.Weight("first", 100, 100, 40)})
	b.Node("MatMul", []string{x, b.Weight("second", 40, 40, 90)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 90)
	return testkit.Built(t, b)
}

// TestLeft: sites whose samples show them few columns for their inputs are left as they were chosen, as those are that come with a
// reason; where all are, neither the model is run nor a sample read.
func TestLeft(t *testing.T) {
	m := wideChain(t)
	src := memory{{Inputs: map[string]tensor.Dense{"x": tensor.New(tensor.Float32, 100)}}}
	choices := choose(t, sitetest.Sites(t, m, src[0]), 5, 5)
	choices[1].Left = "somebody said so"
	r, err := Run(context.Background(), nil, m, choices, unread{t}, testkit.Count(9), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, why := range []string{"9 samples show its 100 inputs 9 columns, too few to solve it for", "somebody said so"} {
		if s := r.Sites[i]; s.Why != why || s.Kept || !equal(s.Chain, choices[i].Chain) {
			t.Errorf("site %d: %+v, want that it is left: %s", i, s, why)
		}
	}
	w := &walk{o: Options{}.withDefaults(), choices: choices, samples: 25}
	if why := w.left(&choices[0]); why != "" || w.idle() {
		t.Errorf("of 25 samples a site of 100 inputs is left: %s", why)
	}
	w.o.Memory = 1 << 10
	if why := w.left(&choices[0]); !strings.Contains(why, "half of the memory limit") {
		t.Errorf("%q, want that the site takes too much", why)
	}
}

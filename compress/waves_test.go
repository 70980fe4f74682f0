package compress

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestInspectWaves: a wave of open length is taken to be as long as its windows want it; where a model takes it piece by piece, to be a piece, and the
// state beside it that of one sample.
func TestInspectWaves(t *testing.T) {
	for _, c := range []struct {
		stream bool
		want   []int
	}{{false, []int{1, 16007}}, {true, []int{1, 521}}} {
		b := testmodels.NewBuilder(3, 17, 8)
		x := b.Node("Unsqueeze", []string{b.Input("audio", tensor.Float32, nil, nil), b.Ints("at", 1)})
		b.Conv(b.Node("Relu", []string{b.Conv(x, 1, 8, []int{400})}), 8, 4, []int{3})
		b.Output(b.Rename("y"), tensor.Float32, nil, 4, nil)
		if c.stream {
			b.Linear(b.Input("h", tensor.Float32, 2, nil, 8), 8, 8, true)
			b.Output(b.Rename("hn"), tensor.Float32, 2, nil, 8)
		}
		found, err := Inspect(testkit.Built(t, b), nil, Selection{})
		if err != nil || len(found.Axes) != 1 || !slices.Equal(found.Supposed["audio"], c.want) {
			t.Errorf("stream %v: %v, axes %+v, seen at %v", c.stream, err, found.Axes, found.Supposed)
		}
		if h := found.Supposed["h"]; c.stream && !slices.Equal(h, []int{2, 1, 8}) {
			t.Errorf("the state is seen at %v", h)
		}
	}
}

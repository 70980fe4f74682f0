package compress

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestWidthsMobile: half of the multiply-adds of networks of depthwise convolutions go by widths alone, in the nodes of the original.
func TestWidthsMobile(t *testing.T) {
	needRuntime(t)
	for name, b := range testmodels.Mobile(3) {
		m := built(t, b)
		r, written := run(t, m, narrow(Options{Targets: []Target{share(Params, 0.6)}, RankMultiple: 1}))
		sameNodes(t, m, written)
		heldAxes(t, r)
		if got := r.Targets[0]; r.Verification == nil || float64(got.Reached) > got.Limit || float64(got.Reached) < 0.8*got.Limit {
			t.Errorf("%s: %+v, %+v", name, r.Targets, r.Verification)
		}
	}
}

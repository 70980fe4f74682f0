package rewrite

import (
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// What a Loop or Scan computes counts as often as it runs, where that is known.
func TestCostsOfLoops(t *testing.T) {
	const n, width = 3, testmodels.LoopWidth
	around, inside := int64(n*width*(width+12)), int64(n*width*2*width)
	for name, c := range map[string]struct {
		model     *testmodels.Builder
		want      int64
		uncounted string
	}{
		"a loop":       {testmodels.Loop(1, 5, ""), around + 5*inside, ""},
		"that may end": {testmodels.Loop(1, 5, "computed"), int64(n * width * width), "how often it runs"},
		"a scan":       {testmodels.Scan(1), around + 6*(inside+n*width*8), ""},
		"both":         {testmodels.LoopInLoop(1, 5), around + 5*(n*width*width+6*(inside+n*width*8)), ""},
	} {
		m := testkit.Built(t, c.model)
		costs := MeasureCosts(m, shapes.Infer(m, map[string][]int{"x": {n, width}, "steps": {n, 6, 8}}))
		if costs.MACs != c.want || (len(costs.Unlocated) > 0) != (c.uncounted != "") {
			t.Errorf("%s: %d multiply-adds, want %d; uncounted %+v", name, costs.MACs, c.want, costs.Unlocated)
		}
		if len(costs.Unlocated) > 0 && !strings.Contains(costs.Unlocated[0].Why, c.uncounted) {
			t.Errorf("%s: %s", name, costs.Unlocated[0].Why)
		}
	}
}

package shapes

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Bodies of Loops and Scans are looked into, and how often they run is known unless a condition may end them.
func TestInside(t *testing.T) {
	const width = testmodels.LoopWidth
	for name, c := range map[string]struct {
		model *testmodels.Builder
		trips int
		want  []int // what is stacked
	}{
		"a loop":       {testmodels.Loop(1, 5, ""), 5, []int{5, 3, width}},
		"that goes on": {testmodels.Loop(1, 4, "true"), 4, []int{4, 3, width}},
		"that may end": {testmodels.Loop(1, 5, "computed"), 0, nil},
		"a scan":       {testmodels.Scan(1), 6, []int{3, 6, width}},
	} {
		m := testkit.Built(t, c.model)
		s := Infer(m, map[string][]int{"x": {3, width}, "steps": {3, 6, 8}})
		nodes := graph.Of(m).Nodes()
		n := nodes[slices.IndexFunc(nodes, func(n graph.Node) bool { return n.Op() == "Loop" || n.Op() == "Scan" })]
		in, ok := s.Inside(n)
		if !ok || in.Trips != c.trips {
			t.Errorf("%s: runs %d times (%v), want %d: %s", name, in.Trips, ok, c.trips, s.Why(n.Output(0)))
			continue
		}
		if got, _ := s.Of(n.Output(0)); !slices.Equal(got, []int{3, width}) {
			t.Errorf("%s: it carries on %v", name, got)
		}
		if got, _ := s.Of(n.Output(1)); !slices.Equal(got, c.want) {
			t.Errorf("%s: it stacks %v, want %v", name, got, c.want)
		}
		body, _ := n.Graph(m, "body")
		for _, value := range []string{body.Nodes()[0].Output(0), "outer"} { // inside, and what is around
			if got, ok := in.Shapes.Of(value); !ok || got[len(got)-1] != width {
				t.Errorf("%s: %s is %v inside: %s", name, value, got, in.Shapes.Why(value))
			}
		}
	}
}

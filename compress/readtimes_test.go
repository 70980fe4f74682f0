package compress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// engine is a profile of a machine that takes 100 µs for a million multiply-adds and 5 µs for a node: a layer for every node with a
// weight, fused with what reads it, and one for a copy.
func engine(t *testing.T, m *onnxio.Model) *costs.Profile {
	t.Helper()
	a, err := Analyse(context.Background(), m, Options{InputShapes: map[string][]int{"image": {1, 3, 16, 16}}})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := rewrite.Linear(a.model, a.Shapes)
	if err != nil {
		t.Fatal(err)
	}
	var layers []string
	for i := range all {
		probes, err := a.probes(&all[i], undivided(all[i].Kernel))
		if err != nil {
			t.Fatal(err)
		}
		name := layerName(all[i].Node)
		if u, ok := graph.Of(m).Reader(all[i].Output); ok && u.Node.Op() == "Relu" {
			name += " + " + layerName(u.Node)
		}
		layers = append(layers, fmt.Sprintf(`{"name": %q, "averageMs": %g}`, name, (100*probes[0].Piece.Work(1)/1e6+5)/1000))
	}
	text := `[{"count": 9}, {"name": "Reformatting CopyNode for Input Tensor 0 to x", "averageMs": 0.003}, ` + strings.Join(layers, ",") + `]`
	p, err := costs.ParseProfile([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestReadTimes: the profile of an engine is a table of costs: what nodes and the model take is there, ranks follow the law that it has,
// and a model that is made by it is foretold as that engine takes.
func TestReadTimes(t *testing.T) {
	m := inverted(t)
	known := []Profiled{{m, engine(t, m)}}
	for _, budget := range []float64{0.6, 0.4, 0.25} {
		small, _ := run(t, m, Options{Targets: []Target{share(MACs, budget)}, Methods: []string{"svd", "spatial"}, RankMultiple: 1, Source: images(60), CalibSamples: 40})
		other, err := onnxio.Read(small.Output.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		known = append(known, Profiled{other, engine(t, other)})
	}
	table, err := ReadTimes(context.Background(), known, CostOptions{InputShapes: map[string][]int{"image": {1, 3, 16, 16}}})
	if err != nil {
		t.Fatal(err)
	}
	if table.Runtime != "TensorRT" || table.Batch != 1 || len(table.Models) != 4 {
		t.Errorf("%+v", table.Machine)
	}
	r, _ := run(t, m, Options{Targets: []Target{share(RunTime, 0.7)}, Methods: []string{"svd", "spatial"}, Costs: table, For: ForTensorRT, Source: images(60), CalibSamples: 40})
	third, err := onnxio.Read(r.Output.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	want := 0.0
	for _, l := range engine(t, third).Layers {
		want += 1000 * l.Micros
	}
	if got := float64(r.Targets[0].Reached); math.Abs(got/want-1) > 0.1 || got > 0.7*float64(r.Targets[0].Original) {
		t.Errorf("%g ns foretold, the engine takes %g", got, want)
	}
	if r.Latency == nil || r.Latency.Foretold.Elsewhere == "" {
		t.Errorf("%+v", r.Latency)
	}
	twice, err := ReadTimes(context.Background(), []Profiled{{m, engine(t, m)}, {m, engine(t, m)}}, CostOptions{InputShapes: map[string][]int{"image": {1, 3, 16, 16}}})
	if err != nil || len(twice.Models) != 1 || !slices.ContainsFunc(twice.Points, func(p costs.Point) bool { return p.Op == "MatMul" }) {
		t.Errorf("%+v, %v", twice, err)
	}
	_, err = ReadTimes(context.Background(), []Profiled{{m, &costs.Profile{Layers: []costs.Layer{{Nodes: []string{"other"}, Micros: 1}}}}}, CostOptions{})
	if err == nil || !strings.Contains(err.Error(), "names no node of it") {
		t.Error(err)
	}
	if _, err := ReadTimes(context.Background(), nil, CostOptions{}); !errors.As(err, new(*UsageError)) {
		t.Error(err)
	}
}

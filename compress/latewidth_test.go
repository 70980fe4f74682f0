package compress

import (
	"bytes"
	"context"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// inverted is a network with an expansion, a convolution of single channels, a projection, and a layer behind a Flatten: input "image"
// [N,3,16,16].
func inverted(t testing.TB) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	pads := graph.Ints("pads", 1, 1, 1, 1)
	x := b.Input("image", tensor.Float32, "N", 3, 16, 16)
	x = b.Node("Relu", []string{b.Conv(x, 3, 32, []int{3, 3}, pads)})
	x = b.Node("Relu", []string{b.Conv(x, 32, 64, []int{1, 1})})
	x = b.Node("Relu", []string{b.Conv(x, 64, 64, []int{3, 3}, pads, graph.Int("group", 64))})
	x = b.Node("Relu", []string{b.Conv(x, 64, 32, []int{3, 3}, pads)})
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})})
	x = b.Node("Relu", []string{b.Linear(x, 32, 48, true)})
	b.Linear(x, 48, 5, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", 5)
	return built(t, b)
}

// byPieces is what a table says of all nodes with weights of a model as it is, in nanoseconds.
func byPieces(t *testing.T, m *onnxio.Model, table *costs.Table, shapes map[string][]int) float64 {
	t.Helper()
	a, err := Analyse(context.Background(), m, Options{InputShapes: shapes})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := rewrite.Linear(a.model, a.Shapes)
	if err != nil {
		t.Fatal(err)
	}
	f, sum := forecast{table: table, a: a}, 0.0
	for i := range all {
		us, err := f.measured(&all[i], nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum += 1000 * us
	}
	return sum
}

// TestRunTimeNarrower: widths, alone and beside chains, meet a target of time by a table that has narrower layers, and what is foretold of
// the written model is what the table says of its nodes.
func TestRunTimeNarrower(t *testing.T) {
	env := withRuntime(t)
	m := inverted(t)
	for _, batch := range []int{1, 2} {
		shapes := map[string][]int{"image": {batch, 3, 16, 16}}
		table, err := MeasureTimes(context.Background(), env, m, CostOptions{Methods: []string{"svd", Width}, Batch: batch, InputShapes: shapes})
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := table.Machine
		elsewhere.Processor = "Another CPU"
		foreign, err := costs.New(elsewhere, table.PerNode, table.Models, table.Points)
		if err != nil {
			t.Fatal(err)
		}
		for name, methods := range map[string][]string{"widths": {Width}, "both": {"svd", Width}} {
			o := narrow(Options{Costs: foreign, Targets: []Target{{RunTime, 0.7, true}}})
			o.Methods = methods
			r, data := run(t, m, o)
			reached := r.Targets[0]
			if float64(reached.Reached) > reached.Limit || reached.Reached <= 0 {
				t.Errorf("%s at batch %d: %+v", name, batch, reached)
			}
			narrower := 0
			for _, x := range r.Axes {
				if len(x.Kept) < x.Units {
					narrower++
				}
			}
			if narrower == 0 && name == "widths" {
				t.Errorf("batch %d: %+v", batch, r.Axes)
			}
			small, err := onnxio.Parse(data, "")
			if err != nil {
				t.Fatal(err)
			}
			defer small.Close()
			want := float64(reached.Original) - byPieces(t, m, foreign, shapes) + byPieces(t, small, foreign, shapes)
			if math.Abs(want/float64(reached.Reached)-1) > 1e-3 {
				t.Errorf("%s at batch %d: %d ns foretold, the table says %g of the model", name, batch, reached.Reached, want)
			}
			if _, again := run(t, m, o, threads(1)); !bytes.Equal(data, again) {
				t.Errorf("%s at batch %d: one thread gives another model", name, batch)
			}
		}
	}
}

// TestNarrowerUnknown: a table without a kind of layer that gets narrower says what is missing.
func TestNarrowerUnknown(t *testing.T) {
	env := withRuntime(t)
	m := inverted(t)
	table, err := MeasureTimes(context.Background(), env, m, CostOptions{Methods: []string{"svd"}})
	if err != nil {
		t.Fatal(err)
	}
	o := narrow(Options{Costs: table, Targets: []Target{{RunTime, 0.7, true}}})
	if _, err := Analyse(context.Background(), m, o); err == nil {
		t.Fatal("a table without convolutions of single channels is taken")
	} else {
		t.Log(err)
	}
}

// TestRunTimeHeads: heads of attention become narrower for a target of time, beside chains, and what is foretold of the written model is
// what the table says of its nodes.
func TestRunTimeHeads(t *testing.T) {
	env := withRuntime(t)
	m, shapes := attentive(t, 2, 2), map[string][]int{"x": {1, 8, 12}}
	o := CostOptions{Methods: []string{"svd", Width}, InputShapes: shapes, RankMultiple: 1}
	measured, err := MeasureTimes(context.Background(), env, m, o)
	if err != nil {
		t.Fatal(err)
	}
	points := slices.Clone(measured.Points) // of which only the pieces count: such small nodes take all the same
	for i := range points {
		points[i].Micros = 1 + points[i].Work(1)/100
	}
	at := measured.Machine
	at.Processor = "Another CPU"
	table, err := costs.New(at, 0, measured.Models, points)
	if err != nil {
		t.Fatal(err)
	}
	table.Models[0].Micros = 20 + byPieces(t, m, table, shapes)/1000
	for _, methods := range [][]string{{Width}, {"svd", Width}} {
		run, data := run(t, m, Options{
			Costs: table, Targets: []Target{share(RunTime, 0.8)}, Methods: methods, RankMultiple: 1, Source: drawn(60, "x", 8, 12), CalibSamples: 48, Probes: 1,
		})
		if !slices.ContainsFunc(run.Axes, func(x AxisResult) bool { return x.Heads > 0 && len(x.Kept) < x.Units }) {
			t.Errorf("%v: %+v", methods, run.Axes)
		}
		small, err := onnxio.Parse(data, "")
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		reached := run.Targets[0]
		want := float64(reached.Original) - byPieces(t, m, table, shapes) + byPieces(t, small, table, shapes)
		if float64(reached.Reached) > reached.Limit || math.Abs(want/float64(reached.Reached)-1) > 1e-3 {
			t.Errorf("%v: %+v, the table says %g of the model", methods, reached, want)
		}
	}
}

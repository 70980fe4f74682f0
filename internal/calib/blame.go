package calib

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// blamed is how many samples are looked at for a number that is not finite.
const blamed = 32

// blame finds the node that makes the first number that is not finite, one that is NaN if there is any, on the first of some
// samples on which the model makes one, and says so: "node "n" makes NaN (output "y", sample s)". Empty where none was found
// on the first 32 of the samples, or where the model cannot give out all of its values.
func blame(ctx context.Context, host feed.Host, m *onnxio.Model, src samples.Source, indices []int) string {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return ""
	}
	var values []string
	for _, n := range graph.Of(m).Nodes() {
		for _, v := range n.Outputs() {
			if v != "" {
				values = append(values, v)
			}
		}
	}
	p, err := newProbe(host, m, inputs, values)
	if err != nil {
		return ""
	}
	defer p.close()
	for _, i := range indices[:min(len(indices), blamed)] {
		r, err := feed.First(ctx, src, []int{i}, inputs, 1)
		if err != nil {
			return ""
		}
		found := map[string]tensor.Dense{}
		done, err := p.run(ctx, r.Inputs, p.outputs, found)
		if err != nil {
			return ""
		}
		text := firstNotFinite(graph.Of(m), found, r.Samples[0].Name)
		done()
		if text != "" {
			return text
		}
	}
	return ""
}

// firstNotFinite names the first node with NaN in an output, or else with an infinite number.
func firstNotFinite(g *graph.Graph, values map[string]tensor.Dense, sample string) string {
	for _, kind := range []struct {
		name string
		is   func(float64) bool
	}{{"NaN", math.IsNaN}, {"infinite numbers", func(v float64) bool { return math.IsInf(v, 0) }}} {
		for _, n := range g.Nodes() {
			for _, out := range n.Outputs() {
				if has(values[out], kind.is) {
					return fmt.Sprintf("node %q (%s) makes the first %s, in its output %q on sample %s", n.Name(), n.Op(), kind.name, out, sample)
				}
			}
		}
	}
	return ""
}

func has(t tensor.Dense, is func(float64) bool) bool {
	if !t.Type.IsFloat() {
		return false
	}
	numbers, err := t.Float64s()
	if err != nil {
		return false
	}
	for _, v := range numbers {
		if is(v) {
			return true
		}
	}
	return false
}

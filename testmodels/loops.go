package testmodels

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// LoopWidth is that of the state of Loop and Scan.
const LoopWidth = 24

// Loop is a model of x [N, 24] whose state goes so many times through a layer with a weight of the graph around the Loop, and one with a
// weight of the body's own; it gives y [N, 12] of the last state and of all of them. Its condition is absent, "true" and handed on, or
// "computed" in every iteration.
func Loop(seed uint64, trips int, condition string) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Linear(b.Input("x", tensor.Float32, "N", LoopWidth), LoopWidth, LoopWidth, true)
	outer := b.Weight("outer", LoopWidth, LoopWidth, LoopWidth)
	first := ""
	if condition != "" {
		first = b.Tensor("goes_on", tensor.Bool, nil, []float64{1})
	}
	body := b.Body("body", func(body *Builder) {
		body.Input("iteration", tensor.Int64)
		goes := body.Input("condition", tensor.Bool)
		h := body.Input("state", tensor.Float32, "N", LoopWidth)
		next := body.step(h, x, outer)
		if condition == "computed" {
			goes = body.Node("Less", []string{body.Node("ReduceSum", []string{h}, graph.Int("keepdims", 0)), body.Tensor("limit", tensor.Float32, nil, []float64{1e6})})
		} else {
			goes = body.Node("Identity", []string{goes})
		}
		body.Output(goes, tensor.Bool)
		body.Output(next, tensor.Float32, "N", LoopWidth)
		body.Output(body.Node("Mul", []string{next, next}), tensor.Float32, "N", LoopWidth)
	})
	out := b.Several("Loop", []string{b.Tensor("trips", tensor.Int64, nil, []float64{float64(trips)}), first, b.Node("Tanh", []string{x})}, 2, graph.Body("body", body))
	return b.ended(out, 0)
}

// Scan is a model of x [N, 24] and steps [N, S, 8], whose state goes through the layers of Loop with every step; it stacks along the axis
// of the steps.
func Scan(seed uint64) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Linear(b.Input("x", tensor.Float32, "N", LoopWidth), LoopWidth, LoopWidth, true)
	steps := b.Input("steps", tensor.Float32, "N", "S", 8)
	outer := b.Weight("outer", LoopWidth, LoopWidth, LoopWidth)
	body := b.Body("body", func(body *Builder) {
		h, step := body.Input("state", tensor.Float32, "N", LoopWidth), body.Input("step", tensor.Float32, "N", 8)
		next := body.step(h, body.Linear(step, 8, LoopWidth, false), outer)
		body.Output(next, tensor.Float32, "N", LoopWidth)
		body.Output(body.Node("Mul", []string{next, next}), tensor.Float32, "N", LoopWidth)
	})
	out := b.Several("Scan", []string{b.Node("Tanh", []string{x}), steps}, 2,
		graph.Body("body", body), graph.Int("num_scan_inputs", 1), graph.Ints("scan_input_axes", 1), graph.Ints("scan_output_axes", 1))
	return b.ended(out, 1)
}

// LoopInLoop is a model of x [N, 24] and steps [N, S, 8] with a Scan of the steps, as that of Scan, in every iteration of a Loop that runs so many
// times and has a layer of its own; y [N, 12] is made of the last state and of all of the Loop.
func LoopInLoop(seed uint64, trips int) *Builder {
	b := NewBuilder(seed, 17, 8)
	x := b.Linear(b.Input("x", tensor.Float32, "N", LoopWidth), LoopWidth, LoopWidth, true)
	steps := b.Input("steps", tensor.Float32, "N", "S", 8)
	outer := b.Weight("outer", LoopWidth, LoopWidth, LoopWidth)
	body := b.Body("body", func(body *Builder) {
		body.Input("iteration", tensor.Int64)
		goes := body.Input("condition", tensor.Bool)
		h := body.Node("Tanh", []string{body.Linear(body.Input("state", tensor.Float32, "N", LoopWidth), LoopWidth, LoopWidth, true)})
		scan := body.Body("inner", func(inner *Builder) {
			g, step := inner.Input("inner_state", tensor.Float32, "N", LoopWidth), inner.Input("step", tensor.Float32, "N", 8)
			inner.Output(inner.step(g, inner.Linear(step, 8, LoopWidth, false), outer), tensor.Float32, "N", LoopWidth)
		})
		next := body.Node("Add", []string{x, body.Node("Scan", []string{h, steps}, graph.Body("body", scan), graph.Int("num_scan_inputs", 1), graph.Ints("scan_input_axes", 1))})
		body.Output(body.Node("Identity", []string{goes}), tensor.Bool)
		body.Output(next, tensor.Float32, "N", LoopWidth)
		body.Output(body.Node("Mul", []string{next, next}), tensor.Float32, "N", LoopWidth)
	})
	out := b.Several("Loop", []string{b.Tensor("trips", tensor.Int64, nil, []float64{float64(trips)}), "", b.Node("Tanh", []string{x})}, 2, graph.Body("body", body))
	return b.ended(out, 0)
}

// step is what the state becomes in an iteration.
func (b *Builder) step(h, x, outer string) string {
	y := b.Node("Tanh", []string{b.Node("Add", []string{b.Node("MatMul", []string{h, outer}), x})})
	return b.Node("Add", []string{h, b.Linear(y, LoopWidth, LoopWidth, true)})
}

// ended gives what is made of the last state and the mean of all along an axis.
func (b *Builder) ended(out []string, axis int) *Builder {
	mean := b.Node("ReduceMean", []string{out[1]}, graph.Ints("axes", axis), graph.Int("keepdims", 0))
	b.Linear(b.Node("Add", []string{out[0], mean}), LoopWidth, 12, true)
	b.Output(b.Rename("y"), tensor.Float32, "N", 12)
	return b
}

package tune

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// fewestLayers is how many layers with weights a block has at least: what one layer alone can do, a refit has found in
// closed form.
const fewestLayers = 2

// separators are the values of a model through each of which, alone, all goes that its layers have made of the inputs: what lies
// before and behind such a value is joined by nothing else. What inputs say without any layer, such as a mask, may go past it.
func separators(m *onnxio.Model) map[string]bool {
	g := graph.Of(m)
	last := map[string]int{} // the position of the last node that reads a value
	for i, n := range g.Nodes() {
		for _, v := range n.Reads() {
			last[v] = i
		}
	}
	made, live, out := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, n := range g.Nodes() {
		learned := layer(g, n)
		for _, v := range n.Reads() {
			learned = learned || made[v]
			if last[v] == i {
				delete(live, v)
			}
		}
		for _, v := range n.Outputs() {
			if made[v] = learned; learned && last[v] > i {
				live[v] = true
			}
		}
		if len(live) == 1 {
			for v := range live {
				out[v] = true
			}
		}
	}
	return out
}

// layer tells whether a node has a weight of its own that its input goes through.
func layer(g *graph.Graph, n graph.Node) bool {
	constant := func(v string) bool {
		_, ok := g.Constant(v)
		return ok
	}
	switch n.Op() {
	case "Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum":
		return slices.ContainsFunc(n.Inputs(), constant)
	case "Gather":
		return constant(n.Input(0))
	}
	return false
}

// ends are the values that part both models into the same blocks, in their order: separators of both, the last before
// a layer of the original's, with at least fewestLayers of its layers between two of them.
func ends(original, compressed *onnxio.Model) []string {
	g, small := graph.Of(original), graph.Of(compressed)
	of, in := separators(original), separators(compressed)
	layers, pending, before := 0, "", 0 // layers since the last end, and of these before pending
	var out []string
	for _, n := range g.Nodes() {
		if layer(g, n) {
			if pending != "" && before >= fewestLayers {
				out = append(out, pending)
				layers, pending = layers-before, ""
			}
			layers++
		}
		for _, v := range n.Outputs() {
			if of[v] && in[v] && !g.IsOutput(v) && !small.IsOutput(v) && open(g, v) && open(small, v) {
				pending, before = v, layers
			}
		}
	}
	return out
}

// open tells whether nodes of the main graph alone read a value, whose input can be named anew.
func open(g *graph.Graph, value string) bool {
	for _, u := range g.Uses(value) {
		if u.Nested || u.Node.IsZero() {
			return false
		}
	}
	return true
}

package rewrite_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/backendtest"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// freeze returns the model with one graph input turned into an initializer.
func freeze(m *onnxio.Model, name string, d tensor.Dense) *onnxio.Model {
	p := graph.Of(m).Parts()
	p.Initializers = append(p.Initializers, onnxio.DenseTensor(name, d))
	if p.IR > 3 {
		p.Inputs = slices.DeleteFunc(p.Inputs, func(v graph.Value) bool { return v.Name() == name })
	}
	return p.Model()
}

// multiplied lists the graph inputs that a node of the model can have as its weight, and
// whether the model has nodes that multiply at all.
func multiplied(m *onnxio.Model) (inputs []string, any bool) {
	for _, n := range graph.Of(m).Nodes() {
		var slots []int
		switch n.Op() {
		case "Conv":
			slots = []int{1}
		case "Gemm", "MatMul":
			slots = []int{0, 1}
		}
		for _, slot := range slots {
			any = true
			name := n.Input(slot)
			if _, ok := graph.Of(m).Initializer(name); !ok && graph.Of(m).IsInput(name) {
				inputs = append(inputs, name)
			}
		}
	}
	return inputs, any
}

// TestBackendFullRank rewrites every Conv, Gemm and MatMul of ONNX's backend tests at full
// rank, each operand that can be a weight frozen in turn, and compares what ONNX Runtime
// computes with the stored outputs. Models that it cannot run are run by onnx.reference.
func TestBackendFullRank(t *testing.T) {
	cases := backendtest.Cases(t)
	lib := orttest.Open(t)
	python := newPythonCheck(t)
	sites, skips := map[string]int{}, map[rewrite.SkipKind]int{}
	for _, c := range cases {
		m, err := onnxio.Read(c.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		weights, any := multiplied(m)
		if !any {
			continue
		}
		inputs, outputs, err := c.Data(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range append(weights, "") {
			t.Run(c.Name+"/"+w, func(t *testing.T) {
				frozen, feeds := m, inputs
				if w != "" {
					frozen = freeze(m, w, inputs[w])
					defer frozen.Close()
					feeds = maps.Clone(inputs)
					delete(feeds, w)
				}
				found, left := linear(t, frozen)
				for _, s := range left {
					skips[s.Kind]++
				}
				for _, s := range found {
					sites[s.Op]++
				}
				if len(found) == 0 {
					return
				}
				small := rewritten(t, frozen, found, 0)
				if s, err := session(lib, frozen); err != nil {
					t.Logf("left to onnx.reference: %v", err)
					python.addOutputs(t, small, feeds, outputs)
					return
				} else {
					s.Close()
				}
				python.add(t, small)
				compare(t, outputs, execute(t, lib, small, feeds))
			})
		}
	}
	python.done(t)
	t.Logf("sites %v, nodes left alone %v", sites, skips)
	for op, least := range map[string]int{"Conv": 40, "Gemm": 30, "MatMul": 2} {
		if sites[op] < least {
			t.Errorf("%d %s were rewritten, at least %d are there", sites[op], op, least)
		}
	}
}

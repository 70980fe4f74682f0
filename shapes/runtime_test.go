package shapes

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// exposed returns the model with every value of the main graph that inference knows as
// an output, in the order of the nodes.
func exposed(m *onnxio.Model, s *Shapes) (*onnxio.Model, []string) {
	p := graph.Of(m).Parts()
	p.Outputs = nil
	var names []string
	for _, n := range p.Nodes {
		for _, v := range n.Outputs() {
			if _, ok := s.Of(v); ok {
				names = append(names, v)
				p.Outputs = append(p.Outputs, graph.NewValue(v, tensor.Undefined, nil))
			}
		}
	}
	return p.Model(), names
}

// TestRuntime runs the zoo with every inner value as an output: shapes and folded numbers
// are those of ONNX Runtime.
func TestRuntime(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range testmodels.All() {
		if !c.Runs || c.Name == "gemm_opset6" { // the runtime has no kernel for Gemm before opset 7
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			m, err := c.Build(1)
			if err != nil {
				t.Fatal(err)
			}
			feeds, err := testmodels.Feeds(m, 1, map[string]int{"N": 2, "T": 9}, 5)
			if err != nil {
				t.Fatal(err)
			}
			compareWithRuntime(t, lib, m, feeds)
		})
	}
}

func compareWithRuntime(t *testing.T, lib *ort.Library, m *onnxio.Model, feeds map[string]tensor.Dense) {
	t.Helper()
	given := map[string][]int{}
	for name, d := range feeds {
		given[name] = d.Shape
	}
	inputs, unknown := InputShapes(m, given)
	if len(unknown) > 0 {
		t.Fatal(unknown)
	}
	s := Infer(m, inputs)
	for _, o := range graph.Of(m).Outputs() {
		if why := s.Why(o.Name()); why != "" {
			t.Error(why)
		}
	}
	open, names := exposed(m, s)
	defer open.Close()
	data, err := open.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	session, err := lib.NewSession(data, ort.Options{Optimization: ort.OptimizeNone, ExternalFolder: m.ExternalFolder()})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	results, err := session.Run(t.Context(), feeds, names)
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	for i, name := range names {
		want := results.Get(i)
		got, _ := s.Of(name)
		if !slices.Equal(got, want.Shape) {
			t.Errorf("value %q has the shape %v, in ONNX Runtime %v", name, got, want.Shape)
			continue
		}
		if v, ok := s.Ints(name); ok {
			if w, err := want.Int64s(); err != nil || !slices.Equal(v, w) {
				t.Errorf("value %q holds %v, in ONNX Runtime %v (%v)", name, v, w, err)
			}
		}
	}
}

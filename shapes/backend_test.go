package shapes_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/internal/backendtest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// frozen returns the model with the given inputs as constants and without the shapes
// that it declares for its outputs.
func frozen(m *onnxio.Model, inputs map[string]tensor.Dense) *onnxio.Model {
	p := onnxio.Shallow(m.Proto)
	p.Graph = onnxio.Shallow(p.Graph)
	p.Graph.Input, p.Graph.ValueInfo = nil, nil
	for name, d := range inputs {
		t := &onnxpb.TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(d.Type)), RawData: d.Data}
		for _, n := range d.Shape {
			t.Dims = append(t.Dims, int64(n))
		}
		p.Graph.Initializer = append(p.Graph.Initializer, t)
	}
	for i, o := range p.Graph.Output {
		p.Graph.Output[i] = &onnxpb.ValueInfoProto{Name: o.Name}
	}
	return m.Derive(p)
}

func TestBackend(t *testing.T) {
	right, values, unknown, other := 0, 0, 0, 0
	for _, c := range backendtest.Cases(t) {
		m, err := onnxio.Read(c.Path)
		if err != nil {
			t.Error(err)
			continue
		}
		inputs, outputs, err := c.Data(m)
		if err != nil {
			other++
			continue
		}
		s := shapes.Infer(frozen(m, inputs), nil)
		for i, o := range m.Graph().GetOutput() {
			got, ok := s.Of(o.GetName())
			if !ok {
				unknown++
				t.Logf("%s: %s", c.Name, s.Why(o.GetName()))
				continue
			}
			if !slices.Equal(got, outputs[i].Shape) {
				t.Errorf("%s: output %q: %v, stored %v", c.Name, o.GetName(), got, outputs[i].Shape)
				continue
			}
			right++
			if v, ok := s.Ints(o.GetName()); ok {
				values++
				w, err := outputs[i].Int64s()
				if err != nil || !slices.Equal(v, w) {
					t.Errorf("%s: output %q holds %v, stored %v", c.Name, o.GetName(), v, w)
				}
			}
		}
		m.Close()
	}
	t.Log(right, values, unknown, other)
}

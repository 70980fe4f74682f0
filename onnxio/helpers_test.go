package onnxio

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// node returns an operation on values, its attributes last.
func node(name, op, inputs, outputs string, attrs ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{
		Name: proto.String(name), OpType: proto.String(op),
		Input: fields(inputs), Output: fields(outputs), Attribute: attrs,
	}
}

// fields splits names; "_" stands for one that is left out.
func fields(s string) []string {
	list := strings.Fields(s)
	for i := range list {
		if list[i] == "_" {
			list[i] = ""
		}
	}
	return list
}

// value returns a float32 value; dimensions below 0 are symbolic.
func value(name string, dims ...int64) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}}
		if d < 0 {
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "N" + strconv.FormatInt(-d, 10)}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{
		Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: proto.Int32(int32(tensor.Float32)), Shape: shape,
		}},
	}}
}

// counting returns a float32 tensor of 0, 1, 2, …
func counting(name string, shape ...int) *onnxpb.TensorProto {
	n, _ := tensor.Elements(shape)
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i)
	}
	t, err := NewTensor(name, tensor.Float32, shape, v)
	if err != nil {
		panic(err)
	}
	return t.Proto()
}

// small returns a model with a convolution, a linear layer with its weight in a Constant
// node, and a branch whose bodies read values from around them.
func small() *onnxpb.ModelProto {
	body := func(name, op, out string) *onnxpb.GraphProto {
		return &onnxpb.GraphProto{
			Name: proto.String(name),
			Node: []*onnxpb.NodeProto{node(name+"/op", op, "y shift", out)},
			Output: []*onnxpb.ValueInfoProto{
				{Name: proto.String(out)},
			},
		}
	}
	yes, no := body("yes", "Add", "yes_out"), body("no", "Sub", "no_out")
	branch := func(name string, g *onnxpb.GraphProto) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: g}
	}
	flag := &onnxpb.TensorProto{Name: proto.String("flag"), DataType: proto.Int32(int32(tensor.Bool)), Int32Data: []int32{1}}
	return &onnxpb.ModelProto{
		IrVersion:     proto.Int64(8),
		ProducerName:  proto.String("test"),
		OpsetImport:   []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(17)}},
		MetadataProps: []*onnxpb.StringStringEntryProto{{Key: proto.String("made by"), Value: proto.String("hand")}},
		Graph: &onnxpb.GraphProto{
			Name:        proto.String("small"),
			Input:       []*onnxpb.ValueInfoProto{value("x", -1, 2, 4, 4)},
			Initializer: []*onnxpb.TensorProto{counting("conv.w", 3, 2, 3, 3), counting("shift", 1), flag},
			Node: []*onnxpb.NodeProto{
				node("conv", "Conv", "x conv.w _", "c", attribute("pads", []int64{1, 1, 1, 1}), attribute("auto_pad", "NOTSET")),
				node("", "Flatten", "c", "f", attribute("axis", int64(1))),
				node("weight", "Constant", "", "fc.w", attribute("value", counting("", 48, 5))),
				node("alias", "Identity", "fc.w", "fc.alias"),
				node("fc", "Gemm", "f fc.alias", "y", attribute("alpha", float32(0.5))),
				node("if", "If", "flag", "z", branch("then_branch", yes), branch("else_branch", no)),
			},
			Output: []*onnxpb.ValueInfoProto{value("z", -1, 5)},
		},
	}
}

// save writes a message to a file in a fresh folder.
func save(t testing.TB, p *onnxpb.ModelProto) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	saveAt(t, p, path)
	return path
}

func saveAt(t testing.TB, p *onnxpb.ModelProto, path string) {
	t.Helper()
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// open reads a model and closes it with the test.
func open(t testing.TB, path string) *Model {
	t.Helper()
	m, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// names of the files in a folder.
func listing(t testing.TB, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	slices.Sort(list)
	return list
}

// refused fails the test unless err contains every one of the wanted texts.
func refused(t testing.TB, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted, want an error with %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// makeExternal moves a tensor's data to a file.
func makeExternal(t testing.TB, p *onnxpb.TensorProto, folder, location string, offset int) {
	t.Helper()
	data := append(make([]byte, offset), p.RawData...)
	if err := os.WriteFile(filepath.Join(folder, location), data, 0o644); err != nil {
		t.Fatal(err)
	}
	n := len(p.RawData)
	p.RawData = nil
	p.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum()
	p.ExternalData = []*onnxpb.StringStringEntryProto{
		{Key: proto.String("location"), Value: proto.String(location)},
		{Key: proto.String("offset"), Value: proto.String(strconv.Itoa(offset))},
		{Key: proto.String("length"), Value: proto.String(strconv.Itoa(n))},
	}
}

// v names value number i of a chain.
func v(i int) string { return "v" + strconv.Itoa(i) }

// attribute returns an attribute with an int64, a []int64, a float32, a string or a tensor.
func attribute(name string, v any) *onnxpb.AttributeProto {
	a := &onnxpb.AttributeProto{Name: proto.String(name)}
	switch v := v.(type) {
	case int64:
		a.Type, a.I = onnxpb.AttributeProto_INT.Enum(), &v
	case []int64:
		a.Type, a.Ints = onnxpb.AttributeProto_INTS.Enum(), v
	case float32:
		a.Type, a.F = onnxpb.AttributeProto_FLOAT.Enum(), &v
	case string:
		a.Type, a.S = onnxpb.AttributeProto_STRING.Enum(), []byte(v)
	case *onnxpb.TensorProto:
		a.Type, a.T = onnxpb.AttributeProto_TENSOR.Enum(), v
	}
	return a
}

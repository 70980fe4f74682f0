package onnxio

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// golden compares text with a file in testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.ReplaceAll(string(want), "\r\n", "\n"); got != text {
		t.Errorf("got\n%s\nwant %s\n%s\nif the change is meant, run go test -update", got, path, text)
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := Print(&b, New(small())); err != nil {
		t.Fatal(err)
	}
	golden(t, "small.txt", b.String())
}

// TestPrintOdds prints one of everything that the small model lacks.
func TestPrintOdds(t *testing.T) {
	typ := func(value any) *onnxpb.TypeProto {
		p := &onnxpb.TypeProto{}
		switch v := value.(type) {
		case *onnxpb.TypeProto_Sequence:
			p.Value = &onnxpb.TypeProto_SequenceType{SequenceType: v}
		case *onnxpb.TypeProto_Optional:
			p.Value = &onnxpb.TypeProto_OptionalType{OptionalType: v}
		case *onnxpb.TypeProto_Map:
			p.Value = &onnxpb.TypeProto_MapType{MapType: v}
		case *onnxpb.TypeProto_SparseTensor:
			p.Value = &onnxpb.TypeProto_SparseTensorType{SparseTensorType: v}
		case *onnxpb.TypeProto_Opaque:
			p.Value = &onnxpb.TypeProto_OpaqueType{OpaqueType: v}
		case *onnxpb.TypeProto_Tensor:
			p.Value = &onnxpb.TypeProto_TensorType{TensorType: v}
		}
		return p
	}
	ints := typ(&onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(tensor.Int64))})
	p := small()
	p.Graph.Input = []*onnxpb.ValueInfoProto{{Name: proto.String("untyped")}}
	for _, v := range []struct {
		name string
		v    any
	}{
		{"list", &onnxpb.TypeProto_Sequence{ElemType: ints}},
		{"maybe", &onnxpb.TypeProto_Optional{ElemType: typ(&onnxpb.TypeProto_Sequence{ElemType: ints})}},
		{"table", &onnxpb.TypeProto_Map{KeyType: proto.Int32(8), ValueType: ints}},
		{"thin", &onnxpb.TypeProto_SparseTensor{ElemType: proto.Int32(1), Shape: value("", 2, -1).Type.GetTensorType().Shape}},
		{"opaque", &onnxpb.TypeProto_Opaque{Domain: proto.String("d"), Name: proto.String("n")}},
		{"unknown", &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(10), Shape: &onnxpb.TensorShapeProto{Dim: []*onnxpb.TensorShapeProto_Dimension{{}}}}},
	} {
		p.Graph.Input = append(p.Graph.Input, &onnxpb.ValueInfoProto{Name: proto.String(v.name), Type: typ(v.v)})
	}
	sparse := &onnxpb.SparseTensorProto{Values: counting("sparse w", 3), Dims: []int64{4, 5}}
	p.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{sparse}
	shape := typed(tensor.Int64, []int64{2}, func(p *onnxpb.TensorProto) { p.Int64Data = []int64{1, -1} })
	outside := typed(tensor.Float16, []int64{2}, func(p *onnxpb.TensorProto) { p.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum() })
	broken := typed(tensor.Int64, []int64{2}, func(*onnxpb.TensorProto) {})
	words := typed(tensor.String, []int64{1}, func(p *onnxpb.TensorProto) { p.StringData = [][]byte{[]byte("w")} })
	p.Graph.Initializer = []*onnxpb.TensorProto{shape, outside, broken, words}
	ref := &onnxpb.AttributeProto{Name: proto.String("ref"), RefAttrName: proto.String("outer")}
	n := node("attributes", "Op", "_ a", "b _",
		ref, attribute("tenth", float32(0.1)), attribute("million", float32(1e6)), attribute("s", "a \"b\"\n"), attribute("none", []int64(nil)),
		&onnxpb.AttributeProto{Name: proto.String("fs"), Floats: []float32{1, 2.5}},
		&onnxpb.AttributeProto{Name: proto.String("ss"), Strings: [][]byte{[]byte("a"), nil}},
		&onnxpb.AttributeProto{Name: proto.String("ts"), Tensors: []*onnxpb.TensorProto{shape}},
		&onnxpb.AttributeProto{Name: proto.String("st"), SparseTensor: sparse},
		&onnxpb.AttributeProto{Name: proto.String("sts"), SparseTensors: []*onnxpb.SparseTensorProto{sparse}},
		&onnxpb.AttributeProto{Name: proto.String("tp"), Tp: ints},
		&onnxpb.AttributeProto{Name: proto.String("tps"), TypeProtos: []*onnxpb.TypeProto{ints}},
		&onnxpb.AttributeProto{Name: proto.String("gs"), Graphs: []*onnxpb.GraphProto{{Name: proto.String("sub graph")}}})
	n.Domain, n.Overload = proto.String("com.test"), proto.String("v2")
	p.Graph.Node = []*onnxpb.NodeProto{n}
	p.Graph.ValueInfo = []*onnxpb.ValueInfoProto{value("b", 1)}
	p.Functions = []*onnxpb.FunctionProto{{
		Name: proto.String("F"), Domain: proto.String("local"), Input: []string{"a"}, Output: []string{"b"},
		Node: []*onnxpb.NodeProto{node("", "Neg", "a", "b")},
	}}
	p.TrainingInfo = []*onnxpb.TrainingInfoProto{{}}
	var b strings.Builder
	if err := Print(&b, New(p)); err != nil {
		t.Fatal(err)
	}
	golden(t, "odds.txt", b.String())
}

func TestPrintReportsWriteErrors(t *testing.T) {
	full := errors.New("disk full")
	w := writerFunc(func([]byte) (int, error) { return 0, full })
	if err := Print(w, New(small())); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

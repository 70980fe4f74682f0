package onnxio

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/internal/seeds"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// FuzzParse parses arbitrary bytes. Whatever is accepted must survive being printed,
// indexed, decoded, written, and read again unchanged.
func FuzzParse(f *testing.F) {
	odd := small()
	odd.Functions = []*onnxpb.FunctionProto{{
		Name: proto.String("F"), Input: []string{"a"}, Output: []string{"b"}, Node: []*onnxpb.NodeProto{node("", "Neg", "a", "b")},
	}}
	odd.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{{
		Values: counting("sparse", 1), Dims: []int64{4},
		Indices: typed(tensor.Int64, []int64{1}, func(p *onnxpb.TensorProto) { p.Int64Data = []int64{2} }),
	}}
	odd.TrainingInfo = []*onnxpb.TrainingInfoProto{{Algorithm: &onnxpb.GraphProto{Name: proto.String("a")}}}
	cyclic := small()
	cyclic.Graph.Node[0].Input[0] = "z"
	for _, p := range []*onnxpb.ModelProto{small(), odd, cyclic, nested(3), {IrVersion: proto.Int64(8)}} {
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seeds.Add(f, "models", "")
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data, "")
		if err != nil {
			if m != nil || err.Error() == "" {
				t.Error("a model beside an error, or an error without words")
			}
			return
		}
		defer m.Close()
		if err := Print(io.Discard, m); err != nil {
			t.Error(err)
		}
		for _, w := range m.Proto.GetGraph().Initializer {
			if _, err := m.Tensor(w).Raw(); err != nil && m.Tensor(w).Type() != tensor.String {
				t.Errorf("Check accepts what Raw does not: %v", err)
			}
		}
		var b bytes.Buffer
		if err := (encoder{w: &b, whole: 16}).message(m.Proto.ProtoReflect()); err != nil {
			t.Fatal(err)
		}
		back, err := Parse(b.Bytes(), "")
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if ok, diff := Equal(m, back); !ok {
			t.Errorf("written and read again: %s", diff)
		}
	})
}

// FuzzTensor decodes arbitrary tensors.
func FuzzTensor(f *testing.F) {
	for _, p := range []*onnxpb.TensorProto{
		counting("w", 2, 3),
		typed(tensor.Int4, []int64{3}, func(p *onnxpb.TensorProto) { p.Int32Data = []int32{0x21, 3} }),
		typed(tensor.Float16, []int64{2}, func(p *onnxpb.TensorProto) { p.Int32Data = []int32{0x3c00, 1} }),
		typed(tensor.Uint32, []int64{1}, func(p *onnxpb.TensorProto) { p.Uint64Data = []uint64{7} }),
		typed(tensor.Complex64, []int64{1}, func(p *onnxpb.TensorProto) { p.FloatData = []float32{1, 2} }),
		typed(tensor.Float32, []int64{1 << 62, 4}, func(*onnxpb.TensorProto) {}),
	} {
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seeds.Add(f, "tensors", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &onnxpb.TensorProto{}
		if p.UnmarshalVTUnsafe(data) != nil {
			return
		}
		h := New(&onnxpb.ModelProto{}).Tensor(p)
		d, err := h.Dense()
		if err != nil {
			return
		}
		if err := d.Check(); err != nil {
			t.Errorf("Dense gives a tensor that Check refuses: %v", err)
		}
		if v, err := d.Float64s(); err == nil && len(v) != h.Len() {
			t.Errorf("%d numbers, want %d", len(v), h.Len())
		}
	})
}

// FuzzExternal reads weights from wherever a model says that they are: from nowhere but its folder, and no more than there is.
func FuzzExternal(f *testing.F) {
	root := f.TempDir()
	folder := filepath.Join(root, "model")
	if err := os.Mkdir(folder, 0o755); err != nil {
		f.Fatal(err)
	}
	for path, content := range map[string]string{"model/w.data": "........", "secret": "secret", "model/empty": ""} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join("..", "secret"), filepath.Join(folder, "link")); err != nil {
		f.Log(err) // where there are no links
	}
	for _, location := range []string{"w.data", "./w.data", "../secret", "link", "empty", "/etc/passwd", "model/../../secret", "a\\b", "c:x", ".", "w.data/", "w.data\x00"} {
		f.Add(location, "0", "4", int64(1))
	}
	f.Add("w.data", "4", "", int64(1))
	f.Add("w.data", "-1", "4", int64(1))
	f.Add("w.data", "9223372036854775807", "4", int64(1))
	f.Add("w.data", "0", "", int64(1<<61))
	f.Fuzz(func(t *testing.T, location, offset, length string, elements int64) {
		w := typed(tensor.Float32, []int64{elements}, func(p *onnxpb.TensorProto) {
			p.Name, p.DataLocation = proto.String("w"), onnxpb.TensorProto_EXTERNAL.Enum()
			for key, v := range map[string]string{"location": location, "offset": offset, "length": length} {
				if v != "" {
					p.ExternalData = append(p.ExternalData, &onnxpb.StringStringEntryProto{Key: proto.String(key), Value: proto.String(v)})
				}
			}
		})
		p := small()
		p.Graph.Initializer = append(p.Graph.Initializer, w)
		data, err := proto.Marshal(p)
		if err != nil {
			return // text that is not UTF-8
		}
		m, err := Parse(data, folder)
		if err != nil {
			return
		}
		defer m.Close()
		raw, err := m.Tensor(m.Proto.Graph.Initializer[len(p.Graph.Initializer)-1]).Raw()
		from, _ := strconv.ParseInt(offset, 10, 64)
		if err != nil || int64(len(raw)) != 4*elements || from+4*elements > 8 || len(bytes.Trim(raw, ".")) > 0 {
			t.Errorf("%q from %s, %s bytes for %d numbers: %q, %v", location, offset, length, elements, raw, err)
		}
	})
}

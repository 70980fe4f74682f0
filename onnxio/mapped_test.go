package onnxio

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// TestFileBytes counts the tensors that a model has of its files, and not those of the model that it is derived from or those in memory.
func TestFileBytes(t *testing.T) {
	m := open(t, save(t, weighty(3, 1<<12)))
	if n := m.FileBytes(); n != 3<<12 {
		t.Errorf("%d bytes, want %d", n, 3<<12)
	}
	p := Shallow(m.Proto)
	p.Graph = Shallow(m.Proto.Graph)
	p.Graph.Initializer = append(p.Graph.Initializer[:1:1], counting("large", 300))
	less := m.Derive(p)
	defer less.Close()
	if n := less.FileBytes(); n != 1<<12 {
		t.Errorf("derived: %d bytes, want %d", n, 1<<12)
	}
	outside := open(t, outside(t))
	var want int64
	for _, w := range outside.Proto.Graph.Initializer {
		if external(w) {
			want += int64(outside.Tensor(w).Bytes())
		} else {
			want += int64(len(w.RawData))
		}
	}
	if n := outside.FileBytes(); n < want || want == 0 {
		t.Errorf("external data: %d bytes, want at least %d", n, want)
	}
	if n := New(&onnxpb.ModelProto{Graph: &onnxpb.GraphProto{Name: proto.String("g"), Initializer: []*onnxpb.TensorProto{counting("w", 9)}}}).FileBytes(); n != 0 {
		t.Errorf("in memory: %d bytes", n)
	}
}

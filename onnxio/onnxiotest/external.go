// Package onnxiotest writes models for tests as others write them.
package onnxiotest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// External writes a model to a file at path, and its weights as external data to the file data beside it.
func External(t testing.TB, m *onnxio.Model, path, data string) {
	t.Helper()
	p := proto.Clone(m.Proto).(*onnxpb.ModelProto)
	var weights []byte
	for _, w := range p.GetGraph().Initializer {
		if len(w.RawData) == 0 {
			continue
		}
		entry := func(key string, value any) *onnxpb.StringStringEntryProto {
			return &onnxpb.StringStringEntryProto{Key: proto.String(key), Value: proto.String(fmt.Sprint(value))}
		}
		w.ExternalData = []*onnxpb.StringStringEntryProto{entry("location", data), entry("offset", len(weights)), entry("length", len(w.RawData))}
		w.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum()
		weights, w.RawData = append(weights, w.RawData...), nil
	}
	message, err := p.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{path: message, filepath.Join(filepath.Dir(path), data): weights} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

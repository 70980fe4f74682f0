// Package testkit is what the tests of several packages have in common: models, samples, arrays from files and words in
// errors.
package testkit

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Zoo returns a model of the zoo, drawn from seed 1, until the end of the test.
func Zoo(t testing.TB, name string) *onnxio.Model {
	t.Helper()
	c, ok := testmodels.Get(name)
	if !ok {
		t.Fatalf("the zoo has no model %q", name)
	}
	m, err := c.Build(1)
	return kept(t, m, err)
}

// ZooFiles returns every model of the zoo as the bytes of its file.
func ZooFiles(t testing.TB) [][]byte {
	t.Helper()
	var files [][]byte
	for _, c := range testmodels.All() {
		data, err := Zoo(t, c.Name).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	return files
}

// Built returns the model of a builder until the end of the test.
func Built(t testing.TB, b *testmodels.Builder) *onnxio.Model {
	t.Helper()
	m, err := b.Model()
	return kept(t, m, err)
}

// Save writes a model to a file in a folder of its own and returns the path.
func Save(t testing.TB, m *onnxio.Model) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// Numbers returns the values and the shape of an initializer.
func Numbers(t testing.TB, m *onnxio.Model, name string) ([]float64, []int) {
	t.Helper()
	p, ok := graph.Of(m).Initializer(name)
	if !ok {
		t.Fatalf("no initializer %q", name)
	}
	d, err := p.Dense()
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return v, d.Shape
}

// Unchecked returns the model that a file's bytes are, sound or not; false where they are no message.
func Unchecked(data []byte) (*onnxio.Model, bool) {
	m := graph.Parts{}.Model()
	return m, proto.Unmarshal(data, m.Proto) == nil
}

// With returns an unchecked copy of a model with what a text in protobuf's format adds to it.
func With(t testing.TB, m *onnxio.Model, text string) *onnxio.Model {
	t.Helper()
	more, out := graph.Parts{}.Model(), graph.Parts{}.Model()
	if err := prototext.Unmarshal([]byte(text), more.Proto); err != nil {
		t.Fatal(err)
	}
	proto.Merge(out.Proto, m.Proto)
	proto.Merge(out.Proto, more.Proto)
	return out
}

// Suffixed returns an unchecked copy of a model whose graph and nodes have that behind their names.
func Suffixed(m *onnxio.Model, suffix string) *onnxio.Model {
	out := graph.Parts{}.Model()
	proto.Merge(out.Proto, m.Proto)
	suffixed := func(m protoreflect.Message) {
		name := m.Descriptor().Fields().ByName("name")
		m.Set(name, protoreflect.ValueOfString(m.Get(name).String()+suffix))
	}
	model := out.Proto.ProtoReflect()
	main := model.Mutable(model.Descriptor().Fields().ByName("graph")).Message()
	suffixed(main)
	nodes := main.Mutable(main.Descriptor().Fields().ByName("node")).List()
	for i := range nodes.Len() {
		suffixed(nodes.Get(i).Message())
	}
	return out
}

// Bytes returns the bytes of a model's file, to hold later ones against.
func Bytes(t testing.TB, m *onnxio.Model) []byte {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(data)
}

func kept(t testing.TB, m *onnxio.Model, err error) *onnxio.Model {
	t.Helper()
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

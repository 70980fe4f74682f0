// Package testkit is what the tests of several packages have in common: models, samples, arrays from files and words in
// errors.
package testkit

import (
	"context"
	"path/filepath"
	"testing"

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

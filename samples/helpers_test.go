package samples

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// memory is a source of given samples.
type memory = testkit.Memory[Sample]

func spec(name string, shape ...int) InputSpec {
	return InputSpec{Name: name, Type: tensor.Float32, Shape: shape}
}

// write writes a file into a fresh folder and returns its path.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Package orttest opens ONNX Runtime for tests.
package orttest

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// Open opens ONNX Runtime until the end of the test. Where it is missing the test is skipped, or fails, as
// provisiontest.Need says.
func Open(t testing.TB) *ort.Library {
	t.Helper()
	lib, err := ort.Open(provisiontest.Need(t, provision.ONNXRuntime))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lib.Close)
	return lib
}

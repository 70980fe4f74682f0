package calib_test

import (
	"os"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// TestMain leaves the examples out where there is no ONNX Runtime.
func TestMain(m *testing.M) { os.Exit(provisiontest.Main(m, provision.ONNXRuntime)) }

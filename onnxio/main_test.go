package onnxio

import (
	"os"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// TestMain has garbage collected seldom.
func TestMain(m *testing.M) { os.Exit(provisiontest.Main(m)) }

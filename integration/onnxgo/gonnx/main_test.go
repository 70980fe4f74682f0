package main

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/integration/onnxgo/inmemory/inmemorytest"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestGonnx: what gonnx runs of the models that are written is what ONNX Runtime gives, and the rest it refuses in these words, which
// docs/ways/go.md names.
func TestGonnx(t *testing.T) {
	inmemorytest.Hold(t, run, []inmemorytest.Case{
		{Model: inmemorytest.Chain, Method: "width"},
		{Model: inmemorytest.Chain, Method: "svd-in", Refusal: "could not perform Unidirectional broadcast"}, // at kernels that are 1 wide, with a bias
		{Model: testmodels.Fashion, Method: "svd", Refusal: "unsupported opset version"},
	})
}

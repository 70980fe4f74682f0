package main

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/integration/onnxgo/inmemory/inmemorytest"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestOnnxGo: what onnx-go runs of the models that are written is what ONNX Runtime gives, and the rest it refuses in these words, which
// docs/ways/go.md names.
func TestOnnxGo(t *testing.T) {
	inmemorytest.Hold(t, run, []inmemorytest.Case{
		{Model: testmodels.Fashion, Method: "svd"},
		{Model: inmemorytest.Chain, Method: "svd-in"},
		{Model: inmemorytest.Chain, Method: "tucker2"},
		{Model: inmemorytest.Chain, Method: "width"},
		{Model: inmemorytest.Chain, Method: "svd", Refusal: "bad arity for operation (have 2, want 3)"},
		{Model: inmemorytest.Chain, Method: "spatial", Refusal: "attribute pads ([]int64{1, 0, 1, 0}): Asymetric padding"},
		{Model: inmemorytest.Chain, Method: "cp-window", Refusal: "conv: 1 (kernel) * 3 (width) * 3 (height) must be"},
	})
}

package tune

import (
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

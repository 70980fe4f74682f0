// Package defaults says what options about work on samples mean where a field has its zero value.
package defaults

import (
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Runs sets what is below 1 or nil: 32 samples at once, one worker, and nobody who is told how much is done.
func Runs(batch, threads *int, progress *samples.Progress) {
	if *batch < 1 {
		*batch = 32
	}
	if *threads < 1 {
		*threads = 1
	}
	if *progress == nil {
		*progress = func(string, int, int) {}
	}
}

// Sums sets what is below 1 or nil: 2 GiB of memory, and the algebra that is always there.
func Sums(memory *int64, backend *linalg.Backend) {
	if *memory < 1 {
		*memory = 2 << 30
	}
	if *backend == nil {
		*backend = linalg.Gonum()
	}
}

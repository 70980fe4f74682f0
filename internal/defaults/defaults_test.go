package defaults_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/defaults"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Only what was left open is set.
func TestDefaults(t *testing.T) {
	batch, threads, memory := 0, -1, int64(0)
	var progress samples.Progress
	var backend linalg.Backend
	defaults.Runs(&batch, &threads, &progress)
	defaults.Sums(&memory, &backend)
	if batch != 32 || threads != 1 || memory != 2<<30 || backend == nil {
		t.Errorf("batch %d, threads %d, memory %d, algebra %v", batch, threads, memory, backend)
	}
	progress("", 1, 2) // which is nobody

	told := 0
	batch, threads, memory, progress = 7, 3, 1, func(_ string, done, _ int) { told = done }
	defaults.Runs(&batch, &threads, &progress)
	defaults.Sums(&memory, &backend)
	if progress("", 5, 9); batch != 7 || threads != 3 || memory != 1 || told != 5 {
		t.Errorf("batch %d, threads %d, memory %d, told %d: what was given has changed", batch, threads, memory, told)
	}
}

// Package verify compares two models by running both on the same samples.
package verify

import (
	"context"
	"errors"

	"github.com/onnx-compress/onnx-compress/calib"
	"github.com/onnx-compress/onnx-compress/internal/ort"
)

// Options control Compare.
type Options struct {
	// Batch is how many samples run at once where the models' first axis is free; default 32.
	Batch int
	// Threads is how many batches are worked on side by side; default 1.
	Threads int
	// Moved is how many of the samples that moved most are listed; default 10.
	Moved int
	// Progress, when set, is told after each run how many of the samples are done.
	Progress func(done, total int)
}

// Compare runs the models in two files on the samples numbered by indices.
func Compare(ctx context.Context, lib *ort.Library, original, compressed string, src calib.Source, indices []int, o Options) (*Report, error) {
	return nil, errors.New("not yet")
}

package calib

import (
	"context"
	"errors"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// Options control Collect and Groups.
type Options struct {
	// Batch is how many samples run at once where the model's first axis is free;
	// default 32. A model with a fixed first axis runs in that batch.
	Batch int
	// Threads is how many batches are worked on side by side; default 1. The sums
	// do not depend on it.
	Threads int
	// Memory bounds the sums, in bytes; default 2 GiB.
	Memory int64
	// Backend multiplies matrices; default linalg.Gonum().
	Backend linalg.Backend
	// Progress, when set, is told after each run how many of the samples are done.
	Progress func(done, total int)
}

// Collect sums the statistics of the sites over the samples numbered by indices, in
// one sweep. The result has one entry per site, in their order.
func Collect(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src Source, indices []int, o Options) ([]Stats, error) {
	return nil, errors.New("not yet")
}

// Groups cuts the sites, by their position, into groups whose sums fit o.Memory
// together, in order. A site that does not fit alone is a *TooLargeError.
func Groups(sites []rewrite.Site, o Options) ([][]int, error) {
	return nil, errors.New("not yet")
}

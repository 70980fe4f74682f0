package verify

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// open makes the sessions of both models and says what the outputs of the original are. The caller calls what it returns when all runs
// are done.
func (c *comparison) open(lib *ort.Library, original, compressed string) (done func(), err error) {
	var closers []func()
	finish := func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	defer func() {
		if err != nil {
			finish()
		}
	}()
	before, err := onnxio.Read(original)
	if err != nil {
		return nil, &OriginalError{err}
	}
	c.model = before
	closers = append(closers, func() { _ = before.Close() }) // which was only read
	after, odd := onnxio.Read(compressed)                    // of what only the runtime can read weights are loaded
	if odd == nil {
		closers = append(closers, func() { _ = after.Close() })
	} else if info, err := os.Stat(compressed); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("compressed model: %w", odd) // which the runtime would wait for, if it is a pipe
	}
	mapped := odd == nil && c.o.Memory > 0 && !rss.Loads(before.DiskBytes(), after.DiskBytes(), c.o.Memory)
	if c.before, err = session(lib, original, before, mapped); err != nil {
		return nil, &OriginalError{err}
	}
	closers = append(closers, c.before.Close)
	if c.after, err = session(lib, compressed, after, mapped); err != nil {
		return nil, fmt.Errorf("compressed model: %w", err)
	}
	closers = append(closers, c.after.Close)
	if mapped {
		closers = append(closers, rss.Shed(slices.Concat(before.Files(), after.Files()), c.o.Memory/4*3).Stop)
	}
	return finish, c.describe(original, before)
}

// limitBatch lowers the batch and the threads to what half the memory holds of what either model computes, going by the original and the
// sample with that number.
func (c *comparison) limitBatch(ctx context.Context, src samples.Source, sample int) {
	if c.o.Memory <= 0 || len(c.names) == 0 {
		return
	}
	inputs := feed.SessionInputs(c.before)
	r, err := feed.First(ctx, src, []int{sample}, inputs, 1)
	if err != nil {
		return // what is wrong, the runs will say
	}
	live := feed.Live(c.model, feed.Float32s(c.model, r.Inputs), c.names)
	c.o.Batch, c.o.Threads = feed.Fit(live, samples.Batch(inputs) > 0, c.o.Memory/2, c.o.Batch, c.o.Threads)
}

// session makes the session of a model in a file.
func session(lib *ort.Library, path string, m *onnxio.Model, mapped bool) (*ort.Session, error) {
	if !mapped {
		return lib.NewSessionFile(path, ort.Options{})
	}
	data, err := m.MarshalMapped()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder(), Mapped: true})
}
